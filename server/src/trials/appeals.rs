//! Whoever was refused a trial may ask a person to look at it.

use super::db::{self, Appeal};
use super::judge;
use super::rules::Refusal;
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::AppealId;
use crate::mail::{self, Kind, Mail};
use crate::settings;
use crate::state::App;
use crate::web::language::Language;
use serde_json::json;

/// Of one person, ever.
const MAX: i64 = 3;
const MAX_MESSAGE: usize = 2000;
/// What an administrator sees at once.
const SHOWN: i64 = 50;

/// Why this person would be refused a trial now; none where they would not, or where nobody can change it.
pub async fn reason(app: &App, actor: &Actor) -> Result<Option<Refusal>> {
    let settings = settings::get(app.db.platform()).await?;
    let mut tx = app.db.begin_platform().await?;
    let refusal = judge(&mut tx, actor, &settings).await?.err();
    Ok(refusal.filter(|refusal| *refusal != Refusal::Used))
}

/// The last one of this person.
pub async fn last(app: &App, actor: &Actor) -> Result<Option<Appeal>> {
    Ok(db::last_appeal(app.db.platform(), actor.user_id).await?)
}

pub async fn file(app: &App, actor: &Actor, message: &str) -> Result<()> {
    let message = message.trim();
    if message.is_empty() {
        return Err(Error::invalid("message", "required"));
    }
    if message.chars().count() > MAX_MESSAGE {
        return Err(Error::Invalid(vec![FieldError::new("message", "too-long").with("max", MAX_MESSAGE)]));
    }
    let reason = reason(app, actor).await?.ok_or(Error::conflict("appeal-nothing"))?;
    let mut tx = app.db.begin_platform().await?;
    match db::appeal(&mut tx, actor.user_id, reason.code(), message, MAX).await {
        Ok(true) => {}
        Ok(false) => return Err(Error::conflict("appeals-spent")),
        Err(error) if violated_constraint(&error) == Some("trial_appeals_one_open") => {
            return Err(Error::conflict("appeal-open"));
        }
        Err(error) => return Err(error.into()),
    }
    let data = json!({ "reason": reason.code() });
    events::record_about_user(&mut tx, actor, actor.user_id, "trial.appealed", data).await?;
    tx.commit().await?;
    Ok(())
}

/// What waits for an administrator.
pub async fn waiting(app: &App) -> Result<Vec<Appeal>> {
    Ok(db::open_appeals(app.db.platform(), SHOWN).await?)
}

/// An administrator has looked at it.  Whoever is granted may start a trial from wherever they are.
pub async fn decide(app: &App, admin: &Actor, id: AppealId, grant: bool) -> Result<()> {
    let (decision, kind) = match grant {
        true => ("granted", Kind::AppealGranted),
        false => ("declined", Kind::AppealDeclined),
    };
    let mut tx = app.db.begin_platform().await?;
    let appeal = db::decide_appeal(&mut tx, id, decision, admin.user_id).await?.ok_or(Error::NotFound)?;
    let link = format!("{}/instances/new", app.config.public_url.trim_end_matches('/'));
    let language = Language::from_code(&appeal.locale).unwrap_or_default();
    let mail = Mail { language, kind, recipient: &appeal.email, arguments: &[("link", link)] };
    mail::enqueue(app, &mut tx, mail).await?;
    let event = Event {
        tenant: None,
        action: "trial.appeal_decided",
        subject_kind: "user",
        subject_id: &appeal.user_id.to_string(),
        data: json!({ "email": appeal.email, "reason": appeal.reason, "decision": decision }),
    };
    events::record(&mut tx, &Source::from(admin), event).await?;
    tx.commit().await?;
    Ok(())
}
