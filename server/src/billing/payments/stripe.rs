//! Stripe: Checkout Sessions, and its webhook.
//!
//! The signature is `Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX…]`, an HMAC-SHA256 with the endpoint's secret over
//! `SECONDS.BODY`; there are several while a secret is rolled.

use super::gateway::{
    Asked, Booked, Envelope, Forged, Gateway, Order, Told, Unreadable, Values, check_time, header, take,
};
use super::keys;
use super::state::{Fact, News, Said};
use anyhow::Context;
use async_trait::async_trait;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

pub struct Stripe {
    base_url: String,
    secret_key: String,
    webhook_secret: String,
}

/// The same version whatever the account's default is: the names of fields are those that are read here.
const VERSION: &str = "2024-06-20";

#[derive(Deserialize)]
struct Session {
    id: String,
    url: String,
}

impl Stripe {
    pub fn new(mut values: Values) -> anyhow::Result<Self> {
        Ok(Self {
            base_url: take(&mut values, "base_url")?,
            secret_key: take(&mut values, "secret_key")?,
            webhook_secret: take(&mut values, "webhook_secret")?,
        })
    }
}

#[async_trait]
impl Gateway for Stripe {
    async fn book(&self, http: &reqwest::Client, order: &Order) -> anyhow::Result<Booked> {
        let (number, amount) = (order.number(), order.amount.minor.to_string());
        let expires = order.expires_at.unix_timestamp().to_string();
        let currency = order.amount.currency.code().to_ascii_lowercase();
        let form = [
            ("mode", "payment"),
            ("client_reference_id", &number),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", &currency),
            ("line_items[0][price_data][unit_amount]", &amount),
            ("line_items[0][price_data][product_data][name]", &order.subject),
            // Charges inherit it, so that a refund names its payment too.
            ("payment_intent_data[metadata][payment]", &number),
            ("success_url", &order.back_url),
            ("cancel_url", &order.cancel_url),
            ("expires_at", &expires),
        ];
        let answer = http
            .post(format!("{}/v1/checkout/sessions", self.base_url.trim_end_matches('/')))
            .bearer_auth(&self.secret_key)
            .header("stripe-version", VERSION)
            .header("idempotency-key", &number)
            .timeout(super::PATIENCE)
            .form(&form)
            .send()
            .await
            .context("Stripe does not answer")?;
        let answer = super::answered(answer).await?;
        let session: Session = serde_json::from_slice(&answer).context("Stripe's answer has no address")?;
        Ok(Booked { target: session.url, reference: Some(session.id) })
    }

    async fn ask(&self, http: &reqwest::Client, asked: &Asked) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(session) = &asked.reference else { return Ok(None) };
        // What is no number of a session could be another path.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        anyhow::ensure!(session.bytes().all(plain), "the number of the session is none of Stripe's");
        let answer = http
            .get(format!("{}/v1/checkout/sessions/{session}", self.base_url.trim_end_matches('/')))
            .bearer_auth(&self.secret_key)
            .header("stripe-version", VERSION)
            .timeout(super::PATIENCE)
            .send()
            .await
            .context("Stripe does not answer")?;
        Ok(Some(super::answered(answer).await?))
    }

    fn read_answer(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let session: Value = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let facts = match (session["payment_status"].as_str(), session["status"].as_str()) {
            (Some("paid"), _) => vec![paid(&session)?],
            (_, Some("expired")) => vec![Fact::Expired],
            _ => Vec::new(),
        };
        Ok(Told {
            number: session["client_reference_id"].as_str().map(str::to_owned),
            facts,
            ..Told::default()
        })
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Forged> {
        let signature = header(headers, "stripe-signature")?;
        let parts = || signature.split(',').filter_map(|part| part.trim().split_once('='));
        let time = parts().find(|(name, _)| *name == "t").ok_or(Forged::Malformed)?.1;
        let codes = parts().filter(|(name, _)| *name == "v1").map(|(_, code)| code);
        // The time is judged after the signature, so that nobody learns anything from the answer.
        if !keys::authenticates(&self.webhook_secret, &[time.as_bytes(), b".", body], codes) {
            return Err(Forged::Signature);
        }
        check_time(time, now)
    }

    fn envelope(&self, body: &[u8]) -> Option<Envelope> {
        let event: Value = serde_json::from_slice(body).ok()?;
        Some(Envelope {
            event_id: event["id"].as_str()?.to_owned(),
            kind: event["type"].as_str()?.to_owned(),
        })
    }

    fn read(&self, body: &[u8]) -> Result<Told, Unreadable> {
        let event: Value = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let object = &event["data"]["object"];
        let kind = text(&event["type"])?;
        let number = match kind.split_once('.') {
            Some(("charge" | "refund", _)) => &object["metadata"]["payment"],
            _ => &object["client_reference_id"],
        };
        let number = number.as_str().map(str::to_owned);
        let facts = match kind.as_str() {
            "checkout.session.completed" | "checkout.session.async_payment_succeeded"
                // Some ways to pay take days; then it is completed unpaid, and told again when it is paid.
                if object["payment_status"] == "paid" =>
            {
                vec![paid(object)?]
            }
            "checkout.session.async_payment_failed" => vec![Fact::Failed],
            "checkout.session.expired" => vec![Fact::Expired],
            "charge.refunded" => {
                vec![Fact::Refunded { refund: text(&object["id"])?, amount: said(object, "amount_refunded")? }]
            }
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => refund(object)?,
            _ if kind.starts_with("charge.dispute.") => vec![chargeback(&kind, object)?],
            _ => Vec::new(),
        };
        // Refunds and disputes have notes of their own, so that they name our payment by its movement of money only.
        let transaction = object["payment_intent"].as_str().map(str::to_owned).filter(|_| number.is_none());
        Ok(Told { number, facts, transaction, ..Told::default() })
    }
}

fn text(value: &Value) -> Result<String, Unreadable> {
    value.as_str().map(str::to_owned).ok_or(Unreadable)
}

fn said(object: &Value, amount: &str) -> Result<Said, Unreadable> {
    let minor = object[amount].as_i64().ok_or(Unreadable)?;
    Ok(Said { minor, currency: text(&object["currency"])?.to_ascii_uppercase() })
}

/// A Checkout Session that is paid.
fn paid(session: &Value) -> Result<Fact, Unreadable> {
    Ok(Fact::Paid { transaction: text(&session["payment_intent"])?, amount: said(session, "amount_total")? })
}

/// A refund counts from when it is begun; one that needs something of the customer first has not begun.
fn refund(object: &Value) -> Result<Vec<Fact>, Unreadable> {
    let failed = match object["status"].as_str() {
        Some("pending" | "succeeded") => false,
        Some("failed" | "canceled") => true,
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Fact::Returned { refund: text(&object["id"])?, amount: said(object, "amount")?, failed }])
}

/// What an event says of a dispute, by its name and by the status that the dispute has in it.
fn chargeback(kind: &str, dispute: &Value) -> Result<Fact, Unreadable> {
    let news = match (kind, dispute["status"].as_str().unwrap_or_default()) {
        ("charge.dispute.funds_withdrawn", _) => News::Withdrawn,
        ("charge.dispute.funds_reinstated", _) => News::Reinstated,
        (_, "won") => News::Won,
        (_, "lost") => News::Lost,
        (_, "warning_closed" | "prevented") => News::Dropped,
        (_, status) if status.starts_with("warning_") => News::Inquiry,
        _ => News::Opened,
    };
    Ok(Fact::Chargeback { chargeback: text(&dispute["id"])?, amount: said(dispute, "amount")?, news })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe() -> Stripe {
        Stripe {
            base_url: String::new(),
            secret_key: String::new(),
            webhook_secret: "whsec_test_secret".to_owned(),
        }
    }

    /// Made with `openssl dgst -sha256 -hmac whsec_test_secret` over `1700000000.{"id":"evt_1"}`.
    const SIGNED: &str = "248a374f50f943a28b0f6ab50faf9a7e7e29b710fa26df9fb1618b9bf8ea9c9a";

    #[test]
    fn a_signature_counts_for_its_body_and_its_time() {
        let signed = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("stripe-signature", value.parse().unwrap());
            headers
        };
        let (body, now) = (br#"{"id":"evt_1"}"#, 1_700_000_000);
        let good = format!("t={now},v1={SIGNED}");
        assert_eq!(stripe().verify(&signed(&good), body, now), Ok(()));
        assert_eq!(stripe().verify(&signed(&good), body, now + 300), Ok(()));
        assert_eq!(stripe().verify(&signed(&good), body, now + 301), Err(Forged::Late));
        assert_eq!(stripe().verify(&signed(&good), body, now - 301), Err(Forged::Late));
        assert_eq!(stripe().verify(&signed(&good), br#"{"id":"evt_2"}"#, now), Err(Forged::Signature));
        // One of several is enough, and one of an older scheme is none.
        let rolled = format!("t={now},v1={},v1={SIGNED},v0={SIGNED}", "0".repeat(64));
        assert_eq!(stripe().verify(&signed(&rolled), body, now), Ok(()));
        for bad in [
            format!("t={now},v0={SIGNED}"),
            format!("t={now}"),
            format!("t={},v1={SIGNED}", now + 1),
            format!("t={now},v1={}", &SIGNED[..62]),
            format!("t={now},v1=zz"),
        ] {
            assert_eq!(stripe().verify(&signed(&bad), body, now), Err(Forged::Signature), "{bad}");
        }
        assert_eq!(stripe().verify(&signed(&format!("v1={SIGNED}")), body, now), Err(Forged::Malformed));
        assert_eq!(stripe().verify(&HeaderMap::new(), body, now), Err(Forged::Malformed));
    }
}
