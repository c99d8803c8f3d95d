//! Making, changing and retiring plans.

use super::{Plan, db, schema};
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event};
use crate::ids::PlanId;
use crate::name::Name;
use crate::state::App;
use jst_policy::instance::{Problem, ResourcePolicy, Violation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Everything about a plan that an administrator decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Names the plan in addresses and in the API: lower-case letters, digits and hyphens.
    #[schema(example = "s1", max_length = 40)]
    pub slug: String,
    #[schema(example = "Small 1", max_length = 60)]
    pub name_en: String,
    #[schema(example = "入门型", max_length = 60)]
    pub name_zh: String,
    #[serde(deserialize_with = "schema::strict")]
    #[schema(value_type = schema::ResourcePolicy)]
    pub policy: ResourcePolicy,
    /// Cents a calendar month.
    #[serde(default)]
    pub price_monthly_usd: i64,
    /// Fen a calendar month.
    #[serde(default)]
    pub price_monthly_cny: i64,
    /// Millionths of a dollar an hour.
    #[serde(default)]
    pub price_hourly_usd_micro: i64,
    /// Millionths of a yuan an hour.
    #[serde(default)]
    pub price_hourly_cny_micro: i64,
    /// Given away once to each verified person, for a limited time.
    #[serde(default)]
    pub trial: bool,
    /// Offered to everybody.
    #[serde(default = "yes")]
    pub public: bool,
    /// Guests are started again when they crash.
    #[serde(default = "yes")]
    pub restart_on_crash: bool,
    /// Lower numbers stand first in the catalogue.
    #[serde(default)]
    pub sort_order: i32,
}

const fn yes() -> bool {
    true
}

const MAX_NAME: usize = 60;
/// Ten million in the currency: above any price, and far from overflowing a year's bill.
const MAX_PRICE: i64 = 1_000_000_000;
/// A hundred thousand in the currency, an hour.
const MAX_PRICE_HOURLY_MICRO: i64 = 100_000_000_000;
const MAX_SORT_ORDER: i32 = 1_000_000;

impl PlanInput {
    /// Everything that is wrong, by field; the policy's fields begin with `policy.`.
    pub fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let slug_fits = self.slug.len() <= 40
            && !self.slug.starts_with('-')
            && self.slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if self.slug.is_empty() {
            problems.push(FieldError::new("slug", "required"));
        } else if !slug_fits {
            problems.push(FieldError::new("slug", "slug").with("max", 40));
        }
        for (field, name) in [("name_en", &self.name_en), ("name_zh", &self.name_zh)] {
            problems.extend(Name::parse(field, name, MAX_NAME).err());
        }
        let mut range = |field: &str, value: i64, min: i64, max: i64| {
            if !(min..=max).contains(&value) {
                problems.push(FieldError::new(field, "range").with("min", min).with("max", max));
            }
        };
        range("price_monthly_usd", self.price_monthly_usd, 0, MAX_PRICE);
        range("price_monthly_cny", self.price_monthly_cny, 0, MAX_PRICE);
        range("price_hourly_usd_micro", self.price_hourly_usd_micro, 0, MAX_PRICE_HOURLY_MICRO);
        range("price_hourly_cny_micro", self.price_hourly_cny_micro, 0, MAX_PRICE_HOURLY_MICRO);
        range("sort_order", self.sort_order.into(), -i64::from(MAX_SORT_ORDER), MAX_SORT_ORDER.into());
        problems.extend(policy_problems("policy", &self.policy));
        problems
    }

    /// The same with its names in their form, or what is wrong with it.
    fn checked(&self) -> Result<Self> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let name = |field, text| Name::parse(field, text, MAX_NAME).map(Name::into_string);
        match (name("name_en", &self.name_en), name("name_zh", &self.name_zh)) {
            (Ok(name_en), Ok(name_zh)) => Ok(Self { name_en, name_zh, ..self.clone() }),
            (Err(problem), _) | (_, Err(problem)) => Err(Error::Invalid(vec![problem])),
        }
    }

    fn document(&self) -> Result<Value> {
        Ok(serde_json::to_value(self).map_err(anyhow::Error::from)?)
    }
}

impl From<&Plan> for PlanInput {
    fn from(plan: &Plan) -> Self {
        Self {
            slug: plan.slug.clone(),
            name_en: plan.name_en.clone(),
            name_zh: plan.name_zh.clone(),
            policy: plan.policy.clone(),
            price_monthly_usd: plan.price_monthly_usd,
            price_monthly_cny: plan.price_monthly_cny,
            price_hourly_usd_micro: plan.price_hourly_usd_micro,
            price_hourly_cny_micro: plan.price_hourly_cny_micro,
            trial: plan.trial,
            public: plan.public,
            restart_on_crash: plan.restart_on_crash,
            sort_order: plan.sort_order,
        }
    }
}

/// What is wrong with a resource policy, as errors at its fields: `<prefix>.memory.reservation`.
pub fn policy_problems(prefix: &str, policy: &ResourcePolicy) -> Vec<FieldError> {
    policy.violations().into_iter().map(|violation| field_error(prefix, violation)).collect()
}

fn field_error(prefix: &str, Violation { field, problem }: Violation) -> FieldError {
    let field = format!("{prefix}.{field}");
    match problem {
        Problem::OutOfRange { min, max } => {
            FieldError::new(field, "policy-out-of-range").with("min", min).with("max", max)
        }
        Problem::ReservationAboveLimit { reservation, limit } => {
            FieldError::new(field, "policy-reservation-above-limit")
                .with("reservation", reservation)
                .with("limit", limit)
        }
        Problem::ReservationAboveSize { reservation, size } => {
            FieldError::new(field, "policy-reservation-above-size")
                .with("reservation", reservation)
                .with("size", size)
        }
        Problem::LimitAboveSize { limit, size } => {
            FieldError::new(field, "policy-limit-above-size").with("limit", limit).with("size", size)
        }
        Problem::PeakBelowAverage { peak, average } => {
            FieldError::new(field, "policy-peak-below-average").with("peak", peak).with("average", average)
        }
        Problem::NeedsAverage => FieldError::new(field, "policy-needs-average"),
        Problem::NeedsPeak => FieldError::new(field, "policy-needs-peak"),
        Problem::DedicatedReservation { expected } => {
            FieldError::new(field, "policy-dedicated-reservation").with("expected", expected)
        }
    }
}

pub async fn create(app: &App, actor: &Actor, input: &PlanInput) -> Result<Plan> {
    let input = &input.checked()?;
    let id = PlanId::new();
    let mut tx = app.db.begin_platform().await?;
    db::insert(&mut tx, id, input).await.map_err(slug_taken)?;
    record(&mut tx, actor, "plan.created", id, input.document()?).await?;
    let plan = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(plan)
}

/// Writes a new version, unless nothing differs.  `seen` is the version that the change was made
/// upon: where somebody else was faster, their change is not overwritten unseen.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: PlanId,
    seen: Option<i32>,
    input: &PlanInput,
) -> Result<Plan> {
    let input = &input.checked()?;
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?;
    let plan = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if seen.is_some_and(|seen| seen != plan.version) {
        return Err(Error::conflict("plan-changed").with("version", plan.version));
    }
    let changes = events::changes(&PlanInput::from(&plan).document()?, &input.document()?);
    if changes.is_empty() {
        return Ok(plan);
    }
    db::update(&mut tx, id, input).await.map_err(slug_taken)?;
    record(&mut tx, actor, "plan.updated", id, changes.into()).await?;
    let plan = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(plan)
}

/// Takes a plan off the shelf, or puts it back.  Doing so twice is no error.
pub async fn set_retired(app: &App, actor: &Actor, id: PlanId, retired: bool) -> Result<Plan> {
    let mut tx = app.db.begin_platform().await?;
    if db::set_retired(&mut tx, id, retired).await? {
        let action = if retired { "plan.retired" } else { "plan.restored" };
        record(&mut tx, actor, action, id, json!({})).await?;
    }
    let plan = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(plan)
}

async fn record(tx: &mut Tx, actor: &Actor, action: &'static str, id: PlanId, data: Value) -> Result<()> {
    let subject_id = id.to_string();
    let event = Event { tenant: None, action, subject_kind: "plan", subject_id: &subject_id, data };
    Ok(events::record(tx, &actor.into(), event).await?)
}

fn slug_taken(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("plans_slug_key") => Error::invalid("slug", "slug-taken"),
        _ => error.into(),
    }
}
