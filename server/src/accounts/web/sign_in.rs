//! Signing in and out.

use super::{LinkQuery, field_errors};
use crate::accounts::passkeys;
use crate::accounts::sign_in::{self, SignedIn, Step};
use crate::accounts::sign_in_links;
use crate::auth::{SESSION_USER, device};
use crate::error::{Error, FieldError, Result};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::{self, Language};
use crate::web::page::Page;
use crate::web::session_store::id_hash;
use crate::web::{flash, local_path, set_cookie};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;
use uuid::Uuid;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/sign-in", get(show).post(submit))
        .route("/sign-in/code", post(submit_code))
        .route("/sign-in/passkey", post(submit_passkey))
        .route("/sign-in/passkey/question", post(ask_for_passkey))
        .route("/sign-out", post(sign_out))
        .route("/sso", get(by_link))
}

#[derive(Default, Deserialize)]
struct SignInForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    /// Where to go afterwards; a path of ours, or ignored.
    #[serde(default)]
    next: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/sign_in.html")]
struct SignInPage {
    page: Page,
    form: SignInForm,
    errors: Vec<FieldError>,
    passkeys: bool,
}

impl SignInPage {
    fn new(app: &App, page: Page, form: SignInForm, errors: Vec<FieldError>) -> Self {
        Self { page, form, errors, passkeys: passkeys::offered(app) }
    }
}

async fn show(State(app): State<App>, page: Page, Query(form): Query<SignInForm>) -> Response {
    if page.user.is_some() {
        return Redirect::to(local_path(&form.next).unwrap_or("/dashboard")).into_response();
    }
    SignInPage::new(&app, page, form, Vec::new()).into_response()
}

async fn submit(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response> {
    match sign_in::with_password(&app, &caller, &form.email, form.password.clone()).await {
        Ok(Step::Done(who)) => begin(&app, &caller, &session, &headers, who, &form.next).await,
        Ok(Step::CodeNeeded { ticket }) => Ok(CodePage {
            page,
            form: CodeForm { ticket, next: form.next, code: String::new() },
            errors: Vec::new(),
        }
        .into_response()),
        Err(error) => {
            let again = SignInPage::new(&app, page, form, field_errors(error)?);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

#[derive(Default, Deserialize)]
struct CodeForm {
    #[serde(default)]
    ticket: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/sign_in_code.html")]
struct CodePage {
    page: Page,
    form: CodeForm,
    errors: Vec<FieldError>,
}

async fn submit_code(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response> {
    match sign_in::with_code(&app, &caller, &form.ticket, &form.code).await {
        Ok(who) => begin(&app, &caller, &session, &headers, who, &form.next).await,
        Err(Error::Refused { code: "sign-in-again", .. }) => {
            Ok(flash::redirect_error("/sign-in", "sign-in-again"))
        }
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, CodePage { page, form, errors }).into_response())
        }
    }
}

/// Only a script asks: a question is of use to nobody else.
async fn ask_for_passkey(State(app): State<App>) -> Result<Response> {
    let question = passkeys::ask(&app).await?;
    Ok(Json(json!({ "options": question.options, "sealed": question.sealed })).into_response())
}

#[derive(Deserialize)]
struct PasskeyForm {
    #[serde(default)]
    sealed: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    next: String,
}

async fn submit_passkey(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    session: Session,
    headers: HeaderMap,
    Form(form): Form<PasskeyForm>,
) -> Result<Response> {
    match passkeys::sign_in(&app, &caller, &form.sealed, &form.answer).await {
        Ok(who) => begin(&app, &caller, &session, &headers, who, &form.next).await,
        Err(error) => {
            let errors = field_errors(error)?;
            let again =
                SignInPage::new(&app, page, SignInForm { next: form.next, ..Default::default() }, errors);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

/// A link of a billing system's, which works once.
async fn by_link(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    session: Session,
    method: Method,
    headers: HeaderMap,
    Query(query): Query<LinkQuery>,
) -> Result<Response> {
    // Programs that only look at a link must not use it up.
    if method != Method::GET {
        return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    match sign_in_links::use_up(&app, &caller, &query.token).await {
        Ok((Step::Done(who), path)) => begin(&app, &caller, &session, &headers, who, &path).await,
        Ok((Step::CodeNeeded { ticket }, next)) => {
            let form = CodeForm { ticket, next, code: String::new() };
            Ok(CodePage { page, form, errors: Vec::new() }.into_response())
        }
        Err(Error::Refused { code: "link-spent", .. }) => {
            Ok(flash::redirect_error("/sign-in", "sign-in-link-spent"))
        }
        Err(error) => Err(error),
    }
}

/// The only place where a session begins.  It gets a new id, so that nobody can have planted it.
async fn begin(
    app: &App,
    caller: &Caller,
    session: &Session,
    headers: &HeaderMap,
    who: SignedIn,
    next: &str,
) -> Result<Response> {
    // A number that says nothing of the browser: by it, trials of several people with one browser can be counted, and
    // strangers who guess passwords are told apart from who signed in here before.
    let browser = caller.device.unwrap_or_else(Uuid::new_v4);
    let user = who.user.user_id;
    session.clear().await;
    session.cycle_id().await?;
    session.insert(SESSION_USER, who.user).await?;
    session.save().await?;
    if let Some(id) = session.id() {
        sign_in::describe_session(app, caller, &id_hash(id), user, browser).await?;
    }
    let mut response = Redirect::to(local_path(next).unwrap_or("/dashboard")).into_response();
    device::remember(app, &mut response, browser);
    // The language of the account, unless this browser was told another.
    if crate::web::cookie(headers, language::COOKIE).is_none()
        && let Some(language) = Language::from_code(&who.locale)
    {
        set_cookie(app, &mut response, language::COOKIE, language.code());
    }
    Ok(response)
}

async fn sign_out(session: Session) -> Result<Response> {
    if session.id().is_some() {
        session.flush().await?;
    }
    Ok(flash::redirect("/", "signed-out"))
}
