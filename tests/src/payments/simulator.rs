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
    /// What the provider says when it is asked.
    pub trade: Trade,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    Open,
    Paid,
    Closed,
    /// Paid, and all of it given back.
    Refunded,
}

/// What is wrong with the answers to questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// About another order than was asked for.
    OtherOrder,
    Amount,
    /// Signed by somebody else, where answers are signed.
    Forged,
    Oversized,
    Garbage,
    /// It never comes.
    Silence,
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
    pub lie: Arc<Mutex<Option<Lie>>>,
    /// Questions that were asked.
    pub asked: Arc<std::sync::atomic::AtomicUsize>,
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
            .route("/stripe/v1/checkout/sessions/{id}", get(stripe_asked))
            .route("/alipay/gateway.do", get(alipay).post(alipay_asked))
            .route("/wechat/v3/pay/transactions/out-trade-no/{number}", get(wechat_asked))
            .route("/wechat/v3/pay/transactions/native", post(wechat))
            .route("/pay/{number}", get(page).post(pay))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        url
    }

    pub fn order(&self, number: &str) -> Option<Order> {
        self.orders.lock().expect("no panic").get(number).cloned()
    }

    /// Changes what is said of an order when it is asked about, and tells nobody.
    pub fn becomes(&self, number: &str, trade: Trade) {
        self.orders.lock().expect("no panic").get_mut(number).expect("an order").trade = trade;
    }

    /// The order that is asked about, as it will be spoken of; nothing where it is not known.
    async fn asked_about(&self, number: &str) -> Option<(Order, Option<Lie>)> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let lie = *self.lie.lock().expect("no panic");
        if lie == Some(Lie::Silence) {
            std::future::pending::<()>().await;
        }
        let mut order = self.order(number)?;
        match lie {
            Some(Lie::OtherOrder) => order.known.number = uuid::Uuid::now_v7().simple().to_string(),
            Some(Lie::Amount) => order.known.amount -= 1,
            _ => {}
        }
        Some((order, lie))
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
        if what == Tell::Paid {
            self.becomes(number, Trade::Paid);
        }
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

/// The body of an answer, or what a liar sends instead.
fn spoken(answer: String, lie: Option<Lie>) -> String {
    match lie {
        Some(Lie::Oversized) => format!("{}{answer}", " ".repeat(1 << 20)),
        Some(Lie::Garbage) => "<html>503</html>".to_owned(),
        _ => answer,
    }
}

const fn signer(lie: Option<Lie>) -> Signer {
    if matches!(lie, Some(Lie::Forged)) { Signer::Forger } else { Signer::Provider }
}

async fn stripe_asked(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<String, Refusal> {
    // Nothing of Stripe's is signed but by the connection; a forger has no key to it.
    let key = format!("Bearer {STRIPE_KEY}");
    let lied = *simulator.lie.lock().expect("no panic") == Some(Lie::Forged);
    if lied || headers.get("authorization").is_none_or(|sent| sent != key.as_str()) {
        return Err((StatusCode::UNAUTHORIZED, "Invalid API Key provided".into()));
    }
    let number = id.strip_prefix("cs_test_").ok_or_else(|| refuse("No such checkout session"))?;
    let Some((order, lie)) = simulator.asked_about(number).await else {
        return Err((StatusCode::NOT_FOUND, "No such checkout session".into()));
    };
    let Known { number, amount, currency, .. } = &order.known;
    let paid = matches!(order.trade, Trade::Paid | Trade::Refunded);
    let mut session = super::stripe_session(number, *amount, currency, paid);
    session["status"] = match order.trade {
        Trade::Open => "open",
        Trade::Closed => "expired",
        Trade::Paid | Trade::Refunded => "complete",
    }
    .into();
    Ok(spoken(session.to_string(), lie))
}

async fn alipay_asked(
    State(simulator): State<Simulator>,
    Form(mut fields): Form<Fields>,
) -> Result<String, Refusal> {
    let signature = fields.remove("sign").ok_or_else(|| refuse("sign is missing"))?;
    let signed: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let method = field(&fields, "method")?;
    if method != "alipay.trade.query" || !keys().app.verifies(signed.join("&").as_bytes(), &signature) {
        return Err(refuse("isv.invalid-signature"));
    }
    let content: Value =
        serde_json::from_str(&field(&fields, "biz_content")?).map_err(|_| refuse("no order"))?;
    let number = content["out_trade_no"].as_str().unwrap_or_default().to_owned();
    let Some((order, lie)) = simulator.asked_about(&number).await else {
        let unknown = r#"{"code":"40004","msg":"Business Failed","sub_code":"ACQ.TRADE_NOT_EXIST"}"#;
        return Ok(alipay_answer(unknown, Signer::Provider));
    };
    let (status, paid) = match order.trade {
        Trade::Open => ("WAIT_BUYER_PAY", false),
        Trade::Paid => ("TRADE_SUCCESS", true),
        Trade::Closed => ("TRADE_CLOSED", false),
        Trade::Refunded => ("TRADE_CLOSED", true),
    };
    let mut trade = json!({
        "code": "10000", "msg": "Success", "out_trade_no": order.known.number,
        "trade_no": format!("20260102{}", order.known.number), "trade_status": status,
        "total_amount": super::yuan(order.known.amount), "buyer_logon_id": "159****5620",
        "subject": "\"alipay_trade_query_response\":{\"trade_status\":\"TRADE_SUCCESS\"}",
    });
    if paid {
        trade["send_pay_date"] = "2026-01-02 13:14:15".into();
    }
    Ok(spoken(alipay_answer(&trade.to_string(), signer(lie)), lie))
}

/// An answer of Alipay, with the signature over its content to the letter.
fn alipay_answer(content: &str, signer: Signer) -> String {
    let pair = if signer == Signer::Provider { &keys().alipay } else { &keys().forger };
    let signature = pair.sign(content.as_bytes());
    format!(r#"{{"alipay_trade_query_response":{content},"sign":"{signature}"}}"#)
}

async fn wechat_asked(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Path(number): Path<String>,
    uri: axum::http::Uri,
) -> Result<Response, Refusal> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let take = |name: &str| part(header, name).ok_or_else(|| refuse(format!("{name} is missing")));
    let (time, nonce) = (take("timestamp")?, take("nonce_str")?);
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let message = format!("GET\n{path}\n{time}\n{nonce}\n\n");
    if !path.ends_with(&format!("?mchid={WECHAT_MERCHANT}"))
        || !keys().merchant.verifies(message.as_bytes(), take("signature")?)
    {
        return Err((StatusCode::UNAUTHORIZED, "SIGN_ERROR".into()));
    }
    let Some((order, lie)) = simulator.asked_about(&number).await else {
        return Err((StatusCode::NOT_FOUND, r#"{"code":"ORDER_NOT_EXIST"}"#.into()));
    };
    let mut transaction =
        super::wechat_transaction(&order.known.number, order.known.amount, order.known.currency);
    transaction["trade_state"] = match order.trade {
        Trade::Open => "NOTPAY",
        Trade::Paid => "SUCCESS",
        Trade::Closed => "CLOSED",
        Trade::Refunded => "REFUND",
    }
    .into();
    let answer = spoken(transaction.to_string(), lie);
    let mut response = answer.clone().into_response();
    for (name, value) in wechat_headers(answer.as_bytes(), now(), signer(lie)) {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    Ok(response)
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
    let url = simulator.keep(Order { known, back, notify_url, refunded: 0, trade: Trade::Open });
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
    let url = simulator.keep(Order {
        known,
        back: [back.clone(), back],
        notify_url,
        refunded: 0,
        trade: Trade::Open,
    });
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
    let url = simulator.keep(Order {
        known,
        back: Default::default(),
        notify_url,
        refunded: 0,
        trade: Trade::Open,
    });
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
         <button name=do value=lose>Pay, and lose the notification</button> \
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
        Some("lose") => {
            simulator.becomes(&number, Trade::Paid);
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
