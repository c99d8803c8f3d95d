//! Secrets at rest and random tokens.

use anyhow::Context;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Seals short secrets (second factors) before they go into the database.
///
/// The sealed form is `key id (1 byte) | nonce (24 bytes) | ciphertext`; the name of the row is bound
/// as associated data, so that a sealed secret copied to another row does not open.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

const KEY_ID: u8 = 1;

impl Sealer {
    /// Reads the key from `path`, or makes one (mode 0600) at the first start.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let key = match std::fs::read(path) {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key: [u8; 32] = rand::random();
                write_private(path, &key)?;
                key.to_vec()
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        anyhow::ensure!(key.len() == 32, "{} must hold exactly 32 bytes", path.display());
        Ok(Self { cipher: XChaCha20Poly1305::new(key.as_slice().into()) })
    }

    pub fn seal(&self, row: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; 24] = rand::random();
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret, aad: row.as_bytes() })
            .expect("sealing fails only for messages of many gigabytes");
        [&[KEY_ID][..], &nonce, &sealed].concat()
    }

    pub fn open_sealed(&self, row: &str, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(sealed.len() > 25 && sealed[0] == KEY_ID, "not a secret sealed by this server");
        let (nonce, ciphertext) = sealed[1..].split_at(24);
        self.cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad: row.as_bytes() })
            .map_err(|_| anyhow::anyhow!("a sealed secret does not open with this server's key"))
    }
}

/// Writes a file that only we may read: new, complete and on disk before it has its name.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    Ok(())
}

/// 32 random bytes in hexadecimal: for links, invitations and tokens.
pub fn random_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// What the database keeps of a random token.  The token has 256 bits, so a plain hash is enough.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_for_its_own_row() {
        let directory = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&directory.path().join("key")).unwrap();
        let sealed = sealer.seal("users/1", b"secret");
        assert_eq!(sealer.open_sealed("users/1", &sealed).unwrap(), b"secret");
        assert!(sealer.open_sealed("users/2", &sealed).is_err());
        assert!(sealer.open_sealed("users/1", &sealed[..10]).is_err());
        let again = Sealer::open(&directory.path().join("key")).unwrap();
        assert_eq!(again.open_sealed("users/1", &sealed).unwrap(), b"secret");
    }
}
