//! Keys and signatures of providers: RSA with SHA-256 and PKCS#1 v1.5, HMAC-SHA256, AES-256-GCM.
//!
//! Keys come as PEM, or as the bare base64 between its lines, which is how some providers show them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use sha2::Sha256;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no usable key")]
pub struct Unusable;

/// The bytes of one PEM block, or of bare base64.
fn der(text: &str) -> Result<Vec<u8>, Unusable> {
    let base64: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    STANDARD.decode(base64).map_err(|_| Unusable)
}

/// A private key of 2048 bits or more, as PKCS#8 or PKCS#1.
pub fn private_key(text: &str) -> Result<RsaKeyPair, Unusable> {
    let der = der(text)?;
    RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).map_err(|_| Unusable)
}

/// A public key or certificate: as PKCS#1, which is what signatures are verified with.
#[derive(Clone, Debug)]
pub struct PublicKey(Vec<u8>);

pub fn public_key(text: &str) -> Result<PublicKey, Unusable> {
    let der = der(text)?;
    let pkcs1 = if text.contains("BEGIN CERTIFICATE") {
        let (_, certificate) =
            x509_parser::certificate::X509Certificate::from_der(&der).map_err(|_| Unusable)?;
        certificate.public_key().subject_public_key.data.to_vec()
    } else {
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| Unusable)?;
        info.subject_public_key.data.to_vec()
    };
    // What is no RSA key would be found out only when the first signature comes.
    let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(&pkcs1).map_err(|_| Unusable)?;
    if key.key_size() >= 2048 { Ok(PublicKey(pkcs1)) } else { Err(Unusable) }
}

/// In base64.
pub fn sign(key: &RsaKeyPair, message: &[u8]) -> Result<String, Unusable> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| Unusable)?;
    Ok(STANDARD.encode(signature))
}

/// `signature` is in base64.
pub fn verifies(key: &PublicKey, message: &[u8], signature: &str) -> bool {
    STANDARD.decode(signature).is_ok_and(|signature| {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.0).verify(message, &signature).is_ok()
    })
}

/// Whether one of these hexadecimal codes is the message's.  The comparison takes the same time wherever they differ.
pub fn authenticates<'a>(secret: &str, message: &[&[u8]], mut codes: impl Iterator<Item = &'a str>) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    for part in message {
        mac.update(part);
    }
    codes.any(|code| hex::decode(code).is_ok_and(|code| mac.clone().verify_slice(&code).is_ok()))
}

/// Opens what was sealed with AES-256-GCM; the tag stands at the end.
pub fn open(key: &str, nonce: &str, associated: &str, ciphertext: &str) -> Result<Vec<u8>, Unusable> {
    let key = UnboundKey::new(&AES_256_GCM, key.as_bytes()).map_err(|_| Unusable)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).map_err(|_| Unusable)?;
    let mut text = STANDARD.decode(ciphertext).map_err(|_| Unusable)?;
    let length = LessSafeKey::new(key)
        .open_in_place(nonce, Aad::from(associated.as_bytes()), &mut text)
        .map_err(|_| Unusable)?
        .len();
    text.truncate(length);
    Ok(text)
}
