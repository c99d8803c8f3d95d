//! The providers as a web server: they take orders, show a page on which they are paid, and tell the platform.

use super::{Known, STRIPE_KEY, Signer, Tell, keys, now, tell, wechat_headers};
use super::{WECHAT_APP, WECHAT_MERCHANT, WECHAT_SERIAL};
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What somebody is to pay.
#[derive(Clone, Debug)]
pub struct Order {
    pub known: Known,
    /// Where the customer goes afterwards, by paying or not.
    pub back: [String; 2],
    pub notify_url: String,
    /// What was given back until now.
    pub refunded: i64,
}

#[derive(Clone, Default)]
pub struct Simulator {
    orders: Arc<Mutex<HashMap<String, Order>>>,
    /// Of ourselves.
    url: Arc<Mutex<String>>,
    /// Of the platform: what an operator enters at Stripe.
    platform: Arc<Mutex<String>>,
    /// Orders are refused while this is set.
    pub broken: Arc<std::sync::atomic::AtomicBool>,
}

type Fields = BTreeMap<String, String>;
type Refusal = (StatusCode, String);

fn refuse(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

impl Simulator {
    /// Serves at a free port, or at this one, until the process ends.  Gives its address.
    pub async fn start(&self, port: u16, platform: &str) -> String {
        let listener =
            tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        url.clone_into(&mut self.url.lock().expect("no panic"));
        platform.clone_into(&mut self.platform.lock().expect("no panic"));
        let router = Router::new()
            .route("/stripe/v1/checkout/sessions", post(stripe))
            .route("/alipay/gateway.do", get(alipay))
            .route("/wechat/v3/pay/transactions/native", post(wechat))
            .route("/pay/{number}", get(page).post(pay))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        url
    }

    pub fn order(&self, number: &str) -> Option<Order> {
        self.orders.lock().expect("no panic").get(number).cloned()
    }

    fn keep(&self, order: Order) -> String {
        let number = order.known.number.clone();
        let url = format!("{}/pay/{number}", self.url.lock().expect("no panic"));
        self.orders.lock().expect("no panic").insert(number, order);
        url
    }

    fn check_broken(&self) -> Result<(), Refusal> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "come again later".into()));
        }
        Ok(())
    }

    /// Tells the platform, as often as this.
    pub async fn tell(&self, number: &str, what: Tell, times: usize) -> anyhow::Result<()> {
        let order = self.order(number).ok_or_else(|| anyhow::anyhow!("there is no such order"))?;
        let id = format!("{}_{}", order.known.provider, rand::random::<u64>());
        let sent = tell(&order.known, &what, order.refunded, &id, now(), Signer::Provider);
        if let (Tell::Refunded(total), Some(order)) =
            (what, self.orders.lock().expect("no panic").get_mut(number))
        {
            order.refunded = total;
        }
        anyhow::ensure!(
            order.notify_url.ends_with(&sent.path()),
            "{} is no address for it",
            order.notify_url
        );
        // Where a test's platform is, its own settings need not know.
        let platform = self.platform.lock().expect("no panic").clone();
        for _ in 0..times {
            let (status, answer) = sent.send(&reqwest::Client::new(), &platform).await?;
            anyhow::ensure!(status == 200, "the platform said {status} {answer}");
        }
        Ok(())
    }
}

fn field(fields: &Fields, name: &str) -> Result<String, Refusal> {
    fields.get(name).cloned().ok_or_else(|| refuse(format!("{name} is missing")))
}

async fn stripe(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Json<Value>, Refusal> {
    simulator.check_broken()?;
    if headers.get("authorization").is_none_or(|key| key != format!("Bearer {STRIPE_KEY}").as_str()) {
        return Err((StatusCode::UNAUTHORIZED, "Invalid API Key provided".into()));
    }
    let take = |name: &str| field(&fields, name);
    let number = take("client_reference_id")?;
    if take("mode")? != "payment" || take("payment_intent_data[metadata][payment]")? != number {
        return Err(refuse("the session is no payment of ours"));
    }
    let price = "line_items[0][price_data]";
    let currency = match take(&format!("{price}[currency]"))?.as_str() {
        "usd" => "USD",
        "cny" => "CNY",
        other => return Err(refuse(format!("Invalid currency: {other}"))),
    };
    let known = Known {
        provider: "stripe",
        number: number.clone(),
        amount: take(&format!("{price}[unit_amount]"))?.parse().map_err(|_| refuse("no amount"))?,
        currency,
    };
    take(&format!("{price}[product_data][name]"))?;
    let hours = (take("expires_at")?.parse::<i64>().map_err(|_| refuse("no time"))? - now()) as f64 / 3600.0;
    if !(0.5..=24.0).contains(&hours) {
        return Err(refuse("expires_at must be between 30 minutes and 24 hours from now"));
    }
    let back = [take("success_url")?, take("cancel_url")?];
    let notify_url = format!("{}/payments/stripe/notify", simulator.platform.lock().expect("no panic"));
    let url = simulator.keep(Order { known, back, notify_url, refunded: 0 });
    Ok(Json(json!({ "id": format!("cs_test_{number}"), "object": "checkout.session", "url": url })))
}

async fn alipay(
    State(simulator): State<Simulator>,
    Query(mut fields): Query<Fields>,
) -> Result<Redirect, Refusal> {
    simulator.check_broken()?;
    let signature = fields.remove("sign").ok_or_else(|| refuse("sign is missing"))?;
    let signed: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !keys().app.verifies(signed.join("&").as_bytes(), &signature) {
        return Err(refuse("isv.invalid-signature"));
    }
    let expected = [
        ("app_id", super::ALIPAY_APP),
        ("method", "alipay.trade.page.pay"),
        ("charset", "utf-8"),
        ("sign_type", "RSA2"),
        ("version", "1.0"),
    ];
    for (name, value) in expected {
        if field(&fields, name)? != value {
            return Err(refuse(format!("{name} is not {value}")));
        }
    }
    let order: Value =
        serde_json::from_str(&field(&fields, "biz_content")?).map_err(|_| refuse("no order"))?;
    let (yuan, fen) = order["total_amount"]
        .as_str()
        .and_then(|text| text.split_once('.'))
        .ok_or_else(|| refuse("no amount"))?;
    let amount = format!("{yuan}{fen}").parse().map_err(|_| refuse("no amount"))?;
    if order["product_code"] != "FAST_INSTANT_TRADE_PAY" || fen.len() != 2 {
        return Err(refuse("no order of this kind"));
    }
    let number = order["out_trade_no"].as_str().ok_or_else(|| refuse("no number"))?.to_owned();
    let known = Known { provider: "alipay", number, amount, currency: "CNY" };
    let back = field(&fields, "return_url")?;
    let notify_url = field(&fields, "notify_url")?;
    let url = simulator.keep(Order { known, back: [back.clone(), back], notify_url, refunded: 0 });
    Ok(Redirect::to(&url))
}

/// The value of a part of `Authorization`.
fn part<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split_once(&format!("{name}=\""))?.1.split('"').next()
}

async fn wechat(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Refusal> {
    simulator.check_broken()?;
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let take = |name: &str| part(header, name).ok_or_else(|| refuse(format!("{name} is missing")));
    let (time, nonce) = (take("timestamp")?, take("nonce_str")?);
    let message = format!("POST\n/wechat/v3/pay/transactions/native\n{time}\n{nonce}\n{body}\n");
    let fresh = time.parse::<i64>().is_ok_and(|time| (now() - time).abs() < 300);
    if !header.starts_with("WECHATPAY2-SHA256-RSA2048 ")
        || !fresh
        || take("mchid")? != WECHAT_MERCHANT
        || take("serial_no")? != WECHAT_SERIAL
        || !keys().merchant.verifies(message.as_bytes(), take("signature")?)
    {
        return Err((StatusCode::UNAUTHORIZED, "SIGN_ERROR".into()));
    }
    let order: Value = serde_json::from_str(&body).map_err(|_| refuse("PARAM_ERROR"))?;
    let number = order["out_trade_no"].as_str().unwrap_or_default().to_owned();
    if order["appid"] != WECHAT_APP
        || order["amount"]["currency"] != "CNY"
        || !(6..=32).contains(&number.len())
    {
        return Err(refuse("PARAM_ERROR"));
    }
    let amount = order["amount"]["total"].as_i64().ok_or_else(|| refuse("PARAM_ERROR"))?;
    let known = Known { provider: "wechat", number, amount, currency: "CNY" };
    let notify_url = order["notify_url"].as_str().unwrap_or_default().to_owned();
    let url = simulator.keep(Order { known, back: Default::default(), notify_url, refunded: 0 });
    // The real code begins with weixin://; this one can be opened without a telephone.
    let answer = json!({ "code_url": url }).to_string();
    let mut response = answer.clone().into_response();
    for (name, value) in wechat_headers(answer.as_bytes(), now(), Signer::Provider) {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    Ok(response)
}

/// A page for whoever tries it by hand.
async fn page(
    State(simulator): State<Simulator>,
    Path(number): Path<String>,
) -> Result<Html<String>, Refusal> {
    let order = simulator.order(&number).ok_or_else(|| refuse("there is no such order"))?;
    let Known { provider, amount, currency, .. } = &order.known;
    Ok(Html(format!(
        "<!doctype html><meta charset=utf-8><title>{provider}</title><h1>{provider} (simulated)</h1>\
         <p>{currency} {}</p><form method=post><button name=do value=pay>Pay</button> \
         <button name=do value=cancel>Cancel</button> <button name=do value=refund>Refund</button></form>",
        super::yuan(*amount)
    )))
}

async fn pay(
    State(simulator): State<Simulator>,
    Path(number): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, Refusal> {
    let order = simulator.order(&number).ok_or_else(|| refuse("there is no such order"))?;
    let failed = |error: anyhow::Error| (StatusCode::BAD_GATEWAY, format!("{error:#}"));
    let back = match fields.get("do").map(String::as_str) {
        Some("pay") => {
            // As providers do when an answer is slow: twice.
            simulator.tell(&number, Tell::Paid, 2).await.map_err(failed)?;
            &order.back[0]
        }
        Some("refund") => {
            simulator.tell(&number, Tell::Refunded(order.known.amount), 1).await.map_err(failed)?;
            &order.back[0]
        }
        _ => &order.back[1],
    };
    if back.is_empty() { Ok("done".into_response()) } else { Ok(Redirect::to(back).into_response()) }
}
