//! Signing up, and confirming the address.

use super::{LinkQuery, field_errors};
use crate::accounts::sign_up::{self, SignUp};
use crate::error::{FieldError, Result};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::page::Page;
use crate::web::{flash, local_path};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/sign-up", get(show).post(submit))
        .route("/sign-up/done", get(done))
        .route("/verify", get(show_verify).post(verify))
        .route("/verify/resend", get(show_resend).post(resend))
}

#[derive(Default, Deserialize)]
struct SignUpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/sign_up.html")]
struct SignUpPage {
    page: Page,
    /// Everybody may; else only who was invited.
    open: bool,
    form: SignUpForm,
    errors: Vec<FieldError>,
}

async fn show(State(app): State<App>, page: Page, Query(form): Query<SignUpForm>) -> Result<Response> {
    if page.user.is_some() {
        return Ok(Redirect::to(local_path(&form.next).unwrap_or("/dashboard")).into_response());
    }
    let open = sign_up::is_open(&app).await?;
    Ok(SignUpPage { page, open, form, errors: Vec::new() }.into_response())
}

async fn submit(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    Form(form): Form<SignUpForm>,
) -> Result<Response> {
    let new = SignUp { email: form.email.clone(), password: form.password.clone(), language: page.language };
    match sign_up::sign_up(&app, &caller, new).await {
        Ok(()) => Ok(Redirect::to("/sign-up/done").into_response()),
        Err(error) => {
            let (errors, open) = (field_errors(error)?, sign_up::is_open(&app).await?);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, SignUpPage { page, open, form, errors }).into_response())
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/sign_up_done.html")]
struct DonePage {
    page: Page,
    open: bool,
}

async fn done(State(app): State<App>, page: Page) -> Result<DonePage> {
    Ok(DonePage { open: sign_up::is_open(&app).await?, page })
}

/// A page with one button: programs that look at links in mails must not use them up.
#[derive(Template, WebTemplate)]
#[template(path = "accounts/verify.html")]
struct VerifyPage {
    page: Page,
    token: String,
}

async fn show_verify(page: Page, Query(query): Query<LinkQuery>) -> VerifyPage {
    VerifyPage { page, token: query.token }
}

async fn verify(State(app): State<App>, caller: Caller, Form(form): Form<LinkQuery>) -> Result<Response> {
    sign_up::verify(&app, &caller, &form.token).await?;
    Ok(flash::redirect("/sign-in", "verified"))
}

#[derive(Default, Deserialize)]
struct ResendForm {
    #[serde(default)]
    email: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/resend.html")]
struct ResendPage {
    page: Page,
    form: ResendForm,
    errors: Vec<FieldError>,
}

async fn show_resend(page: Page, Query(form): Query<ResendForm>) -> ResendPage {
    ResendPage { page, form, errors: Vec::new() }
}

async fn resend(
    State(app): State<App>,
    page: Page,
    caller: Caller,
    Form(form): Form<ResendForm>,
) -> Result<Response> {
    match sign_up::resend(&app, &caller, &form.email).await {
        Ok(()) => Ok(flash::redirect("/sign-in", "verification-sent")),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, ResendPage { page, form, errors }).into_response())
        }
    }
}
