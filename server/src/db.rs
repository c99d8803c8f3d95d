//! The two ways to the database.
//!
//! [`Db::tenant`] opens a transaction that sees one tenant; [`Db::platform`] is for workers, agents,
//! sign-in and administrators.  The roles differ in the database itself (migration 5), so that a
//! customer's query that forgets its tenant returns nothing instead of somebody else's rows.
//!
//! Whoever holds a transaction asks for no second connection: with every connection held by somebody who waits
//! for another, nobody would go on.  What a transaction needs is read before it begins or through it.  Builds with debug
//! assertions, which includes all tests, check this at every request for a connection ([`open`]).

use crate::ids::TenantId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres, Transaction};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

mod open;

/// A transaction; rolled back when it is dropped.
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    _open: open::Open,
}

impl Tx {
    pub async fn commit(self) -> sqlx::Result<()> {
        self.inner.commit().await
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }

    /// Begins a part that can be undone alone: end it with [`Tx::keep_part`] or [`Tx::undo_part`].  Parts do not nest.
    pub async fn begin_part(&mut self) -> sqlx::Result<()> {
        self.inner.execute("SAVEPOINT part").await?;
        Ok(())
    }

    pub async fn keep_part(&mut self) -> sqlx::Result<()> {
        self.inner.execute("RELEASE SAVEPOINT part").await?;
        Ok(())
    }

    /// Also after a statement of the part has failed.
    pub async fn undo_part(&mut self) -> sqlx::Result<()> {
        self.inner.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

#[derive(Clone, Debug)]
pub struct Db {
    tenant: PgPool,
    platform: PgPool,
    /// One connection, which listens for as long as the server runs.
    listening: PgPool,
}

pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

impl Db {
    /// Opens the pools: `connections` for each role, and one to listen.  Connections are made when they are first needed.
    pub fn connect_lazily(options: PgConnectOptions, connections: u32) -> Self {
        Self {
            tenant: pool(options.clone(), "SET ROLE jst_tenant", connections),
            platform: pool(options.clone(), "SET ROLE jst_platform", connections),
            listening: pool(options, "SET ROLE jst_platform", 1),
        }
    }

    /// Brings the schema up to date, as the role that owns it.  Several replicas may do so at once:
    /// the migrator holds an advisory lock.
    pub async fn migrate(options: PgConnectOptions) -> anyhow::Result<()> {
        let owner = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
        MIGRATIONS.run(&owner).await?;
        owner.close().await;
        Ok(())
    }

    /// A transaction that sees the rows of one tenant only.
    #[track_caller]
    pub fn tenant(&self, tenant: TenantId) -> impl Future<Output = sqlx::Result<Tx>> + Send + use<> {
        // In one message, because every request begins so.  A UUID holds nothing that could end the literal.
        begin(&self.tenant, format!("BEGIN; SET LOCAL jst.tenant_id = '{}'", tenant.uuid()))
    }

    /// A transaction that sees everything.  Never for a customer's request.
    #[track_caller]
    pub fn begin_platform(&self) -> impl Future<Output = sqlx::Result<Tx>> + Send + use<> {
        begin(&self.platform, "BEGIN".to_owned())
    }

    /// The same for one of many that must not hold up the others: no lock is waited for longer than this.
    #[track_caller]
    pub fn begin_impatient(
        &self,
        longest: Duration,
    ) -> impl Future<Output = sqlx::Result<Tx>> + Send + use<> {
        begin(&self.platform, format!("BEGIN; SET LOCAL lock_timeout = {}", longest.as_millis()))
    }

    /// Single statements that see everything.  Never for a customer's request.
    #[track_caller]
    pub fn platform(&self) -> &PgPool {
        open::check(Location::caller());
        &self.platform
    }

    /// For whoever listens to notifications: the connection is kept, and counts in no other pool.
    pub fn listening(&self) -> &PgPool {
        &self.listening
    }

    /// Open connections of the platform's role.
    pub fn platform_connections(&self) -> u32 {
        self.platform.size()
    }

    pub async fn close(&self) {
        self.tenant.close().await;
        self.platform.close().await;
        self.listening.close().await;
    }
}

#[track_caller]
fn begin(pool: &PgPool, statement: String) -> impl Future<Output = sqlx::Result<Tx>> + Send + use<> {
    let place = Location::caller();
    open::check(place);
    let pool = pool.clone();
    async move {
        let inner = pool.begin_with(AssertSqlSafe(statement)).await?;
        Ok(Tx { inner, _open: open::Open::note(place) })
    }
}

fn pool(options: PgConnectOptions, role: &'static str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(role).await?;
                // No statement of ours is slow by design; one that is must not hold its locks for ever.
                connection
                    .execute("SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'")
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(options)
}
