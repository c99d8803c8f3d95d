//! Everything that opens an account besides the password, and ending it.
//!
//! What hangs on it ends by itself: a console with its session or token, a half-finished sign-in with the password that it
//! was begun with, an administrator's acting for a customer with their session, an endpoint with the token that made it.

use super::db::{credentials as db, sessions};
use crate::db::Tx;
use crate::error::Result;
use crate::events::{self, Event, Source};
use crate::ids::UserId;
use crate::state::App;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// How much ended, or waits for its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub sessions: u64,
    pub tokens: u64,
    pub invitations: u64,
    /// Passkeys that sign in only once they are confirmed.
    pub passkeys: u64,
}

impl Ended {
    /// For the log.
    pub fn facts(self) -> Value {
        json!({
            "sessions": self.sessions,
            "tokens": self.tokens,
            "invitations": self.invitations,
            "passkeys": self.passkeys,
        })
    }

    /// For mails.
    pub fn arguments(self) -> [(&'static str, String); 4] {
        [
            ("sessions", self.sessions.to_string()),
            ("tokens", self.tokens.to_string()),
            ("invitations", self.invitations.to_string()),
            ("passkeys", self.passkeys.to_string()),
        ]
    }
}

/// Somebody else may have had the account: nothing from before goes on by itself.
pub async fn end_all(tx: &mut Tx, user: UserId, source: &Source) -> sqlx::Result<Ended> {
    let ended = end_others(tx, user, None, source).await?;
    let invitations = withdraw_invitations(tx, user, source).await?;
    let passkeys = db::doubt_passkeys(tx, user).await?;
    Ok(Ended { invitations, passkeys, ..ended })
}

/// Ends sessions, but for `keep`, and tokens and links.
pub async fn end_others(
    tx: &mut Tx,
    user: UserId,
    keep: Option<&[u8]>,
    source: &Source,
) -> sqlx::Result<Ended> {
    let sessions = sessions::delete_all(tx, user, keep).await?;
    let tokens = revoke_tokens(tx, user, source).await?;
    db::delete_links(tx, user).await?;
    Ok(Ended { sessions, tokens, ..Ended::default() })
}

/// Each team reads in its log that a token of it has ended.
pub async fn revoke_tokens(tx: &mut Tx, user: UserId, source: &Source) -> sqlx::Result<u64> {
    let revoked = db::revoke_tokens(tx, user).await?;
    for token in &revoked {
        let subject = token.id.to_string();
        let event = Event {
            tenant: Some(token.tenant),
            action: "api_token.revoked",
            subject_kind: "api_token",
            subject_id: &subject,
            data: json!({ "name": token.name }),
        };
        events::record(tx, source, event).await?;
    }
    Ok(revoked.len() as u64)
}

async fn withdraw_invitations(tx: &mut Tx, user: UserId, source: &Source) -> sqlx::Result<u64> {
    let withdrawn = db::withdraw_invitations(tx, user).await?;
    for invitation in &withdrawn {
        let subject = invitation.id.to_string();
        let event = Event {
            tenant: Some(invitation.tenant),
            action: "team.invitation_withdrawn",
            subject_kind: "invitation",
            subject_id: &subject,
            data: json!({ "email": invitation.email }),
        };
        events::record(tx, source, event).await?;
    }
    Ok(withdrawn.len() as u64)
}

/// How many tokens a new password would end.
pub async fn count_tokens(app: &App, user: UserId) -> Result<i64> {
    Ok(db::count_tokens(app.db.platform(), user).await?)
}

/// What to look through after a reset: it was made before, and cannot be told from one's own.
pub struct Review {
    pub reset_at: OffsetDateTime,
    /// Where the teams that one owns are told what happens.
    pub webhooks: Vec<String>,
}

/// None where the last reset is more than two weeks ago.
pub async fn review(app: &App, user: UserId) -> Result<Option<Review>> {
    let pool = app.db.platform();
    let Some(reset_at) = db::recent_reset(pool, user).await? else { return Ok(None) };
    Ok(Some(Review { reset_at, webhooks: db::webhook_urls(pool, user).await? }))
}
