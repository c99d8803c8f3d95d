//! `/api/v1/instances` and `/api/v1/operations`.

mod actions;
mod instances;
pub mod metrics;
mod operations;
pub mod schema;

use crate::state::App;
use utoipa_axum::router::OpenApiRouter;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(instances::routes())
        .merge(metrics::routes())
        .merge(actions::routes())
        .merge(operations::routes())
}
