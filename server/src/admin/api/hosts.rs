use crate::admin::placement;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::hosts::edit::{self, HostChange};
use crate::hosts::{Host, HostState, db, enrol};
use crate::ids::HostId;
use crate::plans;
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, change))
        .routes(routes!(create_token))
        .routes(routes!(revoke))
        .routes(routes!(explain))
}

/// One figure of each resource of a host.
#[derive(Serialize, ToSchema)]
struct HostResources {
    /// Thousandths of a core.
    cpu_millicpu: u64,
    memory_mib: u64,
    storage_mib: u64,
    /// Operations a second of the storage; 0: unknown.
    disk_iops: u64,
    /// Kbit/s in each direction.
    network_kbit: u64,
}

/// What is promised to the instances on a host.
#[derive(Serialize, ToSchema)]
struct HostBooked {
    cpu_millicpu: u64,
    vcpus: u32,
    /// Cores that belong to one guest alone.
    dedicated_cores: u32,
    /// With the overhead of the guests' processes.
    memory_reserved_mib: u64,
    memory_size_mib: u64,
    storage_mib: u64,
    disk_iops: u64,
    network_in_kbit: u64,
    network_out_kbit: u64,
}

/// A machine that instances run on.
#[derive(Serialize, ToSchema)]
#[schema(as = Host)]
struct HostView {
    id: HostId,
    name: String,
    state: HostState,
    /// Its agent holds a lease now.
    online: bool,
    /// `pending`, `kvm`, `emulated`, `simulated` or `failed`.
    qualification: String,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    lease_until: Option<OffsetDateTime>,
    /// The revision of what is desired there, and the one that its agent has.
    revision: i64,
    acknowledged_revision: i64,
    nat: bool,
    /// Equal pages of guests may be merged, whoever the guests belong to.
    page_merging: bool,
    /// `off`, `governor` or `park`.
    power_saving: &'static str,
    /// What is offered to instances.
    capacity: HostResources,
    booked: HostBooked,
    system_memory_mib: i64,
    uplink_kbit: Option<i64>,
    overcommit_cpu_permille: u32,
    overcommit_memory_permille: u32,
    overcommit_storage_permille: u32,
    capabilities: Vec<String>,
    /// What the agent reported of the machine.
    #[schema(value_type = Option<Object>)]
    facts: Option<Value>,
    #[schema(value_type = Option<Object>)]
    load: Option<Value>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
}

impl From<Host> for HostView {
    fn from(host: Host) -> Self {
        Self {
            capacity: HostResources {
                cpu_millicpu: host.capacity.cpu.get(),
                memory_mib: host.capacity.memory.get(),
                storage_mib: host.capacity.disk.get(),
                disk_iops: host.capacity.iops.get(),
                network_kbit: host.capacity.uplink.get(),
            },
            booked: HostBooked {
                cpu_millicpu: host.booked.cpu_reservation.get(),
                vcpus: host.booked.vcpus,
                dedicated_cores: host.booked.dedicated_cores,
                memory_reserved_mib: host.booked.memory_reservation.get(),
                memory_size_mib: host.booked.memory_size.get(),
                storage_mib: host.booked.disk.get(),
                disk_iops: host.booked.disk_reservation.get(),
                network_in_kbit: host.booked.network_reservation_in.get(),
                network_out_kbit: host.booked.network_reservation_out.get(),
            },
            id: host.id,
            name: host.name,
            state: host.state,
            online: host.online,
            qualification: host.qualification,
            last_seen_at: host.last_seen_at,
            lease_until: host.lease_until,
            revision: host.revision,
            acknowledged_revision: host.acknowledged_revision,
            nat: host.nat,
            page_merging: host.page_merging,
            power_saving: host.power_saving.name(),
            system_memory_mib: host.system_memory_mib,
            uplink_kbit: host.uplink_kbit,
            overcommit_cpu_permille: host.overcommit.cpu_permille,
            overcommit_memory_permille: host.overcommit.memory_permille,
            overcommit_storage_permille: host.overcommit.disk_permille,
            capabilities: host.capabilities,
            facts: host.facts.and_then(|facts| serde_json::to_value(facts).ok()),
            load: host.load.and_then(|load| serde_json::to_value(load).ok()),
            created_at: host.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct HostList {
    items: Vec<HostView>,
}

/// All hosts
#[utoipa::path(get, path = "/api/v1/admin/hosts", tag = "Administration: hosts",
    responses((status = 200, description = "Every host, by name.", body = HostList)))]
async fn list(State(app): State<App>, _: Admin) -> Result<Json<HostList>> {
    let hosts = db::list(app.db.platform()).await?;
    Ok(Json(HostList { items: hosts.into_iter().map(HostView::from).collect() }))
}

/// One host
#[utoipa::path(get, path = "/api/v1/admin/hosts/{id}", tag = "Administration: hosts",
    params(("id" = HostId, Path, description = "`host_…`")),
    responses((status = 200, body = HostView), (status = 404, description = "There is no such host.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<HostView>> {
    let host = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(host.into()))
}

/// Change a host
///
/// Names only what is to change. `draining` lets a host keep its guests and take no new ones; `disabled` refuses its agent.
#[utoipa::path(patch, path = "/api/v1/admin/hosts/{id}", tag = "Administration: hosts",
    params(("id" = HostId, Path, description = "`host_…`")), request_body = HostChange,
    responses((status = 200, body = HostView), (status = 404, description = "There is no such host.", body = Problem),
        (status = 422, description = "A value is out of its range.", body = Problem)))]
async fn change(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(change): Json<HostChange>,
) -> Result<Json<HostView>> {
    Ok(Json(edit::update(&app, &actor, id.parse()?, &change).await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHostToken {
    /// What the host is to be called. The name of an existing host replaces that host's identity.
    #[schema(example = "fra-1")]
    #[serde(default)]
    name: String,
    /// Guests reach the world through the host's own address: for machines without routed addresses.
    #[serde(default)]
    nat: bool,
}

#[derive(Serialize, ToSchema)]
struct HostToken {
    /// Good once, for 15 minutes; it is shown only here.
    #[schema(example = "jst-join.….…")]
    token: String,
    /// What to run on the machine.
    command: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
}

/// Create a join token
///
/// With it a machine becomes a host: run the command on the machine within 15 minutes.
#[utoipa::path(post, path = "/api/v1/admin/host-tokens", tag = "Administration: hosts", request_body = NewHostToken,
    responses((status = 201, body = HostToken), (status = 422, description = "The name is missing or malformed.", body = Problem)))]
async fn create_token(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(new): Json<NewHostToken>,
) -> Result<(StatusCode, Json<HostToken>)> {
    let made = enrol::create_join_token(&app, &actor, &new.name, new.nat).await?;
    let token =
        HostToken { token: made.token.reveal(), command: made.command(&app), expires_at: made.expires_at };
    Ok((StatusCode::CREATED, Json(token)))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Revoke {
    /// Lower-case hexadecimal. Absent: every certificate of the host.
    #[serde(default)]
    serial: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Revoked {
    /// How many certificates were in force.
    revoked: u64,
}

/// Revoke a host's certificates
///
/// The agent's next request is refused; to come back it needs a new join token.
#[utoipa::path(post, path = "/api/v1/admin/hosts/{id}/revoke", tag = "Administration: hosts", params(("id" = HostId, Path, description = "`host_…`")), request_body = Revoke,
    responses((status = 200, body = Revoked),
        (status = 404, description = "There is no such host, or no such certificate in force.", body = Problem)))]
async fn revoke(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(Revoke { serial }): Json<Revoke>,
) -> Result<Json<Revoked>> {
    let revoked = edit::revoke(&app, &actor, id.parse()?, serial.as_deref()).await?;
    Ok(Json(Revoked { revoked }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PlanQuery {
    /// The plan's slug.
    #[serde(default)]
    plan: String,
}

/// Where would an instance of this plan go?
///
/// Every host with its score or the reasons against it, the best first. Nothing is booked.
#[utoipa::path(get, path = "/api/v1/admin/placement", tag = "Administration: hosts",
    params(PlanQuery), responses((status = 200, description = "The chosen host and the verdict on each.", body = Object),
        (status = 422, description = "There is no such plan.", body = Problem)))]
async fn explain(State(app): State<App>, _: Admin, Query(query): Query<PlanQuery>) -> Result<Json<Value>> {
    let plan = plans::db::by_slug(app.db.platform(), &query.plan).await?;
    let plan = plan.ok_or_else(|| Error::invalid("plan", "choice"))?;
    let mut placement = placement::explain(&app, &plan).await?;
    placement.verdicts.truncate(100);
    let mut document = serde_json::to_value(&placement).map_err(anyhow::Error::from)?;
    // Identifiers are written as everywhere in the API.
    name_hosts(&mut document);
    Ok(Json(document))
}

fn name_hosts(document: &mut Value) {
    let name = |value: &mut Value| {
        if let Some(id) = value.as_str().and_then(|text| text.parse::<uuid::Uuid>().ok()) {
            *value = HostId::from(id).to_string().into();
        }
    };
    name(&mut document["chosen"]);
    for verdict in document["verdicts"].as_array_mut().into_iter().flatten() {
        name(&mut verdict["host"]);
    }
}
