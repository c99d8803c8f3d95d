//! The private certificate authority of the agents' link.
//!
//! The server signs certificates of 30 days for its agents and, at every start, one for itself.  An
//! agent trusts this authority only; nobody else's certificate opens the link.

use crate::secrets::write_private;
use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::path::Path;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Long enough to survive a holiday without the server, short enough that a stolen one dies.
pub const AGENT_CERTIFICATE_DAYS: i64 = 30;

/// A name that the server's certificate always has, so that agents can check it whatever address
/// they dial.
pub const SERVER_NAME: &str = "jst-server";

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate_der: CertificateDer<'static>,
}

pub struct SignedCertificate {
    pub pem: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    pub not_after: OffsetDateTime,
}

impl Ca {
    /// Reads the authority from the directory, or founds it at the first start.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let (key_path, certificate_path) = (directory.join("ca-key.pem"), directory.join("ca.pem"));
        if !certificate_path.exists() {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.distinguished_name = name("Jinshitong VPS agents");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
            params.not_after = OffsetDateTime::now_utc() + Duration::days(3650);
            let certificate = params.self_signed(&key)?;
            // The certificate is written last: with it, both are there.
            write_private(&key_path, key.serialize_pem().as_bytes())?;
            write_private(&certificate_path, certificate.pem().as_bytes())?;
        }
        let key_pem = std::fs::read_to_string(&key_path)
            .with_context(|| format!("cannot read {}", key_path.display()))?;
        let certificate_pem = std::fs::read_to_string(&certificate_path)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, KeyPair::from_pem(&key_pem)?)?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes())?;
        Ok(Self { issuer, certificate_pem, certificate_der: CertificateDer::from(pem.contents) })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate_der
    }

    /// SHA-256 of the certificate, lower-case hexadecimal: what a join token carries.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.certificate_der))
    }

    /// Signs the public key of a request for one host.  The names in the request are ignored: the
    /// host is who the server says.
    pub fn sign_agent(&self, host: Uuid, csr_pem: &str) -> anyhow::Result<SignedCertificate> {
        let mut request =
            CertificateSigningRequestParams::from_pem(csr_pem).context("not a certificate request")?;
        let serial: [u8; 16] = rand::random();
        // A serial number is a positive integer: the first bit is clear, and the first byte not zero.
        let serial = {
            let mut s = serial;
            s[0] = (s[0] & 0x7f) | 0x40;
            s
        };
        let not_after = OffsetDateTime::now_utc() + Duration::days(AGENT_CERTIFICATE_DAYS);
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&host.to_string());
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = not_after;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        request.params = params;
        let certificate = request.signed_by(&self.issuer)?;
        Ok(SignedCertificate { pem: certificate.pem(), serial: hex::encode(serial), not_after })
    }

    /// A certificate for the server itself, made new at every start.
    pub fn sign_server(
        &self,
        names: &[String],
    ) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().cloned().chain([SERVER_NAME.to_owned()]).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name(SERVER_NAME);
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone(), self.certificate_der.clone()], private))
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
