//! The public catalogue of plans.

use super::{Plan, db, schema};
use crate::error::Result;
use crate::ids::PlanId;
use crate::state::App;
use crate::web::json::Json;
use axum::extract::State;
use jst_policy::instance::ResourcePolicy;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What the platform sells: a resource policy and its price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanView {
    id: PlanId,
    #[schema(example = "s1")]
    slug: String,
    /// Grows with every change; an instance keeps the version it was moved to.
    version: i32,
    name_en: String,
    name_zh: String,
    #[schema(value_type = schema::ResourcePolicy)]
    policy: ResourcePolicy,
    /// Cents a calendar month.
    price_monthly_usd: i64,
    /// Fen a calendar month.
    price_monthly_cny: i64,
    /// Millionths of a dollar an hour.
    price_hourly_usd_micro: i64,
    /// Millionths of a yuan an hour.
    price_hourly_cny_micro: i64,
    /// Given away once to each verified person, for a limited time.
    trial: bool,
    public: bool,
    restart_on_crash: bool,
    sort_order: i32,
    /// Offered to nobody any more.
    retired: bool,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            id: plan.id,
            slug: plan.slug,
            version: plan.version,
            name_en: plan.name_en,
            name_zh: plan.name_zh,
            policy: plan.policy,
            price_monthly_usd: plan.price_monthly_usd,
            price_monthly_cny: plan.price_monthly_cny,
            price_hourly_usd_micro: plan.price_hourly_usd_micro,
            price_hourly_cny_micro: plan.price_hourly_cny_micro,
            trial: plan.trial,
            public: plan.public,
            restart_on_crash: plan.restart_on_crash,
            sort_order: plan.sort_order,
            retired: plan.retired,
        }
    }
}

/// The catalogue, in its own order.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanList {
    pub items: Vec<PlanView>,
}

/// The plans on offer
///
/// Everything that can be had at the moment, the free trial among it. Needs no token.
#[utoipa::path(get, path = "/api/v1/plans", tag = "Catalogue", security(()),
    responses((status = 200, description = "All plans on offer.", body = PlanList)))]
async fn list(State(app): State<App>) -> Result<Json<PlanList>> {
    let plans = db::list_public(app.db.platform()).await?;
    Ok(Json(PlanList { items: plans.into_iter().map(PlanView::from).collect() }))
}
