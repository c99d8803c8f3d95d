//! Addresses and firewall of one instance.

use super::Refusal;
use super::head::Head;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::instances::change::{self, Rules};
use crate::instances::firewall::{self, RuleText};
use crate::instances::view::{self, View};
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_extra::extract::Form;
use jst_protocol::desired::FirewallRule;
use serde::Deserialize;

/// Empty rows below the rules, for new ones: the page needs no script.
const EMPTY_ROWS: usize = 2;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/networking", get(show).post(save))
}

/// Rows of both directions, column by column, as forms send them.
#[derive(Default, Deserialize)]
struct FirewallForm {
    /// `open` or `rules`.
    #[serde(default)]
    inbound: String,
    #[serde(default)]
    outbound: String,
    #[serde(default)]
    inbound_protocol: Vec<String>,
    #[serde(default)]
    inbound_ports: Vec<String>,
    #[serde(default)]
    inbound_peers: Vec<String>,
    #[serde(default)]
    outbound_protocol: Vec<String>,
    #[serde(default)]
    outbound_ports: Vec<String>,
    #[serde(default)]
    outbound_peers: Vec<String>,
}

/// One direction of the editor.
pub struct Direction {
    pub name: &'static str,
    pub title: &'static str,
    /// Everything passes.
    pub open: bool,
    pub open_key: &'static str,
    pub rules_key: &'static str,
    pub rows: Vec<RuleText>,
}

impl Direction {
    fn new(name: &'static str, rules: Option<Vec<RuleText>>) -> Self {
        let inbound = name == "inbound";
        let open = rules.is_none();
        let mut rows = rules.unwrap_or_default();
        rows.extend((0..EMPTY_ROWS).map(|_| RuleText { protocol: "tcp".to_owned(), ..RuleText::default() }));
        Self {
            name,
            title: if inbound { "firewall-inbound" } else { "firewall-outbound" },
            open,
            open_key: if inbound { "firewall-inbound-open" } else { "firewall-outbound-open" },
            rules_key: if inbound { "firewall-inbound-rules" } else { "firewall-outbound-rules" },
            rows,
        }
    }

    /// The message for one cell of one row.
    pub fn error(&self, page: &Page, refusal: &Refusal, row: &usize, cell: &str) -> Option<String> {
        page.error(&refusal.errors, &format!("{}.{row}.{cell}", self.name))
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/networking.html")]
struct NetworkingPage {
    head: Head,
    view: View,
    directions: [Direction; 2],
    refusal: Refusal,
    page: Page,
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<NetworkingPage> {
    let view = view::one(&app, &actor, id.parse()?).await?;
    let texts = |rules: &Option<Vec<FirewallRule>>| {
        rules.as_ref().map(|rules| rules.iter().map(RuleText::of).collect())
    };
    let directions = [
        Direction::new("inbound", texts(&view.instance.firewall.inbound)),
        Direction::new("outbound", texts(&view.instance.firewall.outbound)),
    ];
    let head = Head::new(&page, &view, "networking");
    Ok(NetworkingPage { head, view, directions, refusal: Refusal::default(), page })
}

/// The rows that say something.  Columns of different lengths come from no page of ours.
fn rows(protocols: &[String], ports: &[String], peers: &[String]) -> Result<Vec<RuleText>> {
    if protocols.len() != ports.len() || ports.len() != peers.len() {
        return Err(Error::invalid("firewall", "choice"));
    }
    let rows = protocols.iter().zip(ports).zip(peers).map(|((protocol, ports), peers)| RuleText {
        protocol: protocol.clone(),
        ports: ports.trim().to_owned(),
        peers: peers.trim().to_owned(),
    });
    // An empty TCP row is one that was not filled in; all TCP ports of everybody is the rule `any`
    // or a range, which says what it does.
    Ok(rows
        .filter(|row| {
            !(matches!(row.protocol.as_str(), "tcp" | "udp" | "")
                && row.ports.is_empty()
                && row.peers.is_empty())
        })
        .collect())
}

async fn save(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Form(form): Form<FirewallForm>,
) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let inbound = rows(&form.inbound_protocol, &form.inbound_ports, &form.inbound_peers)?;
    let outbound = rows(&form.outbound_protocol, &form.outbound_ports, &form.outbound_peers)?;
    let inbound = (form.inbound == "rules").then_some(inbound);
    let outbound = (form.outbound == "rules").then_some(outbound);
    match read_and_save(&app, &actor, id, inbound.as_deref(), outbound.as_deref()).await {
        Ok(()) => Ok(flash::redirect(&format!("/instances/{id}/networking"), "firewall-saved")),
        Err(error) => {
            let refusal = Refusal::of(error, &page)?;
            let view = view::one(&app, &actor, id).await?;
            let status = refusal.status;
            let directions = [Direction::new("inbound", inbound), Direction::new("outbound", outbound)];
            let head = Head::new(&page, &view, "networking");
            Ok((status, NetworkingPage { head, view, directions, refusal, page }).into_response())
        }
    }
}

async fn read_and_save(
    app: &App,
    actor: &Actor,
    id: InstanceId,
    inbound: Option<&[RuleText]>,
    outbound: Option<&[RuleText]>,
) -> Result<()> {
    let mut errors = Vec::new();
    let rules = Rules {
        inbound: inbound.map(|rules| firewall::parse("inbound", rules, &mut errors)),
        outbound: outbound.map(|rules| firewall::parse("outbound", rules, &mut errors)),
    };
    firewall::check_count("firewall", &rules, &mut errors);
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    change::set_firewall(app, actor, id, rules).await?;
    Ok(())
}
