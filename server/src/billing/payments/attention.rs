//! What administrators are told by mail because money is at stake: disputes, refunds that failed, complaints, and what contradicts a
//! payment.  The owners of the account are told when it is closed for orders, and when it is open again.

use super::provider::Provider;
use super::state::{Disputed, Facts};
use super::{Payment, db};
use crate::auth::Actor;
use crate::billing::money::Money;
use crate::billing::{accounts, entitlement};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::Source;
use crate::ids::PaymentId;
use crate::mail::{self, Mail};
use crate::state::App;
use crate::web::language::Language;
use serde_json::json;

/// Tells every administrator.  `word` is the end of a message's key; `about` the payment's number, or the event's.
pub async fn tell(
    tx: &mut Tx,
    app: &App,
    provider: Provider,
    word: &str,
    about: &str,
    amount: Option<Money>,
) -> Result<()> {
    let public = app.config.public_url.trim_end_matches('/');
    let page = if amount.is_some() { "payments" } else { "payment-events" };
    for (recipient, locale) in db::operators(tx).await? {
        let language = Language::from_code(&locale).unwrap_or_default();
        let arguments = [
            ("what", language.text(&format!("payment-attention-{word}"))),
            ("provider", language.text(&format!("payment-by-{}", provider.name()))),
            ("about", about.to_owned()),
            ("amount", amount.map(|amount| amount.to_string()).unwrap_or_default()),
            ("link", format!("{public}/admin/billing/{page}")),
        ];
        let kind = mail::Kind::PaymentAttention;
        mail::enqueue(app, tx, Mail { language, kind, recipient: &recipient, arguments: &arguments }).await?;
    }
    Ok(())
}

/// Tells what is new of a payment's disputes and refunds, and records it.
pub async fn of_changes(tx: &mut Tx, app: &App, payment: &Payment, after: &Facts) -> Result<()> {
    let (before, now) = (payment.facts.dispute(), after.dispute());
    let about = payment.id.to_string();
    if after.refunds_failed.len() > payment.facts.refunds_failed.len() {
        tell(tx, app, payment.provider, "refund-failed", &about, Some(payment.amount)).await?;
    }
    // An inquiry takes nothing, and is the operator's to answer.
    let taken = after.disputed() > 0 && payment.facts.disputed() == 0;
    if taken && now == Disputed::Open && !payment.dispute_settled {
        let facts = [("amount", Money::new(payment.amount.currency, after.disputed()).to_string())];
        entitlement::tell(tx, app, payment.tenant, mail::Kind::OrdersClosed, &facts).await?;
    }
    if before == now {
        return Ok(());
    }
    let (word, action) = match now {
        Disputed::None => return Ok(()),
        Disputed::Open => ("dispute-open", "payment.dispute_opened"),
        Disputed::Won => ("dispute-won", "payment.dispute_won"),
        Disputed::Lost => ("dispute-lost", "payment.dispute_lost"),
    };
    tell(tx, app, payment.provider, word, &about, Some(payment.amount)).await?;
    let source = Source::system(payment.provider.name());
    let data = json!({ "payment": payment.id, "provider": payment.provider, "amount": payment.amount });
    accounts::record(tx, &source, payment.tenant, action, data).await
}

/// Opens the account for orders again although a payment is disputed, or was lost.  The money stays where it is.
pub async fn settle(app: &App, actor: &Actor, id: PaymentId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let payment = db::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if !payment.closes_orders() {
        return Err(Error::conflict("payment-not-disputed"));
    }
    db::settle_dispute(&mut tx, id).await?;
    let data = json!({ "payment": id, "dispute": payment.dispute });
    accounts::record(&mut tx, &actor.into(), payment.tenant, "payment.dispute_settled", data).await?;
    tx.commit().await?;
    Ok(())
}
