//! Moving an instance to another plan: what it means, before it happens.

use super::Refusal;
use super::head::Head;
use super::new::PlanCard;
use super::words::fields_words;
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::db::catalogue;
use crate::instances::resize::{self, Preview};
use crate::instances::view;
use crate::plans;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/resize", get(show).post(save))
}

#[derive(Default, Deserialize)]
struct ResizeForm {
    #[serde(default)]
    plan: String,
}

/// A plan, and what moving to it means.
struct Choice {
    card: PlanCard,
    current: bool,
    /// Fields in words; "" for none.
    live: String,
    after_restart: String,
    keeps_disk: bool,
    disk: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/resize.html")]
struct ResizePage {
    head: Head,
    choices: Vec<Choice>,
    may_buy: bool,
    running: bool,
    chosen: String,
    refusal: Refusal,
    page: Page,
}

async fn render(
    app: &App,
    page: Page,
    actor: &Actor,
    id: InstanceId,
    form: ResizeForm,
    refusal: Refusal,
) -> Result<ResizePage> {
    let view = view::one(app, actor, id).await?;
    let may_buy = catalogue::may_buy(app.db.platform(), actor.tenant_id).await?;
    let instance = &view.instance;
    let choices = plans::db::list_public(app.db.platform())
        .await?
        .iter()
        // Where one stands is shown, and what can be moved to.
        .filter(|plan| !plan.trial_only() || plan.id == instance.plan_id)
        .map(|plan| {
            let preview = Preview::of(instance, plan);
            let same = plan.id == instance.plan_id && plan.version == instance.plan_version;
            Choice {
                card: PlanCard::of(&page, plan, true, false),
                current: (same && view.trial.is_none()) || plan.trial_only(),
                live: fields_words(&page, preview.live()),
                after_restart: fields_words(&page, preview.after_restart()),
                keeps_disk: preview.keeps_disk,
                disk: crate::web::format::mib(preview.policy.disk.size.get()),
            }
        })
        .collect();
    let head = Head::new(&page, &view, "settings");
    let running = instance.applied.is_some();
    Ok(ResizePage { head, choices, may_buy, running, chosen: form.plan, refusal, page })
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<ResizePage> {
    render(&app, page, &actor, id.parse()?, ResizeForm::default(), Refusal::default()).await
}

async fn save(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<ResizeForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    match resize::resize(&app, &actor, id, &form.plan).await {
        Ok(_) => Ok(flash::redirect(&format!("/instances/{id}"), "instance-resizing")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let status = refusal.status;
            Ok((status, render(&app, page, &actor, id, form, refusal).await?).into_response())
        }
    }
}
