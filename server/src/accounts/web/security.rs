//! What somebody signs in with, and where they are signed in.

use super::{field_errors, next_href};
use crate::accounts::credentials::{self, Review};
use crate::accounts::db::passkeys::Passkey;
use crate::accounts::db::sessions::SessionRow;
use crate::accounts::sessions::{self, SessionKey, browser};
use crate::accounts::{Proof, email_change, passkeys, recovery, second_factor};
use crate::auth::{Actor, InPerson};
use crate::error::{Error, FieldError, Result};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::Paging;
use crate::web::session_store::id_hash;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_sessions::Session;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/security", get(show))
        .route("/security/password", get(show_password).post(change_password))
        .route("/security/email", get(show_email).post(change_email))
        .route("/security/sessions/end-all", post(end_all))
        .route("/security/sessions/{key}/end", post(end))
}

struct SessionView {
    key: String,
    here: bool,
    row: SessionRow,
    /// What the browser calls itself, in few words.
    browser: String,
    ip: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/security.html")]
struct SecurityPage {
    page: Page,
    actor: Actor,
    /// Recovery codes left; absent without a second factor.
    second_factor: Option<i64>,
    passkeys: Vec<Passkey>,
    /// After a reset: what to look through.
    review: Option<Review>,
    /// Not every address can have passkeys.
    passkeys_offered: bool,
    sessions: Vec<SessionView>,
    next: String,
}

async fn show(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    session: Session,
    paging: Paging<SessionKey>,
) -> Result<SecurityPage> {
    let here = session.id().map(id_hash);
    let list = sessions::list(&app, &actor, &paging).await?.map(|row| SessionView {
        key: SessionKey(row.id_hash.clone()).to_string(),
        here: here.as_ref() == Some(&row.id_hash),
        browser: browser(row.user_agent.as_deref().unwrap_or("")),
        ip: row.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        row,
    });
    Ok(SecurityPage {
        second_factor: second_factor::state(&app, &actor).await?,
        passkeys: passkeys::list(&app, &actor).await?,
        review: credentials::review(&app, actor.user_id).await?,
        passkeys_offered: passkeys::offered(&app),
        next: next_href("/security", &list),
        sessions: list.items,
        actor,
        page,
    })
}

#[derive(Default, Deserialize)]
struct PasswordForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    password: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/password.html")]
struct PasswordPage {
    page: Page,
    /// API tokens that end with the present password.
    tokens: i64,
    errors: Vec<FieldError>,
}

async fn show_password(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
) -> Result<PasswordPage> {
    let tokens = credentials::count_tokens(&app, actor.user_id).await?;
    Ok(PasswordPage { page, tokens, errors: Vec::new() })
}

async fn change_password(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    session: Session,
    Form(form): Form<PasswordForm>,
) -> Result<Response> {
    let here = session.id().map(id_hash).ok_or(Error::Unauthenticated)?;
    match recovery::change(&app, &actor, &form.current_password, form.password, &here).await {
        Ok(ended) => {
            let tokens = ended.tokens.to_string();
            Ok(flash::redirect_with("/security", "password-changed", &tokens))
        }
        Err(error) => {
            let errors = field_errors(error)?;
            let tokens = credentials::count_tokens(&app, actor.user_id).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, PasswordPage { page, tokens, errors }).into_response())
        }
    }
}

#[derive(Default, Deserialize)]
struct EmailForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/email.html")]
struct EmailPage {
    page: Page,
    actor: Actor,
    form: EmailForm,
    second_factor: bool,
    errors: Vec<FieldError>,
}

async fn show_email(State(app): State<App>, page: Page, InPerson(actor): InPerson) -> Result<EmailPage> {
    let second_factor = second_factor::is_on(&app, &actor).await?;
    Ok(EmailPage { page, actor, form: EmailForm::default(), second_factor, errors: Vec::new() })
}

async fn change_email(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<EmailForm>,
) -> Result<Response> {
    let proof = Proof { current_password: form.current_password.clone(), code: form.code.clone() };
    match email_change::request(&app, &actor, &form.email, &proof).await {
        Ok(()) => Ok(flash::redirect_with("/security", "email-change-sent", form.email.trim())),
        Err(error) => {
            let errors = field_errors(error)?;
            let second_factor = second_factor::is_on(&app, &actor).await?;
            let again = EmailPage { page, actor, form, second_factor, errors };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

async fn end(State(app): State<App>, InPerson(actor): InPerson, Path(key): Path<String>) -> Result<Response> {
    sessions::end(&app, &actor, &key.parse()?).await?;
    Ok(flash::redirect("/security", "session-ended"))
}

#[derive(Deserialize)]
struct EndAllForm {
    /// Present where the box is ticked.
    tokens: Option<String>,
}

async fn end_all(
    State(app): State<App>,
    InPerson(actor): InPerson,
    session: Session,
    Form(form): Form<EndAllForm>,
) -> Result<Response> {
    let here = session.id().map(id_hash);
    let tokens = form.tokens.is_some();
    sessions::end_all(&app, &actor, here.as_deref(), tokens).await?;
    Ok(flash::redirect("/security", if tokens { "sessions-and-tokens-ended" } else { "sessions-ended" }))
}
