//! What the operator may decide while the platform runs.
//!
//! A setting that was never touched has the default written here.  The table holds only what an
//! administrator changed, so that a better default reaches every platform that never chose.

mod db;

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Visitors may make accounts.
    pub sign_up_open: bool,
    /// Hosts whose probe guest booted only by emulation may take instances.
    pub allow_emulated: bool,
    /// Days that a free trial runs.
    pub trial_days: i64,
    /// Days that an ended trial is kept before it is deleted.
    pub trial_keep_days: i64,
    /// Trials that may start from one IP address (IPv6: one /64) in 24 hours.
    pub trials_per_ip_day: i64,
    /// Hours in which a deletion can be undone.
    pub delete_grace_hours: i64,
    /// Largest image file that may be uploaded, in GiB.
    pub image_max_gib: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sign_up_open: true,
            allow_emulated: false,
            trial_days: 7,
            trial_keep_days: 7,
            trials_per_ip_day: 3,
            delete_grace_hours: 72,
            image_max_gib: 20,
        }
    }
}

/// The settings in force, on any connection (customers' connections may read them too).
pub async fn get(executor: impl PgExecutor<'_>) -> sqlx::Result<Settings> {
    Ok(from_rows(db::all(executor).await?))
}

/// A stored value that no longer has the right type counts as never set, and the log says so: one
/// bad row must not take every page with it.
fn from_rows(rows: Vec<(String, serde_json::Value)>) -> Settings {
    let mut fields = serde_json::Map::new();
    for (key, value) in rows {
        let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
        match serde_json::from_value::<Settings>(alone.into()) {
            Ok(_) => {
                fields.insert(key, value);
            }
            Err(error) => tracing::warn!(key, %error, "a stored setting is unusable; the default is in force"),
        }
    }
    serde_json::from_value(fields.into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unusable_value_leaves_the_others_in_force() {
        let settings = from_rows(vec![
            ("trial_days".into(), json!("soon")),
            ("sign_up_open".into(), json!(false)),
            ("of_a_later_release".into(), json!([1])),
        ]);
        assert_eq!(settings, Settings { sign_up_open: false, ..Settings::default() });
    }
}
