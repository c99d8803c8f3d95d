use crate::db::Tx;
use crate::ids::UserId;
use crate::ids::{InstanceId, OperationId, TenantId};
use crate::instances::operations::{DEADLINE, Kind, NewOperation, Operation, OperationState};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    instance_id: Uuid,
    instance_name: String,
    kind: String,
    state: String,
    generation: i64,
    step: String,
    percent: i16,
    restart_required: Vec<String>,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    requested_by: Option<Uuid>,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Operation {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let unknown = |column: &str, value: &str| sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source: format!("unknown: {value}").into(),
        };
        Ok(Self {
            id: row.id.into(),
            instance_id: row.instance_id.into(),
            instance_name: row.instance_name,
            kind: Kind::parse(&row.kind).ok_or_else(|| unknown("kind", &row.kind))?,
            state: OperationState::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            generation: row.generation,
            step: row.step,
            percent: row.percent,
            restart_required: row.restart_required,
            failure_code: row.failure_code,
            failure_detail: row.failure_detail,
            requested_by: row.requested_by.map(UserId::from),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

macro_rules! select_operations {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT operations.id, instance_id, instances.name AS instance_name, kind, operations.state, \
             operations.generation, step, percent, operations.restart_required, failure_code, failure_detail, \
             requested_by, operations.created_at, started_at, finished_at \
             FROM operations JOIN instances ON instances.id = instance_id " + $rest
            $(, $argument)*
        )
    };
}

pub async fn insert(tx: &mut Tx, id: OperationId, new: &NewOperation<'_>) -> sqlx::Result<Operation> {
    let instance = new.instance;
    let created_at = sqlx::query_scalar!(
        "INSERT INTO operations (id, tenant_id, instance_id, kind, generation, one_shot, requested_by, deadline_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(mins => $8)) RETURNING created_at",
        id.uuid(),
        instance.tenant_id.uuid(),
        instance.id.uuid(),
        new.kind.name(),
        instance.generation,
        new.kind.is_one_shot(),
        new.requested_by.map(UserId::uuid),
        new.kind.deadline_minutes(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Operation {
        id,
        instance_id: instance.id,
        instance_name: instance.name.clone(),
        kind: new.kind,
        state: OperationState::Pending,
        generation: instance.generation,
        step: "queued".to_owned(),
        percent: 0,
        restart_required: Vec::new(),
        failure_code: None,
        failure_detail: None,
        requested_by: new.requested_by,
        created_at,
        started_at: None,
        finished_at: None,
    })
}

/// Cancels the open operations of these kinds.
pub async fn cancel(tx: &mut Tx, instance: InstanceId, kinds: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operations SET state = 'cancelled', finished_at = now() \
         WHERE instance_id = $1 AND state IN ('pending', 'running') AND kind = ANY($2)",
        instance.uuid(),
        kinds,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The kinds of an instance's operations that were asked for after this one; unknown ones are a later release's.
pub async fn newer_kinds(tx: &mut Tx, instance: InstanceId, than: OperationId) -> sqlx::Result<Vec<Kind>> {
    let kinds = sqlx::query_scalar!(
        "SELECT DISTINCT kind FROM operations WHERE instance_id = $1 AND id > $2",
        instance.uuid(),
        than.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(kinds.iter().filter_map(|kind| Kind::parse(kind)).collect())
}

/// Open operations of an instance, oldest first.
pub async fn open_of(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE instance_id = $1 AND operations.state IN ('pending', 'running') ORDER BY operations.id",
        instance.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

/// Open operations of some instances of a tenant, oldest first.
pub async fn open_of_all(tx: &mut Tx, tenant: TenantId, instances: &[Uuid]) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE instance_id = ANY($1) AND operations.tenant_id = $2 AND operations.state IN ('pending', 'running') \
         ORDER BY operations.id",
        instances,
        tenant.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

/// Operations that a report can still decide, oldest first: the open ones, and those that were
/// given up at their deadline.
pub async fn undecided_of(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE instance_id = $1 AND (operations.state IN ('pending', 'running') \
         OR (operations.state = 'failed' AND failure_code = $2)) ORDER BY operations.id",
        instance.uuid(),
        DEADLINE,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

/// Open one-shot operations of a host's instances, oldest first.
pub async fn one_shots_of(tx: &mut Tx, instances: &[Uuid]) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE instance_id = ANY($1) AND one_shot AND operations.state IN ('pending', 'running') ORDER BY operations.id",
        instances,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

pub async fn by_id(tx: &mut Tx, tenant: TenantId, id: OperationId) -> sqlx::Result<Option<Operation>> {
    select_operations!("WHERE operations.id = $1 AND operations.tenant_id = $2", id.uuid(), tenant.uuid())
        .fetch_optional(&mut **tx)
        .await?
        .map(Operation::try_from)
        .transpose()
}

/// An operation of any tenant.
pub async fn any(tx: &mut Tx, id: OperationId) -> sqlx::Result<Option<Operation>> {
    select_operations!("WHERE operations.id = $1", id.uuid())
        .fetch_optional(&mut **tx)
        .await?
        .map(Operation::try_from)
        .transpose()
}

pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    instance: Option<InstanceId>,
    before: Option<OperationId>,
    limit: i64,
) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE operations.tenant_id = $1 AND ($2::uuid IS NULL OR instance_id = $2) \
         AND ($3::uuid IS NULL OR operations.id < $3) ORDER BY operations.id DESC LIMIT $4",
        tenant.uuid(),
        instance.map(InstanceId::uuid),
        before.map(OperationId::uuid),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

/// Notes how far an operation is.  Every real step moves the deadline: it is about standing still.
pub async fn progress(
    tx: &mut Tx,
    operation: &Operation,
    step: &str,
    percent: i16,
    failure: Option<(&str, &str)>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operations SET state = 'running', step = $2, percent = $3, failure_code = $4, failure_detail = $5, \
         started_at = coalesce(started_at, now()), \
         deadline_at = CASE WHEN (step, percent) IS DISTINCT FROM ($2, $3) \
             THEN greatest(deadline_at, now() + make_interval(mins => $6)) ELSE deadline_at END \
         WHERE id = $1 AND state IN ('pending', 'running')",
        operation.id.uuid(),
        step,
        percent,
        failure.map(|(code, _)| code),
        failure.map(|(_, detail)| detail),
        operation.kind.deadline_minutes(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn succeed(tx: &mut Tx, operation: &Operation, restart_required: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operations SET state = 'succeeded', percent = 100, restart_required = $2, failure_code = NULL, \
         failure_detail = NULL, started_at = coalesce(started_at, now()), finished_at = now() WHERE id = $1",
        operation.id.uuid(),
        restart_required,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn fail(tx: &mut Tx, operation: &Operation, code: &str, detail: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operations SET state = 'failed', failure_code = $2, failure_detail = $3, \
         started_at = coalesce(started_at, now()), finished_at = now() WHERE id = $1",
        operation.id.uuid(),
        code,
        detail,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Open operations whose deadline has passed, of any tenant.  Not locked: the instance is locked first.
pub async fn overdue(tx: &mut Tx, limit: i64) -> sqlx::Result<Vec<Operation>> {
    select_operations!(
        "WHERE operations.state IN ('pending', 'running') AND deadline_at < now() \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'deadline' AND subject = operations.id::text AND next_at > now()) \
         ORDER BY deadline_at LIMIT $1",
        limit,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Operation::try_from)
    .collect()
}

/// Gives an operation up at its deadline; false when it has ended or moved meanwhile.
pub async fn alert(tx: &mut Tx, operation: &Operation) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE operations SET state = 'failed', failure_code = $2, finished_at = now(), alerted_at = now() \
         WHERE id = $1 AND state IN ('pending', 'running') AND deadline_at < now()",
        operation.id.uuid(),
        DEADLINE,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Where somebody who may still sign in reads, and in which language.
pub async fn reader(tx: &mut Tx, user: UserId) -> sqlx::Result<Option<(String, String)>> {
    let row =
        sqlx::query!("SELECT email, locale FROM users WHERE id = $1 AND disabled_at IS NULL", user.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.map(|row| (row.email, row.locale)))
}
