//! Customers: who they are, what they have, and how much they may have.

use super::form::{Sent, field_errors, switch, unprocessable};
use super::{next_href, state_kind, word};
use crate::admin::customers::{self, Quotas};
use crate::admin::db::customers::{self as db, Customer, Member};
use crate::admin::db::instances::{self, InstanceRow};
use crate::auth::{Admin, acting};
use crate::error::{Error, FieldError, Result};
use crate::ids::{TenantId, UserId};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_sessions::Session;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/customers", get(list))
        .route("/admin/customers/{id}", get(show).post(quotas))
        .route("/admin/customers/{id}/act-for", post(act_for))
        .route("/admin/stop-acting", post(stop_acting))
        .route("/admin/customers/{id}/suspend", post(suspend))
        .route("/admin/customers/{id}/unsuspend", post(unsuspend))
        .route("/admin/customers/{id}/users/{user}/disable", post(disable))
        .route("/admin/customers/{id}/users/{user}/enable", post(enable))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    search: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/customers.html")]
struct ListPage {
    page: Page,
    customers: Vec<Customer>,
    search: String,
    next: String,
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(Search { search }): Query<Search>,
    paging: Paging<TenantId>,
) -> Result<ListPage> {
    let wanted = search.trim();
    let rows = db::list(app.db.platform(), wanted, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |customer| customer.id.to_string());
    let next = next_href("/admin/customers", &[("search", wanted)], &listed);
    Ok(ListPage { page, customers: listed.items, next, search })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/customer.html")]
struct CustomerPage {
    page: Page,
    customer: Customer,
    members: Vec<Member>,
    instances: Vec<InstanceRow>,
    form: Sent,
    errors: Vec<FieldError>,
}

impl CustomerPage {
    async fn build(
        app: &App,
        page: Page,
        customer: Customer,
        form: Sent,
        errors: Vec<FieldError>,
    ) -> Result<Self> {
        let pool = app.db.platform();
        let members = db::members(pool, customer.id).await?;
        let filter = instances::Filter { tenant: Some(customer.id), ..Default::default() };
        let instances = instances::list(pool, &filter, None, 100).await?;
        Ok(Self { page, customer, members, instances, form, errors })
    }

    fn kind(&self, state: &str) -> &'static str {
        state_kind(state)
    }

    fn word(&self, group: &str, code: &str) -> String {
        word(&self.page, group, code)
    }
}

fn quota_form(customer: &Customer) -> Sent {
    let entries = [
        ("quota_instances", customer.quota_instances.to_string()),
        ("quota_vcpus", customer.quota_vcpus.to_string()),
        ("quota_memory_mib", customer.quota_memory_mib.to_string()),
        ("quota_disk_mib", customer.quota_disk_mib.to_string()),
        ("may_buy", switch(customer.may_buy)),
        ("quota_grows", switch(customer.quota_grows)),
    ];
    Sent::from(entries)
}

async fn find(app: &App, id: &str) -> Result<Customer> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<CustomerPage> {
    let customer = find(&app, &id).await?;
    let form = quota_form(&customer);
    CustomerPage::build(&app, page, customer, form, Vec::new()).await
}

fn read(form: &Sent) -> Result<Quotas> {
    let mut problems = Vec::new();
    let mut small = |name| i32::try_from(form.number(name, &mut problems)).unwrap_or(i32::MAX);
    let (quota_instances, quota_vcpus) = (small("quota_instances"), small("quota_vcpus"));
    let quotas = Quotas {
        quota_instances,
        quota_vcpus,
        quota_memory_mib: form.number("quota_memory_mib", &mut problems),
        quota_disk_mib: form.number("quota_disk_mib", &mut problems),
        may_buy: form.on("may_buy"),
        quota_grows: form.on("quota_grows"),
    };
    if problems.is_empty() { Ok(quotas) } else { Err(Error::Invalid(problems)) }
}

async fn quotas(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let customer = find(&app, &id).await?;
    let saved = match read(&form) {
        Ok(quotas) => customers::set_quotas(&app, &actor, customer.id, &quotas).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(()) => Ok(flash::redirect_with(&format!("/admin/customers/{id}"), "quotas-saved", &customer.name)),
        Err(error) => {
            let page = CustomerPage::build(&app, page, customer, form, field_errors(error)?).await?;
            Ok(unprocessable(page))
        }
    }
}

/// Opens the customer's portal to the administrator, for an hour.
async fn act_for(
    State(app): State<App>,
    Admin(actor): Admin,
    session: Session,
    Path(id): Path<String>,
) -> Result<Redirect> {
    let id: TenantId = id.parse()?;
    // Recorded first: who looks and is not in the log must not be possible.
    customers::note_acting(&app, &actor, id).await?;
    acting::begin(&session, id).await?;
    Ok(Redirect::to("/dashboard"))
}

async fn stop_acting(Admin(actor): Admin, session: Session) -> Result<Redirect> {
    acting::end(&session).await?;
    let back =
        if actor.acting { format!("/admin/customers/{}", actor.tenant_id) } else { String::from("/admin") };
    Ok(Redirect::to(&back))
}

async fn suspend(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    customers::set_suspended(&app, &actor, id.parse()?, true).await?;
    Ok(flash::redirect(&format!("/admin/customers/{id}"), "customer-suspended"))
}

async fn unsuspend(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    customers::set_suspended(&app, &actor, id.parse()?, false).await?;
    Ok(flash::redirect(&format!("/admin/customers/{id}"), "customer-unsuspended"))
}

async fn disable(
    State(app): State<App>,
    Admin(actor): Admin,
    Path((id, user)): Path<(String, String)>,
) -> Result<Response> {
    let (id, user): (TenantId, UserId) = (id.parse()?, user.parse()?);
    customers::set_disabled(&app, &actor, user, true).await?;
    Ok(flash::redirect(&format!("/admin/customers/{id}"), "user-disabled"))
}

async fn enable(
    State(app): State<App>,
    Admin(actor): Admin,
    Path((id, user)): Path<(String, String)>,
) -> Result<Response> {
    let (id, user): (TenantId, UserId) = (id.parse()?, user.parse()?);
    customers::set_disabled(&app, &actor, user, false).await?;
    Ok(flash::redirect(&format!("/admin/customers/{id}"), "user-enabled"))
}
