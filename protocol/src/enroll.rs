//! Enrolment: a one-use join token buys a short-lived client certificate.
//!
//! `POST /agent/v1/enroll` is the only call that needs no client certificate.  The agent checks the
//! server against the fingerprint inside the token, so that the first contact is authenticated too.
//! `POST /agent/v1/certificate` renews: the same request and answer, authenticated by the old
//! certificate, without a token.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A join token as the administrator copies it: `jst-join.<secret>.<SHA-256 of the CA certificate>`,
/// secret and fingerprint in lower-case hexadecimal (32 bytes each).
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    pub secret: String,
    pub ca_fingerprint: String,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "a join token has the form jst-join.<64 hexadecimal digits>.<64 hexadecimal digits>; create a new one on the hosts page"
)]
pub struct MalformedToken;

impl std::str::FromStr for JoinToken {
    type Err = MalformedToken;

    fn from_str(text: &str) -> Result<Self, MalformedToken> {
        let mut parts = text.trim().split('.');
        let (Some("jst-join"), Some(secret), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(MalformedToken);
        };
        let hexadecimal = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if !hexadecimal(secret) || !hexadecimal(fingerprint) {
            return Err(MalformedToken);
        }
        Ok(Self { secret: secret.to_ascii_lowercase(), ca_fingerprint: fingerprint.to_ascii_lowercase() })
    }
}

impl JoinToken {
    /// The text that the administrator copies.  There is no `Display`, so that no log line prints
    /// the secret by accident.
    pub fn reveal(&self) -> String {
        format!("jst-join.{}.{}", self.secret, self.ca_fingerprint)
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The secret part of the join token; absent when a certificate is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// PKCS #10 request in PEM.  Only its public key is used: the name in the certificate is the
    /// host id that the server knows, whatever the request says.
    pub csr_pem: String,
    /// What the machine calls itself; a suggestion for the host's name.
    pub hostname: String,
    pub agent_version: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrollResponse {
    pub host_id: Uuid,
    pub certificate_pem: String,
    pub ca_pem: String,
}
