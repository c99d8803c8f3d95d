//! Payments through providers: what came in, what providers have told, and their settings.

use super::form::{Sent, again, switch};
use super::{next_href, word};
use crate::auth::Admin;
use crate::billing::payments::db::{self, EventRow};
use crate::billing::payments::provider::{Field, Provider};
use crate::billing::payments::settings::{self, NewSettings, ProviderSettings};
use crate::billing::payments::web::{provider_word, state_kind, state_word};
use crate::billing::payments::{Payment, attention, inbox, masked};
use crate::error::{Error, FieldError, Result};
use crate::ids::PaymentId;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/billing/payments", get(list))
        .route("/admin/billing/payments/{id}/settle-dispute", post(settle_dispute))
        .route("/admin/billing/payment-events", get(list_events))
        .route("/admin/billing/payment-events/{id}", get(show_event))
        .route("/admin/billing/payment-events/{id}/retry", post(retry))
        .route("/admin/billing/payment-providers", get(list_providers))
        .route("/admin/billing/payment-providers/{provider}", get(show_provider).post(save_provider))
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/payments.html")]
struct ListPage {
    page: Page,
    payments: Vec<Payment>,
    next: String,
}

impl ListPage {
    fn word(&self, payment: &Payment) -> String {
        state_word(&self.page, payment)
    }

    fn kind(&self, payment: &Payment) -> &'static str {
        state_kind(payment)
    }

    fn by(&self, payment: &Payment) -> String {
        provider_word(&self.page, payment.provider)
    }

    /// The provider's number of it.
    fn transaction<'a>(&self, payment: &'a Payment) -> &'a str {
        payment.facts.transaction.as_deref().unwrap_or("")
    }
}

async fn list(State(app): State<App>, _: Admin, page: Page, paging: Paging<PaymentId>) -> Result<ListPage> {
    let mut tx = app.db.begin_platform().await?;
    let rows = db::list(&mut tx, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |payment: &Payment| payment.id.to_string());
    let next = next_href("/admin/billing/payments", &[], &listed);
    Ok(ListPage { page, payments: listed.items, next })
}

async fn settle_dispute(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Response> {
    attention::settle(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/admin/billing/payments", "dispute-settled"))
}

/// The states of events, in the order in which somebody has to look at them.
const STATES: [&str; 6] = ["disputed", "unreadable", "unknown", "received", "applied", "ignored"];

fn event_kind(state: &str) -> &'static str {
    match state {
        "applied" => "running",
        "received" => "working",
        "disputed" | "unreadable" => "failed",
        "unknown" => "attention",
        _ => "stopped",
    }
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    state: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/payment_events.html")]
struct EventsPage {
    page: Page,
    rows: Vec<EventRow>,
    state: String,
    next: String,
}

impl EventsPage {
    fn states(&self) -> [&'static str; 6] {
        STATES
    }

    fn state_word(&self, state: &str) -> String {
        word(&self.page, "payment-event", state)
    }

    fn kind(&self, row: &EventRow) -> &'static str {
        event_kind(&row.state)
    }

    fn reason(&self, row: &EventRow) -> String {
        reason(&self.page, row)
    }

    fn by(&self, row: &EventRow) -> String {
        provider_word(&self.page, row.provider)
    }
}

/// Why it was not applied; "" where nothing is to be said.
fn reason(page: &Page, row: &EventRow) -> String {
    if row.reason.is_empty() { String::new() } else { word(page, "payment-reason", &row.reason) }
}

async fn list_events(
    State(app): State<App>,
    _: Admin,
    page: Page,
    paging: Paging<i64>,
    Query(wanted): Query<Wanted>,
) -> Result<EventsPage> {
    let state = STATES.into_iter().find(|state| *state == wanted.state);
    let rows = db::events(app.db.platform(), state, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |event: &EventRow| event.id.to_string());
    let state = state.unwrap_or("");
    let next = next_href("/admin/billing/payment-events", &[("state", state)], &listed);
    Ok(EventsPage { page, rows: listed.items, state: state.to_owned(), next })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/payment_event.html")]
struct EventPage {
    page: Page,
    event: EventRow,
    body: String,
    told: String,
    /// It can be read again and applied.
    open: bool,
}

impl EventPage {
    fn word(&self) -> String {
        word(&self.page, "payment-event", &self.event.state)
    }

    fn kind(&self) -> &'static str {
        event_kind(&self.event.state)
    }

    fn reason(&self) -> String {
        reason(&self.page, &self.event)
    }

    fn by(&self) -> String {
        provider_word(&self.page, self.event.provider)
    }
}

fn number(id: &str) -> Result<i64> {
    id.parse().map_err(|_| Error::NotFound)
}

async fn show_event(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Path(id): Path<String>,
) -> Result<EventPage> {
    let event = db::event(app.db.platform(), number(&id)?).await?.ok_or(Error::NotFound)?;
    let told = event.told.as_ref().and_then(|told| serde_json::to_string_pretty(told).ok());
    Ok(EventPage {
        page,
        body: masked(&event.body),
        told: told.unwrap_or_default(),
        open: !matches!(event.state.as_str(), "applied" | "received"),
        event,
    })
}

async fn retry(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    let number = number(&id)?;
    let page = format!("/admin/billing/payment-events/{number}");
    match inbox::retry(&app, &actor, number).await {
        Ok(()) => Ok(flash::redirect(&page, "payment-event-retried")),
        Err(Error::Refused { code, .. }) => Ok(flash::redirect_refused(&page, code, "")),
        Err(error) => Err(error),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/payment_providers.html")]
struct ProvidersPage {
    page: Page,
    providers: Vec<ProviderSettings>,
}

impl ProvidersPage {
    fn by(&self, provider: &ProviderSettings) -> String {
        provider_word(&self.page, provider.provider)
    }

    fn name(&self, provider: &ProviderSettings) -> &'static str {
        provider.provider.name()
    }

    fn currencies(&self, provider: &ProviderSettings) -> String {
        provider.currencies.iter().map(|currency| currency.code()).collect::<Vec<_>>().join(" · ")
    }
}

async fn list_providers(State(app): State<App>, _: Admin, page: Page) -> Result<ProvidersPage> {
    Ok(ProvidersPage { page, providers: settings::all(&app).await? })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/payment_provider.html")]
struct ProviderPage {
    page: Page,
    shown: ProviderSettings,
    form: Sent,
    errors: Vec<FieldError>,
}

impl ProviderPage {
    fn by(&self) -> String {
        provider_word(&self.page, self.shown.provider)
    }

    fn name(&self) -> &'static str {
        self.shown.provider.name()
    }

    fn fields(&self) -> &'static [Field] {
        self.shown.provider.fields()
    }

    fn label(&self, field: &Field) -> String {
        format!("payment-field-{}", format!("{}-{}", self.name(), field.name).replace('_', "-"))
    }

    /// Secrets say only whether they are set.
    fn hint(&self, field: &Field) -> String {
        if !field.secret {
            let key = format!("{}-hint", self.label(field));
            return if self.page.language.has(&key) { key } else { String::new() };
        }
        let set = self.shown.secrets.contains(field.name);
        format!("payment-secret-{}", if set { "set" } else { "unset" })
    }

    /// A secret that was typed does not come back either.
    fn value(&self, field: &Field) -> &str {
        if field.secret { "" } else { self.form.value(field.name) }
    }

    fn kind(&self, field: &Field) -> &'static str {
        if field.secret { "password" } else { "text" }
    }
}

async fn current(app: &App, provider: &str) -> Result<ProviderSettings> {
    let provider = Provider::parse(provider).ok_or(Error::NotFound)?;
    let stored = db::provider(app.db.platform(), provider).await?;
    Ok(ProviderSettings::new(app, &stored))
}

async fn show_provider(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Path(provider): Path<String>,
) -> Result<ProviderPage> {
    let shown = current(&app, &provider).await?;
    let mut form: Sent = shown.settings.clone().into_iter().collect();
    form.insert("enabled".to_owned(), switch(shown.enabled));
    Ok(ProviderPage { page, shown, form, errors: Vec::new() })
}

async fn save_provider(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(provider): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let shown = current(&app, &provider).await?;
    let values = form.iter().filter(|(name, _)| *name != "enabled");
    let new = NewSettings {
        enabled: form.on("enabled"),
        values: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    match settings::update(&app, &actor, shown.provider, &new).await {
        Ok(_) => Ok(flash::redirect("/admin/billing/payment-providers", "payment-provider-saved")),
        Err(error) => again(error, |errors| ProviderPage { page, shown, form, errors }),
    }
}
