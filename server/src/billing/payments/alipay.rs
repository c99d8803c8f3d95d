//! Alipay: the page on which a payment is made, and its asynchronous notification.
//!
//! Both ways the signature (RSA2: RSA with SHA-256) is over the parameters, sorted by name and joined as `name=value&…`: ours over
//! all that are not empty but `sign`, theirs over all but `sign` and `sign_type`.  A notification is sent again for a day, with
//! the signature that it had, so its time says nothing.

use super::gateway::{Envelope, Forged, Gateway, Order, Told, Unreadable, Values, take};
use super::keys::{self, PublicKey};
use super::state::{Fact, Said};
use crate::billing::money::parse_amount;
use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;
use ring::signature::RsaKeyPair;
use serde_json::json;
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
    async fn book(&self, _: &reqwest::Client, order: &Order) -> anyhow::Result<String> {
        let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        // Alipay's clock is China's.
        let here = |at: time::OffsetDateTime| at.to_offset(offset!(+8)).format(&seconds);
        let amount = crate::web::format::money("", order.amount.minor);
        let order_json = json!({
            "out_trade_no": order.number(),
            "product_code": "FAST_INSTANT_TRADE_PAY",
            "total_amount": amount,
            "subject": order.subject,
            "time_expire": here(order.expires_at)?,
        });
        let mut parameters = Parameters::from(
            [
                ("app_id", self.app_id.clone()),
                ("method", "alipay.trade.page.pay".to_owned()),
                ("format", "JSON".to_owned()),
                ("charset", "utf-8".to_owned()),
                ("sign_type", "RSA2".to_owned()),
                ("timestamp", here(time::OffsetDateTime::now_utc())?),
                ("version", "1.0".to_owned()),
                ("notify_url", order.notify_url.clone()),
                ("return_url", order.back_url.clone()),
                ("biz_content", order_json.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let signature = keys::sign(&self.private_key, content(parameters.iter()).as_bytes())?;
        parameters.insert("sign".to_owned(), signature);
        Ok(Url::parse_with_params(&self.base_url, &parameters)?.into())
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
        Ok(Told { number: parameters.get("out_trade_no").cloned(), facts, elsewhere })
    }
}
