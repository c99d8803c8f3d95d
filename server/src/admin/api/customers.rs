use crate::admin::customers::{self, Quotas};
use crate::admin::db::customers::{self as db, Customer, Member};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::{TenantId, UserId};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(set_quotas))
        .routes(routes!(suspend))
        .routes(routes!(unsuspend))
        .routes(routes!(disable))
        .routes(routes!(enable))
}

/// A tenant, as administrators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerView {
    id: TenantId,
    name: String,
    /// The mail address of its first owner.
    owner: Option<String>,
    instances: i64,
    members: i64,
    #[serde(flatten)]
    quotas: Quotas,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    suspended_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
}

impl From<Customer> for CustomerView {
    fn from(customer: Customer) -> Self {
        Self {
            quotas: Quotas::from(&customer),
            id: customer.id,
            name: customer.name,
            owner: customer.owner,
            instances: customer.instances,
            members: customer.members,
            suspended_at: customer.suspended_at,
            created_at: customer.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CustomerMember)]
struct MemberView {
    id: UserId,
    email: String,
    verified: bool,
    /// `owner`, `operator` or `viewer`.
    role: String,
    second_factor: bool,
    is_admin: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<OffsetDateTime>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            id: member.id,
            email: member.email,
            verified: member.verified,
            role: member.role,
            second_factor: member.second_factor,
            is_admin: member.is_admin,
            disabled_at: member.disabled_at,
            last_seen_at: member.last_seen_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct CustomerDetail {
    #[serde(flatten)]
    customer: CustomerView,
    people: Vec<MemberView>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CustomerQuery {
    /// Part of the tenant's name or of a member's address.
    #[serde(default)]
    search: String,
    suspended: Option<bool>,
}

/// All customers
#[utoipa::path(get, path = "/api/v1/admin/customers", tag = "Administration: customers",
    params(CustomerQuery, PageParams), responses((status = 200, body = Listed<CustomerView>)))]
async fn list(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<CustomerQuery>,
    paging: Paging<TenantId>,
) -> Result<Json<Listed<CustomerView>>> {
    let rows =
        db::list(app.db.platform(), query.search.trim(), query.suspended, paging.after, paging.fetch())
            .await?;
    let listed = Listed::new(rows, &paging, |customer| customer.id.to_string());
    Ok(Json(listed.map(CustomerView::from)))
}

/// One customer
#[utoipa::path(get, path = "/api/v1/admin/customers/{id}", tag = "Administration: customers", params(("id" = TenantId, Path, description = "`ten_…`")),
    responses((status = 200, body = CustomerDetail), (status = 404, description = "There is no such customer.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<CustomerDetail>> {
    detail(&app, id.parse()?).await
}

async fn detail(app: &App, id: TenantId) -> Result<Json<CustomerDetail>> {
    let customer = db::by_id(app.db.platform(), id).await?.ok_or(Error::NotFound)?;
    let people = db::members(app.db.platform(), id).await?;
    Ok(Json(CustomerDetail {
        customer: customer.into(),
        people: people.into_iter().map(MemberView::from).collect(),
    }))
}

/// Set a customer's quotas
///
/// A quota below what the customer has takes nothing away; it only refuses more.
#[utoipa::path(put, path = "/api/v1/admin/customers/{id}/quotas", tag = "Administration: customers", params(("id" = TenantId, Path, description = "`ten_…`")), request_body = Quotas,
    responses((status = 200, body = CustomerDetail), (status = 404, description = "There is no such customer.", body = Problem),
        (status = 422, description = "A value is out of its range.", body = Problem)))]
async fn set_quotas(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(quotas): Json<Quotas>,
) -> Result<Json<CustomerDetail>> {
    let id = id.parse()?;
    customers::set_quotas(&app, &actor, id, &quotas).await?;
    detail(&app, id).await
}

/// Suspend a customer
#[utoipa::path(post, path = "/api/v1/admin/customers/{id}/suspend", tag = "Administration: customers", params(("id" = TenantId, Path, description = "`ten_…`")),
    responses((status = 200, body = CustomerDetail), (status = 404, description = "There is no such customer.", body = Problem),
        (status = 409, description = "It is your own.", body = Problem)))]
async fn suspend(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<CustomerDetail>> {
    let id = id.parse()?;
    customers::set_suspended(&app, &actor, id, true).await?;
    detail(&app, id).await
}

/// Lift a customer's suspension
#[utoipa::path(post, path = "/api/v1/admin/customers/{id}/unsuspend", tag = "Administration: customers", params(("id" = TenantId, Path, description = "`ten_…`")),
    responses((status = 200, body = CustomerDetail), (status = 404, description = "There is no such customer.", body = Problem)))]
async fn unsuspend(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<CustomerDetail>> {
    let id = id.parse()?;
    customers::set_suspended(&app, &actor, id, false).await?;
    detail(&app, id).await
}

/// Disable an account
///
/// The person is signed out everywhere and their tokens stop working.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/disable", tag = "Administration: customers", params(("id" = UserId, Path, description = "`usr_…`")),
    responses((status = 204, description = "It is disabled."), (status = 404, description = "There is no such account.", body = Problem),
        (status = 409, description = "It is your own.", body = Problem)))]
async fn disable(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    customers::set_disabled(&app, &actor, id.parse()?, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable an account again
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/enable", tag = "Administration: customers", params(("id" = UserId, Path, description = "`usr_…`")),
    responses((status = 204, description = "It is enabled."), (status = 404, description = "There is no such account.", body = Problem)))]
async fn enable(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    customers::set_disabled(&app, &actor, id.parse()?, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
