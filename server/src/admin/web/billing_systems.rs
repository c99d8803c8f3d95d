//! Billing systems of the operator's own: their tokens and what they sell.

use super::{next_href, word};
use crate::accounts::{Proof, second_factor};
use crate::admin::web::form::again;
use crate::auth::billing_system::Scope;
use crate::auth::{Actor, Admin, InPerson};
use crate::billing_systems::db::systems::{self as db, SystemRow, TokenRow};
use crate::billing_systems::order::Entitlement;
use crate::billing_systems::{Service, db as services, systems};
use crate::error::{Error, FieldError, Result};
use crate::ids::{BillingSystemId, ServiceId};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_extra::extract::Form;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/billing-systems", get(list).post(create))
        .route("/admin/billing-systems/{id}", get(show))
        .route("/admin/billing-systems/{id}/tokens", post(add_token))
        .route("/admin/billing-systems/{id}/tokens/{token}/revoke", post(revoke))
}

#[derive(Default, Deserialize)]
struct NewForm {
    #[serde(default)]
    name: String,
    /// One field for each box that is ticked.
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    code: String,
}

impl NewForm {
    /// What a module needs.
    fn all() -> Self {
        let scopes = Scope::ALL.iter().map(|scope| scope.name().to_owned()).collect();
        Self { scopes, ..Self::default() }
    }

    fn proof(&self) -> Proof {
        Proof { current_password: self.current_password.clone(), code: self.code.clone() }
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|text| text == scope)
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/billing_systems.html")]
struct ListPage {
    page: Page,
    rows: Vec<SystemRow>,
    form: NewForm,
    second_factor: bool,
    errors: Vec<FieldError>,
}

async fn list(State(app): State<App>, Admin(actor): Admin, page: Page) -> Result<ListPage> {
    let rows = db::list(app.db.platform(), None).await?;
    let second_factor = second_factor::is_on(&app, &actor).await?;
    Ok(ListPage { page, rows, form: NewForm::all(), second_factor, errors: Vec::new() })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/billing_system.html")]
struct ShowPage {
    page: Page,
    system: SystemRow,
    tokens: Vec<TokenRow>,
    services: Vec<Service>,
    next: String,
    form: NewForm,
    second_factor: bool,
    errors: Vec<FieldError>,
    /// The token that was just made: shown now and never again.
    created: Option<String>,
    /// What modules are told to call.
    endpoint: String,
}

impl ShowPage {
    async fn load(
        app: &App,
        actor: &Actor,
        page: Page,
        id: BillingSystemId,
        paging: &Paging<ServiceId>,
    ) -> Result<Self> {
        let pool = app.db.platform();
        let system = db::list(pool, Some(id)).await?.pop().ok_or(Error::NotFound)?;
        let rows = services::list(pool, id, None, paging.after, paging.fetch()).await?;
        let listed = Listed::new(rows, paging, |service| service.id.to_string());
        let next = next_href(&format!("/admin/billing-systems/{id}"), &[], &listed);
        Ok(Self {
            page,
            system,
            tokens: db::tokens(pool, id).await?,
            services: listed.items,
            next,
            form: NewForm::all(),
            second_factor: second_factor::is_on(app, actor).await?,
            errors: Vec::new(),
            created: None,
            endpoint: app.config.public_url.trim_end_matches('/').to_owned(),
        })
    }

    fn look(&self, service: &Service) -> &'static str {
        match service.in_force.entitlement {
            Entitlement::Active => "running",
            Entitlement::Suspended => "attention",
            Entitlement::Terminated => "stopped",
        }
    }

    fn word(&self, service: &Service) -> String {
        word(&self.page, "service", service.in_force.entitlement.name())
    }

    fn scope(&self, name: &str) -> String {
        word(&self.page, "billing-scope", name)
    }

    fn state(&self, service: &Service) -> String {
        match &service.made {
            Some(made) => self.page.t(&format!("instance-state-{}", made.state)),
            None => self.page.t("admin-service-pending"),
        }
    }
}

async fn show(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    paging: Paging<ServiceId>,
) -> Result<ShowPage> {
    ShowPage::load(&app, &actor, page, id.parse()?, &paging).await
}

async fn create(
    State(app): State<App>,
    _: Admin,
    InPerson(actor): InPerson,
    page: Page,
    Form(form): Form<NewForm>,
) -> Result<Response> {
    match systems::create(&app, &actor, &form.name, &form.scopes, &form.proof()).await {
        Ok((id, secret)) => {
            let fresh = ShowPage::load(&app, &actor, page, id, &Paging::default()).await?;
            Ok(ShowPage { created: Some(secret), ..fresh }.into_response())
        }
        Err(error) => {
            let rows = db::list(app.db.platform(), None).await?;
            let second_factor = second_factor::is_on(&app, &actor).await?;
            again(error, |errors| ListPage { page, rows, form, second_factor, errors })
        }
    }
}

async fn add_token(
    State(app): State<App>,
    _: Admin,
    InPerson(actor): InPerson,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<NewForm>,
) -> Result<Response> {
    let id = id.parse()?;
    let added = systems::add_token(&app, &actor, id, &form.scopes, &form.proof()).await;
    let fresh = ShowPage::load(&app, &actor, page, id, &Paging::default()).await?;
    match added {
        Ok(secret) => Ok(ShowPage { created: Some(secret), ..fresh }.into_response()),
        Err(error) => again(error, |errors| ShowPage { form, errors, ..fresh }),
    }
}

async fn revoke(
    State(app): State<App>,
    _: Admin,
    InPerson(actor): InPerson,
    Path((id, token)): Path<(String, String)>,
) -> Result<Response> {
    systems::revoke(&app, &actor, id.parse()?, token.parse()?).await?;
    Ok(flash::redirect(&format!("/admin/billing-systems/{id}"), "billing-token-revoked"))
}
