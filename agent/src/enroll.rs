//! The host's identity: a key made here, which never leaves, and a short-lived certificate for it.

use crate::config::Config;
use crate::{durable, tls};
use anyhow::{Context as _, bail};
use jst_protocol::PREFIX;
use jst_protocol::enroll::{EnrollRequest, EnrollResponse, JoinToken};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// One file, so that key and certificate are always of one piece.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    pub host_id: Uuid,
    pub key_pem: String,
    pub certificate_pem: String,
    pub ca_pem: String,
}

impl Identity {
    const FILE: &str = "identity.json";

    pub fn load(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(Self::FILE);
        let bytes = std::fs::read(&path)
            .with_context(|| format!("{} cannot be read; enroll this host first", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }

    pub fn store(&self, data_dir: &Path) -> anyhow::Result<()> {
        durable::make_directory(data_dir, 0o711)?;
        durable::replace(&data_dir.join(Self::FILE), &serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }

    pub fn client(&self) -> anyhow::Result<reqwest::Client> {
        client(tls::mutual(&self.ca_pem, &self.certificate_pem, &self.key_pem)?)
    }

    /// True when less than a third of the certificate's life is left.
    pub fn renewal_due(&self) -> anyhow::Result<bool> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate_pem.as_bytes())?;
        let certificate = pem.parse_x509()?;
        let validity = certificate.validity();
        let life = validity.not_after.timestamp() - validity.not_before.timestamp();
        let left = validity.not_after.timestamp() - time::OffsetDateTime::now_utc().unix_timestamp();
        Ok(left * 3 < life)
    }
}

/// Buys the first certificate with a join token.
pub async fn enroll(config: &Config, token: &JoinToken) -> anyhow::Result<Identity> {
    if Identity::load(&config.data_dir).is_ok() {
        bail!("this data directory already holds an identity; remove it to join anew");
    }
    let client = client(tls::pinned(&token.ca_fingerprint)?)?;
    let identity = request(&client, &config.server, "enroll", Some(token.secret.clone()))
        .await
        .context("the server did not let this host join")?;
    identity.store(&config.data_dir)?;
    Ok(identity)
}

/// Buys the next certificate with the present one, for a new key.
pub async fn renew(config: &Config, current: &Identity) -> anyhow::Result<Identity> {
    let next = request(&current.client()?, &config.server, "certificate", None).await?;
    if next.host_id != current.host_id {
        bail!("the server answered with the identity of another host");
    }
    next.store(&config.data_dir)?;
    Ok(next)
}

async fn request(
    client: &reqwest::Client,
    server: &str,
    path: &str,
    secret: Option<String>,
) -> anyhow::Result<Identity> {
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::new(Vec::<String>::new())?.serialize_request(&key)?;
    let body = EnrollRequest {
        secret,
        csr_pem: csr.pem()?,
        hostname: crate::facts::hostname(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
    };
    let url = format!("{}{PREFIX}/{path}", server.trim_end_matches('/'));
    let response = client.post(url).timeout(Duration::from_secs(30)).json(&body).send().await?;
    let status = response.status();
    if !status.is_success() {
        let text = response.text().await.unwrap_or_default();
        bail!("{status}: {}", text.chars().take(300).collect::<String>());
    }
    let answer: EnrollResponse = response.json().await?;
    Ok(Identity {
        host_id: answer.host_id,
        key_pem: key.serialize_pem(),
        certificate_pem: answer.certificate_pem,
        ca_pem: answer.ca_pem,
    })
}

fn client(tls: rustls::ClientConfig) -> anyhow::Result<reqwest::Client> {
    // No proxy from the environment and no redirects: the only peer is the configured server.
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .http1_only()
        .build()?)
}
