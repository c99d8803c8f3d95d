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
use crate::web::format::mib;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jst_policy::units::MiB;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/resize", get(show).post(save))
}

#[derive(Default, Deserialize)]
struct ResizeForm {
    #[serde(default)]
    plan: String,
    #[serde(default)]
    grow_disk: String,
}

/// A plan, and what moving to it means.
struct Choice {
    card: PlanCard,
    current: bool,
    /// Fields in words; "" for none.
    live: String,
    after_restart: String,
    disk_too_small: bool,
    /// The plan's disk where it is larger than the instance's; "" otherwise.
    larger_disk: String,
    disk: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/resize.html")]
struct ResizePage {
    head: Head,
    choices: Vec<Choice>,
    may_buy: bool,
    running: bool,
    /// A plan has a larger disk.
    may_grow: bool,
    chosen: String,
    grow_disk: bool,
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
    let choices: Vec<Choice> = plans::db::list_public(app.db.platform())
        .await?
        .iter()
        // Where one stands is shown, and what can be moved to.
        .filter(|plan| !plan.trial_only() || plan.id == instance.plan_id)
        .map(|plan| {
            let preview = Preview::of(instance, plan, false);
            let grows = preview.disk_growth > MiB::ZERO;
            let same = plan.id == instance.plan_id && plan.version == instance.plan_version;
            Choice {
                card: PlanCard::of(&page, plan, true, false),
                current: (same && view.trial.is_none() && !grows) || plan.trial_only(),
                live: fields_words(&page, preview.live()),
                after_restart: fields_words(&page, preview.after_restart()),
                disk_too_small: preview.disk_too_small,
                larger_disk: if grows { mib(plan.policy.disk.size.get()) } else { String::new() },
                disk: mib(preview.policy.disk.size.get()),
            }
        })
        .collect();
    let head = Head::new(&page, &view, "settings");
    let running = instance.applied.is_some();
    let may_grow = choices.iter().any(|choice| !choice.larger_disk.is_empty());
    let grow_disk = form.grow_disk == "on";
    Ok(ResizePage { head, choices, may_buy, running, may_grow, chosen: form.plan, grow_disk, refusal, page })
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
    match resize::resize(&app, &actor, id, &form.plan, form.grow_disk == "on").await {
        Ok(_) => Ok(flash::redirect(&format!("/instances/{id}"), "instance-resizing")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let status = refusal.status;
            Ok((status, render(&app, page, &actor, id, form, refusal).await?).into_response())
        }
    }
}
