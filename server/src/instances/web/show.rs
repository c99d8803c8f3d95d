//! One instance: overview and history, and the buttons of its head.

use super::head::Head;
use super::resources::{Resource, resources};
use super::words::{OperationWords, failure_words, fields_words};
use crate::accounts::activity;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, OperationId};
use crate::instances::power::{self, PowerAction};
use crate::instances::reports::judge::wire_name;
use crate::instances::view::{self, View};
use crate::instances::{Operation, delete, operations, rebuild, state};
use crate::state::App;
use crate::web::flash;
use crate::web::language::Language;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jst_protocol::report::Outcome;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/instances/{id}", get(overview))
        .route("/instances/{id}/history", get(history))
        .route("/instances/{id}/start", post(start))
        .route("/instances/{id}/shutdown", post(shutdown))
        .route("/instances/{id}/power-off", post(power_off))
        .route("/instances/{id}/reboot", post(reboot))
        .route("/instances/{id}/undelete", post(undelete))
        .route("/instances/{id}/retry", post(retry))
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/show.html")]
struct OverviewPage {
    head: Head,
    view: View,
    resources: Vec<Resource>,
    /// Something was read back.
    read_back: bool,
    disk: String,
    /// Fields in words; "" for none.
    restart_required: String,
    drift: String,
    /// The plan that is charged while another is not in force, by name; "" for none.
    charged: String,
    plan: String,
    /// Why what is desired could not be done; "" for none.
    failure: String,
    failure_is_final: bool,
    /// A rebuild failed for good: only another one helps.
    stuck: bool,
    ssh: String,
    page: Page,
}

async fn overview(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<OverviewPage> {
    let id: InstanceId = id.parse()?;
    let view = view::one(&app, &actor, id).await?;
    let usage = view::usage(&app, &actor, id).await?.map(|(_, usage)| usage);
    let instance = &view.instance;
    let running = instance.applied.is_some();
    let (failure, failure_is_final) = match &instance.outcome {
        Some(Outcome::Failed { code, permanent, .. }) => (failure_words(&page, &wire_name(code)), *permanent),
        _ => (String::new(), false),
    };
    let words = |fields: &[String]| fields_words(&page, fields.iter().map(String::as_str));
    Ok(OverviewPage {
        head: Head::new(&page, &view, "overview"),
        resources: resources(
            &page,
            &instance.policy,
            instance.applied.as_ref(),
            usage.as_ref().filter(|_| running),
        ),
        read_back: running,
        disk: crate::web::format::mib(instance.policy.disk.size.get()),
        restart_required: words(&instance.restart_required),
        drift: words(&instance.drift),
        charged: view.charged_plan.as_ref().map_or(String::new(), |plan| match page.language {
            Language::English => plan.name_en.clone(),
            Language::Chinese => plan.name_zh.clone(),
        }),
        plan: view.plan.name(page.language).to_owned(),
        failure,
        failure_is_final,
        stuck: state::is_stuck(instance),
        ssh: view
            .addresses
            .first()
            .map_or(String::new(), |address| format!("ssh {}@{address}", view.image.login_user)),
        view,
        page,
    })
}

struct EventLine {
    look: &'static str,
    sentence: String,
    by: String,
    at: time::OffsetDateTime,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/history.html")]
struct HistoryPage {
    head: Head,
    operations: Vec<OperationWords>,
    next: String,
    events: Vec<EventLine>,
    page: Page,
}

async fn history(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    paging: Paging<OperationId>,
) -> Result<HistoryPage> {
    let id: InstanceId = id.parse()?;
    let view = view::one(&app, &actor, id).await?;
    let rows = operations::list(&app, &actor, Some(id), paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |operation| operation.id.to_string());
    let events = activity::of_subject(&app, &actor, "instance", &id.to_string()).await?;
    Ok(HistoryPage {
        head: Head::new(&page, &view, "history"),
        operations: listed.items.iter().map(|operation| OperationWords::of(&page, operation)).collect(),
        next: listed
            .next_cursor
            .map_or(String::new(), |cursor| format!("/instances/{id}/history?cursor={cursor}")),
        events: events
            .iter()
            .map(|event| EventLine {
                look: event_look(&event.action),
                sentence: activity::sentence(event, page.language),
                by: activity::by(event, page.language),
                at: event.at,
            })
            .collect(),
        page,
    })
}

fn event_look(action: &str) -> &'static str {
    let troubles = ["failed", "crashed", "deadline"];
    if troubles.iter().any(|trouble| action.contains(trouble)) {
        "failed"
    } else if action.contains("delete") || action.contains("stopped") || action.contains("expired") {
        "stopped"
    } else {
        "running"
    }
}

/// Back to the instance, with the refusal as a message when it was refused.
fn back(id: &str, result: Result<Operation>) -> Result<Response> {
    let path = format!("/instances/{id}");
    match result {
        Ok(_) => Ok(flash::redirect(&path, "instance-asked")),
        Err(Error::Refused { code, arguments, .. }) => {
            let argument = arguments.first().map_or("", |(_, value)| value);
            Ok(flash::redirect_refused(&path, code, argument))
        }
        Err(error) => Err(error),
    }
}

async fn act(app: App, actor: Actor, id: String, action: PowerAction) -> Result<Response> {
    let parsed = id.parse()?;
    back(&id, power::power(&app, &actor, parsed, action).await)
}

async fn start(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    act(app, actor, id, PowerAction::Start).await
}

async fn shutdown(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    act(app, actor, id, PowerAction::Shutdown).await
}

async fn power_off(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    act(app, actor, id, PowerAction::PowerOff).await
}

async fn reboot(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    act(app, actor, id, PowerAction::Reboot).await
}

async fn undelete(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    let parsed = id.parse()?;
    back(&id, delete::undelete(&app, &actor, parsed).await)
}

async fn retry(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    let parsed = id.parse()?;
    back(&id, rebuild::retry(&app, &actor, parsed).await)
}
