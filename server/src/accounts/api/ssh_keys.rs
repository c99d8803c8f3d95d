use crate::accounts::db::ssh_keys::SshKey;
use crate::accounts::ssh_keys;
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::SshKeyId;
use crate::state::App;
use crate::web::api::{Conflicts, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(get, delete))
}

/// A public key that can be put into new instances.
#[derive(Serialize, ToSchema)]
#[schema(as = SshKey)]
struct SshKeyView {
    id: SshKeyId,
    name: String,
    public_key: String,
    /// `SHA256:…`
    fingerprint: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<SshKey> for SshKeyView {
    fn from(key: SshKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            public_key: key.public_key,
            fingerprint: key.fingerprint,
            created_at: key.created_at,
        }
    }
}

/// List SSH keys, the newest first
#[utoipa::path(get, path = "/api/v1/ssh-keys", tag = "ssh-keys", params(PageParams),
    responses((status = 200, body = Listed<SshKeyView>), Refusals))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<SshKeyId>,
) -> Result<Json<Listed<SshKeyView>>> {
    Ok(Json(ssh_keys::list(&app, &actor, &paging).await?.map(SshKeyView::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddSshKey {
    /// Empty: the comment at the end of the key.
    #[serde(default)]
    name: String,
    /// One line in OpenSSH's form, or the form of RFC 4716.  RSA keys need 3,072 bits; DSA keys are refused.
    #[serde(default)]
    public_key: String,
}

/// Add an SSH key
#[utoipa::path(post, path = "/api/v1/ssh-keys", tag = "ssh-keys", params(IdempotencyParams), request_body = AddSshKey,
    responses((status = 201, body = SshKeyView), Refusals, Conflicts))]
async fn add(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json<AddSshKey>,
) -> Result<(StatusCode, Json<SshKeyView>)> {
    let key = ssh_keys::add(&app, &actor, &body.name, &body.public_key).await?;
    Ok((StatusCode::CREATED, Json(key.into())))
}

/// One SSH key
#[utoipa::path(get, path = "/api/v1/ssh-keys/{id}", tag = "ssh-keys", params(("id" = SshKeyId, Path)),
    responses((status = 200, body = SshKeyView), Refusals))]
async fn get(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Json<SshKeyView>> {
    Ok(Json(ssh_keys::get(&app, &actor, id.parse()?).await?.into()))
}

/// Delete an SSH key
///
/// Instances that have it keep it.
#[utoipa::path(delete, path = "/api/v1/ssh-keys/{id}", tag = "ssh-keys", params(("id" = SshKeyId, Path)),
    responses((status = 204), Refusals))]
async fn delete(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<StatusCode> {
    ssh_keys::delete(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
