//! The members of a tenant, invitations, and moving between tenants.

use super::{LinkQuery, field_errors, next_href};
use crate::accounts::db::invitations::{Invitation, Open};
use crate::accounts::db::members::Member;
use crate::accounts::{invitations, members};
use crate::auth::db::Membership;
use crate::auth::{self, Actor, InPerson, Portal, Role};
use crate::error::{Error, FieldError, Result};
use crate::ids::{InvitationId, TenantId, UserId};
use crate::state::App;
use crate::web::page::Page;
use crate::web::paging::{MAX_LIMIT, Paging};
use crate::web::{flash, local_path};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_sessions::Session;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/tenant", post(switch))
        .route("/team", get(show))
        .route("/team/name", post(rename))
        .route("/team/invitations", post(invite))
        .route("/team/invitations/{id}/withdraw", post(withdraw))
        .route("/team/members/{id}/role", post(change_role))
        .route("/team/members/{id}/remove", post(remove))
        .route("/team/leave", post(leave))
        .route("/invitation", get(show_invitation).post(accept))
}

#[derive(Default, Deserialize)]
struct TeamForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/team.html")]
struct TeamPage {
    page: Page,
    actor: Actor,
    form: TeamForm,
    errors: Vec<FieldError>,
    members: Vec<Member>,
    next: String,
    invitations: Vec<Invitation>,
    tenants: Vec<Membership>,
}

impl TeamPage {
    /// An address, or what stands there for readers who are not told it.
    fn name(&self, email: &Option<String>) -> String {
        email.clone().unwrap_or_else(|| self.page.t("team-colleague"))
    }

    /// The word for a role.
    fn role(&self, role: &Role) -> String {
        self.page.t(role_key(*role))
    }
}

/// The key of the word for a role.
pub fn role_key(role: Role) -> &'static str {
    match role {
        Role::Viewer => "role-viewer",
        Role::Operator => "role-operator",
        Role::Owner => "role-owner",
    }
}

async fn team_page(
    app: &App,
    page: Page,
    actor: Actor,
    paging: &Paging<UserId>,
    form: Option<TeamForm>,
    errors: Vec<FieldError>,
) -> Result<TeamPage> {
    let list = members::list(app, &actor, paging).await?;
    let open = invitations::list(app, &actor, &Paging { limit: MAX_LIMIT, after: None }).await?;
    let form = form.unwrap_or_else(|| TeamForm { name: actor.tenant_name.clone(), ..TeamForm::default() });
    Ok(TeamPage {
        form,
        errors,
        next: next_href("/team", &list),
        members: list.items,
        invitations: open.items,
        tenants: members::tenants(app, &actor).await?,
        page,
        actor,
    })
}

async fn show(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    paging: Paging<UserId>,
) -> Result<TeamPage> {
    team_page(&app, page, actor, &paging, None, Vec::new()).await
}

async fn again(app: &App, page: Page, actor: Actor, form: TeamForm, error: Error) -> Result<Response> {
    let errors = field_errors(error)?;
    let page = team_page(app, page, actor, &Paging::default(), Some(form), errors).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn rename(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(form): Form<TeamForm>,
) -> Result<Response> {
    match members::rename(&app, &actor, &form.name).await {
        Ok(()) => Ok(flash::redirect("/team", "tenant-renamed")),
        Err(error) => again(&app, page, actor, form, error).await,
    }
}

async fn invite(
    State(app): State<App>,
    page: Page,
    InPerson(actor): InPerson,
    Form(mut form): Form<TeamForm>,
) -> Result<Response> {
    form.name.clone_from(&actor.tenant_name);
    let invited = match Role::parse(&form.role) {
        Some(role) => invitations::create(&app, &actor, &form.email, role, page.language).await.map(|_| ()),
        None => Err(Error::invalid("role", "choice")),
    };
    match invited {
        Ok(()) => Ok(flash::redirect_with("/team", "invited", form.email.trim())),
        Err(error) => again(&app, page, actor, form, error).await,
    }
}

async fn withdraw(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<Response> {
    invitations::withdraw(&app, &actor, id.parse::<InvitationId>()?).await?;
    Ok(flash::redirect("/team", "invitation-withdrawn"))
}

#[derive(Default, Deserialize)]
struct RoleForm {
    #[serde(default)]
    role: String,
}

async fn change_role(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
    Form(form): Form<RoleForm>,
) -> Result<Response> {
    let role = Role::parse(&form.role).ok_or(Error::invalid("role", "choice"))?;
    members::change_role(&app, &actor, id.parse::<UserId>()?, role).await?;
    Ok(flash::redirect("/team", "role-changed"))
}

async fn remove(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Path(id): Path<String>,
) -> Result<Response> {
    members::remove(&app, &actor, id.parse::<UserId>()?).await?;
    Ok(flash::redirect("/team", "member-removed"))
}

/// Leaves the tenant, and goes on in another one.
async fn leave(State(app): State<App>, InPerson(actor): InPerson, session: Session) -> Result<Response> {
    members::remove(&app, &actor, actor.user_id).await?;
    match members::tenants(&app, &actor).await?.first() {
        Some(other) => {
            auth::move_to(&session, other.tenant_id).await?;
        }
        // Signing in again makes a place of one's own.
        None => session.flush().await?,
    }
    Ok(flash::redirect_with("/dashboard", "left", &actor.tenant_name))
}

#[derive(Default, Deserialize)]
struct SwitchForm {
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    next: String,
}

/// Also for who came by a billing system's link: to the tenants that this system made.
async fn switch(
    State(app): State<App>,
    Portal(actor): Portal,
    session: Session,
    Form(form): Form<SwitchForm>,
) -> Result<Response> {
    let tenant: TenantId = form.tenant.parse()?;
    members::may_switch(&app, &actor, tenant).await?;
    auth::move_to(&session, tenant).await?;
    Ok(Redirect::to(local_path(&form.next).unwrap_or("/dashboard")).into_response())
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/invitation.html")]
struct InvitationPage {
    page: Page,
    invitation: Open,
    token: String,
    role: String,
    /// Signed in as the person who was invited.
    fits: bool,
    /// Leads back here.
    next: String,
}

async fn show_invitation(
    State(app): State<App>,
    page: Page,
    Query(query): Query<LinkQuery>,
) -> Result<InvitationPage> {
    let invitation = invitations::open(&app, &query.token).await?;
    let fits = page.user.as_ref().is_some_and(|user| user.email == invitation.email);
    let next = format!("/invitation?token={}", query.token);
    let next = serde_urlencoded::to_string([("next", next.as_str()), ("email", &invitation.email)])
        .map_err(anyhow::Error::from)?;
    let role = page.t(role_key(invitation.role));
    Ok(InvitationPage { page, invitation, token: query.token, role, fits, next })
}

async fn accept(
    State(app): State<App>,
    InPerson(actor): InPerson,
    session: Session,
    Form(form): Form<LinkQuery>,
) -> Result<Response> {
    let tenant = invitations::accept(&app, &actor, &form.token).await?;
    auth::move_to(&session, tenant).await?;
    Ok(flash::redirect("/team", "joined"))
}
