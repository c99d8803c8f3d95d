//! Trust between agent and server: the server's private CA and nothing else.

use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The name that every server certificate carries beside its addresses, so that an agent may dial
/// any address of it: the private CA signs one kind of server only.
const SERVER_NAME: &str = "jst-server";

/// For the first contact: the chain must end in the CA whose certificate has this SHA-256.
pub fn pinned(ca_fingerprint: &str) -> anyhow::Result<ClientConfig> {
    let fingerprint = hex::decode(ca_fingerprint).context("the CA fingerprint is not hexadecimal")?;
    Ok(builder(Arc::new(Verifier { trust: Trust::Fingerprint(fingerprint) }))?.with_no_client_auth())
}

/// For an enrolled agent: its own certificate, and the CA that it was given.
pub fn mutual(ca_pem: &str, certificate_pem: &str, key_pem: &str) -> anyhow::Result<ClientConfig> {
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).context("the stored CA is damaged")?;
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("the stored certificate is damaged")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).context("the stored key is damaged")?;
    let verifier = Arc::new(Verifier { trust: Trust::Chain(chain_verifier(&ca)?) });
    builder(verifier)?.with_client_auth_cert(chain, key).context("certificate and key do not match")
}

fn builder(
    verifier: Arc<Verifier>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

fn chain_verifier(ca: &CertificateDer<'_>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned())?;
    WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(rustls::crypto::ring::default_provider()),
    )
    .build()
    .map_err(|error| Error::General(error.to_string()))
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    Fingerprint(Vec<u8>),
    Chain(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = match &self.trust {
            Trust::Chain(verifier) => verifier.clone(),
            Trust::Fingerprint(fingerprint) => {
                let ca = intermediates
                    .iter()
                    .find(|certificate| Sha256::digest(certificate).as_slice() == fingerprint)
                    .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
                chain_verifier(ca)?
            }
        };
        verifier.verify_server_cert(leaf, intermediates, name, ocsp, now).or_else(|error| match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => {
                let fixed = ServerName::try_from(SERVER_NAME).map_err(|_| Error::General("name".into()))?;
                verifier.verify_server_cert(leaf, intermediates, &fixed, ocsp, now)
            }
            other => Err(other),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
