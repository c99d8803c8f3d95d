//! What an operator does on the machine itself: making the first administrator, and reading mails.

use super::db::{self, tokens, users};
use super::{credentials, email, tenant_name};
use crate::auth::{Role, Scopes, password, token};
use crate::events::{self, Event, Source};
use crate::ids::{TenantId, TokenId, UserId};
use crate::mail;
use crate::secrets::token_hash;
use crate::state::App;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

/// The name of the token that [`create_admin`] makes.
const TOKEN_NAME: &str = "create-admin";

/// Creates an administrator, or gives an existing account the rights and the password.  Returns a new
/// API token with all scopes.
pub async fn create_admin(app: &App, address: &str, new_password: &str) -> anyhow::Result<String> {
    let address = parse(address)?;
    password::check_new("password", new_password).map_err(|_| {
        anyhow::anyhow!(
            "the password must have {} to {} characters, and not all the same",
            password::MIN_LENGTH,
            password::MAX_LENGTH
        )
    })?;
    let hash = password::hash(new_password.to_owned())
        .await
        .map_err(|error| anyhow::anyhow!("cannot hash the password: {error:?}"))?;
    let mut tx = app.db.begin_platform().await?;
    let fresh = UserId::new();
    let created = users::insert(&mut tx, fresh, &address, users::NewPassword::Own(&hash), "en").await?;
    let user = if created {
        fresh
    } else {
        let user = users::by_email(&mut *tx, &address).await?;
        user.ok_or_else(|| anyhow::anyhow!("the account vanished meanwhile; try again"))?.id
    };
    users::set_password(&mut tx, user, &hash).await?;
    users::set_verified(&mut tx, user).await?;
    users::make_admin(&mut tx, user).await?;
    let tenant = match users::first_tenant(&mut *tx, user).await? {
        Some(tenant) => tenant,
        None => {
            let tenant = TenantId::new();
            users::insert_tenant(&mut tx, tenant, &tenant_name(&address), user).await?;
            tenant
        }
    };
    if !created {
        // As after a reset by mail: whoever had the account before has nothing of it any more.
        db::credentials::note_reset(&mut tx, user).await?;
        credentials::end_all(&mut tx, user, &Source::system(TOKEN_NAME)).await?;
    }
    let (id, secret) = (TokenId::new(), token::generate());
    let scopes = Scopes::of_person(Role::Owner, true).names();
    let new = tokens::NewToken {
        id,
        tenant,
        user,
        name: TOKEN_NAME,
        prefix: &token::visible_prefix(&secret),
        token_hash: &token_hash(&secret),
        scopes: &scopes,
        valid_days: None,
    };
    tokens::insert(&mut tx, new).await?;
    let subject = user.to_string();
    let event = Event {
        tenant: Some(tenant),
        action: "account.admin_granted",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "email": &*address, "created": created }),
    };
    events::record(&mut tx, &Source::system(TOKEN_NAME), event).await?;
    tx.commit().await?;
    Ok(secret)
}

/// The newest mails as text, with the links that nobody else is shown; to one address, or to all.
pub async fn mails(app: &App, to: Option<&str>, limit: u16) -> anyhow::Result<String> {
    let to = to.map(parse).transpose()?;
    let letters = mail::newest(app.db.platform(), &app.sealer, to.as_deref(), limit.into()).await?;
    let rule = "=".repeat(72);
    let print = |letter: &mail::Letter| {
        let mail::Letter { recipient, subject, body, created_at, .. } = letter;
        let date = created_at.format(&Rfc3339).unwrap_or_default();
        format!("{rule}\nTo: {recipient}\nDate: {date}\nSubject: {subject}\n\n{body}")
    };
    Ok(letters.iter().map(print).collect())
}

fn parse(address: &str) -> anyhow::Result<email::EmailAddress> {
    email::parse("email", address).map_err(|_| anyhow::anyhow!("{address:?} is not an email address"))
}
