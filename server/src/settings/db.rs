use crate::db::Tx;
use sqlx::PgExecutor;

pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, serde_json::Value)>> {
    let rows = sqlx::query!("SELECT key, value FROM settings").fetch_all(executor).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

/// One writer at a time, so that the event tells the truth about what it changed.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE").execute(&mut **tx).await?;
    Ok(())
}

pub async fn write(tx: &mut Tx, key: &str, value: &serde_json::Value) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO settings (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, updated_at = now()",
        key,
        value,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
