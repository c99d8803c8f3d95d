use sqlx::PgPool;

/// Counts of everything that is counted when somebody looks.  Every state that there can be is among
/// them, with zero where nothing has it: a line that vanishes is no zero to an alert.
pub struct Figures {
    /// State, whether the agent holds a lease, count.
    pub hosts: Vec<(String, bool, i64)>,
    pub instances: Vec<(String, i64)>,
    pub operations: Vec<(String, i64)>,
    pub operations_late: i64,
    pub mails_waiting: i64,
    pub mails_abandoned: i64,
    pub hosts_behind: i64,
    /// Kind, count; only kinds of which there is something.
    pub set_aside: Vec<(String, i64)>,
}

pub async fn figures(pool: &PgPool) -> sqlx::Result<Figures> {
    let hosts = sqlx::query!(
        "SELECT known.state AS \"state!\", online AS \"online!\", count(hosts.id) AS \"count!\" \
         FROM unnest(ARRAY['active', 'draining', 'disabled']) AS known (state) \
         CROSS JOIN unnest(ARRAY[true, false]) AS lease (online) \
         LEFT JOIN hosts ON hosts.state = known.state AND coalesce(lease_until > now(), false) = online \
         GROUP BY known.state, online",
    )
    .fetch_all(pool)
    .await?;
    let instances = sqlx::query!(
        "SELECT known.state AS \"state!\", count(instances.id) AS \"count!\" \
         FROM unnest(ARRAY['provisioning', 'running', 'stopped', 'crashed', 'failed', 'deleting', 'deleted']) AS known (state) \
         LEFT JOIN instances ON instances.state = known.state AND purged_at IS NULL GROUP BY known.state",
    )
    .fetch_all(pool)
    .await?;
    let operations = sqlx::query!(
        "SELECT known.kind AS \"kind!\", count(operations.id) AS \"count!\" \
         FROM unnest(ARRAY['create', 'start', 'shutdown', 'power_off', 'reboot', 'rebuild', 'resize', 'rename', 'firewall', \
             'delete', 'undelete', 'purge']) AS known (kind) \
         LEFT JOIN operations ON operations.kind = known.kind AND state IN ('pending', 'running') GROUP BY known.kind",
    )
    .fetch_all(pool)
    .await?;
    let counts = sqlx::query!(
        "SELECT (SELECT count(*) FROM operations WHERE state IN ('pending', 'running') AND deadline_at < now()) AS \"late!\", \
         (SELECT count(*) FROM mail_outbox WHERE sent_at IS NULL AND abandoned_at IS NULL) AS \"waiting!\", \
         (SELECT count(*) FROM mail_outbox WHERE abandoned_at IS NOT NULL) AS \"abandoned!\", \
         (SELECT count(*) FROM hosts WHERE acknowledged_revision < revision AND state <> 'disabled') AS \"behind!\"",
    )
    .fetch_one(pool)
    .await?;
    let set_aside = sqlx::query!("SELECT kind, count(*) AS \"count!\" FROM set_aside GROUP BY kind")
        .fetch_all(pool)
        .await?;
    Ok(Figures {
        hosts: hosts.into_iter().map(|row| (row.state, row.online, row.count)).collect(),
        instances: instances.into_iter().map(|row| (row.state, row.count)).collect(),
        operations: operations.into_iter().map(|row| (row.kind, row.count)).collect(),
        operations_late: counts.late,
        mails_waiting: counts.waiting,
        mails_abandoned: counts.abandoned,
        hosts_behind: counts.behind,
        set_aside: set_aside.into_iter().map(|row| (row.kind, row.count)).collect(),
    })
}
