//! Setting up the second factor, and taking it off again.

use super::field_errors;
use crate::accounts::Proof;
use crate::accounts::second_factor::{self, Setup};
use crate::auth::InPerson;
use crate::error::{FieldError, Result};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/security/two-factor", get(show).post(enable))
        .route("/security/two-factor/disable", get(show_disable).post(disable))
        .route("/security/two-factor/codes", get(show_renew).post(renew))
}

#[derive(Default, Deserialize)]
struct FactorForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    sealed: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/two_factor.html")]
struct SetupPage {
    page: Page,
    setup: Setup,
    errors: Vec<FieldError>,
}

/// Shown once, right after they were made.
#[derive(Template, WebTemplate)]
#[template(path = "accounts/recovery_codes.html")]
struct CodesPage {
    page: Page,
    codes: Vec<String>,
}

/// Asks for the password and a code, before `action`.
#[derive(Template, WebTemplate)]
#[template(path = "accounts/two_factor_confirm.html")]
struct ConfirmPage {
    page: Page,
    disables: bool,
    errors: Vec<FieldError>,
}

async fn show(State(app): State<App>, page: Page, InPerson(actor): InPerson) -> Result<Response> {
    if second_factor::state(&app, &actor).await?.is_some() {
        return Ok(flash::redirect("/security", "second-factor-already-on"));
    }
    let setup = second_factor::set_up(&app, &actor, None)?;
    Ok(SetupPage { page, setup, errors: Vec::new() }.into_response())
}

async fn enable(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<FactorForm>,
) -> Result<Response> {
    match second_factor::enable(&app, &actor, &form.current_password, &form.sealed, &form.code).await {
        Ok(codes) => Ok(CodesPage { page, codes }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            let setup = second_factor::set_up(&app, &actor, Some(&form.sealed))?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, SetupPage { page, setup, errors }).into_response())
        }
    }
}

async fn show_disable(page: Page, _: InPerson) -> ConfirmPage {
    ConfirmPage { page, disables: true, errors: Vec::new() }
}

async fn disable(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(proof): Form<Proof>,
) -> Result<Response> {
    match second_factor::disable(&app, &actor, &proof).await {
        Ok(()) => Ok(flash::redirect("/security", "second-factor-off")),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, ConfirmPage { page, disables: true, errors })
                .into_response())
        }
    }
}

async fn show_renew(page: Page, _: InPerson) -> ConfirmPage {
    ConfirmPage { page, disables: false, errors: Vec::new() }
}

async fn renew(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(proof): Form<Proof>,
) -> Result<Response> {
    match second_factor::renew_codes(&app, &actor, &proof).await {
        Ok(codes) => Ok(CodesPage { page, codes }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, ConfirmPage { page, disables: false, errors })
                .into_response())
        }
    }
}
