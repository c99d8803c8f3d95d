//! An administrator who looks at, and works in, a customer's account.
//!
//! Only the session knows of it: nothing is granted in the database, so nothing can be forgotten there.  It
//! ends by itself after an hour, with the session, or when the person is no administrator any more; every page says
//! that it is on, and everything that is done is recorded under the administrator's own name.

use super::{SESSION_USER, SessionUser};
use crate::error::{Error, Result};
use crate::ids::TenantId;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tower_sessions::Session;

const LONGEST: Duration = Duration::hours(1);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Acting {
    tenant_id: TenantId,
    /// Seconds since 1970.
    until: i64,
}

impl Acting {
    /// For whom, unless the time is over.
    pub fn tenant_now(self) -> Option<TenantId> {
        (OffsetDateTime::now_utc().unix_timestamp() < self.until).then_some(self.tenant_id)
    }
}

/// From now on the session sees the portal of this tenant.  The caller has checked who asks, and recorded it.
pub async fn begin(session: &Session, tenant: TenantId) -> Result<()> {
    let until = (OffsetDateTime::now_utc() + LONGEST).unix_timestamp();
    set(session, Some(Acting { tenant_id: tenant, until })).await
}

/// Back to one's own account.
pub async fn end(session: &Session) -> Result<()> {
    set(session, None).await
}

async fn set(session: &Session, acting: Option<Acting>) -> Result<()> {
    let user = session.get::<SessionUser>(SESSION_USER).await?.ok_or(Error::Unauthenticated)?;
    // What a session may do changes, so its id does.
    session.cycle_id().await?;
    session.insert(SESSION_USER, SessionUser { acting, ..user }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acting_ends_by_itself() {
        let tenant = TenantId::new();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        assert_eq!(Acting { tenant_id: tenant, until: now + 60 }.tenant_now(), Some(tenant));
        assert_eq!(Acting { tenant_id: tenant, until: now }.tenant_now(), None);
    }
}
