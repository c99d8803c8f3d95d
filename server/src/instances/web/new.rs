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
use serde_json::json;

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
    /// The price by the hour; "" for what costs nothing.
    pub hourly: String,
    pub bars: Vec<Resource>,
    pub disk: String,
    /// The account cannot order it yet.
    pub closed: bool,
    pub trial: bool,
}

impl PlanCard {
    pub fn of(page: &Page, plan: &plans::Plan, may_buy: bool, trial_left: bool) -> Self {
        let (currency, price, hourly) = match page.code() {
            "zh-CN" => ("CNY", plan.price_monthly_cny, plan.price_hourly_cny_micro),
            _ => ("USD", plan.price_monthly_usd, plan.price_hourly_usd_micro),
        };
        let trial = plan.trial && trial_left && (!may_buy || plan.trial_only());
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
            hourly: if trial || hourly == 0 {
                String::new()
            } else {
                page.t1("plan-price-hourly", "price", format::small_money(currency, hourly))
            },
            bars,
            disk: format::mib(plan.policy.disk.size.get()),
            closed: !trial && (!may_buy || plan.trial_only()),
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
    /// The start of the API call that does the same; the script adds what is chosen.
    call: String,
    /// What is chosen when the page opens, as that call's body.
    call_body: String,
    page: Page,
}

/// The same as an API call, up to its body.
fn call(public_url: &str) -> String {
    format!(
        "curl -X POST {}/api/v1/instances \\\n  -H \"Authorization: Bearer $JST_TOKEN\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  -d ",
        public_url.trim_end_matches('/')
    )
}

/// The body of that call as one word of a shell.
fn call_body(form: &NewForm) -> String {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let body = json!({
        "name": form.name, "plan": form.plan, "image": form.image, "ssh_keys": form.ssh_keys,
        "hostname": optional(&form.hostname), "user_data": optional(&form.user_data),
    });
    let given = body.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let body = serde_json::Value::Object(given.map(|(name, value)| (name.clone(), value.clone())).collect());
    format!("'{}'", body.to_string().replace('\'', "'\\''"))
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
    // Who may buy and had a trial has no use for what is only tried.
    let offered = public.iter().filter(|plan| !plan.trial_only() || trial_left || !may_buy);
    let mut plans: Vec<PlanCard> =
        offered.map(|plan| PlanCard::of(&page, plan, may_buy, trial_left)).collect();
    if may_buy {
        // What is sold comes first, and is what is chosen at first.
        plans.sort_by_key(|plan| plan.trial);
    }
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
    Ok(NewPage {
        plans,
        images,
        keys,
        refusal,
        verified: actor.email_verified,
        call: call(&app.config.public_url),
        call_body: call_body(&form),
        form,
        page,
    })
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
        sold: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_can_be_pasted_into_a_shell() {
        let form = NewForm {
            name: "it's mine".to_owned(),
            plan: "small".to_owned(),
            image: "debian".to_owned(),
            ssh_keys: vec!["key_1".to_owned()],
            ..NewForm::default()
        };
        // What stands between single quotes is taken as it is; a quote ends them, stands escaped, and begins them again.
        let expected = r#"'{"image":"debian","name":"it'\''s mine","plan":"small","ssh_keys":["key_1"]}'"#;
        assert_eq!(call_body(&form), expected);
    }
}
