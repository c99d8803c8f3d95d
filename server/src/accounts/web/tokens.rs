//! The list of API tokens, with the form that makes one.

use super::{field_errors, next_href};
use crate::accounts::db::tokens::ApiToken;
use crate::accounts::tokens::{self, CreateToken};
use crate::accounts::{Proof, second_factor};
use crate::auth::{Actor, InPerson, Scope};
use crate::error::{FieldError, Result};
use crate::ids::TokenId;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::Paging;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_extra::extract::Form;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/api-tokens", get(show).post(create)).route("/api-tokens/{id}/revoke", post(revoke))
}

#[derive(Default, Deserialize)]
struct TokenForm {
    #[serde(default)]
    name: String,
    /// One field for each box that is ticked.
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    valid_days: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
}

impl TokenForm {
    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|text| text == scope)
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/api_tokens.html")]
struct TokensPage {
    page: Page,
    actor: Actor,
    tokens: Vec<ApiToken>,
    next: String,
    form: TokenForm,
    second_factor: bool,
    errors: Vec<FieldError>,
    /// The token that was just made: shown now and never again.
    created: Option<String>,
}

impl TokensPage {
    async fn load(app: &App, page: Page, actor: Actor, paging: &Paging<TokenId>) -> Result<Self> {
        let list = tokens::list(app, &actor, paging).await?;
        let second_factor = second_factor::is_on(app, &actor).await?;
        let form = TokenForm {
            scopes: vec!["read".to_owned()],
            valid_days: "90".to_owned(),
            ..TokenForm::default()
        };
        let next = next_href("/api-tokens", &list);
        Ok(Self {
            page,
            actor,
            tokens: list.items,
            next,
            form,
            second_factor,
            errors: Vec::new(),
            created: None,
        })
    }

    /// The scopes that the reader may give, with the keys of their words.
    fn offered(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let words = |scope| match scope {
            Scope::Read => ("read", "scope-read", "scope-read-hint"),
            Scope::Write => ("write", "scope-write", "scope-write-hint"),
            Scope::Members => ("members", "scope-members", "scope-members-hint"),
            Scope::Admin => ("admin", "scope-admin", "scope-admin-hint"),
        };
        self.actor.scopes.iter().map(words).collect()
    }

    /// The word for a scope of a token.
    fn scope(&self, name: &str) -> String {
        Scope::parse(name).map_or(name.to_owned(), |scope| self.page.t(&format!("scope-{}", scope.name())))
    }

    fn may_revoke(&self, token: &ApiToken) -> bool {
        token.owner_id == self.actor.user_id || self.actor.may_own().is_ok()
    }
}

async fn show(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    paging: Paging<TokenId>,
) -> Result<TokensPage> {
    TokensPage::load(&app, page, actor, &paging).await
}

async fn create(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<TokenForm>,
) -> Result<Response> {
    let proof = Proof { current_password: form.current_password.clone(), code: form.code.clone() };
    let new =
        CreateToken { name: &form.name, scopes: &form.scopes, valid_days: &form.valid_days, proof: &proof };
    let created = tokens::create(&app, &actor, new).await;
    let fresh = TokensPage::load(&app, page, actor, &Paging::default()).await?;
    match created {
        Ok(secret) => Ok(TokensPage { created: Some(secret), ..fresh }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, TokensPage { form, errors, ..fresh }).into_response())
        }
    }
}

async fn revoke(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<Response> {
    tokens::revoke(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/api-tokens", "token-revoked"))
}
