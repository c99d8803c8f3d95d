use crate::admin::db::{audit, mail, operations, trials};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::{AppealId, InstanceId, MailId, OperationId, TenantId, TrialId};
use crate::instances::api::schema::OperationBody;
use crate::instances::oversee;
use crate::state::App;
use crate::trials::appeals;
use crate::trials::db::Appeal;
use crate::web::api::{Problem, Refusals};
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_operations))
        .routes(routes!(retry_operation))
        .routes(routes!(cancel_operation))
        .routes(routes!(list_trials))
        .routes(routes!(list_appeals))
        .routes(routes!(decide_appeal))
        .routes(routes!(list_mail))
        .routes(routes!(show_mail))
        .routes(routes!(retry_mail))
        .routes(routes!(list_events))
}

/// An operation on any customer's instance.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminOperation)]
struct OperationView {
    id: OperationId,
    tenant_id: TenantId,
    tenant_name: String,
    instance_id: InstanceId,
    instance_name: String,
    host_name: String,
    #[schema(example = "create")]
    kind: String,
    /// `pending`, `running`, `succeeded`, `failed` or `cancelled`.
    state: String,
    step: String,
    percent: i16,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    requested_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    deadline_at: OffsetDateTime,
    /// Still open although its deadline has passed.
    late: bool,
}

impl From<operations::OperationRow> for OperationView {
    fn from(row: operations::OperationRow) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            tenant_name: row.tenant_name,
            instance_id: row.instance_id,
            instance_name: row.instance_name,
            host_name: row.host_name,
            kind: row.kind,
            state: row.state,
            step: row.step,
            percent: row.percent,
            failure_code: row.failure_code,
            failure_detail: row.failure_detail,
            requested_by: row.requested_by,
            created_at: row.created_at,
            finished_at: row.finished_at,
            deadline_at: row.deadline_at,
            late: row.late,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OperationQuery {
    /// A state, `open` or `late`; empty for all.
    #[serde(default)]
    state: String,
    #[param(value_type = Option<String>)]
    instance: Option<InstanceId>,
}

/// All operations
#[utoipa::path(get, path = "/api/v1/admin/operations", tag = "Administration: instances", params(OperationQuery, PageParams),
    responses((status = 200, body = Listed<OperationView>)))]
async fn list_operations(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<OperationQuery>,
    paging: Paging<OperationId>,
) -> Result<Json<Listed<OperationView>>> {
    let rows =
        operations::list(app.db.platform(), &query.state, query.instance, paging.after, paging.fetch())
            .await?;
    Ok(Json(Listed::new(rows, &paging, |row| row.id.to_string()).map(OperationView::from)))
}

/// Try a failed operation again
///
/// What is wanted is told to the host as a new generation; the new operation says what became of it.
#[utoipa::path(post, path = "/api/v1/admin/operations/{id}/retry", tag = "Administration: instances",
    params(("id" = OperationId, Path, description = "`op_…`")),
    responses((status = 202, description = "It is tried again.", body = OperationBody),
        (status = 404, description = "There is no such operation.", body = Problem),
        (status = 409, description = "It has not failed, something newer was asked for, or the instance was never made.",
            body = Problem)))]
async fn retry_operation(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<OperationBody>)> {
    let operation = oversee::retry(&app, &admin, id.parse()?).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// Take a request about power back
///
/// The instance stays as it is. Only starting, stopping and rebooting can be taken back.
#[utoipa::path(post, path = "/api/v1/admin/operations/{id}/cancel", tag = "Administration: instances",
    params(("id" = OperationId, Path, description = "`op_…`")),
    responses((status = 204, description = "It is taken back."),
        (status = 404, description = "There is no such operation.", body = Problem),
        (status = 409, description = "It has ended, or it cannot be taken back.", body = Problem)))]
async fn cancel_operation(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    oversee::cancel(&app, &admin, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A free trial.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminTrial)]
struct TrialView {
    id: TrialId,
    tenant_id: TenantId,
    tenant_name: String,
    email: String,
    instance_id: InstanceId,
    instance_name: String,
    /// `running`, `stopped`, `converted` or `deleted`.
    state: &'static str,
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
}

impl From<trials::TrialRow> for TrialView {
    fn from(row: trials::TrialRow) -> Self {
        Self {
            state: row.state(),
            id: row.id,
            tenant_id: row.tenant_id,
            tenant_name: row.tenant_name,
            email: row.email,
            instance_id: row.instance_id,
            instance_name: row.instance_name,
            ip: row.ip.map(|ip| ip.addr()),
            started_at: row.started_at,
            expires_at: row.expires_at,
        }
    }
}

/// All trials
///
/// Refused ones are events: ask the audit log for the action `trial.refused`.
#[utoipa::path(get, path = "/api/v1/admin/trials", tag = "Administration: customers",
    params(PageParams), responses((status = 200, body = Listed<TrialView>)))]
async fn list_trials(
    State(app): State<App>,
    _: Admin,
    paging: Paging<TrialId>,
) -> Result<Json<Listed<TrialView>>> {
    let rows = trials::list(app.db.platform(), paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(rows, &paging, |row| row.id.to_string()).map(TrialView::from)))
}

/// A refused trial that somebody asked to have looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = TrialAppeal)]
struct AppealView {
    id: AppealId,
    email: String,
    /// Why a trial was refused: a code, as in the audit log.
    #[schema(example = "trial-network")]
    reason: String,
    message: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
}

/// Appeals that wait
///
/// The oldest first, at most 50.
#[utoipa::path(get, path = "/api/v1/admin/trials/appeals", tag = "Administration: customers",
    responses((status = 200, body = Vec<AppealView>)))]
async fn list_appeals(State(app): State<App>, _: Admin) -> Result<Json<Vec<AppealView>>> {
    let waiting = appeals::waiting(&app).await?.into_iter();
    let view = |one: Appeal| AppealView {
        id: one.id,
        email: one.email,
        reason: one.reason,
        message: one.message,
        created_at: one.created_at,
    };
    Ok(Json(waiting.map(view).collect()))
}

/// What an appeal is answered with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrialAppealDecision)]
struct AppealDecision {
    grant: bool,
}

/// Decide an appeal
///
/// Who asked is told by mail. Whoever is granted may start one trial from anywhere.
#[utoipa::path(post, path = "/api/v1/admin/trials/appeals/{id}", tag = "Administration: customers",
    params(("id" = String, Path)), request_body = AppealDecision, responses((status = 204), Refusals))]
async fn decide_appeal(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(body): Json<AppealDecision>,
) -> Result<StatusCode> {
    appeals::decide(&app, &actor, id.parse()?, body.grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A mail of the outbox.
#[derive(Serialize, ToSchema)]
#[schema(as = Mail)]
struct MailView {
    id: MailId,
    recipient: String,
    subject: String,
    /// In the recipient's language, without links that open something: these are the recipient's alone. Absent some days
    /// after the mail was sent.
    body: Option<String>,
    #[schema(example = "verify")]
    kind: String,
    /// `waiting`, `sent` or `abandoned`.
    state: &'static str,
    attempts: i32,
    last_error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<OffsetDateTime>,
}

impl MailView {
    fn new(app: &App, row: mail::MailRow) -> Result<Self> {
        Ok(Self {
            body: crate::admin::mail::shown(app, &row)?,
            state: row.state(),
            id: row.id,
            recipient: row.recipient,
            subject: row.subject,
            kind: row.kind,
            attempts: row.attempts,
            last_error: row.last_error,
            created_at: row.created_at,
            sent_at: row.sent_at,
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MailQuery {
    /// Part of the recipient's address.
    #[serde(default)]
    search: String,
    /// `waiting`, `sent` or `abandoned`; empty for all.
    #[serde(default)]
    state: String,
}

/// The mail outbox
#[utoipa::path(get, path = "/api/v1/admin/mail", tag = "Administration: platform",
    params(MailQuery, PageParams), responses((status = 200, body = Listed<MailView>)))]
async fn list_mail(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<MailQuery>,
    paging: Paging<MailId>,
) -> Result<Json<Listed<MailView>>> {
    let rows = mail::list(app.db.platform(), query.search.trim(), &query.state, paging.after, paging.fetch())
        .await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let items = listed.items.into_iter().map(|row| MailView::new(&app, row)).collect::<Result<_>>()?;
    Ok(Json(Listed { items, next_cursor: listed.next_cursor }))
}

/// One mail
#[utoipa::path(get, path = "/api/v1/admin/mail/{id}", tag = "Administration: platform",
    params(("id" = MailId, Path, description = "`mail_…`")),
    responses((status = 200, body = MailView), (status = 404, description = "There is no such mail.", body = Problem)))]
async fn show_mail(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<MailView>> {
    let row = mail::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(MailView::new(&app, row)?))
}

/// Send a mail again
#[utoipa::path(post, path = "/api/v1/admin/mail/{id}/retry", tag = "Administration: platform", params(("id" = MailId, Path, description = "`mail_…`")),
    responses((status = 204, description = "It waits to be sent."), (status = 404, description = "There is no such mail.", body = Problem),
        (status = 409, description = "Its body was removed.", body = Problem)))]
async fn retry_mail(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    crate::admin::mail::retry(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
struct EventView {
    id: i64,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    tenant_id: Option<TenantId>,
    tenant_name: Option<String>,
    /// `user`, `token`, `host` or `system`.
    actor_kind: String,
    actor: String,
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    request_id: Option<String>,
    #[schema(example = "plan.updated")]
    action: String,
    subject_kind: String,
    subject_id: String,
    /// Facts, or `{"field": {"from": …, "to": …}}`.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<audit::EventRow> for EventView {
    fn from(row: audit::EventRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            tenant_id: row.tenant_id.map(TenantId::from),
            tenant_name: row.tenant_name,
            actor_kind: row.actor_kind,
            actor: row.actor_label,
            ip: row.ip.map(|ip| ip.addr()),
            request_id: row.request_id,
            action: row.action,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            data: row.data,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Part of who did it.
    #[serde(default)]
    actor: String,
    /// Beginning of the action: `instance.` means all about instances.
    #[serde(default)]
    action: String,
    /// A subject's identifier, or its kind.
    #[serde(default)]
    subject: String,
    #[param(value_type = Option<String>)]
    customer: Option<TenantId>,
}

/// The audit log
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "Administration: platform",
    params(AuditQuery, PageParams), responses((status = 200, body = Listed<EventView>)))]
async fn list_events(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<AuditQuery>,
    paging: Paging<i64>,
) -> Result<Json<Listed<EventView>>> {
    let filter = audit::Filter {
        actor: query.actor.trim(),
        action: query.action.trim(),
        subject: query.subject.trim(),
        tenant: query.customer,
    };
    let rows = audit::list(app.db.platform(), &filter, paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(rows, &paging, |row| row.id.to_string()).map(EventView::from)))
}
