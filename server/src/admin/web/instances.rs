//! Instances of all customers, and one instance with a policy of its own.

use super::form::{Sent, field_errors, unprocessable};
use super::policy_form::{self, Group};
use super::{Bar, next_href, set_aside, state_kind, word};
use crate::admin::db::instances::{self as db, Filter, InstanceRow};
use crate::admin::db::operations::{self, OperationRow};
use crate::auth::Admin;
use crate::error::{Error, FieldError, Result};
use crate::ids::{HostId, InstanceId};
use crate::instances::api::metrics::MetricsParams;
use crate::instances::samples::history::Range;
use crate::instances::web::graphs::Panel;
use crate::instances::{resize, samples};
use crate::plans::edit::policy_problems;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/instances", get(list))
        .route("/admin/instances/{id}", get(show).post(set_policy))
}

pub const STATES: [&str; 7] =
    ["provisioning", "running", "stopped", "crashed", "failed", "deleting", "deleted"];

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    attention: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/instances.html")]
struct ListPage {
    page: Page,
    rows: Vec<InstanceRow>,
    states: Vec<(&'static str, String)>,
    search: String,
    state: String,
    attention: bool,
    next: String,
}

impl ListPage {
    fn kind(&self, state: &str) -> &'static str {
        state_kind(state)
    }

    fn word(&self, state: &str) -> String {
        word(&self.page, "instance", state)
    }
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(wanted): Query<Wanted>,
    paging: Paging<InstanceId>,
) -> Result<ListPage> {
    let host = Some(wanted.host.as_str()).filter(|host| !host.is_empty());
    let filter = Filter {
        search: wanted.search.trim(),
        state: &wanted.state,
        host: host.map(str::parse::<HostId>).transpose()?,
        tenant: None,
        attention: wanted.attention == "on",
    };
    let rows = db::list(app.db.platform(), &filter, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let filters = [
        ("search", wanted.search.as_str()),
        ("state", wanted.state.as_str()),
        ("host", wanted.host.as_str()),
        ("attention", wanted.attention.as_str()),
    ];
    let next = next_href("/admin/instances", &filters, &listed);
    let states = STATES.into_iter().map(|state| (state, word(&page, "instance", state))).collect();
    let attention = wanted.attention == "on";
    Ok(ListPage {
        page,
        rows: listed.items,
        states,
        search: wanted.search,
        state: wanted.state,
        attention,
        next,
    })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/instance.html")]
struct InstancePage {
    page: Page,
    instance: InstanceRow,
    operations: Vec<OperationRow>,
    aside: Vec<set_aside::Row>,
    groups: Vec<Group>,
    bars: Vec<Bar>,
    panel: Panel,
    errors: Vec<FieldError>,
    /// Why the whole change was refused, where no field is to blame.
    refusal: Option<String>,
}

impl InstancePage {
    async fn build(
        app: &App,
        page: Page,
        instance: InstanceRow,
        panel: Panel,
        form: &Sent,
        errors: Vec<FieldError>,
        refusal: Option<String>,
    ) -> Result<Self> {
        let operations = operations::list(app.db.platform(), "", Some(instance.id), None, 20).await?;
        let of_instance = crate::set_aside::Filter { host: None, instance: Some(instance.id) };
        let aside = set_aside::of(app, &page, of_instance).await?;
        let groups = policy_form::groups(&page, form, &errors);
        let bars = policy_form::bars(&page, &instance.policy);
        Ok(Self { page, instance, operations, aside, groups, bars, panel, errors, refusal })
    }

    fn kind(&self, state: &str) -> &'static str {
        state_kind(state)
    }

    fn word(&self, group: &str, code: &str) -> String {
        word(&self.page, group, code)
    }
}

async fn find(app: &App, id: &str) -> Result<InstanceRow> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn panel(app: &App, admin: &Admin, page: &Page, id: InstanceId, range: Range) -> Result<Panel> {
    let (instance, history) = samples::history_of_any(app, admin, id, range).await?;
    Panel::new(page, &format!("/admin/instances/{id}"), &instance, &history)
}

async fn show(
    State(app): State<App>,
    admin: Admin,
    page: Page,
    Path(id): Path<String>,
    Query(params): Query<MetricsParams>,
) -> Result<InstancePage> {
    let instance = find(&app, &id).await?;
    let form = policy_form::from_policy(&instance.policy);
    let panel = panel(&app, &admin, &page, instance.id, params.range()?).await?;
    InstancePage::build(&app, page, instance, panel, &form, Vec::new(), None).await
}

/// A policy of its own, applied to the running guest.
async fn set_policy(
    State(app): State<App>,
    admin: Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let instance = find(&app, &id).await?;
    let changed = match policy_form::to_policy(&form) {
        Err(problems) => Err(Error::Invalid(problems)),
        Ok(policy) => match policy_problems("policy", &policy) {
            problems if problems.is_empty() => resize::set_policy(&app, &admin, instance.id, policy).await,
            problems => Err(Error::Invalid(problems)),
        },
    };
    let (errors, refusal) = match changed {
        Ok(_) => {
            return Ok(flash::redirect_with(
                &format!("/admin/instances/{id}"),
                "policy-sent",
                &instance.name,
            ));
        }
        Err(error @ Error::Refused { .. }) => {
            (Vec::new(), Some(crate::web::errors::words(&error, page.language).1))
        }
        Err(error) => (field_errors(error)?, None),
    };
    // The use case names fields as the policy does.
    let errors = errors
        .into_iter()
        .map(|error| match error.field.strip_prefix("policy.") {
            Some(_) => error,
            None => FieldError { field: format!("policy.{}", error.field), ..error },
        })
        .collect();
    let panel = panel(&app, &admin, &page, instance.id, Range::Hour).await?;
    let page = InstancePage::build(&app, page, instance, panel, &form, errors, refusal).await?;
    Ok(unprocessable(page))
}
