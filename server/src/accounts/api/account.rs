use crate::accounts::notifications::{self, Wanted};
use crate::accounts::second_factor;
use crate::auth::{Actor, Role, preferences};
use crate::error::{Error, Result};
use crate::ids::{TenantId, UserId};
use crate::mail::Topic;
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::json::Json;
use crate::web::language::Language;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, change)).routes(routes!(get_notifications, put_notifications))
}

/// Who the token belongs to, and which tenant it works for.
#[derive(Serialize, ToSchema)]
struct Account {
    id: UserId,
    email: String,
    email_verified: bool,
    /// `en` or `zh-CN`: the language of mails.
    locale: String,
    two_factor: bool,
    /// Whether this token may administer the platform.
    admin: bool,
    tenant: TenantView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountTenant)]
struct TenantView {
    id: TenantId,
    name: String,
    /// The role of the token's owner there.
    role: Role,
}

async fn view(app: &App, actor: Actor) -> Result<Json<Account>> {
    let two_factor = second_factor::state(app, &actor).await?.is_some();
    Ok(Json(Account {
        id: actor.user_id,
        email: actor.email,
        email_verified: actor.email_verified,
        locale: actor.locale,
        two_factor,
        admin: actor.is_admin,
        tenant: TenantView { id: actor.tenant_id, name: actor.tenant_name, role: actor.role },
    }))
}

/// The account of the token
#[utoipa::path(get, path = "/api/v1/account", tag = "account",
    responses((status = 200, body = Account), Refusals))]
async fn get(State(app): State<App>, actor: Actor) -> Result<Json<Account>> {
    view(&app, actor).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeAccount {
    /// `en` or `zh-CN`.
    locale: Option<String>,
}

/// Change the account
#[utoipa::path(patch, path = "/api/v1/account", tag = "account", request_body = ChangeAccount,
    responses((status = 200, body = Account), Refusals))]
async fn change(
    State(app): State<App>,
    mut actor: Actor,
    Json(body): Json<ChangeAccount>,
) -> Result<Json<Account>> {
    if let Some(locale) = &body.locale {
        let language = Language::from_code(locale).ok_or(Error::invalid("locale", "choice"))?;
        preferences::set_locale(&app, &actor, language).await?;
        actor.locale = language.code().to_owned();
    }
    view(&app, actor).await
}

/// Which mails the person wants that nobody has to get.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Notifications {
    /// Sign-ins from a network that was not seen before.
    sign_ins: bool,
    /// Operations of one's own that failed.
    operations: bool,
    /// The end of a trial, before it comes.
    trials: bool,
    /// A prepaid balance that runs low.
    balance: bool,
}

impl From<Wanted> for Notifications {
    fn from(wanted: Wanted) -> Self {
        let wants = |topic| wanted.each().any(|(one, on)| one == topic && on);
        Self {
            sign_ins: wants(Topic::SignIns),
            operations: wants(Topic::Operations),
            trials: wants(Topic::Trials),
            balance: wants(Topic::Balance),
        }
    }
}

/// Which mails are wanted
#[utoipa::path(get, path = "/api/v1/account/notifications", tag = "account",
    responses((status = 200, body = Notifications), Refusals))]
async fn get_notifications(State(app): State<App>, actor: Actor) -> Result<Json<Notifications>> {
    Ok(Json(notifications::wanted(&app, &actor).await?.into()))
}

/// Choose which mails are wanted
#[utoipa::path(put, path = "/api/v1/account/notifications", tag = "account", request_body = Notifications,
    responses((status = 200, body = Notifications), Refusals))]
async fn put_notifications(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json<Notifications>,
) -> Result<Json<Notifications>> {
    let wanted = Wanted::new(|topic| match topic {
        Topic::SignIns => body.sign_ins,
        Topic::Operations => body.operations,
        Topic::Trials => body.trials,
        Topic::Balance => body.balance,
    });
    notifications::choose(&app, &actor, wanted).await?;
    Ok(Json(body))
}
