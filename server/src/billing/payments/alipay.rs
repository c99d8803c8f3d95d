//! Alipay: the page on which a payment is made, and its asynchronous notification.
//!
//! Both ways the signature (RSA2: RSA with SHA-256) is over the parameters, sorted by name and joined as `name=value&…`: ours over
//! all that are not empty but `sign`, theirs over all but `sign` and `sign_type`.  A notification is sent again for a day, with
//! the signature that it had, so its time says nothing.

use super::gateway::{Asked, Booked, Envelope, Forged, Gateway, Order, Told, Unreadable, Values, take};
use super::keys::{self, PublicKey};
use super::state::{Fact, Said};
use crate::billing::money::parse_amount;
use anyhow::Context;
use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;
use ring::signature::RsaKeyPair;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::macros::{format_description, offset};

pub struct Alipay {
    base_url: String,
    app_id: String,
    private_key: RsaKeyPair,
    public_key: PublicKey,
}

impl Alipay {
    pub fn new(mut values: Values) -> anyhow::Result<Self> {
        Ok(Self {
            base_url: take(&mut values, "base_url")?,
            app_id: take(&mut values, "app_id")?,
            private_key: keys::private_key(&take(&mut values, "private_key")?)?,
            public_key: keys::public_key(&take(&mut values, "public_key")?)?,
        })
    }

    /// The parameters of a request, with the signature over all of them.
    fn signed(
        &self,
        method: &str,
        content_json: &Value,
        more: &[(&str, String)],
    ) -> anyhow::Result<Parameters> {
        let fixed = [
            ("app_id", self.app_id.clone()),
            ("method", method.to_owned()),
            ("format", "JSON".to_owned()),
            ("charset", "utf-8".to_owned()),
            ("sign_type", "RSA2".to_owned()),
            ("timestamp", here(time::OffsetDateTime::now_utc())?),
            ("version", "1.0".to_owned()),
            ("biz_content", content_json.to_string()),
        ];
        let all = fixed.iter().chain(more);
        let mut parameters: Parameters =
            all.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let signature = keys::sign(&self.private_key, content(parameters.iter()).as_bytes())?;
        parameters.insert("sign".to_owned(), signature);
        Ok(parameters)
    }
}

/// Alipay's clock is China's.
fn here(at: time::OffsetDateTime) -> Result<String, time::error::Format> {
    let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(offset!(+8)).format(&seconds)
}

/// What an answer of Alipay says, to the letter as it was signed, and the signature.
fn answer_parts(body: &[u8]) -> Option<(&str, String)> {
    const NAME: &str = "\"alipay_trade_query_response\":";
    let text = std::str::from_utf8(body).ok()?;
    let document: Value = serde_json::from_str(text).ok()?;
    let rest = text[text.find(NAME)? + NAME.len()..].trim_start();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let content = values.next()?.ok()?;
    // The name could also stand inside a text: what is signed must be what is read.
    let same = content == document["alipay_trade_query_response"];
    let end = values.byte_offset();
    same.then(|| Some((&rest[..end], document["sign"].as_str()?.to_owned())))?
}

type Parameters = BTreeMap<String, String>;

/// What is signed.
fn content<'a>(parameters: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    parameters.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn parse(body: &[u8]) -> Option<Parameters> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body).ok()?;
    let count = pairs.len();
    let parameters: Parameters = pairs.into_iter().collect();
    // A name that stands twice would be read one way here and another way there.
    (parameters.len() == count).then_some(parameters)
}

#[async_trait]
impl Gateway for Alipay {
    /// Nothing is asked of Alipay yet: the order is in the address that the customer goes to.
    async fn book(&self, _: &reqwest::Client, order: &Order) -> anyhow::Result<Booked> {
        let amount = crate::web::format::money("", order.amount.minor);
        let order_json = json!({
            "out_trade_no": order.number(),
            "product_code": "FAST_INSTANT_TRADE_PAY",
            "total_amount": amount,
            "subject": order.subject,
            "time_expire": here(order.expires_at)?,
        });
        let more = [("notify_url", order.notify_url.clone()), ("return_url", order.back_url.clone())];
        let parameters = self.signed("alipay.trade.page.pay", &order_json, &more)?;
        Ok(Booked { target: Url::parse_with_params(&self.base_url, &parameters)?.into(), reference: None })
    }

    async fn ask(&self, http: &reqwest::Client, asked: &Asked) -> anyhow::Result<Option<Vec<u8>>> {
        let order = json!({ "out_trade_no": asked.number });
        let parameters = self.signed("alipay.trade.query", &order, &[])?;
        let answer = http
            .post(&self.base_url)
            .timeout(super::PATIENCE)
            .form(&parameters)
            .send()
            .await
            .context("Alipay does not answer")?;
        let body = super::answered(answer).await?;
        let (content, signature) = answer_parts(&body).context("Alipay's answer is none")?;
        anyhow::ensure!(
            keys::verifies(&self.public_key, content.as_bytes(), &signature),
            "the answer is not Alipay's"
        );
        let trade: Value = serde_json::from_str(content)?;
        if trade["sub_code"] == "ACQ.TRADE_NOT_EXIST" {
            return Ok(None);
        }
        anyhow::ensure!(
            trade["code"] == "10000",
            "Alipay refused with {} {}",
            trade["code"],
            trade["sub_code"]
        );
        Ok(Some(body))
    }

    fn read_answer(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let (content, _) = answer_parts(body).ok_or(Unreadable)?;
        let trade: Value = serde_json::from_str(content).map_err(|_| Unreadable)?;
        let text = |name: &str| trade[name].as_str().map(str::to_owned).ok_or(Unreadable);
        let amount = || {
            let minor = parse_amount(&text("total_amount")?).ok_or(Unreadable)?;
            Ok(Said { minor, currency: "CNY".to_owned() })
        };
        let paid = || Ok(Fact::Paid { transaction: text("trade_no")?, amount: amount()? });
        // What was paid has the time of that, also when all of it went back.
        let was_paid = trade["send_pay_date"].as_str().is_some_and(|at| !at.is_empty());
        let facts = match trade["trade_status"].as_str() {
            Some("TRADE_SUCCESS" | "TRADE_FINISHED") => vec![paid()?],
            Some("TRADE_CLOSED") if was_paid => {
                vec![paid()?, Fact::Refunded { refund: "all".to_owned(), amount: amount()? }]
            }
            Some("TRADE_CLOSED") => vec![Fact::Expired],
            _ => Vec::new(),
        };
        Ok(Told { number: Some(text("out_trade_no")?), facts, ..Told::default() })
    }

    fn verify(&self, _: &HeaderMap, body: &[u8], _: i64) -> Result<(), Forged> {
        let parameters = parse(body).ok_or(Forged::Malformed)?;
        let signature = parameters.get("sign").ok_or(Forged::Malformed)?;
        if parameters.get("sign_type").is_none_or(|kind| kind != "RSA2") {
            return Err(Forged::Malformed);
        }
        let signed =
            content(parameters.iter().filter(|(name, _)| !matches!(name.as_str(), "sign" | "sign_type")));
        if keys::verifies(&self.public_key, signed.as_bytes(), signature) {
            Ok(())
        } else {
            Err(Forged::Signature)
        }
    }

    fn envelope(&self, body: &[u8]) -> Option<Envelope> {
        let mut parameters = parse(body)?;
        let refund = parameters.contains_key("refund_fee");
        let kind = parameters.remove("trade_status").or_else(|| parameters.remove("notify_type"))?;
        let kind = if refund { format!("{kind} refund") } else { kind };
        Some(Envelope { event_id: parameters.remove("notify_id")?, kind })
    }

    fn read(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let parameters = parse(body).ok_or(Unreadable)?;
        let text = |name: &str| parameters.get(name).ok_or(Unreadable);
        let amount = |name: &str| {
            let minor = parse_amount(text(name)?).ok_or(Unreadable)?;
            Ok(Said { minor, currency: "CNY".to_owned() })
        };
        let paid =
            || Ok(Fact::Paid { transaction: text("trade_no")?.clone(), amount: amount("total_amount")? });
        let refund = parameters.contains_key("refund_fee");
        let facts = match parameters.get("trade_status").map(String::as_str) {
            // `refund_fee` is all that was given back until then; who was given something has paid.
            Some("TRADE_SUCCESS" | "TRADE_FINISHED" | "TRADE_CLOSED") if refund => {
                let refunded = Fact::Refunded { refund: "all".to_owned(), amount: amount("refund_fee")? };
                vec![paid()?, refunded]
            }
            Some("TRADE_SUCCESS" | "TRADE_FINISHED") => vec![paid()?],
            Some("TRADE_CLOSED") => vec![Fact::Expired],
            _ => Vec::new(),
        };
        let elsewhere = parameters.get("app_id").is_none_or(|id| *id != self.app_id);
        let number = parameters.get("out_trade_no").cloned();
        Ok(Told { number, facts, elsewhere, ..Told::default() })
    }
}
