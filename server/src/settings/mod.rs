//! What the operator may decide while the platform runs.
//!
//! A setting that was never touched has the default written here.  The table holds only what an
//! administrator changed, so that a better default reaches every platform that never chose.

mod db;

use crate::auth::Actor;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::state::App;
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
    /// The same for the network around it: an IPv4 /24 or an IPv6 /48.
    pub trials_per_network_day: i64,
    /// Trials of different people who signed in with one browser, in 90 days.
    pub trials_per_device: i64,
    /// How fast a trial may send, in Mbit/s; 0: as its plan says.
    pub trial_outbound_mbit: i64,
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
            trials_per_network_day: 10,
            // A couple is more frequent than an attacker who keeps cookies (`jst-bench trials`).
            trials_per_device: 2,
            trial_outbound_mbit: 50,
            delete_grace_hours: 72,
            image_max_gib: 20,
        }
    }
}

/// The settings in force, on any connection (customers' connections may read them too).
pub async fn get(executor: impl PgExecutor<'_>) -> sqlx::Result<Settings> {
    Ok(from_rows(db::all(executor).await?))
}

/// Least and most of each number.
pub const RANGES: [(&str, i64, i64); 8] = [
    ("trial_days", 1, 365),
    ("trial_keep_days", 0, 365),
    ("trials_per_ip_day", 1, 1000),
    ("trials_per_network_day", 1, 100_000),
    ("trials_per_device", 1, 1000),
    ("trial_outbound_mbit", 0, 1_000_000),
    ("delete_grace_hours", 0, 8760),
    ("image_max_gib", 1, 1024),
];

impl Settings {
    fn problems(&self) -> Vec<FieldError> {
        let numbers = [
            self.trial_days,
            self.trial_keep_days,
            self.trials_per_ip_day,
            self.trials_per_network_day,
            self.trials_per_device,
            self.trial_outbound_mbit,
            self.delete_grace_hours,
            self.image_max_gib,
        ];
        RANGES
            .into_iter()
            .zip(numbers)
            .filter(|((_, min, max), number)| !(*min..=*max).contains(number))
            .map(|((field, min, max), _)| FieldError::new(field, "range").with("min", min).with("max", max))
            .collect()
    }
}

/// Changes the settings that are named; an unknown name or a value of another kind is refused.
pub async fn patch(
    app: &App,
    actor: &Actor,
    changes: &serde_json::Map<String, serde_json::Value>,
) -> Result<Settings> {
    let current = get(app.db.platform()).await?;
    let mut document = serde_json::to_value(&current).map_err(anyhow::Error::from)?;
    let mut problems = Vec::new();
    for (key, value) in changes {
        match document.get_mut(key) {
            None => problems.push(FieldError::new(key, "setting-unknown")),
            Some(present)
                if present.is_boolean() != value.is_boolean() || present.is_i64() != value.is_i64() =>
            {
                problems.push(FieldError::new(key, "setting-kind"));
            }
            Some(present) => *present = value.clone(),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let wanted: Settings = serde_json::from_value(document).map_err(anyhow::Error::from)?;
    update(app, actor, &wanted).await?;
    Ok(wanted)
}

/// Replaces all settings.  Only those that differ are written, and the event names them.
pub async fn update(app: &App, actor: &Actor, wanted: &Settings) -> Result<()> {
    let problems = wanted.problems();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx).await?;
    let document = |settings: &Settings| serde_json::to_value(settings).map_err(anyhow::Error::from);
    let changes = events::changes(&document(&get(&mut *tx).await?)?, &document(wanted)?);
    if changes.is_empty() {
        return Ok(());
    }
    for (key, change) in &changes {
        db::write(&mut tx, key, &change["to"]).await?;
    }
    let event = Event {
        tenant: None,
        action: "settings.updated",
        subject_kind: "settings",
        subject_id: "settings",
        data: changes.into(),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    tx.commit().await?;
    Ok(())
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
            Err(error) => {
                tracing::warn!(key, %error, "a stored setting is unusable; the default is in force")
            }
        }
    }
    serde_json::from_value(fields.into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_number_has_its_range() {
        let document = serde_json::to_value(Settings::default()).unwrap();
        for (key, value) in document.as_object().unwrap() {
            assert_eq!(value.is_number(), RANGES.iter().any(|(name, ..)| name == key), "{key}");
        }
        assert_eq!(Settings::default().problems(), []);
        let bad = Settings { trial_days: 0, image_max_gib: 5000, ..Settings::default() };
        let fields: Vec<_> = bad.problems().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["trial_days", "image_max_gib"]);
    }

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
