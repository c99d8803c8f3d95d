//! What every provider does for us, and what we tell it.

use super::provider::Provider;
use super::state::Fact;
use super::{alipay, stripe, wechat};
use crate::billing::money::Money;
use crate::ids::PaymentId;
use crate::state::App;
use async_trait::async_trait;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A notification may be so many seconds old, or ahead of our clock, where the provider signs the time.
pub const TOLERANCE: i64 = 300;

/// The fields of a provider's settings by name, secrets among them.
pub type Values = BTreeMap<String, String>;

/// What a customer is to pay.
pub struct Order {
    pub payment: PaymentId,
    pub amount: Money,
    /// What the customer reads at the provider.
    pub subject: String,
    pub expires_at: OffsetDateTime,
    /// Where the provider tells us.
    pub notify_url: String,
    /// Where the customer comes back to.
    pub back_url: String,
    pub cancel_url: String,
}

impl Order {
    /// Our number at the provider: 32 letters and digits, which all of them take.
    pub fn number(&self) -> String {
        self.payment.uuid().simple().to_string()
    }
}

/// The payment that such a number means.
pub fn payment_of(number: &str) -> Option<PaymentId> {
    uuid::Uuid::try_parse(number).ok().map(PaymentId::from_uuid)
}

/// Why a notification was refused.  Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    #[error("a header or field of the signature is missing or malformed")]
    Malformed,
    #[error("it was signed too long ago")]
    Late,
    #[error("the signature is not the provider's")]
    Signature,
}

impl Forged {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Late => "late",
            Self::Signature => "signature",
        }
    }
}

/// What a notification is, before anything is read of what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub event_id: String,
    /// The provider's word for it.
    pub kind: String,
}

/// What a notification says to us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The payment, by the number that we gave it.
    pub number: Option<String>,
    /// Nothing: it is of a kind that changes nothing for us.
    pub facts: Vec<Fact>,
    /// It is for another account of the operator's at this provider.
    #[serde(default)]
    pub elsewhere: bool,
    /// The provider's number of the movement of money, where it does not name ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Nothing that moves money, but somebody should look: a word for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
}

/// An order that the provider has taken.
pub struct Booked {
    /// The address where the customer pays, or the text of the QR code.
    pub target: String,
    /// The provider's own number of it, where it is needed to ask about it.
    pub reference: Option<String>,
}

/// An order that the provider is asked about.
pub struct Asked {
    /// As in [`Order::number`].
    pub number: String,
    pub reference: Option<String>,
}

/// It is signed by the provider, and yet it cannot be read: with other keys it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the provider sent cannot be read")]
pub struct Unreadable;

#[async_trait]
pub trait Gateway: Send + Sync {
    /// Asks the provider to take a payment.
    async fn book(&self, http: &reqwest::Client, order: &Order) -> anyhow::Result<Booked>;

    /// Asks the provider what became of an order.  The answer is the provider's, and [`Gateway::read_answer`] reads it.  Nothing
    /// where the provider does not know the order, because nobody has come to pay it, or where it cannot be asked.
    async fn ask(&self, http: &reqwest::Client, asked: &Asked) -> anyhow::Result<Option<Vec<u8>>>;

    /// What an answer of [`Gateway::ask`] says.
    fn read_answer(&self, body: &[u8]) -> Result<Told, Unreadable>;

    /// Is this from the provider, and from now?
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Forged>;

    fn envelope(&self, body: &[u8]) -> Option<Envelope>;

    fn read(&self, body: &[u8]) -> Result<Told, Unreadable>;
}

/// The provider with its keys.  All fields must be there and have passed their checks.
pub fn open(provider: Provider, values: Values) -> anyhow::Result<Box<dyn Gateway>> {
    Ok(match provider {
        Provider::Stripe => Box::new(stripe::Stripe::new(values)?),
        Provider::Alipay => Box::new(alipay::Alipay::new(values)?),
        Provider::Wechat => Box::new(wechat::Wechat::new(values)?),
    })
}

/// Takes a field that a provider cannot do without.
pub fn take(values: &mut Values, name: &str) -> anyhow::Result<String> {
    values.remove(name).ok_or_else(|| anyhow::anyhow!("the setting {name} is missing"))
}

/// What asks providers.  Their addresses are settings, so they are guarded like every address that people give us.
pub fn client(app: &App) -> reqwest::Result<reqwest::Client> {
    crate::outbound::Guard::payments(&app.config).client()
}

/// A header as text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Forged> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Forged::Malformed)
}

/// Refuses what was signed too far from now.
pub fn check_time(seconds: &str, now: i64) -> Result<(), Forged> {
    let signed: i64 = seconds.parse().map_err(|_| Forged::Malformed)?;
    if now.abs_diff(signed) <= TOLERANCE.unsigned_abs() { Ok(()) } else { Err(Forged::Late) }
}
