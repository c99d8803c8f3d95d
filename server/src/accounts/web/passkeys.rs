//! New passkeys, in two steps: the password and a name, then the authenticator.  Removing them, and confirming those from
//! before a reset.

use super::field_errors;
use crate::accounts::db::passkeys::Passkey;
use crate::accounts::passkeys::{self, Question};
use crate::accounts::{Proof, second_factor};
use crate::auth::{Actor, InPerson};
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
        .route("/security/passkeys/{id}/remove", get(show_remove).post(remove))
        .route("/security/passkeys/{id}/confirm", get(show_confirm).post(confirm))
}

#[derive(Default, Deserialize)]
struct NameForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/passkey_new.html")]
struct NamePage {
    page: Page,
    form: NameForm,
    second_factor: bool,
    errors: Vec<FieldError>,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/passkey_ask.html")]
struct AskPage {
    page: Page,
    question: Question,
}

async fn show(State(app): State<App>, page: Page, InPerson(actor): InPerson) -> Result<NamePage> {
    if !passkeys::offered(&app) {
        return Err(Error::refused("passkeys-not-offered"));
    }
    let second_factor = second_factor::is_on(&app, &actor).await?;
    Ok(NamePage { page, form: NameForm::default(), second_factor, errors: Vec::new() })
}

async fn begin(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<NameForm>,
) -> Result<Response> {
    let proof = Proof { current_password: form.current_password.clone(), code: form.code.clone() };
    match passkeys::begin(&app, &actor, &form.name, &proof).await {
        Ok(question) => Ok(AskPage { page, question }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            let second_factor = second_factor::is_on(&app, &actor).await?;
            let again = NamePage { page, form, second_factor, errors };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
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

/// Asks who is there before a passkey is removed, or confirmed after a reset.
#[derive(Template, WebTemplate)]
#[template(path = "accounts/passkey_check.html")]
struct CheckPage {
    page: Page,
    passkey: Passkey,
    removes: bool,
    second_factor: bool,
    errors: Vec<FieldError>,
}

impl CheckPage {
    async fn load(app: &App, page: Page, actor: &Actor, id: &str, removes: bool) -> Result<Self> {
        let passkey = passkeys::get(app, actor, id.parse()?).await?;
        // Removing takes the password alone.
        let second_factor = !removes && second_factor::is_on(app, actor).await?;
        Ok(Self { page, passkey, removes, second_factor, errors: Vec::new() })
    }

    fn again(self, error: Error) -> Result<Response> {
        let errors = field_errors(error)?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, Self { errors, ..self }).into_response())
    }
}

async fn show_remove(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<CheckPage> {
    CheckPage::load(&app, page, &actor, &id, true).await
}

async fn remove(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
    Form(proof): Form<Proof>,
) -> Result<Response> {
    match passkeys::remove(&app, &actor, id.parse()?, &proof.current_password).await {
        Ok(()) => Ok(flash::redirect("/security", "passkey-removed")),
        Err(error) => CheckPage::load(&app, page, &actor, &id, true).await?.again(error),
    }
}

async fn show_confirm(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<CheckPage> {
    CheckPage::load(&app, page, &actor, &id, false).await
}

async fn confirm(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
    Form(proof): Form<Proof>,
) -> Result<Response> {
    match passkeys::confirm(&app, &actor, id.parse()?, &proof).await {
        Ok(()) => Ok(flash::redirect("/security", "passkey-confirmed")),
        Err(error) => CheckPage::load(&app, page, &actor, &id, false).await?.again(error),
    }
}
