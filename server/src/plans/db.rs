use super::Plan;
use crate::ids::PlanId;
use jst_policy::instance::ResourcePolicy;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

struct Row {
    id: Uuid,
    slug: String,
    version: i32,
    name_en: String,
    name_zh: String,
    policy: Json<ResourcePolicy>,
    price_monthly_usd: i64,
    price_monthly_cny: i64,
    price_hourly_usd_micro: i64,
    price_hourly_cny_micro: i64,
    trial: bool,
    public: bool,
    restart_on_crash: bool,
    sort_order: i32,
    retired: bool,
}

impl From<Row> for Plan {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            slug: row.slug,
            version: row.version,
            name_en: row.name_en,
            name_zh: row.name_zh,
            policy: row.policy.0,
            price_monthly_usd: row.price_monthly_usd,
            price_monthly_cny: row.price_monthly_cny,
            price_hourly_usd_micro: row.price_hourly_usd_micro,
            price_hourly_cny_micro: row.price_hourly_cny_micro,
            trial: row.trial,
            public: row.public,
            restart_on_crash: row.restart_on_crash,
            sort_order: row.sort_order,
            retired: row.retired,
        }
    }
}

/// Retired or not.
pub async fn by_id(executor: impl PgExecutor<'_>, id: PlanId) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Plan::from))
}

/// Retired or not.
pub async fn by_slug(executor: impl PgExecutor<'_>, slug: &str) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE slug = $1",
        slug,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Plan::from))
}

/// What everybody is offered, trial plans among them, in the order of the catalogue.
pub async fn list_public(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Plan>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE public AND retired_at IS NULL \
         ORDER BY sort_order, price_monthly_usd, slug",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}

/// Every plan, retired ones last.
pub async fn list_all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Plan>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans \
         ORDER BY retired_at IS NOT NULL, sort_order, price_monthly_usd, slug",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}
