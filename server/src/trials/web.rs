//! Asking for another look at a refused trial.

use super::appeals;
use super::db::Appeal;
use super::rules::Refusal;
use crate::auth::InPerson;
use crate::error::{Error, FieldError, Result};
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
    Router::new().route("/trial/appeal", get(show).post(file))
}

#[derive(Template, WebTemplate)]
#[template(path = "trials/appeal.html")]
struct AppealPage {
    page: Page,
    /// Why a trial would be refused now; "" when it would not.
    reason: String,
    last: Option<Appeal>,
    message: String,
    errors: Vec<FieldError>,
}

impl AppealPage {
    async fn load(app: &App, page: Page, actor: &crate::auth::Actor) -> Result<Self> {
        let reason = appeals::reason(app, actor).await?;
        Ok(Self {
            reason: reason
                .map_or(String::new(), |refusal: Refusal| page.t(&format!("error-{}", refusal.code()))),
            last: appeals::last(app, actor).await?,
            message: String::new(),
            errors: Vec::new(),
            page,
        })
    }

    fn is_open(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.decision.is_none())
    }
}

async fn show(State(app): State<App>, page: Page, InPerson(actor): InPerson) -> Result<AppealPage> {
    AppealPage::load(&app, page, &actor).await
}

#[derive(Deserialize)]
struct AppealForm {
    #[serde(default)]
    message: String,
}

async fn file(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<AppealForm>,
) -> Result<Response> {
    match appeals::file(&app, &actor, &form.message).await {
        Ok(()) => Ok(flash::redirect("/trial/appeal", "appeal-sent")),
        Err(Error::Invalid(errors)) => {
            let fresh = AppealPage::load(&app, page, &actor).await?;
            let again = AppealPage { message: form.message, errors, ..fresh };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
        Err(error) => Err(error),
    }
}
