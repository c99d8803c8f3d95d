//! The settings of the platform.

use super::form::{Sent, again};
use crate::auth::Admin;
use crate::error::{Error, FieldError, Result};
use crate::settings::{self, Settings};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, State};
use axum::response::Response;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/admin/settings", get(show).post(save))
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/settings.html")]
struct SettingsPage {
    page: Page,
    form: Sent,
    errors: Vec<FieldError>,
}

/// The form follows the document: numbers as text, switches as checkboxes.
fn settings_form(settings: &Settings) -> Result<Sent> {
    let document = serde_json::to_value(settings).map_err(anyhow::Error::from)?;
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Bool(on) => if *on { "on" } else { "" }.to_owned(),
        other => other.to_string(),
    };
    let fields = document.as_object().into_iter().flatten();
    Ok(fields.map(|(key, value)| (key.clone(), text(value))).collect())
}

async fn show(State(app): State<App>, _: Admin, page: Page) -> Result<SettingsPage> {
    let form = settings_form(&settings::get(app.db.platform()).await?)?;
    Ok(SettingsPage { page, form, errors: Vec::new() })
}

fn read(form: &Sent) -> Result<Settings> {
    let mut problems = Vec::new();
    let mut figure = |name| form.number(name, &mut problems);
    let settings = Settings {
        sign_up_open: form.on("sign_up_open"),
        allow_emulated: form.on("allow_emulated"),
        trial_days: figure("trial_days"),
        trial_keep_days: figure("trial_keep_days"),
        trials_per_ip_day: figure("trials_per_ip_day"),
        trials_per_network_day: figure("trials_per_network_day"),
        trials_per_device: figure("trials_per_device"),
        trial_outbound_mbit: figure("trial_outbound_mbit"),
        delete_grace_hours: figure("delete_grace_hours"),
        image_max_gib: figure("image_max_gib"),
    };
    if problems.is_empty() { Ok(settings) } else { Err(Error::Invalid(problems)) }
}

async fn save(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let saved = match read(&form) {
        Ok(wanted) => settings::update(&app, &actor, &wanted).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(()) => Ok(flash::redirect("/admin/settings", "settings-saved")),
        Err(error) => again(error, |errors| SettingsPage { page, form, errors }),
    }
}
