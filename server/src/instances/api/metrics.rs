//! What an instance used over time, for programs.

use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::Instance;
use crate::instances::samples;
use crate::instances::samples::figure::Figure;
use crate::instances::samples::history::{History, Range};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MetricsParams {
    /// `hour`, `day`, `week` or `month`, up to now; `hour` when absent.
    pub range: Option<String>,
}

impl MetricsParams {
    pub fn range(&self) -> Result<Range> {
        self.range.as_deref().map_or(Ok(Range::Hour), str::parse)
    }
}

/// What an instance used, in steps of equal length.
#[derive(Serialize, ToSchema)]
pub struct MetricsBody {
    #[schema(example = "hour")]
    pub range: &'static str,
    #[schema(example = 60)]
    pub step_seconds: i64,
    /// When each step begins, in seconds since 1970.  The last one is not over yet.
    pub timestamps: Vec<i64>,
    pub series: Vec<SeriesBody>,
}

/// One figure, with a value for each step.
#[derive(Serialize, ToSchema)]
pub struct SeriesBody {
    /// `cpu_used`, `cpu_stolen` (waited for the host), `cpu_held_back` (by the instance's own limit), `memory_used`,
    /// `memory_lent`, `memory_size`, `disk_read_bytes`, `disk_write_bytes`, `disk_read_operations`,
    /// `disk_write_operations`, `network_in`, `network_out`, `network_in_dropped`, `network_out_dropped` (at the limit).
    #[schema(example = "cpu_used")]
    pub name: &'static str,
    /// `millicpu`, `mib`, `bytes_per_second`, `operations_per_second`, `kbit_per_second`,
    /// `packets_per_second`.
    #[schema(example = "millicpu")]
    pub unit: &'static str,
    /// What is guaranteed now; of operations on the disk, for reads and writes together.
    pub guaranteed: Option<u64>,
    /// The most in the long run; `null` where there is no limit.
    pub maximum: Option<u64>,
    /// The average of each step; `null` where nothing is known, such as while the instance was stopped.
    pub average: Vec<Option<f64>>,
    /// The highest minute within each step.
    pub highest: Vec<Option<f64>>,
}

impl MetricsBody {
    pub fn new(instance: &Instance, history: &History) -> Self {
        let policy = instance.applied.as_ref().unwrap_or(&instance.policy);
        // A tenth of each unit is finer than anything that was measured.
        let rounded = |values: &[Option<f32>]| {
            values.iter().map(|value| value.map(|value| (f64::from(value) * 10.0).round() / 10.0)).collect()
        };
        Self {
            range: history.range.name(),
            step_seconds: history.range.step(),
            timestamps: history.timestamps.clone(),
            series: Figure::ALL
                .into_iter()
                .map(|figure| SeriesBody {
                    name: figure.name(),
                    unit: figure.unit().name(),
                    guaranteed: figure.guaranteed(policy),
                    maximum: figure.maximum(policy),
                    average: rounded(&history.of(figure).average),
                    highest: rounded(&history.of(figure).highest),
                })
                .collect(),
        }
    }
}

/// What the instance used over time.
///
/// At most one figure a minute: the last hour by the minute, a day by ten minutes, a week by half an hour, a month by two
/// hours.
#[utoipa::path(get, path = "/api/v1/instances/{id}/metrics", tag = "instances",
    params(("id" = InstanceId, Path), MetricsParams), responses(
    (status = 200, body = MetricsBody),
    (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, description = "No such range", body = Problem),
))]
async fn metrics(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Query(params): Query<MetricsParams>,
) -> Result<Json<MetricsBody>> {
    let (instance, history) = samples::history(&app, &actor, id.parse()?, params.range()?).await?;
    Ok(Json(MetricsBody::new(&instance, &history)))
}
