//! Where would a guest of this plan go, and why there?

use super::division::resource_key;
use super::word;
use crate::admin::placement;
use crate::auth::Admin;
use crate::error::Result;
use crate::ids::HostId;
use crate::plans::{self, Plan};
use crate::state::App;
use crate::web::format;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use jst_policy::admission::Shortage;
use jst_policy::placement::{Outcome, Qualification, Rejection, Score};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/admin/placement", get(show))
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    plan: String,
}

struct Verdict {
    host: HostId,
    name: String,
    chosen: bool,
    score: Option<Score>,
    reasons: Vec<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/placement.html")]
struct PlacementPage {
    page: Page,
    plans: Vec<Plan>,
    asked: String,
    verdicts: Vec<Verdict>,
    found: bool,
}

async fn show(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(question): Query<Question>,
) -> Result<PlacementPage> {
    let plans = plans::db::list_all(app.db.platform()).await?;
    let plan = plans.iter().find(|plan| plan.slug == question.plan).or(plans.first());
    let asked = plan.map_or_else(String::new, |plan| plan.slug.clone());
    let mut verdicts = Vec::new();
    if let Some(plan) = plan {
        let placement = placement::explain(&app, plan).await?;
        verdicts = placement
            .verdicts
            .into_iter()
            .map(|verdict| {
                let (score, reasons) = match verdict.outcome {
                    Outcome::Eligible { score } => (Some(score), Vec::new()),
                    Outcome::Rejected { reasons } => {
                        (None, reasons.iter().map(|r| reason(&page, r)).collect())
                    }
                };
                Verdict {
                    host: verdict.host.into(),
                    name: verdict.name,
                    chosen: placement.chosen == Some(verdict.host),
                    score,
                    reasons,
                }
            })
            .collect();
    }
    let found = verdicts.iter().any(|verdict| verdict.chosen);
    Ok(PlacementPage { page, plans, asked, verdicts, found })
}

fn reason(page: &Page, rejection: &Rejection) -> String {
    match rejection {
        Rejection::NotAccepting => page.t("admin-reject-not-accepting"),
        Rejection::LeaseExpired => page.t("admin-reject-lease"),
        Rejection::NotQualified { qualification } => {
            let code = match qualification {
                Qualification::Kvm => "kvm",
                Qualification::Emulated => "emulated",
                Qualification::Simulated => "simulated",
                Qualification::Pending => "pending",
                Qualification::Failed => "failed",
            };
            page.t1("admin-reject-qualification", "qualification", word(page, "qualification", code))
        }
        Rejection::CapabilityAbsent { capability } => {
            page.t1("admin-reject-capability", "capability", capability.name())
        }
        Rejection::Short(shortage) => short(page, shortage),
        Rejection::NoAddresses { needed, free } => {
            page.t2("admin-reject-addresses", "needed", needed, "free", free)
        }
        Rejection::TenantPresent { instances } => page.t1("admin-reject-tenant", "count", instances),
    }
}

fn short(page: &Page, Shortage { resource, needed, free }: &Shortage) -> String {
    let figure = |amount| format::amount(*resource, amount);
    let detail = page.t2("admin-reject-short", "needed", figure(*needed), "free", figure(*free));
    format!("{}: {detail}", page.t(resource_key(*resource)))
}
