//! The two ways to the database.
//!
//! [`Db::tenant`] opens a transaction that sees one tenant; [`Db::platform`] is for workers, agents,
//! sign-in and administrators.  The roles differ in the database itself (migration 5), so that a
//! customer's query that forgets its tenant returns nothing instead of somebody else's rows.

use crate::ids::TenantId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, Transaction};
use std::time::Duration;

pub type Tx = Transaction<'static, Postgres>;

#[derive(Clone)]
pub struct Db {
    tenant: PgPool,
    platform: PgPool,
}

pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

impl Db {
    /// Opens both pools.  Connections are made when they are first needed.
    pub fn connect_lazily(options: PgConnectOptions, connections: u32) -> Self {
        Self {
            tenant: pool(options.clone(), "SET ROLE jst_tenant", connections),
            platform: pool(options, "SET ROLE jst_platform", connections),
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
    pub async fn tenant(&self, tenant: TenantId) -> sqlx::Result<Tx> {
        // In one message, because every request begins so.  A UUID holds nothing that could end the literal.
        let begin = format!("BEGIN; SET LOCAL jst.tenant_id = '{}'", tenant.uuid());
        self.tenant.begin_with(AssertSqlSafe(begin)).await
    }

    /// A transaction that sees everything.  Never for a customer's request.
    pub async fn begin_platform(&self) -> sqlx::Result<Tx> {
        self.platform.begin().await
    }

    /// Single statements that see everything.  Never for a customer's request.
    pub fn platform(&self) -> &PgPool {
        &self.platform
    }

    pub async fn close(&self) {
        self.tenant.close().await;
        self.platform.close().await;
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
