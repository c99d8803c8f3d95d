//! The status page, which everybody may read.

use super::{Announcement, Kind, Stage, db};
use crate::error::Result;
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use time::OffsetDateTime;

/// What is over stays on the page for so long.
const SHOWN_DAYS: i32 = 90;
const SHOWN: i64 = 100;

pub fn routes() -> Router<App> {
    Router::new().route("/status", get(show))
}

/// A part of the platform, as visitors know it.
struct Part {
    name: &'static str,
    /// The look of [`ui::state`] and the key of its word.
    look: &'static str,
    word: &'static str,
}

/// An announcement in the reader's language.
struct Entry {
    look: &'static str,
    word: &'static str,
    title: String,
    text: String,
    starts_at: OffsetDateTime,
    ends_at: Option<OffsetDateTime>,
}

#[derive(Template, WebTemplate)]
#[template(path = "public/status.html")]
struct StatusPage {
    page: Page,
    look: &'static str,
    /// The key of the one sentence that people come for.
    summary: &'static str,
    parts: Vec<Part>,
    on: Vec<Entry>,
    planned: Vec<Entry>,
    over: Vec<Entry>,
}

impl Entry {
    fn of(page: &Page, announcement: &Announcement) -> Self {
        Self {
            look: kind_look(announcement.input.kind),
            word: kind_key(announcement.input.kind),
            title: announcement.title(page.language).to_owned(),
            text: announcement.text(page.language).to_owned(),
            starts_at: announcement.input.starts_at,
            ends_at: announcement.input.ends_at,
        }
    }
}

pub const fn kind_look(kind: Kind) -> &'static str {
    match kind {
        Kind::Notice => "stopped",
        Kind::Maintenance => "attention",
        Kind::Incident => "failed",
    }
}

pub const fn kind_key(kind: Kind) -> &'static str {
    match kind {
        Kind::Notice => "announcement-notice",
        Kind::Maintenance => "announcement-maintenance",
        Kind::Incident => "announcement-incident",
    }
}

async fn show(State(app): State<App>, page: Page) -> Result<StatusPage> {
    let now = OffsetDateTime::now_utc();
    let health = db::health(app.db.platform()).await?;
    let all = db::recent(app.db.platform(), SHOWN_DAYS, SHOWN).await?;
    let of = |stage: Stage| all.iter().filter(move |one| one.stage(now) == stage);
    let entries = |stage: Stage| of(stage).map(|one| Entry::of(&page, one)).collect::<Vec<_>>();
    let (on, mut planned, over) = (entries(Stage::On), entries(Stage::Planned), entries(Stage::Over));
    // The next one first.
    planned.reverse();
    let parts = parts(health);
    let announced: Vec<Kind> = of(Stage::On).map(|one| one.input.kind).collect();
    let (look, summary) = summary(&parts, &announced);
    Ok(StatusPage { page, look, summary, parts, on, planned, over })
}

/// What can be seen from here.  The portal is what answers this request.
fn parts(health: db::Health) -> Vec<Part> {
    let hosts = match health.hosts {
        all if health.hosts_online == all => ("running", "status-works"),
        _ if health.hosts_online == 0 => ("failed", "status-unreachable"),
        _ => ("attention", "status-in-part"),
    };
    let changes =
        if health.operations_late == 0 { ("running", "status-works") } else { ("attention", "status-slow") };
    [("status-portal", ("running", "status-works")), ("status-hosts", hosts), ("status-changes", changes)]
        .into_iter()
        .map(|(name, (look, word))| Part { name, look, word })
        .collect()
}

/// The worst of what is measured and what was announced.
fn summary(parts: &[Part], on: &[Kind]) -> (&'static str, &'static str) {
    let announced = |kind: Kind| on.contains(&kind);
    let measured = |look: &str| parts.iter().any(|part| part.look == look);
    if announced(Kind::Incident) || measured("failed") {
        ("failed", "status-summary-incident")
    } else if announced(Kind::Maintenance) {
        ("attention", "status-summary-maintenance")
    } else if measured("attention") {
        ("attention", "status-summary-in-part")
    } else {
        ("running", "status-summary-works")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(hosts: i64, hosts_online: i64, operations_late: i64) -> &'static str {
        summary(&parts(db::Health { hosts, hosts_online, operations_late }), &[]).1
    }

    #[test]
    fn what_was_announced_counts() {
        let parts = parts(db::Health { hosts: 1, hosts_online: 1, operations_late: 0 });
        assert_eq!(summary(&parts, &[Kind::Notice]).1, "status-summary-works");
        assert_eq!(summary(&parts, &[Kind::Notice, Kind::Maintenance]).1, "status-summary-maintenance");
        assert_eq!(summary(&parts, &[Kind::Maintenance, Kind::Incident]).1, "status-summary-incident");
    }

    #[test]
    fn the_worst_is_what_is_said() {
        assert_eq!(seen(0, 0, 0), "status-summary-works");
        assert_eq!(seen(3, 3, 0), "status-summary-works");
        assert_eq!(seen(3, 3, 1), "status-summary-in-part");
        assert_eq!(seen(3, 2, 0), "status-summary-in-part");
        assert_eq!(seen(3, 0, 0), "status-summary-incident");
    }
}
