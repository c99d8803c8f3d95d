//! The customer's first page.

use super::new::PlanCard;
use super::words::{OperationWords, state_look, state_word};
use crate::auth::Actor;
use crate::error::Result;
use crate::instances::view::{self, View};
use crate::state::App;
use crate::trials;
use crate::web::page::Page;
use crate::web::paging::Paging;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

/// Instances and operations that the overview shows; the lists have all of them.
const SHOWN: u32 = 8;

pub fn routes() -> Router<App> {
    Router::new().route("/dashboard", get(show))
}

/// One row of a list of instances.
pub struct Row {
    pub href: String,
    pub name: String,
    pub look: &'static str,
    pub state: String,
    pub address: String,
    pub plan: String,
    pub image: String,
    pub step: String,
}

impl Row {
    pub fn of(page: &Page, view: &View) -> Self {
        let instance = &view.instance;
        Self {
            href: format!("/instances/{}", instance.id),
            name: instance.name.clone(),
            look: state_look(instance.state),
            state: state_word(page, instance.state),
            address: view.addresses.first().map(ToString::to_string).unwrap_or_default(),
            plan: view.plan.name(page.language).to_owned(),
            image: view.image.name.clone(),
            step: view
                .operation
                .as_ref()
                .map(|operation| OperationWords::of(page, operation).how)
                .unwrap_or_default(),
        }
    }
}

struct TrialCard {
    href: String,
    name: String,
    /// The plan that it is a trial of, and its price; "" where that is not sold.
    plan: String,
    price: String,
    days_left: i64,
    ended: bool,
    expires_at: time::OffsetDateTime,
    delete_at: time::OffsetDateTime,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/dashboard.html")]
struct DashboardPage {
    rows: Vec<Row>,
    more: bool,
    operations: Vec<OperationWords>,
    trials: Vec<TrialCard>,
    /// Where a trial can be started; "" when there is none to have.
    start_trial: String,
    verified: bool,
    operates: bool,
    page: Page,
}

async fn show(State(app): State<App>, page: Page, actor: Actor) -> Result<DashboardPage> {
    let (list, operations) = view::overview(&app, &actor, &Paging { limit: SHOWN, after: None }).await?;
    let trials = list.items.iter().filter_map(|view| {
        let trial = view.trial.as_ref()?;
        Some(TrialCard {
            href: format!("/instances/{}/resize", view.instance.id),
            name: view.instance.name.clone(),
            plan: if view.plan.trial_only() { String::new() } else { view.plan.slug.clone() },
            price: PlanCard::of(&page, &view.plan, true, false).note,
            days_left: trial.days_left,
            ended: trial.days_left == 0,
            expires_at: trial.expires_at,
            delete_at: trial.delete_at,
        })
    });
    let offer = trials::offer(&app, &actor).await?;
    Ok(DashboardPage {
        rows: list.items.iter().map(|view| Row::of(&page, view)).collect(),
        more: list.next_cursor.is_some(),
        operations: operations.iter().map(|operation| OperationWords::of(&page, operation)).collect(),
        trials: trials.collect(),
        start_trial: offer.map_or(String::new(), |plan| format!("/instances/new?plan={plan}")),
        verified: actor.email_verified,
        operates: actor.may_operate().is_ok(),
        page,
    })
}
