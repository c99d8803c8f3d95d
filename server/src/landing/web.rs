//! The landing page, and the plans that everybody is offered.

use crate::error::Result;
use crate::plans::{self, Plan};
use crate::state::App;
use crate::web::format;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/", get(show)).route("/plans", get(plans))
}

#[derive(Template, WebTemplate)]
#[template(path = "public/landing.html")]
struct LandingPage {
    page: Page,
    trial: bool,
    plans: Vec<PlanCard>,
}

#[derive(Template, WebTemplate)]
#[template(path = "public/plans.html")]
struct PlansPage {
    page: Page,
    trial: bool,
    plans: Vec<PlanCard>,
}

/// A plan in the words and the bars of the landing page.
struct PlanCard {
    name: String,
    price: String,
    other_price: String,
    disk: String,
    bars: Vec<Bar>,
}

/// One resource: how much of its limit is guaranteed.
struct Bar {
    label: String,
    value: String,
    /// Percent of the bar.
    reserved: f64,
    text: String,
}

async fn show(State(app): State<App>, page: Page) -> Result<LandingPage> {
    let (plans, trial) = offer(&app, &page).await?;
    Ok(LandingPage { page, trial, plans })
}

async fn plans(State(app): State<App>, page: Page) -> Result<PlansPage> {
    let (plans, trial) = offer(&app, &page).await?;
    Ok(PlansPage { page, trial, plans })
}

/// The plans that can be bought, and whether one can be tried.
async fn offer(app: &App, page: &Page) -> Result<(Vec<PlanCard>, bool)> {
    let public = plans::db::list_public(app.db.platform()).await?;
    let trial = public.iter().any(|plan| plan.trial);
    Ok((
        public.iter().filter(|plan| !plan.trial_only()).map(|plan| PlanCard::new(page, plan)).collect(),
        trial,
    ))
}

impl PlanCard {
    fn new(page: &Page, plan: &Plan) -> Self {
        let policy = &plan.policy;
        let usd = format::money("USD", plan.price_monthly_usd);
        let cny = format::money("CNY", plan.price_monthly_cny);
        let (price, other_price) = if page.code() == "zh-CN" { (cny, usd) } else { (usd, cny) };

        let whole = u64::from(policy.cpu.vcpus) * 1000;
        let cpu_limit = policy.cpu.limit.map_or(whole, |limit| limit.get());
        let cpu_reserved = if policy.cpu.dedicated { whole } else { policy.cpu.reservation.get() };
        let cores = |millicpu: u64| format!("{} vCPU", format::cores(millicpu));
        let memory = policy.memory.size.get();
        let mut bars = vec![
            Bar::new(page, "landing-cpu", cpu_reserved, cpu_limit, cores),
            Bar::new(page, "landing-memory", policy.memory.reservation.get(), memory, format::mib),
        ];
        let out = &policy.network.outbound;
        // What lasts; the peak is for moments.
        if let Some(limit) = out.average.or(out.peak) {
            bars.push(Bar::new(page, "landing-network", out.reservation.get(), limit.get(), format::kbit));
        }
        Self {
            name: plan.name(page.language).to_owned(),
            price,
            other_price,
            disk: page.t1("landing-plan-disk", "size", format::mib(policy.disk.size.get())),
            bars,
        }
    }
}

impl Bar {
    fn new(page: &Page, label: &str, reserved: u64, limit: u64, figure: impl Fn(u64) -> String) -> Self {
        let percent = if limit == 0 { 0.0 } else { reserved.min(limit) as f64 * 100.0 / limit as f64 };
        let text = if reserved == 0 {
            page.t1("landing-bar-none", "limit", figure(limit))
        } else {
            page.t2("landing-bar", "reserved", figure(reserved), "limit", figure(limit))
        };
        Self { label: page.t(label), value: figure(limit), reserved: percent, text }
    }
}
