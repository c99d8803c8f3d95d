//! The preferences that need no account: language and appearance, kept in cookies.

use super::language::{self, Language};
use super::page::{THEME_COOKIE, THEMES};
use super::{local_path, set_cookie};
use crate::auth::{Actor, preferences};
use crate::error::{Error, Result};
use crate::state::App;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/preferences", post(by_button))
        // A link may choose the language too: it changes nothing but how pages read here.
        .route("/language", get(by_link).post(by_button))
}

/// A choice of language or theme, from a button of the layouts.
#[derive(Default, Deserialize)]
struct Preferences {
    #[serde(default, alias = "to")]
    language: String,
    #[serde(default)]
    theme: String,
    #[serde(default)]
    next: String,
}

async fn by_link(State(app): State<App>, Query(form): Query<Preferences>) -> Result<Response> {
    apply(&app, None, &form).await
}

async fn by_button(
    State(app): State<App>,
    actor: Result<Actor>,
    Form(form): Form<Preferences>,
) -> Result<Response> {
    apply(&app, actor.ok(), &form).await
}

async fn apply(app: &App, actor: Option<Actor>, form: &Preferences) -> Result<Response> {
    let mut response = Redirect::to(local_path(&form.next).unwrap_or("/")).into_response();
    if !form.language.is_empty() {
        let language = Language::from_code(&form.language).ok_or(Error::invalid("language", "choice"))?;
        set_cookie(app, &mut response, language::COOKIE, language.code());
        if let Some(actor) = actor {
            preferences::set_locale(app, &actor, language).await?;
        }
    }
    if !form.theme.is_empty() {
        let chosen = THEMES.into_iter().find(|theme| *theme == form.theme);
        let theme = chosen.ok_or(Error::invalid("theme", "choice"))?;
        set_cookie(app, &mut response, THEME_COOKIE, theme);
    }
    Ok(response)
}
