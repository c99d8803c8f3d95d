//! How a machine becomes a host: an administrator's join token buys a certificate, once.
//!
//! The token names the host, so that what a machine calls itself decides nothing.  Joining again
//! under the name of a host that exists replaces its identity: every older certificate is revoked in
//! the same transaction, because two agents that both hold valid certificates of one host could
//! both act for it.

use super::db;
use crate::auth::Actor;
use crate::auth::grant::{self, Credential};
use crate::auth::limits::{self, AttemptLimit};
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event, Source};
use crate::ids::HostId;
use crate::secrets::{random_token, token_hash};
use crate::state::App;
use jst_protocol::enroll::{EnrollRequest, EnrollResponse, JoinToken};
use serde_json::json;
use std::net::IpAddr;
use time::OffsetDateTime;

/// Minutes for which a join token is good.
pub const JOIN_TOKEN_MINUTES: i32 = 15;

/// Enrolments tried from one network.  A rack behind one address joins in minutes; guessing 256
/// bits is hopeless at any rate, so this only keeps noise off the database.
const ENROL: AttemptLimit = AttemptLimit { attempts: 100, seconds: 900 };

/// Renewals by one host; an honest agent renews every three weeks.
const RENEW: AttemptLimit = AttemptLimit { attempts: 20, seconds: 3600 };

/// A join token, shown once, and until when it is good.
pub struct NewJoinToken {
    pub token: JoinToken,
    pub expires_at: OffsetDateTime,
}

/// Makes a join token for a host of that name.  It ends before the API token that made it.
pub async fn create_join_token(app: &App, actor: &Actor, name: &str, nat: bool) -> Result<NewJoinToken> {
    let until = grant::check(actor, Credential::JoinToken)?;
    let name = host_name(name)?;
    let secret = random_token();
    let mut tx = app.db.begin_platform().await?;
    let expires_at = db::insert_join_token(
        &mut tx,
        &token_hash(&secret),
        &name,
        nat,
        actor.user_id,
        JOIN_TOKEN_MINUTES,
        until,
    )
    .await?;
    let event = Event {
        tenant: None,
        action: "host.join_token_created",
        subject_kind: "host",
        subject_id: &name,
        data: json!({ "nat": nat }),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    tx.commit().await?;
    Ok(NewJoinToken { token: JoinToken { secret, ca_fingerprint: app.ca.fingerprint() }, expires_at })
}

impl NewJoinToken {
    /// What the operator runs on the machine.
    pub fn command(&self, app: &App) -> String {
        let loopback = |name: &str| name == "localhost" || name.starts_with("127.") || name == "::1";
        let names = &app.config.agent_names;
        let name =
            names.iter().find(|name| !loopback(name)).or(names.first()).map_or("localhost", String::as_str);
        let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let port = app.config.agent_listen.port();
        format!("jst-agent enroll --server https://{name}:{port} --token {}", self.token.reveal())
    }
}

/// Names are those of machines: they stand in logs, commands and pages.
fn host_name(name: &str) -> Result<String> {
    let name = name.trim().to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.is_empty() {
        Err(Error::invalid("name", "required"))
    } else if name.len() > 63 || !name.split('.').all(label) {
        Err(Error::invalid("name", "host-name"))
    } else {
        Ok(name)
    }
}

/// Turns a join token into the first certificate of a host.
///
/// The certificate is signed before the token is spent for good, so that a broken request leaves
/// the token usable.
pub async fn enrol(app: &App, ip: Option<IpAddr>, request: &EnrollRequest) -> Result<EnrollResponse> {
    limits::count_network(app.db.platform(), "enrol", ip, ENROL).await?;
    let secret = request.secret.as_deref().ok_or_else(join_token_invalid)?;
    let secret_hash = token_hash(secret);

    let mut tx = app.db.begin_platform().await?;
    let token = db::use_join_token(&mut tx, &secret_hash).await?.ok_or_else(join_token_invalid)?;
    let (host, new) = db::upsert_host(&mut tx, HostId::new(), &token.host_name, token.nat).await?;
    let revoked = db::revoke_certificates(&mut tx, host, None).await?;
    db::note_token_host(&mut tx, &secret_hash, host).await?;
    let response = certify(app, &mut tx, host, request).await?;
    let event = Event {
        tenant: None,
        action: if new { "host.enrolled" } else { "host.enrolled_again" },
        subject_kind: "host",
        subject_id: &host.to_string(),
        data: json!({
            "hostname": short(&request.hostname),
            "agent_version": short(&request.agent_version),
            "certificates_revoked": revoked,
        }),
    };
    let source = Source { ip, ..Source::host(host.uuid(), &token.host_name) };
    events::record(&mut tx, &source, event).await?;
    tx.commit().await?;
    Ok(response)
}

/// The next certificate of a host that proved with the present one who it is.
pub async fn renew(app: &App, host: HostId, name: &str, request: &EnrollRequest) -> Result<EnrollResponse> {
    limits::count(app.db.platform(), &format!("renew:{host}"), RENEW).await?;
    let mut tx = app.db.begin_platform().await?;
    let response = certify(app, &mut tx, host, request).await?;
    let event = Event {
        tenant: None,
        action: "host.certificate_renewed",
        subject_kind: "host",
        subject_id: &host.to_string(),
        data: json!({ "agent_version": short(&request.agent_version) }),
    };
    events::record(&mut tx, &Source::host(host.uuid(), name), event).await?;
    tx.commit().await?;
    Ok(response)
}

async fn certify(
    app: &App,
    tx: &mut crate::db::Tx,
    host: HostId,
    request: &EnrollRequest,
) -> Result<EnrollResponse> {
    let certificate = app.ca.sign_agent(host.uuid(), &request.csr_pem).map_err(|error| {
        Error::Invalid(vec![
            FieldError::new("csr_pem", "certificate-request").with("problem", error.root_cause()),
        ])
    })?;
    db::insert_certificate(tx, &certificate.serial, host, certificate.not_after).await?;
    Ok(EnrollResponse {
        host_id: host.uuid(),
        certificate_pem: certificate.pem,
        ca_pem: app.ca.certificate_pem().to_owned(),
    })
}

/// Used, expired and never issued look the same from outside.
fn join_token_invalid() -> Error {
    Error::denied("join-token-invalid")
}

/// What a machine says of itself goes into the log, but not by the kilobyte.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::host_name;

    #[test]
    fn hosts_are_named_like_machines() {
        assert_eq!(host_name(" Node-1.fra ").unwrap(), "node-1.fra");
        let long = "a".repeat(64);
        for bad in ["", " ", "-a", "a-", "a..b", "a b", "a/b", "节点", "a\n", long.as_str()] {
            // A trailing line break is white space at the end, which is trimmed.
            assert_eq!(host_name(bad).is_ok(), bad == "a\n", "{bad:?}");
        }
    }
}
