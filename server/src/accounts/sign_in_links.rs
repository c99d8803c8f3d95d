//! Links that sign a customer in once: what a billing system sends its customer's browser to.
//!
//! A link stands in for the password and for nothing else: who has a second factor is still asked for it. It stops where the
//! person has chosen a password of their own, and the session that it begins reaches what its billing system made and
//! nothing that belongs to the person ([`crate::auth::Actor::in_person`]).  Where it leads
//! is written by us when it is made, so that it cannot lead anywhere else.

use super::db::{sign_in_links as db, users};
use super::sign_in::{SignedIn, Step};
use super::{link, sign_in, source};
use crate::auth::SessionUser;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::ids::{BillingSystemId, TenantId, UserId};
use crate::secrets::{random_token, token_hash};
use crate::state::App;
use crate::web::client::Caller;
use serde_json::json;
use time::OffsetDateTime;

pub const SECONDS: f64 = 60.0;

pub struct NewLink<'a> {
    pub user: UserId,
    pub tenant: TenantId,
    /// Who asks for it: the session reaches the tenants that this system made.
    pub system: BillingSystemId,
    /// A page of ours.
    pub path: &'a str,
    /// The system's name, for the log.
    pub issued_for: &'a str,
}

/// The address, which is told once, and until when it works.
pub async fn issue(tx: &mut Tx, app: &App, new: &NewLink<'_>) -> Result<(String, OffsetDateTime)> {
    let token = random_token();
    let expires_at = db::insert(tx, &token_hash(&token), new, SECONDS).await?;
    Ok((link(app, &format!("/sso?token={token}")), expires_at))
}

/// Uses a link: the step that follows, and the page where it leads.
pub async fn use_up(app: &App, caller: &Caller, token: &str) -> Result<(Step, String)> {
    let mut tx = app.db.begin_platform().await?;
    let used = db::consume(&mut tx, &token_hash(token)).await?.ok_or(Error::refused("link-spent"))?;
    let user = users::by_id(&mut *tx, used.user).await?.ok_or(Error::refused("link-spent"))?;
    if user.totp_secret.is_some() {
        tx.commit().await?;
        return Ok((
            Step::CodeNeeded { ticket: sign_in::bound_ticket(app, &user, used.tenant, used.system).await? },
            used.path,
        ));
    }
    let subject = user.id.to_string();
    let event = Event {
        tenant: Some(used.tenant),
        action: "session.created",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "second_factor": false, "by": used.issued_for }),
    };
    events::record(&mut tx, &source(user.id, &user.email, caller), event).await?;
    tx.commit().await?;
    Ok((
        Step::Done(SignedIn {
            user: SessionUser::bound(user.id, used.tenant, used.system),
            locale: user.locale,
        }),
        used.path,
    ))
}
