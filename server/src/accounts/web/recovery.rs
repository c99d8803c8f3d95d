//! Links that mails carry for the password and the address.

use super::{LinkQuery, field_errors};
use crate::accounts::{email_change, recovery, sign_in};
use crate::auth::device;
use crate::error::{FieldError, Result};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/forgot", get(show_forgot).post(forgot))
        .route("/reset", get(show_reset).post(reset))
        .route("/change-email", get(show_change_email).post(change_email))
}

#[derive(Default, Deserialize)]
struct ForgotForm {
    #[serde(default)]
    email: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/forgot.html")]
struct ForgotPage {
    page: Page,
    form: ForgotForm,
    errors: Vec<FieldError>,
}

async fn show_forgot(page: Page, Query(form): Query<ForgotForm>) -> ForgotPage {
    ForgotPage { page, form, errors: Vec::new() }
}

async fn forgot(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    Form(form): Form<ForgotForm>,
) -> Result<Response> {
    match recovery::request(&app, &caller, &form.email).await {
        Ok(()) => Ok(flash::redirect("/sign-in", "reset-sent")),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, ForgotPage { page, form, errors }).into_response())
        }
    }
}

#[derive(Default, Deserialize)]
struct ResetForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    password: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/reset.html")]
struct ResetPage {
    page: Page,
    token: String,
    errors: Vec<FieldError>,
}

async fn show_reset(page: Page, Query(query): Query<LinkQuery>) -> ResetPage {
    ResetPage { page, token: query.token, errors: Vec::new() }
}

async fn reset(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    Form(form): Form<ResetForm>,
) -> Result<Response> {
    match recovery::reset(&app, &caller, &form.token, form.password).await {
        // The link proves the address: who guesses passwords for it does not keep its owner from signing in now.
        Ok(user) => {
            let device = caller.device.unwrap_or_else(Uuid::new_v4);
            sign_in::note_device(&app, user, device).await?;
            let mut response = flash::redirect("/sign-in", "password-reset");
            device::remember(&app, &mut response, device);
            Ok(response)
        }
        Err(error) => {
            let errors = field_errors(error)?;
            let page = ResetPage { page, token: form.token, errors };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/change_email.html")]
struct ChangeEmailPage {
    page: Page,
    token: String,
}

async fn show_change_email(page: Page, Query(query): Query<LinkQuery>) -> ChangeEmailPage {
    ChangeEmailPage { page, token: query.token }
}

async fn change_email(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    Form(form): Form<LinkQuery>,
) -> Result<Response> {
    email_change::confirm(&app, &caller, &form.token).await?;
    let path = if page.user.is_some() { "/security" } else { "/sign-in" };
    Ok(flash::redirect(path, "email-changed"))
}
