use sqlx::PgExecutor;

pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, serde_json::Value)>> {
    let rows = sqlx::query!("SELECT key, value FROM settings").fetch_all(executor).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}
