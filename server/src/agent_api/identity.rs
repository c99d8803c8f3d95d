//! Which host asks: the certificate's word, looked up on every request.

use super::Link;
use crate::error::{Error, Result};
use crate::hosts::HostState;
use crate::hosts::db::{self, LinkRow};
use crate::ids::HostId;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rustls::pki_types::CertificateDer;
use uuid::Uuid;

/// What the verified client certificate of a connection says.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    pub host: HostId,
    /// Lower-case hexadecimal.
    pub serial: String,
}

impl PeerCertificate {
    /// Reads a certificate that the handshake has verified.  One without a host's id in its name,
    /// such as the server's own, belongs to nobody.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        Some(Self { host: Uuid::try_parse(name).ok()?.into(), serial: hex::encode(certificate.raw_serial()) })
    }
}

/// The host that asks: its certificate is in force and it is not disabled.
#[derive(Clone, Debug)]
pub struct AgentHost {
    pub id: HostId,
    pub serial: String,
    pub link: LinkRow,
}

impl AgentHost {
    /// Looks the certificate up again: whoever was held waiting may have been revoked meanwhile.
    pub async fn look_up(link: &Link, certificate: &PeerCertificate) -> Result<Self> {
        let PeerCertificate { host, serial } = certificate;
        let row = db::link(link.app.db.platform(), *host, serial)
            .await?
            .ok_or(Error::denied("certificate-refused"))?;
        if row.state == HostState::Disabled.as_str() {
            return Err(Error::refused("host-disabled"));
        }
        Ok(Self { id: *host, serial: serial.clone(), link: row })
    }
}

impl FromRequestParts<Link> for AgentHost {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, link: &Link) -> Result<Self> {
        let certificate =
            parts.extensions.get::<PeerCertificate>().ok_or(Error::denied("certificate-required"))?;
        Self::look_up(link, certificate).await
    }
}
