//! The first page of the administration: how things stand, and what needs somebody.

use super::heat::HeatMap;
use super::{state_kind, word};
use crate::admin::db::operations::{self, OperationRow};
use crate::admin::db::overview::{self, Overview};
use crate::auth::Admin;
use crate::error::Result;
use crate::hosts::{self, Host, HostState};
use crate::images;
use crate::networks;
use crate::plans;
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/admin", get(show))
}

/// Something that an operator should look at.
struct Concern {
    text: String,
    href: &'static str,
}

/// What a new platform still lacks before it can sell anything.
struct Step {
    done: bool,
    text: String,
    href: &'static str,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/overview.html")]
struct OverviewPage {
    page: Page,
    overview: Overview,
    concerns: Vec<Concern>,
    steps: Vec<Step>,
    heat: HeatMap,
    failed: Vec<OperationRow>,
}

impl OverviewPage {
    fn kind(&self, state: &str) -> &'static str {
        state_kind(state)
    }

    fn word(&self, group: &str, code: &str) -> String {
        word(&self.page, group, code)
    }
}

async fn show(State(app): State<App>, _: Admin, page: Page) -> Result<OverviewPage> {
    let pool = app.db.platform();
    let overview = overview::overview(pool).await?;
    let failed = operations::list(pool, "failed", None, None, 5).await?;
    let hosts = hosts::db::list(pool).await?;
    let mut concerns = concerns(&page, &overview, &hosts);
    if !app.config.danger_customer_webhook_allow.is_empty() {
        concerns.insert(0, Concern { text: page.t("admin-concern-danger"), href: "/admin/webhooks" });
    }
    let steps = vec![
        Step { done: !hosts.is_empty(), text: page.t("admin-step-host"), href: "/admin/hosts/enrol" },
        Step {
            done: !networks::db::list(pool).await?.is_empty(),
            text: page.t("admin-step-pool"),
            href: "/admin/pools/new",
        },
        Step {
            done: !images::db::list_public(pool).await?.is_empty(),
            text: page.t("admin-step-image"),
            href: "/admin/images/new",
        },
        Step {
            done: !plans::db::list_public(pool).await?.is_empty(),
            text: page.t("admin-step-plan"),
            href: "/admin/plans/new",
        },
    ];
    let steps = if steps.iter().all(|step| step.done) { Vec::new() } else { steps };
    let heat = HeatMap::of(&page, &hosts);
    Ok(OverviewPage { page, overview, concerns, steps, heat, failed })
}

fn concerns(page: &Page, overview: &Overview, hosts: &[Host]) -> Vec<Concern> {
    let offline = hosts.iter().filter(|host| host.state != HostState::Disabled && !host.online).count();
    let unqualified = hosts.iter().filter(|host| host.qualification == "failed").count();
    let counted = |key: &str, count: i64, href| {
        (count > 0).then(|| Concern { text: page.t1(key, "count", count), href })
    };
    [
        counted("admin-concern-offline", offline as i64, "/admin/hosts"),
        counted("admin-concern-unqualified", unqualified as i64, "/admin/hosts"),
        counted("admin-concern-late", overview.operations_late, "/admin/operations?state=late"),
        counted("admin-concern-failed", overview.operations_failed, "/admin/operations?state=failed"),
        counted("admin-concern-drift", overview.instances_drifting, "/admin/instances?attention=on"),
        counted("admin-concern-set-aside", overview.set_aside, "/admin/set-aside"),
        counted("admin-concern-appeals", overview.appeals_waiting, "/admin/trials"),
        counted("admin-concern-mail", overview.mails_abandoned, "/admin/mail?state=abandoned"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
