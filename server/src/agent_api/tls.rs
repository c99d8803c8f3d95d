//! TLS of the agents' port: our own authority and nobody else's, on both sides.

use crate::state::App;
use anyhow::Context;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub fn acceptor(app: &App) -> anyhow::Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(app.ca.certificate_der().clone())?;
    // Optional at this level, because a host that enrols has none yet.  Whoever shows one must have it
    // from us: another authority's ends the handshake.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    // The chain holds the authority itself: an agent that joins knows only its fingerprint.
    let (chain, key) = app.ca.sign_server(&app.config.agent_names).context("the server's own certificate")?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would skip the look at the client's certificate dates.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
