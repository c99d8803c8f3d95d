//! Figures for a monitoring system, in Prometheus' text format at `/metrics`.
//!
//! What happens is counted as it happens; what stands in the database is asked for when somebody
//! looks.  Labels are routes, states and statuses: never a tenant, a host's address or anything else
//! that grows with the number of customers.

mod db;
pub mod web;

use crate::state::App;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Seconds.  A page should come within the first five, a held request within the last.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Requests of people and programs, by method, route and status.
pub const REQUESTS: &str = "jst_http_request_duration_seconds";
/// Requests of agents that are held open at this moment: one for each connected host.
pub const AGENTS_WAITING: &str = "jst_agents_waiting";
/// Consoles that are open in this replica, by kind.
pub const CONSOLES_OPEN: &str = "jst_consoles_open";
/// Consoles that ended, by reason.
pub const CONSOLES_ENDED: &str = "jst_consoles_ended_total";

/// Notifications of payment providers that were refused, by provider and reason.
pub const PAYMENTS_REFUSED: &str = "jst_payment_notifications_refused_total";

/// Attempts of work that failed and was set aside, by kind.
pub const SET_ASIDE: &str = "jst_set_aside_total";

/// The recorder of this process.  There is one however many servers a test starts in it.
fn handle() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Full(REQUESTS.to_owned()), &BUCKETS)
                .inspect_err(|error| tracing::error!(%error, "the buckets of the histogram are unusable"))
                .ok()?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder)
                .inspect_err(|error| tracing::warn!(%error, "another recorder is installed already"))
                .ok()?;
            describe();
            Some(handle)
        })
        .as_ref()
}

/// Begins to count.
pub fn install() {
    handle();
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(REQUESTS, "Requests by method, route and status");
    describe_gauge!(AGENTS_WAITING, "Agents' requests for desired state that are held open");
    describe_gauge!(CONSOLES_OPEN, "Consoles that are open, by kind");
    describe_counter!(CONSOLES_ENDED, "Consoles that ended, by reason");
    describe_counter!(PAYMENTS_REFUSED, "Payment notifications that were refused, by provider and reason");
    describe_counter!(SET_ASIDE, "Attempts of work that failed and was set aside, by kind");
    describe_gauge!("jst_set_aside", "What stands aside now and is tried again, by kind");
    describe_gauge!("jst_hosts", "Hosts by state and whether their agent holds a lease");
    describe_gauge!("jst_instances", "Instances by state");
    describe_gauge!("jst_operations_open", "Operations that have not ended, by kind");
    describe_gauge!("jst_operations_late", "Open operations whose deadline has passed");
    describe_gauge!("jst_mails_waiting", "Mails that wait to be sent");
    describe_gauge!("jst_mails_abandoned", "Mails that were given up");
    describe_gauge!("jst_host_revision_lag", "Hosts whose agent has not acknowledged the latest revision");
    describe_gauge!("jst_database_connections", "Open connections to the database, by role");
}

/// Everything, as text; none where another recorder took the place.
pub async fn render(app: &App) -> sqlx::Result<Option<String>> {
    let Some(handle) = handle() else { return Ok(None) };
    let figures = db::figures(app.db.platform()).await?;
    for (state, online, count) in figures.hosts {
        let online = if online { "true" } else { "false" };
        metrics::gauge!("jst_hosts", "state" => state, "online" => online).set(count as f64);
    }
    for (state, count) in figures.instances {
        metrics::gauge!("jst_instances", "state" => state).set(count as f64);
    }
    for (kind, count) in figures.operations {
        metrics::gauge!("jst_operations_open", "kind" => kind).set(count as f64);
    }
    for kind in crate::set_aside::Kind::ALL {
        let count =
            figures.set_aside.iter().find(|(name, _)| name == kind.name()).map_or(0, |(_, count)| *count);
        metrics::gauge!("jst_set_aside", "kind" => kind.name()).set(count as f64);
    }
    metrics::gauge!("jst_operations_late").set(figures.operations_late as f64);
    metrics::gauge!("jst_mails_waiting").set(figures.mails_waiting as f64);
    metrics::gauge!("jst_mails_abandoned").set(figures.mails_abandoned as f64);
    metrics::gauge!("jst_host_revision_lag").set(figures.hosts_behind as f64);
    metrics::gauge!("jst_database_connections", "role" => "platform")
        .set(f64::from(app.db.platform_connections()));
    handle.run_upkeep();
    Ok(Some(handle.render()))
}
