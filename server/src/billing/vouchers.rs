//! Vouchers: an amount that whoever knows the code may have once.

use super::accounts::{self, EntryKind, NewEntry};
use super::money::{Currency, Money};
use super::{db, entitlement};
use crate::auth::limits::{self, AttemptLimit};
use crate::auth::{Actor, Role};
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::ids::VoucherId;
use crate::secrets::token_hash;
use crate::state::App;
use crate::typed;
use rand::Rng;
use serde::Deserialize;
use serde_json::json;

/// Codes tried by one customer.
const TRIES: AttemptLimit = AttemptLimit { attempts: 10, seconds: 3600 };

/// Without those that look alike: 32 of them, so that 20 are 100 bits.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const LENGTH: usize = 20;

#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVoucher {
    pub currency: Currency,
    /// Cents or fen.
    #[schema(example = 1000)]
    pub amount: i64,
    /// For so many days; absent: for ever.
    pub valid_days: Option<i32>,
    /// Whoever redeems it may order with it, as after a payment.  Without it the amount waits for a first payment.
    #[serde(default = "opens")]
    #[schema(default = true)]
    pub opens_orders: bool,
}

const fn opens() -> bool {
    true
}

const MAX_AMOUNT: i64 = 100_000_000;

/// Makes a voucher and gives its code, which is told only now.
pub async fn create(app: &App, actor: &Actor, new: &NewVoucher) -> Result<String> {
    let mut problems = Vec::new();
    if !(1..=MAX_AMOUNT).contains(&new.amount) {
        problems.push(FieldError::new("amount", "amount"));
    }
    if new.valid_days.is_some_and(|days| !(1..=3650).contains(&days)) {
        problems.push(FieldError::new("valid_days", "range").with("min", 1).with("max", 3650));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let code = code();
    let id = VoucherId::new();
    let amount = Money::new(new.currency, new.amount);
    let mut tx = app.db.begin_platform().await?;
    db::accounts::insert_voucher(
        &mut tx,
        id,
        &token_hash(&plain(&code)),
        amount,
        new.valid_days,
        new.opens_orders,
    )
    .await?;
    let event = Event {
        tenant: None,
        action: "voucher.created",
        subject_kind: "voucher",
        subject_id: &id.to_string(),
        data: json!({ "amount": amount, "valid_days": new.valid_days, "opens_orders": new.opens_orders }),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    tx.commit().await?;
    Ok(code)
}

/// Adds a voucher to the balance.  Who is suspended may: it is a way to pay.
pub async fn redeem(app: &App, actor: &Actor, code: &str) -> Result<Money> {
    if actor.role < Role::Owner {
        return Err(Error::Forbidden);
    }
    let tenant = actor.tenant_id;
    limits::count(app.db.platform(), &format!("voucher:{tenant}"), TRIES).await?;
    let mut tx = app.db.begin_platform().await?;
    let account = db::accounts::lock(&mut tx, tenant).await?.ok_or(Error::NotFound)?;
    let taken =
        db::accounts::take_voucher(&mut tx, &token_hash(&plain(code)), tenant, account.currency).await?;
    let Some((id, amount, opens)) = taken else { return Err(Error::invalid("code", "voucher")) };
    let reference = id.to_string();
    let entry = NewEntry {
        tenant,
        kind: EntryKind::Voucher,
        amount,
        reference: &reference,
        note: "",
        invoice: None,
        actor: &actor.email,
    };
    accounts::enter(&mut tx, &entry).await?;
    if opens {
        accounts::open_for_orders(&mut tx, tenant, &reference).await?;
    }
    accounts::record(&mut tx, &actor.into(), tenant, "voucher.redeemed", json!({ "amount": amount })).await?;
    tx.commit().await?;
    entitlement::review(app, tenant).await?;
    Ok(amount)
}

/// `7KQ2M-…`: four groups of five.
fn code() -> String {
    let mut random = rand::rng();
    let letters = (0..LENGTH).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]));
    let letters: Vec<char> = letters.collect();
    letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// As it counts, however it was typed.
fn plain(code: &str) -> String {
    typed::code(code).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_typed_in_any_way() {
        let code = code();
        assert_eq!(plain(&code).len(), LENGTH);
        for typed in [
            format!(" {} ", code.to_lowercase().replace('-', " ")),
            code.replace('-', "－"),
            code.replace('-', "\u{a0}"),
            code.replace('-', ""),
        ] {
            assert_eq!(plain(&typed), plain(&code), "{typed}");
        }
    }
}
