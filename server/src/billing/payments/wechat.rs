//! WeChat Pay, version 3: native orders, which are paid by scanning a code, and its notifications.
//!
//! Our requests are signed with the merchant's key, its answers and notifications with the platform's, which is named by its
//! serial number.  What a notification says is sealed with the APIv3 key once more.

use super::gateway::{
    Asked, Booked, Envelope, Forged, Gateway, Order, Told, Unreadable, Values, check_time, header, take,
};
use super::keys::{self, PublicKey};
use super::provider;
use super::state::{Fact, Said};
use anyhow::Context;
use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;
use ring::signature::RsaKeyPair;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::offset;

pub struct Wechat {
    base_url: String,
    app_id: String,
    merchant_id: String,
    serial: String,
    private_key: RsaKeyPair,
    api_v3_key: String,
    platform_keys: Vec<(String, PublicKey)>,
}

#[derive(Deserialize)]
struct Native {
    code_url: String,
}

impl Wechat {
    pub fn new(mut values: Values) -> anyhow::Result<Self> {
        Ok(Self {
            base_url: take(&mut values, "base_url")?,
            app_id: take(&mut values, "app_id")?,
            merchant_id: take(&mut values, "merchant_id")?,
            serial: take(&mut values, "serial")?,
            private_key: keys::private_key(&take(&mut values, "private_key")?)?,
            api_v3_key: take(&mut values, "api_v3_key")?,
            platform_keys: provider::platform_keys(&take(&mut values, "platform_keys")?)
                .map_err(|code| anyhow::anyhow!("the platform's keys are unusable: {code}"))?,
        })
    }

    /// The header `Authorization` of a request: over method, path, time, nonce and body, each with a line feed.
    fn authorization(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let (nonce, time) =
            (&crate::secrets::random_token()[..32], OffsetDateTime::now_utc().unix_timestamp());
        let message = format!("{method}\n{path}\n{time}\n{nonce}\n{body}\n");
        let signature = keys::sign(&self.private_key, message.as_bytes())?;
        Ok(format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",signature=\"{signature}\",\
             timestamp=\"{time}\",serial_no=\"{}\"",
            self.merchant_id, self.serial
        ))
    }
}

#[async_trait]
impl Gateway for Wechat {
    async fn book(&self, http: &reqwest::Client, order: &Order) -> anyhow::Result<Booked> {
        let url = Url::parse(&format!("{}/v3/pay/transactions/native", self.base_url.trim_end_matches('/')))?;
        let body = json!({
            "appid": self.app_id,
            "mchid": self.merchant_id,
            "description": order.subject,
            "out_trade_no": order.number(),
            "time_expire": order.expires_at.to_offset(offset!(+8)).replace_nanosecond(0)?.format(&Rfc3339)?,
            "notify_url": order.notify_url,
            "amount": { "total": order.amount.minor, "currency": order.amount.currency.code() },
        })
        .to_string();
        let answer = http
            .post(url.clone())
            .header("authorization", self.authorization("POST", url.path(), &body)?)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .timeout(super::PATIENCE)
            .body(body)
            .send()
            .await
            .context("WeChat Pay does not answer")?;
        let headers = answer.headers().clone();
        let answer = super::answered(answer).await?;
        // The code says where the money goes, so it must be theirs.
        self.verify(&headers, &answer, OffsetDateTime::now_utc().unix_timestamp())
            .context("the answer is not WeChat Pay's")?;
        let native: Native = serde_json::from_slice(&answer).context("WeChat Pay's answer has no code")?;
        Ok(Booked { target: native.code_url, reference: None })
    }

    async fn ask(&self, http: &reqwest::Client, asked: &Asked) -> anyhow::Result<Option<Vec<u8>>> {
        let base = self.base_url.trim_end_matches('/');
        let url = format!("{base}/v3/pay/transactions/out-trade-no/{}", asked.number);
        let url = Url::parse_with_params(&url, [("mchid", &self.merchant_id)])?;
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        let answer = http
            .get(url)
            .header("authorization", self.authorization("GET", &path, "")?)
            .header("accept", "application/json")
            .timeout(super::PATIENCE)
            .send()
            .await
            .context("WeChat Pay does not answer")?;
        // An order that it does not know.
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let headers = answer.headers().clone();
        let answer = super::answered(answer).await?;
        self.verify(&headers, &answer, OffsetDateTime::now_utc().unix_timestamp())
            .context("the answer is not WeChat Pay's")?;
        Ok(Some(answer))
    }

    fn read_answer(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let transaction: Value = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let state = transaction["trade_state"].as_str().ok_or(Unreadable)?;
        let facts = match state {
            "SUCCESS" => vec![paid(&transaction)?],
            "CLOSED" | "REVOKED" => vec![Fact::Expired],
            "PAYERROR" => vec![Fact::Failed],
            _ => Vec::new(),
        };
        // It was paid and something went back, of which the answer does not say how much: somebody must look.
        let attention = (state == "REFUND").then(|| "refund-unknown".to_owned());
        let own =
            transaction["mchid"] == self.merchant_id.as_str() && transaction["appid"] == self.app_id.as_str();
        let number = transaction["out_trade_no"].as_str().map(str::to_owned);
        Ok(Told { number, facts, elsewhere: !own, attention, ..Told::default() })
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Forged> {
        let time = header(headers, "wechatpay-timestamp")?;
        let nonce = header(headers, "wechatpay-nonce")?;
        let signature = header(headers, "wechatpay-signature")?;
        let serial = header(headers, "wechatpay-serial")?;
        let known = self.platform_keys.iter().find(|(known, _)| known == serial);
        let (_, key) = known.ok_or(Forged::Signature)?;
        let message = [time.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat();
        if !keys::verifies(key, &message, signature) {
            return Err(Forged::Signature);
        }
        check_time(time, now)
    }

    fn envelope(&self, body: &[u8]) -> Option<Envelope> {
        let event: Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        Some(Envelope { event_id: text("id")?, kind: text("event_type")? })
    }

    fn read(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let event: Value = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let sealed = |name: &str| event["resource"][name].as_str().unwrap_or_default();
        if sealed("algorithm") != "AEAD_AES_256_GCM" {
            return Err(Unreadable);
        }
        let opened =
            keys::open(&self.api_v3_key, sealed("nonce"), sealed("associated_data"), sealed("ciphertext"))
                .map_err(|_| Unreadable)?;
        let resource: Value = serde_json::from_slice(&opened).map_err(|_| Unreadable)?;
        let kind = event["event_type"].as_str().unwrap_or_default();
        let (facts, own) = match kind {
            "TRANSACTION.SUCCESS" if resource["trade_state"] == "SUCCESS" => {
                (vec![paid(&resource)?], resource["appid"] == self.app_id.as_str())
            }
            "REFUND.SUCCESS" if resource["refund_status"] == "SUCCESS" => {
                // Each refund has a number of its own.
                let (refund, amount) = (text(&resource, "refund_id")?, said(&resource, "refund")?);
                (vec![Fact::Refunded { refund, amount }], true)
            }
            _ => (Vec::new(), true),
        };
        let attention = match kind {
            // It did not reach the customer's card, and waits for the operator.
            "REFUND.ABNORMAL" => Some("refund-failed"),
            _ if kind.starts_with("COMPLAINT.") => Some("complaint"),
            _ => None,
        };
        let elsewhere = !own || resource["mchid"] != self.merchant_id.as_str();
        let number = text(&resource, "out_trade_no").ok();
        Ok(Told { number, facts, elsewhere, attention: attention.map(str::to_owned), ..Told::default() })
    }
}

fn text(resource: &Value, name: &str) -> Result<String, Unreadable> {
    resource[name].as_str().map(str::to_owned).ok_or(Unreadable)
}

fn said(resource: &Value, name: &str) -> Result<Said, Unreadable> {
    let minor = resource["amount"][name].as_i64().ok_or(Unreadable)?;
    // Refunds name no currency where it is the only one there is.
    let currency = resource["amount"]["currency"].as_str().unwrap_or("CNY").to_owned();
    Ok(Said { minor, currency })
}

/// A transaction that succeeded.
fn paid(transaction: &Value) -> Result<Fact, Unreadable> {
    let number = text(transaction, "transaction_id")?;
    Ok(Fact::Paid { transaction: number, amount: said(transaction, "total")? })
}
