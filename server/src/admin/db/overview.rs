use sqlx::PgPool;

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Overview {
    pub hosts: i64,
    /// Hosts whose agent holds a lease now.
    pub hosts_online: i64,
    /// Hosts that take new guests: active, online and qualified.
    pub hosts_ready: i64,
    pub instances: i64,
    pub instances_by_state: Vec<Count>,
    pub operations_open: i64,
    /// Open operations whose deadline has passed.
    pub operations_late: i64,
    /// In the last 24 hours.
    pub operations_failed: i64,
    pub trials_running: i64,
    /// In the last 24 hours.
    pub trials_refused: i64,
    /// Refusals that somebody asked to have looked at.
    pub appeals_waiting: i64,
    pub customers: i64,
    pub mails_waiting: i64,
    pub mails_abandoned: i64,
    /// Instances with drift or a restart outstanding.
    pub instances_drifting: i64,
    /// Reports and work that failed and are tried again.
    pub set_aside: i64,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Count {
    #[schema(example = "running")]
    pub state: String,
    pub count: i64,
}

pub async fn overview(pool: &PgPool) -> sqlx::Result<Overview> {
    let row = sqlx::query!(
        "SELECT (SELECT count(*) FROM hosts) AS \"hosts!\", \
         (SELECT count(*) FROM hosts WHERE lease_until > now()) AS \"hosts_online!\", \
         (SELECT count(*) FROM hosts WHERE lease_until > now() AND state = 'active' \
             AND qualification IN ('kvm', 'emulated', 'simulated')) AS \"hosts_ready!\", \
         (SELECT count(*) FROM instances WHERE purged_at IS NULL) AS \"instances!\", \
         (SELECT count(*) FROM operations WHERE state IN ('pending', 'running')) AS \"operations_open!\", \
         (SELECT count(*) FROM operations WHERE state IN ('pending', 'running') AND deadline_at < now()) AS \"operations_late!\", \
         (SELECT count(*) FROM operations WHERE state = 'failed' AND finished_at > now() - interval '1 day') \
             AS \"operations_failed!\", \
         (SELECT count(*) FROM trials WHERE expires_at > now() AND converted_at IS NULL AND deleted_at IS NULL) \
             AS \"trials_running!\", \
         (SELECT count(*) FROM events WHERE action = 'trial.refused' AND at > now() - interval '1 day') AS \"trials_refused!\", \
         (SELECT count(*) FROM trial_appeals WHERE decision IS NULL) AS \"appeals_waiting!\", \
         (SELECT count(*) FROM tenants) AS \"customers!\", \
         (SELECT count(*) FROM mail_outbox WHERE sent_at IS NULL AND abandoned_at IS NULL) AS \"mails_waiting!\", \
         (SELECT count(*) FROM mail_outbox WHERE abandoned_at IS NOT NULL) AS \"mails_abandoned!\", \
         (SELECT count(*) FROM instances WHERE purged_at IS NULL AND (drift <> '{}' OR restart_required <> '{}')) \
             AS \"instances_drifting!\", \
         (SELECT count(*) FROM set_aside WHERE failures > 1) AS \"set_aside!\"",
    )
    .fetch_one(pool)
    .await?;
    let instances_by_state = sqlx::query_as!(
        Count,
        "SELECT state, count(*) AS \"count!\" FROM instances WHERE purged_at IS NULL GROUP BY state ORDER BY state"
    )
    .fetch_all(pool)
    .await?;
    Ok(Overview {
        hosts: row.hosts,
        hosts_online: row.hosts_online,
        hosts_ready: row.hosts_ready,
        instances: row.instances,
        instances_by_state,
        operations_open: row.operations_open,
        operations_late: row.operations_late,
        operations_failed: row.operations_failed,
        trials_running: row.trials_running,
        trials_refused: row.trials_refused,
        appeals_waiting: row.appeals_waiting,
        customers: row.customers,
        mails_waiting: row.mails_waiting,
        mails_abandoned: row.mails_abandoned,
        instances_drifting: row.instances_drifting,
        set_aside: row.set_aside,
    })
}
