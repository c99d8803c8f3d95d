//! Which mails somebody wants.

use crate::accounts::db::notifications::Sent;
use crate::accounts::notifications::{self, Wanted};
use crate::auth::{Actor, InPerson};
use crate::error::Result;
use crate::mail::Topic;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, State};
use axum::response::Response;
use axum::routing::get;
use std::collections::HashMap;

pub fn routes() -> Router<App> {
    Router::new().route("/notifications", get(show).post(choose))
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/notifications.html")]
struct NotificationsPage {
    page: Page,
    actor: Actor,
    wanted: Wanted,
    sent: Vec<Sent>,
}

impl NotificationsPage {
    const fn label(topic: Topic) -> &'static str {
        match topic {
            Topic::SignIns => "topic-sign-ins",
            Topic::Operations => "topic-operations",
            Topic::Trials => "topic-trials",
            Topic::Balance => "topic-balance",
        }
    }
}

async fn show(State(app): State<App>, page: Page, InPerson(actor): InPerson) -> Result<NotificationsPage> {
    let wanted = notifications::wanted(&app, &actor).await?;
    let sent = notifications::recent(&app, &actor).await?;
    Ok(NotificationsPage { page, actor, wanted, sent })
}

/// Browsers send the boxes that are on.
async fn choose(
    State(app): State<App>,
    InPerson(actor): InPerson,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response> {
    let wanted = Wanted::new(|topic| form.contains_key(topic.name()));
    notifications::choose(&app, &actor, wanted).await?;
    Ok(flash::redirect("/notifications", "notifications-saved"))
}
