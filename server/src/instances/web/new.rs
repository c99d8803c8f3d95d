//! The page on which an instance is ordered.

use super::Refusal;
use super::resources::{Resource, resources};
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::SshKeyId;
use crate::instances::create::{self, NewInstance};
use crate::instances::db::catalogue::{self, KeyRow};
use crate::state::App;
use crate::web::format;
use crate::web::page::Page;
use crate::{images, plans};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_extra::extract::Form;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/new", get(show))
}

#[derive(Default, Deserialize)]
pub struct NewForm {
    #[serde(default)]
    plan: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    ssh_keys: Vec<String>,
    #[serde(default)]
    user_data: String,
}

impl NewForm {
    fn has_key(&self, id: &SshKeyId) -> bool {
        self.ssh_keys.contains(&id.to_string())
    }
}

/// A plan to choose.
pub struct PlanCard {
    pub slug: String,
    pub name: String,
    /// A price, or 'free trial'.
    pub note: String,
    pub bars: Vec<Resource>,
    pub disk: String,
    /// The account cannot order it yet.
    pub closed: bool,
    pub trial: bool,
}

impl PlanCard {
    pub fn of(page: &Page, plan: &plans::Plan, may_buy: bool, trial_left: bool) -> Self {
        let (currency, price) = match page.code() {
            "zh-CN" => ("CNY", plan.price_monthly_cny),
            _ => ("USD", plan.price_monthly_usd),
        };
        let trial = plan.trial && trial_left && !may_buy;
        let mut bars = resources(page, &plan.policy, None, None);
        // Both directions are the same in almost every plan; the outgoing one is what people compare.
        bars.remove(3);
        // Operations a second say little on a card.
        bars.remove(2);
        Self {
            slug: plan.slug.clone(),
            name: plan.name(page.language).to_owned(),
            note: if trial {
                page.t("plan-free-trial")
            } else if price == 0 {
                page.t("plan-free")
            } else {
                page.t1("plan-price", "price", format::money(currency, price))
            },
            bars,
            disk: format::mib(plan.policy.disk.size.get()),
            closed: !may_buy && !trial,
            trial,
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/new.html")]
struct NewPage {
    plans: Vec<PlanCard>,
    images: Vec<images::Image>,
    keys: Vec<KeyRow>,
    form: NewForm,
    refusal: Refusal,
    verified: bool,
    page: Page,
}

#[derive(Default, Deserialize)]
struct Wish {
    #[serde(default)]
    plan: String,
}

async fn show(State(app): State<App>, page: Page, actor: Actor, Query(wish): Query<Wish>) -> Result<NewPage> {
    actor.may_operate()?;
    render(&app, page, &actor, NewForm { plan: wish.plan, ..NewForm::default() }, Refusal::default()).await
}

async fn render(
    app: &App,
    page: Page,
    actor: &Actor,
    mut form: NewForm,
    refusal: Refusal,
) -> Result<NewPage> {
    let may_buy = catalogue::may_buy(app.db.platform(), actor.tenant_id).await?;
    let trial_left = crate::trials::offer(app, actor).await?.is_some();
    let public = plans::db::list_public(app.db.platform()).await?;
    let plans: Vec<PlanCard> =
        public.iter().map(|plan| PlanCard::of(&page, plan, may_buy, trial_left)).collect();
    let images = images::db::list_public(app.db.platform()).await?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let keys = catalogue::ssh_keys(&mut tx, actor.tenant_id, None).await?;
    let fresh = form.name.is_empty() && refusal.errors.is_empty();
    if !plans.iter().any(|plan| plan.slug == form.plan && !plan.closed) {
        form.plan = plans.iter().find(|plan| !plan.closed).map_or(String::new(), |plan| plan.slug.clone());
    }
    if form.image.is_empty() && fresh {
        form.image = images.first().map_or(String::new(), |image| image.slug.clone());
    }
    if fresh {
        form.ssh_keys = keys.iter().map(|key| key.id.to_string()).collect();
    }
    Ok(NewPage { plans, images, keys, form, refusal, verified: actor.email_verified, page })
}

pub async fn create(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Form(form): Form<NewForm>,
) -> Result<Response> {
    let new = NewInstance {
        plan: form.plan.clone(),
        image: form.image.clone(),
        name: form.name.clone(),
        hostname: form.hostname.clone(),
        ssh_keys: form.ssh_keys.clone(),
        user_data: form.user_data.clone(),
        trial: None,
    };
    match create::create(&app, &actor, new).await {
        Ok(operation) => {
            Ok(axum::response::Redirect::to(&format!("/instances/{}", operation.instance_id)).into_response())
        }
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let status = refusal.status;
            Ok((status, render(&app, page, &actor, form, refusal).await?).into_response())
        }
    }
}
