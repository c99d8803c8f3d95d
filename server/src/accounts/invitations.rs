//! Inviting people into a tenant by mail.

use super::db::invitations::{self, Invitation, NewInvitation, Open};
use super::db::members;
use super::{EmailAddress, email, limit_key, link};
use crate::auth::grant::{self, Credential};
use crate::auth::limits::{self, AttemptLimit};
use crate::auth::{Actor, Role};
use crate::error::{Error, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::{InvitationId, TenantId};
use crate::mail::{self, Kind, Mail};
use crate::secrets::{random_token, token_hash};
use crate::state::App;
use crate::web::language::Language;
use crate::web::paging::{Listed, Paging};
use serde_json::json;

const VALID_SECONDS: f64 = 7.0 * 24.0 * 3600.0;
/// Invitations of one tenant, and of one person in all their tenants: nobody shall use us to send mails to strangers.
const PER_HOUR: AttemptLimit = AttemptLimit { attempts: 20, seconds: 3600 };
const PER_DAY: AttemptLimit = AttemptLimit { attempts: 50, seconds: 86_400 };
/// Invitations of one tenant to one address, which may be withdrawn and sent anew.
const TO_ONE_ADDRESS: AttemptLimit = AttemptLimit { attempts: 3, seconds: 86_400 };
/// Invitations that one address gets by mail, from everybody together. Several tenants must agree to use them up.
const MAILS_TO_ONE_ADDRESS: AttemptLimit = AttemptLimit { attempts: 10, seconds: 86_400 };

pub async fn list(app: &App, actor: &Actor, paging: &Paging<InvitationId>) -> Result<Listed<Invitation>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = invitations::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    let shown = |address: Option<String>| address.and_then(|address| actor.shown(address));
    let told =
        |row: Invitation| Invitation { email: shown(row.email), invited_by: shown(row.invited_by), ..row };
    Ok(Listed::new(rows, paging, |row| row.id.to_string()).map(told))
}

async fn count(app: &App, actor: &Actor, address: &EmailAddress) -> Result<()> {
    let pool = app.db.platform();
    let (tenant, person) = (actor.tenant_id, actor.user_id);
    limits::count(pool, &format!("invitation:{tenant}"), PER_HOUR).await?;
    limits::count(pool, &format!("invitation-day:{tenant}"), PER_DAY).await?;
    limits::count(pool, &format!("invitation-day:{person}"), PER_DAY).await?;
    limits::count(pool, &format!("{}:{tenant}", limit_key("invited-by", address)), TO_ONE_ADDRESS).await
}

/// Whether the invited person gets a mail. When not, the inviter is answered as if: how many others invited the address
/// is not theirs to know.
async fn may_mail(app: &App, address: &EmailAddress) -> Result<bool> {
    match limits::count(app.db.platform(), &limit_key("invited", address), MAILS_TO_ONE_ADDRESS).await {
        Ok(()) => Ok(true),
        Err(Error::TooMany { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends an invitation, in the language of the inviter.  It ends with the token by which it was made, and when the inviter
/// is no owner any more.
pub async fn create(
    app: &App,
    actor: &Actor,
    address: &str,
    role: Role,
    language: Language,
) -> Result<InvitationId> {
    let until = grant::check(actor, Credential::Membership(role))?;
    let address = email::parse("email", address).map_err(|error| Error::Invalid(vec![error]))?;
    count(app, actor, &address).await?;
    let may_mail = may_mail(app, &address).await?;
    let (id, token) = (InvitationId::new(), random_token());
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    if members::is_member_by_email(&mut tx, actor.tenant_id, &address).await? {
        return Err(Error::invalid("email", "member-already"));
    }
    let new = NewInvitation {
        id,
        tenant: actor.tenant_id,
        email: &address,
        role,
        token_hash: &token_hash(&token),
        invited_by: actor.user_id,
        token: actor.token,
        valid_seconds: VALID_SECONDS,
        until,
    };
    invitations::insert(&mut tx, new).await.map_err(|error| match violated_constraint(&error) {
        Some("invitations_open_key") => Error::invalid("email", "invited-already"),
        _ => error.into(),
    })?;
    if may_mail {
        let arguments = [("inviter", actor.email.clone()), ("email", address.to_string())];
        let mail = Mail { language, kind: Kind::Invitation, recipient: &address, arguments: &arguments };
        let opens = ("link", link(app, &format!("/invitation?token={token}")));
        mail::enqueue_with_secret(app, &mut tx, mail, opens).await?;
    }
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "team.member_invited",
        subject_kind: "invitation",
        subject_id: &subject,
        data: json!({ "email": &*address, "role": role.as_str() }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(id)
}

pub async fn withdraw(app: &App, actor: &Actor, id: InvitationId) -> Result<()> {
    grant::manage_members(actor)?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let email = invitations::delete(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "team.invitation_withdrawn",
        subject_kind: "invitation",
        subject_id: &subject,
        data: json!({ "email": email }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

/// What an invitation's link leads to; not found when it was used, withdrawn or has expired.
pub async fn open(app: &App, token: &str) -> Result<Open> {
    invitations::by_token(app.db.platform(), &token_hash(token)).await?.ok_or(Error::refused("link-spent"))
}

/// Joins the tenant.  Only the person who was invited can: the link may have been passed on.
pub async fn accept(app: &App, actor: &Actor, token: &str) -> Result<TenantId> {
    actor.in_person()?;
    let invitation = open(app, token).await?;
    if invitation.email != actor.email {
        return Err(Error::refused("invitation-other-person"));
    }
    let mut tx = app.db.tenant(invitation.tenant_id).await?;
    if !invitations::accept(&mut tx, invitation.tenant_id, &token_hash(token), &actor.email).await? {
        return Err(Error::refused("link-spent"));
    }
    if members::insert(&mut tx, invitation.tenant_id, actor.user_id, invitation.role).await? {
        let subject = actor.user_id.to_string();
        let event = Event {
            tenant: Some(invitation.tenant_id),
            action: "team.member_joined",
            subject_kind: "user",
            subject_id: &subject,
            data: json!({ "email": actor.email, "role": invitation.role.as_str() }),
        };
        events::record(&mut tx, &Source::from(actor), event).await?;
    }
    tx.commit().await?;
    Ok(invitation.tenant_id)
}
