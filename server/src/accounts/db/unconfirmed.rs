use crate::db::Tx;
use crate::ids::UserId;

/// Locks accounts that were not confirmed in so many days.  They cannot have signed in; what others may have made for them
/// keeps them.
pub async fn due(tx: &mut Tx, days: i32, batch: i64) -> sqlx::Result<Vec<UserId>> {
    let users = sqlx::query_scalar!(
        "SELECT id FROM users WHERE email_verified_at IS NULL AND NOT is_admin \
         AND created_at < now() - make_interval(days => $1) \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'unconfirmed' AND subject = users.id::text AND next_at > now()) \
         AND NOT EXISTS (SELECT FROM trials WHERE user_id = users.id) \
         AND NOT EXISTS (SELECT FROM billing_owners WHERE user_id = users.id) \
         AND NOT EXISTS (SELECT FROM api_tokens WHERE user_id = users.id) \
         AND NOT EXISTS (SELECT FROM invitations WHERE invited_by = users.id) \
         AND NOT EXISTS (SELECT FROM operations WHERE requested_by = users.id) \
         AND NOT EXISTS (SELECT FROM memberships JOIN memberships AS others USING (tenant_id) \
             WHERE memberships.user_id = users.id AND others.user_id <> users.id) \
         AND NOT EXISTS (SELECT FROM memberships WHERE user_id = users.id AND ( \
             EXISTS (SELECT FROM instances WHERE instances.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM operations WHERE operations.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM ledger WHERE ledger.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM account_entries WHERE account_entries.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM payments WHERE payments.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM invoices WHERE invoices.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM ssh_keys WHERE ssh_keys.tenant_id = memberships.tenant_id) \
             OR EXISTS (SELECT FROM webhook_endpoints WHERE webhook_endpoints.tenant_id = memberships.tenant_id))) \
         ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        days,
        batch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(users.into_iter().map(UserId::from).collect())
}

/// Removes accounts, with the teams that are theirs alone.
pub async fn remove(tx: &mut Tx, users: &[UserId]) -> sqlx::Result<()> {
    let users: Vec<uuid::Uuid> = users.iter().map(|user| user.uuid()).collect();
    sqlx::query!(
        "DELETE FROM tenants WHERE id IN (SELECT tenant_id FROM memberships WHERE user_id = ANY($1))",
        &users[..],
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM users WHERE id = ANY($1)", &users[..]).execute(&mut **tx).await?;
    Ok(())
}
