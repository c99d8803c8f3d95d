//! Plans: the list, and the editor with every figure of the policy.

use super::Bar;
use super::form::{Sent, field_errors, switch, unprocessable};
use super::policy_form::{self, Group};
use crate::auth::Admin;
use crate::error::{Error, FieldError, Result};
use crate::ids::PlanId;
use crate::plans::edit::{self, PlanInput};
use crate::plans::{Plan, db};
use crate::state::App;
use crate::typed;
use crate::web::page::Page;
use crate::web::{flash, format};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/plans", get(list).post(create))
        .route("/admin/plans/new", get(new))
        .route("/admin/plans/{id}", get(show).post(update))
        .route("/admin/plans/{id}/retire", post(retire))
        .route("/admin/plans/{id}/restore", post(restore))
}

struct Row {
    plan: Plan,
    name: String,
    cpu: String,
    memory: String,
    disk: String,
    network: String,
    price: String,
    instances: i64,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/plans.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
}

async fn list(State(app): State<App>, _: Admin, page: Page) -> Result<ListPage> {
    let counts = db::instance_counts(app.db.platform()).await?;
    let plans = db::list_all(app.db.platform()).await?;
    let rows = plans
        .into_iter()
        .map(|plan| Row {
            name: plan.name(page.language).to_owned(),
            cpu: format!(
                "{} / {}",
                format::cores(plan.policy.cpu.reservation.get()),
                format::cores(plan.policy.cpu.size().get())
            ),
            memory: format!(
                "{} / {}",
                format::mib(plan.policy.memory.reservation.get()),
                format::mib(plan.policy.memory.size.get())
            ),
            disk: format::mib(plan.policy.disk.size.get()),
            network: plan
                .policy
                .network
                .outbound
                .average
                .map_or_else(|| page.t("policy-unlimited"), |rate| format::kbit(rate.get())),
            price: match page.code() {
                "zh-CN" => format::money("CNY", plan.price_monthly_cny),
                _ => format::money("USD", plan.price_monthly_usd),
            },
            instances: counts.iter().find(|(id, _)| *id == plan.id).map_or(0, |(_, count)| *count),
            plan,
        })
        .collect();
    Ok(ListPage { page, rows })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/plan.html")]
struct EditPage {
    page: Page,
    /// Absent while the plan is new.
    plan: Option<Plan>,
    form: Sent,
    groups: Vec<Group>,
    bars: Vec<Bar>,
    errors: Vec<FieldError>,
}

impl EditPage {
    fn new(page: Page, plan: Option<Plan>, form: Sent, errors: Vec<FieldError>) -> Self {
        let groups = policy_form::groups(&page, &form, &errors);
        let bars =
            policy_form::to_policy(&form).map(|policy| policy_form::bars(&page, &policy)).unwrap_or_default();
        Self { page, plan, form, groups, bars, errors }
    }
}

/// What most plans begin with.
fn first_form() -> Sent {
    let mut form = Sent::default();
    for (name, value) in [
        ("sort_order", "0"),
        ("public", "on"),
        ("restart_on_crash", "on"),
        ("price_monthly_usd", "0"),
        ("price_monthly_cny", "0"),
        ("price_hourly_usd", "0"),
        ("price_hourly_cny", "0"),
        ("policy.cpu.vcpus", "1"),
        ("policy.cpu.reservation", "0.25"),
        ("policy.memory.size", "1024"),
        ("policy.memory.reservation", "512"),
        ("policy.disk.size", "10240"),
    ] {
        form.insert(name.to_owned(), value.to_owned());
    }
    form
}

fn plan_form(plan: &Plan) -> Sent {
    let mut form = policy_form::from_policy(&plan.policy);
    let figure = |value: i64, decimals| policy_form::decimal(value.unsigned_abs(), decimals);
    let mut set = |name: &str, value: String| form.insert(name.to_owned(), value);
    set("version", plan.version.to_string());
    set("slug", plan.slug.clone());
    set("name_en", plan.name_en.clone());
    set("name_zh", plan.name_zh.clone());
    set("price_monthly_usd", figure(plan.price_monthly_usd, 2));
    set("price_monthly_cny", figure(plan.price_monthly_cny, 2));
    set("price_hourly_usd", figure(plan.price_hourly_usd_micro, 6));
    set("price_hourly_cny", figure(plan.price_hourly_cny_micro, 6));
    set("sort_order", plan.sort_order.to_string());
    for (name, on) in
        [("trial", plan.trial), ("public", plan.public), ("restart_on_crash", plan.restart_on_crash)]
    {
        set(name, switch(on));
    }
    form
}

/// Reads the form; the errors name the fields of the form.
fn read(form: &Sent) -> Result<PlanInput, Vec<FieldError>> {
    let mut problems = Vec::new();
    let mut money = |name: &'static str, decimals| match form.trimmed(name) {
        "" => 0,
        text => policy_form::parse_decimal(&typed::figure(text, decimals as usize), decimals)
            .and_then(|figure| i64::try_from(figure).ok())
            .unwrap_or_else(|| {
                problems.push(FieldError::new(name, "money"));
                0
            }),
    };
    let price_monthly_usd = money("price_monthly_usd", 2);
    let price_monthly_cny = money("price_monthly_cny", 2);
    let price_hourly_usd_micro = money("price_hourly_usd", 6);
    let price_hourly_cny_micro = money("price_hourly_cny", 6);
    let sort_order = i32::try_from(form.number("sort_order", &mut problems)).unwrap_or(i32::MAX);
    let text = |name: &str| form.trimmed(name).to_owned();
    match policy_form::to_policy(form) {
        Ok(policy) if problems.is_empty() => Ok(PlanInput {
            slug: text("slug"),
            name_en: text("name_en"),
            name_zh: text("name_zh"),
            policy,
            price_monthly_usd,
            price_monthly_cny,
            price_hourly_usd_micro,
            price_hourly_cny_micro,
            trial: form.on("trial"),
            public: form.on("public"),
            restart_on_crash: form.on("restart_on_crash"),
            sort_order,
        }),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// The form's prices are in whole units, under names without `_micro`.
fn in_form(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        if error.field.starts_with("price_") {
            error.field = error.field.trim_end_matches("_micro").to_owned();
            error.code = "money";
        }
    }
    errors
}

async fn new(_: Admin, page: Page) -> EditPage {
    EditPage::new(page, None, first_form(), Vec::new())
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<EditPage> {
    let plan = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    let form = plan_form(&plan);
    Ok(EditPage::new(page, Some(plan), form, Vec::new()))
}

async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    if form.contains_key("preview") {
        return Ok(preview(page, None, form));
    }
    let made = match read(&form) {
        Ok(input) => edit::create(&app, &actor, &input).await,
        Err(problems) => Err(Error::Invalid(problems)),
    };
    match made {
        Ok(plan) => Ok(flash::redirect_with("/admin/plans", "plan-created", &plan.slug)),
        Err(error) => Ok(refused(page, None, form, field_errors(error)?)),
    }
}

async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let id: PlanId = id.parse()?;
    let plan = db::by_id(app.db.platform(), id).await?.ok_or(Error::NotFound)?;
    if form.contains_key("preview") {
        return Ok(preview(page, Some(plan), form));
    }
    let changed = match read(&form) {
        Ok(input) => edit::update(&app, &actor, id, form.trimmed("version").parse().ok(), &input).await,
        Err(problems) => Err(Error::Invalid(problems)),
    };
    match changed {
        Ok(plan) => {
            Ok(flash::redirect_with(&format!("/admin/plans/{id}"), "plan-saved", &plan.version.to_string()))
        }
        Err(error) => Ok(refused(page, Some(plan), form, field_errors(error)?)),
    }
}

/// What the figures mean and what is wrong with them, before anything is saved.
fn preview(page: Page, plan: Option<Plan>, form: Sent) -> Response {
    let errors = match read(&form) {
        Ok(input) => input.problems(),
        Err(problems) => problems,
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, EditPage::new(page, plan, form, in_form(errors))).into_response()
}

fn refused(page: Page, plan: Option<Plan>, form: Sent, errors: Vec<FieldError>) -> Response {
    unprocessable(EditPage::new(page, plan, form, in_form(errors)))
}

async fn retire(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    let plan = edit::set_retired(&app, &actor, id.parse()?, true).await?;
    Ok(flash::redirect_with("/admin/plans", "plan-retired", &plan.slug))
}

async fn restore(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    let plan = edit::set_retired(&app, &actor, id.parse()?, false).await?;
    Ok(flash::redirect_with("/admin/plans", "plan-restored", &plan.slug))
}
