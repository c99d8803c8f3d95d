//! Address pools.

use super::form::{Sent, field_errors, switch, unprocessable};
use crate::auth::{Actor, Admin};
use crate::error::{Error, FieldError, Result};
use crate::hosts::{self, Host};
use crate::ids::{HostId, PoolId};
use crate::networks::{self, Pool, PoolInput, db};
use crate::state::App;
use crate::typed;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use axum::routing::{get, post};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/pools", get(list).post(create))
        .route("/admin/pools/new", get(new))
        .route("/admin/pools/{id}", get(show).post(update))
        .route("/admin/pools/{id}/delete", post(delete))
}

struct Row {
    pool: Pool,
    usable: String,
    used_percent: f64,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/pools.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
}

async fn list(State(app): State<App>, _: Admin, page: Page) -> Result<ListPage> {
    let pools = db::list(app.db.platform()).await?;
    let rows = pools
        .into_iter()
        .map(|pool| Row {
            usable: pool.usable().map_or_else(|| page.t("admin-pool-countless"), |usable| usable.to_string()),
            used_percent: super::percent(pool.used.unsigned_abs(), pool.usable().unwrap_or(u64::MAX)),
            pool,
        })
        .collect();
    Ok(ListPage { page, rows })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/pool.html")]
struct EditPage {
    page: Page,
    /// Absent while the pool is new.
    pool: Option<Pool>,
    hosts: Vec<Host>,
    form: Sent,
    errors: Vec<FieldError>,
}

impl EditPage {
    async fn new(
        app: &App,
        page: Page,
        pool: Option<Pool>,
        form: Sent,
        errors: Vec<FieldError>,
    ) -> Result<Self> {
        let hosts = hosts::db::list(app.db.platform()).await?;
        Ok(Self { page, pool, hosts, form, errors })
    }
}

fn pool_form(pool: &Pool) -> Sent {
    let input = PoolInput::from(pool);
    let entries = [
        ("name", input.name),
        ("network", input.network),
        ("excluded", input.excluded.join("\n")),
        ("nameservers", input.nameservers.join("\n")),
        ("host_id", input.host_id.map_or_else(String::new, |id| id.to_string())),
        ("enabled", switch(input.enabled)),
    ];
    Sent::from(entries)
}

fn read(form: &Sent) -> Result<PoolInput> {
    // Lines and commas part entries; what holds nothing else is handed on, to be refused.
    let entries = |name: &str| -> Vec<String> {
        let text = typed::plain(form.value(name));
        let entries = text.split([' ', ',', ';']).filter(|entry| !entry.is_empty());
        let entries: Vec<String> = entries.map(str::to_owned).collect();
        if entries.is_empty() && !text.is_empty() { vec![text] } else { entries }
    };
    let host_id = match form.trimmed("host_id") {
        "" => None,
        text => Some(text.parse::<HostId>().map_err(|_| Error::invalid("host_id", "choice"))?),
    };
    Ok(PoolInput {
        name: form.trimmed("name").to_owned(),
        network: form.trimmed("network").to_owned(),
        excluded: entries("excluded"),
        nameservers: entries("nameservers"),
        host_id,
        enabled: form.on("enabled"),
    })
}

async fn new(State(app): State<App>, _: Admin, page: Page) -> Result<EditPage> {
    let form = Sent::from([("enabled", "on".to_owned())]);
    EditPage::new(&app, page, None, form, Vec::new()).await
}

async fn find(app: &App, id: &str) -> Result<Pool> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<EditPage> {
    let pool = find(&app, &id).await?;
    let form = pool_form(&pool);
    EditPage::new(&app, page, Some(pool), form, Vec::new()).await
}

async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    match save(&app, &actor, None, &form).await {
        Ok(pool) => Ok(flash::redirect_with("/admin/pools", "pool-created", &pool.name)),
        Err(error) => refused(&app, page, None, form, error).await,
    }
}

async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let pool = find(&app, &id).await?;
    match save(&app, &actor, Some(pool.id), &form).await {
        Ok(pool) => Ok(flash::redirect_with("/admin/pools", "pool-saved", &pool.name)),
        Err(error) => refused(&app, page, Some(pool), form, error).await,
    }
}

async fn save(app: &App, actor: &Actor, id: Option<PoolId>, form: &Sent) -> Result<Pool> {
    let input = read(form)?;
    match id {
        Some(id) => networks::update(app, actor, id, &input).await,
        None => networks::create(app, actor, &input).await,
    }
}

async fn refused(app: &App, page: Page, pool: Option<Pool>, form: Sent, error: Error) -> Result<Response> {
    let page = EditPage::new(app, page, pool, form, field_errors(error)?).await?;
    Ok(unprocessable(page))
}

async fn delete(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    match networks::delete(&app, &actor, id.parse()?).await {
        Ok(()) => Ok(flash::redirect("/admin/pools", "pool-deleted")),
        Err(error) if error.code() == "pool-in-use" => {
            Ok(flash::redirect_error(&format!("/admin/pools/{id}"), "pool-in-use"))
        }
        Err(error) => Err(error),
    }
}
