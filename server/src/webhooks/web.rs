//! The pages of webhooks: the same for customers and, below `/admin`, for the operator.

use super::deliveries::{self, Delivery, Detail};
use super::endpoints::{self, Endpoint, Wanted};
use super::{Keeper, Side, types};
use crate::auth::{Actor, Admin};
use crate::error::{Error, FieldError, Result};
use crate::ids::{DeliveryId, WebhookId};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum_extra::extract::Form;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().merge(below("/webhooks")).merge(below("/admin/webhooks"))
}

fn below(base: &str) -> Router<App> {
    Router::new()
        .route(base, get(list).post(create))
        .route(&format!("{base}/{{id}}"), get(show).post(save))
        .route(&format!("{base}/{{id}}/rotate"), post(rotate))
        .route(&format!("{base}/{{id}}/delete"), post(delete))
        .route(&format!("{base}/{{id}}/test"), post(test))
        .route(&format!("{base}/{{id}}/deliveries/{{delivery}}"), get(delivery))
        .route(&format!("{base}/{{id}}/deliveries/{{delivery}}/resend"), post(resend))
}

/// The path says whose endpoints are meant.  Who is not there in person ([`Actor::in_person`]) looks,
/// and learns no secret.
impl FromRequestParts<App> for Keeper {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let path = parts.uri.path();
        if path.starts_with("/admin/") || path.starts_with("/api/v1/admin/") {
            let Admin(actor) = Admin::from_request_parts(parts, app).await?;
            return Ok(Self { actor, side: Side::Platform });
        }
        let actor = Actor::from_request_parts(parts, app).await?;
        if !parts.method.is_safe() {
            actor.in_person()?;
        }
        Ok(Self { side: Side::Tenant(actor.tenant_id), actor })
    }
}

/// What stands in the layout of its side.
struct Frame {
    side: Side,
    page: Page,
    title: String,
    body: String,
}

#[derive(Template)]
#[template(path = "webhooks/frame.html")]
struct PortalFrame {
    page: Page,
    title: String,
    body: String,
}

#[derive(Template)]
#[template(path = "admin/webhooks.html")]
struct AdminFrame {
    page: Page,
    title: String,
    body: String,
}

impl Frame {
    fn show(side: Side, page: Page, title: String, body: &impl Template) -> Result<Response> {
        let body = body.render().map_err(anyhow::Error::from)?;
        let Self { side, page, title, body } = Self { side, page, title, body };
        let html = match side {
            Side::Tenant(_) => PortalFrame { page, title, body }.render(),
            Side::Platform => AdminFrame { page, title, body }.render(),
        };
        Ok(Html(html.map_err(anyhow::Error::from)?).into_response())
    }
}

#[derive(Clone, Default, Deserialize)]
struct EndpointForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    url: String,
    /// One field for each box that is ticked.
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    enabled: String,
}

impl EndpointForm {
    fn has(&self, name: &str) -> bool {
        self.types.iter().any(|chosen| chosen == name)
    }

    fn wanted(&self) -> Wanted {
        Wanted { name: self.name.clone(), url: self.url.clone(), types: self.types.clone() }
    }
}

impl From<&Endpoint> for EndpointForm {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
            types: endpoint.types.clone(),
            enabled: if endpoint.disabled_at.is_none() { "on" } else { "" }.to_owned(),
        }
    }
}

/// A type with its words.
struct Choice {
    name: &'static str,
    words: String,
}

fn choices(page: &Page, side: Side) -> Vec<Choice> {
    let choice = |name| Choice { name, words: page.t(&types::key(name)) };
    types::offered(side).into_iter().map(choice).collect()
}

/// The icon and colour of an endpoint, and its state in words.
fn endpoint_state(page: &Page, endpoint: &Endpoint) -> (&'static str, String) {
    match endpoint.disabled_reason.as_deref() {
        None => ("running", page.t("webhook-enabled")),
        Some("owner") => ("stopped", page.t("webhook-reason-owner")),
        Some(reason) => ("failed", page.t(&format!("webhook-reason-{reason}"))),
    }
}

fn delivery_state(page: &Page, delivery: &Delivery) -> (&'static str, String) {
    match delivery.state.as_str() {
        "succeeded" => ("running", page.t("webhook-state-succeeded")),
        "failed" => ("failed", page.t("webhook-state-failed")),
        _ if delivery.attempts > 0 => ("attention", page.t("webhook-state-retrying")),
        _ => ("working", page.t("webhook-state-pending")),
    }
}

/// What came of an attempt, in words.
fn said(page: &Page, status: Option<i32>, problem: Option<&str>) -> String {
    let words = match problem {
        None if status.is_some() => page.t("webhook-problem-none"),
        None => return String::new(),
        Some(problem) => page.t(&format!("webhook-problem-{problem}")),
    };
    match status {
        Some(status) => format!("{status} · {words}"),
        None => words,
    }
}

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct ListBody {
    page: Page,
    base: &'static str,
    endpoints: Vec<Endpoint>,
    choices: Vec<Choice>,
    next: String,
    may_manage: bool,
    form: EndpointForm,
    errors: Vec<FieldError>,
}

impl ListBody {
    async fn load(app: &App, page: Page, keeper: &Keeper, paging: &Paging<WebhookId>) -> Result<Self> {
        let listed = endpoints::list(app, keeper, paging).await?;
        let base = keeper.side.path();
        Ok(Self {
            base,
            next: next_href(base, &listed),
            endpoints: listed.items,
            choices: choices(&page, keeper.side),
            may_manage: keeper.may_manage().is_ok(),
            form: EndpointForm::default(),
            errors: Vec::new(),
            page,
        })
    }

    fn kind(&self, endpoint: &Endpoint) -> &'static str {
        endpoint_state(&self.page, endpoint).0
    }

    fn word(&self, endpoint: &Endpoint) -> String {
        endpoint_state(&self.page, endpoint).1
    }

    fn show(self, side: Side) -> Result<Response> {
        Frame::show(side, self.page.clone(), self.page.t("nav-webhooks"), &self)
    }
}

/// The link to the next part of a list, or "".
fn next_href<T>(path: &str, list: &Listed<T>) -> String {
    list.next_cursor.as_ref().map_or(String::new(), |cursor| format!("{path}?cursor={cursor}"))
}

async fn list(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    paging: Paging<WebhookId>,
) -> Result<Response> {
    ListBody::load(&app, page, &keeper, &paging).await?.show(keeper.side)
}

async fn create(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    Form(form): Form<EndpointForm>,
) -> Result<Response> {
    match endpoints::create(&app, &keeper, &form.wanted()).await {
        Ok((endpoint, secret)) => {
            let body = ShowBody::load(&app, page, &keeper, endpoint.id, &Paging::default()).await?;
            ShowBody { secret: Some(secret), ..body }.show(keeper.side)
        }
        Err(Error::Invalid(errors)) => {
            let fresh = ListBody::load(&app, page, &keeper, &Paging::default()).await?;
            refused(ListBody { form, errors, ..fresh }.show(keeper.side))
        }
        Err(error) => Err(error),
    }
}

fn refused(page: Result<Response>) -> Result<Response> {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page?).into_response())
}

#[derive(Template)]
#[template(path = "webhooks/show.html")]
struct ShowBody {
    page: Page,
    base: &'static str,
    endpoint: Endpoint,
    choices: Vec<Choice>,
    deliveries: Vec<Delivery>,
    next: String,
    may_manage: bool,
    may_send: bool,
    form: EndpointForm,
    errors: Vec<FieldError>,
    /// The secret that was just made: shown now and never again.
    secret: Option<String>,
}

impl ShowBody {
    async fn load(
        app: &App,
        page: Page,
        keeper: &Keeper,
        id: WebhookId,
        paging: &Paging<DeliveryId>,
    ) -> Result<Self> {
        let endpoint = endpoints::get(app, keeper, id).await?;
        let listed = deliveries::list(app, keeper, id, paging).await?;
        let base = keeper.side.path();
        Ok(Self {
            base,
            form: (&endpoint).into(),
            endpoint,
            choices: choices(&page, keeper.side),
            next: next_href(&format!("{base}/{id}"), &listed),
            deliveries: listed.items,
            may_manage: keeper.may_manage().is_ok(),
            may_send: keeper.may_send().is_ok(),
            errors: Vec::new(),
            secret: None,
            page,
        })
    }

    fn endpoint_kind(&self) -> &'static str {
        endpoint_state(&self.page, &self.endpoint).0
    }

    fn endpoint_word(&self) -> String {
        endpoint_state(&self.page, &self.endpoint).1
    }

    fn kind(&self, delivery: &Delivery) -> &'static str {
        delivery_state(&self.page, delivery).0
    }

    fn word(&self, delivery: &Delivery) -> String {
        delivery_state(&self.page, delivery).1
    }

    fn said(&self, delivery: &Delivery) -> String {
        said(&self.page, delivery.last_status, delivery.last_problem.as_deref())
    }

    fn show(self, side: Side) -> Result<Response> {
        Frame::show(side, self.page.clone(), self.endpoint.name.clone(), &self)
    }
}

async fn show(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    Path(id): Path<String>,
    paging: Paging<DeliveryId>,
) -> Result<Response> {
    ShowBody::load(&app, page, &keeper, id.parse()?, &paging).await?.show(keeper.side)
}

async fn save(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    Path(id): Path<String>,
    Form(form): Form<EndpointForm>,
) -> Result<Response> {
    let id: WebhookId = id.parse()?;
    match endpoints::update(&app, &keeper, id, &form.wanted(), form.enabled == "on").await {
        Ok(_) => Ok(flash::redirect(&format!("{}/{id}", keeper.side.path()), "webhook-saved")),
        Err(Error::Invalid(errors)) => {
            let fresh = ShowBody::load(&app, page, &keeper, id, &Paging::default()).await?;
            refused(ShowBody { form, errors, ..fresh }.show(keeper.side))
        }
        Err(error) => Err(error),
    }
}

async fn rotate(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    Path(id): Path<String>,
) -> Result<Response> {
    let (endpoint, secret) = endpoints::rotate(&app, &keeper, id.parse()?).await?;
    let body = ShowBody::load(&app, page, &keeper, endpoint.id, &Paging::default()).await?;
    ShowBody { secret: Some(secret), ..body }.show(keeper.side)
}

async fn delete(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<Response> {
    endpoints::delete(&app, &keeper, id.parse()?).await?;
    Ok(flash::redirect(keeper.side.path(), "webhook-deleted"))
}

async fn test(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<Response> {
    let id: WebhookId = id.parse()?;
    let delivery = endpoints::test(&app, &keeper, id).await?;
    Ok(flash::redirect(&format!("{}/{id}/deliveries/{delivery}", keeper.side.path()), "webhook-tested"))
}

#[derive(Template)]
#[template(path = "webhooks/delivery.html")]
struct DeliveryBody {
    page: Page,
    base: &'static str,
    endpoint: Endpoint,
    detail: Detail,
    /// The body with line breaks, for reading.
    pretty: String,
    may_send: bool,
}

impl DeliveryBody {
    fn kind(&self) -> &'static str {
        delivery_state(&self.page, &self.detail.delivery).0
    }

    fn word(&self) -> String {
        delivery_state(&self.page, &self.detail.delivery).1
    }

    fn said(&self, attempt: &deliveries::Attempt) -> String {
        said(&self.page, attempt.status, attempt.problem.as_deref())
    }
}

async fn delivery(
    State(app): State<App>,
    page: Page,
    keeper: Keeper,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Response> {
    let endpoint = endpoints::get(&app, &keeper, id.parse()?).await?;
    let detail = deliveries::get(&app, &keeper, endpoint.id, delivery.parse()?).await?;
    let parsed = serde_json::from_str::<serde_json::Value>(&detail.body);
    let pretty = parsed.and_then(|body| serde_json::to_string_pretty(&body)).map_err(anyhow::Error::from)?;
    let title = detail.delivery.kind.clone();
    let (base, may_send) = (keeper.side.path(), keeper.may_send().is_ok());
    let body = DeliveryBody { page: page.clone(), base, endpoint, detail, pretty, may_send };
    Frame::show(keeper.side, page, title, &body)
}

async fn resend(
    State(app): State<App>,
    keeper: Keeper,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Response> {
    let (id, delivery): (WebhookId, DeliveryId) = (id.parse()?, delivery.parse()?);
    deliveries::resend(&app, &keeper, id, delivery).await?;
    Ok(flash::redirect(&format!("{}/{id}/deliveries/{delivery}", keeper.side.path()), "webhook-resent"))
}
