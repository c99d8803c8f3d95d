//! An agent's side of the link, as plain calls: what a test needs to play a host.

use jst_protocol::PREFIX;
use jst_protocol::enroll::EnrollResponse;
use jst_server::ids::HostId;
use jst_server::secrets::{random_token, token_hash};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::time::Duration;

use crate::Platform;
use crate::client::Answer;

/// A key and the certificate that goes with it.
#[derive(Clone)]
pub struct Credentials {
    pub key_der: Vec<u8>,
    pub certificate_pem: String,
}

/// A caller on the agents' port, with or without a certificate.
#[derive(Clone)]
pub struct AgentClient {
    http: reqwest::Client,
    url: String,
    pub host: Option<HostId>,
    pub credentials: Option<Credentials>,
}

/// A key and a request to certify it.  The name in it is what a liar would ask for.
pub fn request() -> (KeyPair, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["jst-server".to_owned()]).expect("a plain name");
    params.distinguished_name.push(DnType::CommonName, "00000000-0000-0000-0000-000000000000");
    let pem = params.serialize_request(&key).and_then(|request| request.pem()).expect("a request");
    (key, pem)
}

impl AgentClient {
    /// Trusts the server's authority and shows this certificate, if any.
    pub fn new(platform: &Platform, credentials: Option<Credentials>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(platform.app().ca.certificate_der().clone()).expect("the authority is one");
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match &credentials {
            None => config.with_no_client_auth(),
            Some(credentials) => {
                let (_, pem) = x509_parser::pem::parse_x509_pem(credentials.certificate_pem.as_bytes())
                    .expect("a certificate");
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(credentials.key_der.clone()));
                config
                    .with_client_auth_cert(vec![CertificateDer::from(pem.contents)], key)
                    .expect("key and certificate belong together")
            }
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .no_proxy()
            .timeout(Duration::from_secs(40))
            .build()
            .expect("a client");
        Self { http, url: platform.agent_url(), host: None, credentials }
    }

    /// A host of that name, enrolled by the front door.
    pub async fn enrolled(platform: &Platform, name: &str) -> Self {
        let secret = join_secret(platform, name, "now() + interval '15 minutes'").await;
        let stranger = Self::new(platform, None);
        let (key, csr) = request();
        let answer = stranger.enroll(&secret, &csr).await.expect(200);
        let answer: EnrollResponse = serde_json::from_value(answer.json()).expect("an answer");
        let credentials =
            Credentials { key_der: key.serialize_der(), certificate_pem: answer.certificate_pem };
        Self { host: Some(answer.host_id.into()), ..Self::new(platform, Some(credentials)) }
    }

    pub async fn enroll(&self, secret: &str, csr: &str) -> Answer {
        let body =
            json!({ "secret": secret, "csr_pem": csr, "hostname": "machine", "agent_version": "0.1.0" });
        self.post("enroll", &body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.http.get(format!("{}{PREFIX}/{path}", self.url)).send().await;
        Answer::read(answer.expect("the server answers")).await
    }

    /// The same host at another replica.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A call of any path of the port.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.try_post(path, body).await.expect("the server answers")).await
    }

    /// The error is that of the connection, such as a refused handshake.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.http.post(format!("{}{PREFIX}/{path}", self.url)).json(body).send().await
    }
}

/// The secret of a join token for a host of that name; `expires` is an SQL expression.
pub async fn join_secret(platform: &Platform, name: &str, expires: &str) -> String {
    let secret = random_token();
    let statement = format!(
        "INSERT INTO host_join_tokens (secret_hash, host_name, expires_at) VALUES ($1, $2, {expires})"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(token_hash(&secret))
        .bind(name)
        .execute(platform.app().db.platform())
        .await
        .expect("a join token");
    secret
}
