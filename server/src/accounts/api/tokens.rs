use crate::accounts::db::tokens::ApiToken;
use crate::accounts::tokens;
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::TokenId;
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

/// An API token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
struct TokenView {
    id: TokenId,
    name: String,
    /// How the token begins, for recognising it.
    prefix: String,
    /// `read`, `write`, `members` and `admin`; what the owner's role does not allow now counts for nothing.
    scopes: Vec<String>,
    /// Whose rights it has.
    /// Viewers are told their own address only.
    owner: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            prefix: token.prefix,
            scopes: token.scopes,
            owner: token.owner,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// List API tokens that are not revoked, the newest first
///
/// Owners see all of the team's, everybody else their own. Tokens are created in the portal only: a token cannot make
/// another one.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageParams),
    responses((status = 200, body = Listed<TokenView>), Refusals))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<TokenId>,
) -> Result<Json<Listed<TokenView>>> {
    Ok(Json(tokens::list(&app, &actor, &paging).await?.map(TokenView::from)))
}

/// Revoke an API token
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = TokenId, Path)),
    responses((status = 204), Refusals))]
async fn revoke(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<StatusCode> {
    tokens::revoke(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
