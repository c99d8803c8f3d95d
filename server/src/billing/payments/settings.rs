//! What the operator says about each provider.  Secrets are sealed before they are stored, each for its own field of its own
//! provider, and no page and no call of the API shows one again.

use super::db;
use super::gateway::{self, Gateway, Values};
use super::provider::Provider;
use crate::auth::Actor;
use crate::billing::money::Currency;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::state::App;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// As it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub provider: Provider,
    pub enabled: bool,
    pub settings: Values,
    /// Sealed, in hexadecimal.
    pub secrets: Values,
}

impl Stored {
    /// Everything that the provider cannot do without is there.
    pub fn complete(&self) -> bool {
        self.missing().next().is_none()
    }

    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let lacks = |name: &str| !self.settings.contains_key(name) && !self.secrets.contains_key(name);
        self.provider.fields().iter().map(|field| field.name).filter(move |name| lacks(name))
    }

    /// A new payment may be made with it.
    pub fn offered(&self, currency: Currency) -> bool {
        self.enabled && self.complete() && self.provider.takes(currency)
    }

    /// The provider with its keys; nothing where some are missing.
    pub fn open(&self, app: &App) -> Result<Option<Box<dyn Gateway>>> {
        if !self.complete() {
            return Ok(None);
        }
        let mut values = self.settings.clone();
        for (name, sealed) in &self.secrets {
            let sealed = hex::decode(sealed).map_err(anyhow::Error::from)?;
            let secret = app.sealer.open_sealed(&row(self.provider, name), &sealed)?;
            values.insert(name.clone(), String::from_utf8(secret).map_err(anyhow::Error::from)?);
        }
        Ok(Some(gateway::open(self.provider, values)?))
    }
}

/// What a sealed secret is bound to.
fn row(provider: Provider, field: &str) -> String {
    format!("payment_providers/{}/{field}", provider.name())
}

/// What may be shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ProviderSettings {
    pub provider: Provider,
    /// Customers may choose it, where it takes the currency of their account.
    pub enabled: bool,
    /// Every field is set.
    pub complete: bool,
    /// The currencies that it takes.
    pub currencies: Vec<Currency>,
    /// What the provider must be told to send its notifications to.
    #[schema(example = "https://example.com/payments/stripe/notify")]
    pub notify_url: String,
    /// Fields that are no secrets.
    #[schema(example = json!({ "base_url": "https://api.stripe.com" }))]
    pub settings: BTreeMap<String, String>,
    /// Secrets that are set; they are never shown again.
    #[schema(example = json!(["secret_key", "webhook_secret"]))]
    pub secrets: BTreeSet<String>,
}

impl ProviderSettings {
    pub fn new(app: &App, stored: &Stored) -> Self {
        Self {
            provider: stored.provider,
            enabled: stored.enabled,
            complete: stored.complete(),
            currencies: Currency::ALL
                .into_iter()
                .filter(|currency| stored.provider.takes(*currency))
                .collect(),
            notify_url: notify_url(app, stored.provider),
            settings: stored.settings.clone(),
            secrets: stored.secrets.keys().cloned().collect(),
        }
    }
}

pub fn notify_url(app: &App, provider: Provider) -> String {
    format!("{}/payments/{}/notify", app.config.public_url.trim_end_matches('/'), provider.name())
}

/// What the operator wants.  A field that is absent or empty stays as it is.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSettings {
    pub enabled: bool,
    /// By the field's name; secrets among them.
    #[serde(default)]
    #[schema(example = json!({ "secret_key": "sk_live_…", "webhook_secret": "whsec_…" }))]
    pub values: BTreeMap<String, String>,
}

pub async fn all(app: &App) -> Result<Vec<ProviderSettings>> {
    let stored = db::providers(app.db.platform()).await?;
    Ok(stored.iter().map(|stored| ProviderSettings::new(app, stored)).collect())
}

/// The providers that a customer may choose from.
pub async fn offered(app: &App, currency: Currency) -> Result<Vec<Provider>> {
    let stored = db::providers(app.db.platform()).await?;
    Ok(stored.iter().filter(|stored| stored.offered(currency)).map(|stored| stored.provider).collect())
}

pub async fn update(
    app: &App,
    actor: &Actor,
    provider: Provider,
    new: &NewSettings,
) -> Result<ProviderSettings> {
    let mut problems = Vec::new();
    for name in new.values.keys() {
        if !provider.fields().iter().any(|field| field.name == name) {
            problems.push(FieldError::new(name, "payment-unknown-field"));
        }
    }
    let mut tx = app.db.begin_platform().await?;
    let before = db::lock_provider(&mut tx, provider).await?;
    let mut after = Stored { enabled: new.enabled, ..before.clone() };
    let mut replaced = Vec::new();
    for field in provider.fields() {
        let value = new.values.get(field.name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(value) = value else { continue };
        if let Err(code) = field.check(value) {
            problems.push(FieldError::new(field.name, code));
        } else if field.secret {
            let sealed = app.sealer.seal(&row(provider, field.name), value.as_bytes());
            after.secrets.insert(field.name.to_owned(), hex::encode(sealed));
            replaced.push(field.name);
        } else {
            after.settings.insert(field.name.to_owned(), value.to_owned());
        }
    }
    if new.enabled {
        let missing: Vec<_> = after.missing().collect();
        for name in missing {
            if !problems.iter().any(|problem| problem.field == name) {
                problems.push(FieldError::new(name, "required"));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let document = |stored: &Stored| json!({ "enabled": stored.enabled, "settings": stored.settings });
    let mut changes = events::changes(&document(&before), &document(&after));
    if !replaced.is_empty() {
        // That they were replaced, and never by what.
        changes.insert("secrets".to_owned(), Value::from(replaced));
    }
    if !changes.is_empty() {
        db::save_provider(&mut tx, &after).await?;
        let event = Event {
            tenant: None,
            action: "payment.provider_changed",
            subject_kind: "payment_provider",
            subject_id: provider.name(),
            data: changes.into(),
        };
        events::record(&mut tx, &actor.into(), event).await?;
        tx.commit().await?;
    }
    Ok(ProviderSettings::new(app, &after))
}
