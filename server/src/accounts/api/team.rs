use crate::accounts::db::invitations::Invitation;
use crate::accounts::db::members::Member;
use crate::accounts::{invitations, members};
use crate::auth::{Actor, Role};
use crate::error::{Error, Result};
use crate::ids::{InvitationId, UserId};
use crate::state::App;
use crate::web::api::{Conflicts, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::language::Language;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_members))
        .routes(routes!(change_role, remove_member))
        .routes(routes!(list_invitations, invite))
        .routes(routes!(withdraw))
}

/// Somebody who works with this tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
struct MemberView {
    user_id: UserId,
    /// Viewers are told their own only.
    email: Option<String>,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self { user_id: member.user_id, email: member.email, role: member.role, since: member.since }
    }
}

/// List members, the newest first
#[utoipa::path(get, path = "/api/v1/team/members", tag = "team", params(PageParams),
    responses((status = 200, body = Listed<MemberView>), Refusals))]
async fn list_members(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<UserId>,
) -> Result<Json<Listed<MemberView>>> {
    Ok(Json(members::list(&app, &actor, &paging).await?.map(MemberView::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeMember {
    /// `viewer`, `operator` or `owner`.
    #[serde(default)]
    role: String,
}

fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or(Error::invalid("role", "choice"))
}

/// Change the role of a member
///
/// By a token with the scope `members`. No token makes an owner or changes one.
#[utoipa::path(patch, path = "/api/v1/team/members/{id}", tag = "team", params(("id" = UserId, Path)),
    request_body = ChangeMember, responses((status = 204), Refusals, Conflicts))]
async fn change_role(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<ChangeMember>,
) -> Result<StatusCode> {
    members::change_role(&app, &actor, id.parse()?, role(&body.role)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member
///
/// By a token with the scope `members`, and never an owner. Their tokens for this tenant stop working.
#[utoipa::path(delete, path = "/api/v1/team/members/{id}", tag = "team", params(("id" = UserId, Path)),
    responses((status = 204), Refusals, Conflicts))]
async fn remove_member(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<StatusCode> {
    members::remove(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An invitation that was not accepted yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationView {
    id: InvitationId,
    /// Viewers are told no addresses.
    email: Option<String>,
    role: Role,
    invited_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email,
            role: invitation.role,
            invited_by: invitation.invited_by,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// List open invitations, the newest first
#[utoipa::path(get, path = "/api/v1/team/invitations", tag = "team", params(PageParams),
    responses((status = 200, body = Listed<InvitationView>), Refusals))]
async fn list_invitations(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<InvitationId>,
) -> Result<Json<Listed<InvitationView>>> {
    Ok(Json(invitations::list(&app, &actor, &paging).await?.map(InvitationView::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    #[serde(default)]
    email: String,
    /// `viewer`, `operator` or `owner`.
    #[serde(default)]
    role: String,
}

#[derive(Serialize, ToSchema)]
struct Invited {
    id: InvitationId,
}

/// Invite somebody by mail
///
/// By a token with the scope `members`, and never as an owner. The invitation ends with the token.
#[utoipa::path(post, path = "/api/v1/team/invitations", tag = "team", params(IdempotencyParams), request_body = Invite,
    responses((status = 201, body = Invited), Refusals))]
async fn invite(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json<Invite>,
) -> Result<(StatusCode, Json<Invited>)> {
    let language = Language::from_code(&actor.locale).unwrap_or_default();
    let id = invitations::create(&app, &actor, &body.email, role(&body.role)?, language).await?;
    Ok((StatusCode::CREATED, Json(Invited { id })))
}

/// Withdraw an invitation
#[utoipa::path(delete, path = "/api/v1/team/invitations/{id}", tag = "team", params(("id" = InvitationId, Path)),
    responses((status = 204), Refusals))]
async fn withdraw(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<StatusCode> {
    invitations::withdraw(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
