//! Name, protection, rebuild and deletion of one instance.

use super::Refusal;
use super::head::{self, Head};
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result};
use crate::ids::{InstanceId, SshKeyId};
use crate::images;
use crate::instances::change;
use crate::instances::db::catalogue::{self, KeyRow};
use crate::instances::delete::{self, When};
use crate::instances::rebuild::{self, Rebuild};
use crate::instances::view::{self, View};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
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
        .route("/instances/{id}/settings", get(show))
        .route("/instances/{id}/name", post(rename))
        .route("/instances/{id}/protection", post(protect))
        .route("/instances/{id}/rebuild", get(show_rebuild).post(rebuild))
        .route("/instances/{id}/delete", get(show_delete).post(delete))
}

#[derive(Default, Deserialize)]
struct NameForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    hostname: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/settings.html")]
struct SettingsPage {
    head: Head,
    view: View,
    form: NameForm,
    refusal: Refusal,
    page: Page,
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<SettingsPage> {
    let view = view::one(&app, &actor, id.parse()?).await?;
    let form = NameForm { name: view.instance.name.clone(), hostname: view.instance.full_hostname() };
    let head = Head::new(&page, &view, "settings");
    Ok(SettingsPage { head, view, form, refusal: Refusal::default(), page })
}

async fn rename(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<NameForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    match change::rename(&app, &actor, id, &form.name, &form.hostname).await {
        Ok(_) => Ok(flash::redirect(&format!("/instances/{id}/settings"), "instance-renamed")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let view = view::one(&app, &actor, id).await?;
            let status = refusal.status;
            let head = Head::new(&page, &view, "settings");
            Ok((status, SettingsPage { head, view, form, refusal, page }).into_response())
        }
    }
}

#[derive(Deserialize)]
struct ProtectForm {
    #[serde(default)]
    on: String,
}

async fn protect(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<ProtectForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let on = form.on == "on";
    change::set_protection(&app, &actor, id, on).await?;
    let message = if on { "instance-protected" } else { "instance-unprotected" };
    Ok(flash::redirect(&format!("/instances/{id}/settings"), message))
}

#[derive(Default, Deserialize)]
struct RebuildForm {
    #[serde(default)]
    image: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    ssh_keys: Vec<String>,
    /// The keys are those chosen here, and not those of the last build.
    #[serde(default)]
    choose_keys: String,
    #[serde(default)]
    confirm: String,
}

impl RebuildForm {
    fn has_key(&self, id: &SshKeyId) -> bool {
        self.ssh_keys.contains(&id.to_string())
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/rebuild.html")]
struct RebuildPage {
    head: Head,
    images: Vec<images::Image>,
    keys: Vec<KeyRow>,
    form: RebuildForm,
    refusal: Refusal,
    page: Page,
}

async fn rebuild_page(
    app: &App,
    page: Page,
    actor: &Actor,
    id: InstanceId,
    mut form: RebuildForm,
    refusal: Refusal,
) -> Result<RebuildPage> {
    let view = view::one(app, actor, id).await?;
    let images = images::db::list_public(app.db.platform()).await?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let keys = catalogue::ssh_keys(&mut tx, actor.tenant_id, None).await?;
    if form.image.is_empty() {
        form.image = view.image.slug.clone();
        form.hostname = view.instance.full_hostname();
        form.ssh_keys = keys.iter().map(|key| key.id.to_string()).collect();
    }
    let head = Head::new(&page, &view, "settings");
    Ok(RebuildPage { head, images, keys, form, refusal, page })
}

async fn show_rebuild(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<RebuildPage> {
    rebuild_page(&app, page, &actor, id.parse()?, RebuildForm::default(), Refusal::default()).await
}

/// The reader may destroy it, and has typed the name of what is about to be destroyed.
fn confirmed(actor: &Actor, view: &View, typed: &str) -> Result<()> {
    actor.may_operate()?;
    if head::is_confirmed(&view.instance, typed) {
        return Ok(());
    }
    Err(Error::Invalid(vec![
        FieldError::new("confirm", "confirm-name")
            .with("name", head::confirmation(&view.instance))
            .with("id", view.instance.id.short()),
    ]))
}

async fn rebuild(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<RebuildForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let view = view::one(&app, &actor, id).await?;
    let new = Rebuild {
        image: form.image.clone(),
        hostname: form.hostname.clone(),
        ssh_keys: (!form.choose_keys.is_empty()).then(|| form.ssh_keys.clone()),
        user_data: None,
    };
    let result = match confirmed(&actor, &view, &form.confirm) {
        Ok(()) => rebuild::rebuild(&app, &actor, id, new).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(_) => Ok(flash::redirect(&format!("/instances/{id}"), "instance-rebuilding")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let status = refusal.status;
            Ok((status, rebuild_page(&app, page, &actor, id, form, refusal).await?).into_response())
        }
    }
}

#[derive(Default, Deserialize)]
struct DeleteForm {
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    now: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/delete.html")]
struct DeletePage {
    head: Head,
    view: View,
    hours: i64,
    /// The grace period is used up by earlier deletions.
    over: bool,
    /// The day of an earlier deletion from which the hours count; "" for none.
    first: String,
    now: bool,
    refusal: Refusal,
    page: Page,
}

async fn delete_page(
    app: &App,
    page: Page,
    actor: &Actor,
    id: InstanceId,
    now: bool,
    refusal: Refusal,
) -> Result<DeletePage> {
    let view = view::one(app, actor, id).await?;
    let begun = delete::grace_begins(&view.instance);
    let earlier = begun < view.instance.now;
    let whole = delete::grace_hours(app.db.platform(), view.trial.is_some()).await?;
    let left = begun + time::Duration::hours(whole) - view.instance.now;
    let first = if earlier { page.date(&begun) } else { String::new() };
    let head = Head::new(&page, &view, "settings");
    // Of what is deleted already only the rest of the grace period can be given up.
    let now = now || delete::is_retained(&view.instance);
    Ok(DeletePage {
        head,
        view,
        hours: left.whole_hours().max(0),
        over: earlier && left <= time::Duration::ZERO,
        first,
        now,
        refusal,
        page,
    })
}

async fn show_delete(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<DeletePage> {
    delete_page(&app, page, &actor, id.parse()?, false, Refusal::default()).await
}

async fn delete(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<DeleteForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let now = form.now == "on";
    let view = view::one(&app, &actor, id).await?;
    let result = match confirmed(&actor, &view, &form.confirm) {
        Ok(()) => delete::delete(&app, &actor, id, if now { When::Now } else { When::Later }).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(_) if now => Ok(flash::redirect_with("/instances", "instance-deleted-now", &view.instance.name)),
        Ok(_) => Ok(flash::redirect(&format!("/instances/{id}"), "instance-deleted")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let status = refusal.status;
            Ok((status, delete_page(&app, page, &actor, id, now, refusal).await?).into_response())
        }
    }
}
