//! New passkeys, in two steps: the password and a name, then the authenticator.

use super::field_errors;
use crate::accounts::passkeys::{self, Question};
use crate::auth::InPerson;
use crate::error::{Error, FieldError, Result};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/security/passkeys/new", get(show).post(begin))
        .route("/security/passkeys", post(add))
        .route("/security/passkeys/{id}/remove", post(remove))
}

#[derive(Default, Deserialize)]
struct NameForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    current_password: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/passkey_new.html")]
struct NamePage {
    page: Page,
    form: NameForm,
    errors: Vec<FieldError>,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/passkey_ask.html")]
struct AskPage {
    page: Page,
    question: Question,
}

async fn show(State(app): State<App>, page: Page, _: InPerson) -> Result<NamePage> {
    if !passkeys::offered(&app) {
        return Err(Error::refused("passkeys-not-offered"));
    }
    Ok(NamePage { page, form: NameForm::default(), errors: Vec::new() })
}

async fn begin(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<NameForm>,
) -> Result<Response> {
    match passkeys::begin(&app, &actor, &form.name, &form.current_password).await {
        Ok(question) => Ok(AskPage { page, question }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, NamePage { page, form, errors }).into_response())
        }
    }
}

#[derive(Deserialize)]
struct AnswerForm {
    #[serde(default)]
    sealed: String,
    #[serde(default)]
    answer: String,
}

async fn add(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Form(form): Form<AnswerForm>,
) -> Result<Response> {
    match passkeys::add(&app, &actor, &form.sealed, &form.answer).await {
        Ok(()) => Ok(flash::redirect("/security", "passkey-added")),
        Err(Error::Refused { code: "passkey-again", .. }) => {
            Ok(flash::redirect_error("/security/passkeys/new", "passkey-again"))
        }
        Err(error) => Err(error),
    }
}

async fn remove(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<Response> {
    passkeys::remove(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/security", "passkey-removed"))
}
