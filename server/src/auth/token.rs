//! API tokens: `jst_<43 characters of base64url><6 hexadecimal digits>`, and those of billing systems, which begin
//! with `jstb_` and open nothing but `/billing/v1`.
//!
//! The last six digits are a checksum: a mistyped token is refused without asking the database, and
//! secret scanners can tell ours from noise.  The database keeps a hash only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const PREFIX: &str = "jst_";
const BILLING_PREFIX: &str = "jstb_";
const BODY: usize = 43;
const CHECKSUM: usize = 6;

/// A new token; shown once.
pub fn generate() -> String {
    generate_with(PREFIX)
}

/// A new token of a billing system; shown once.
pub fn generate_for_billing() -> String {
    generate_with(BILLING_PREFIX)
}

fn generate_with(prefix: &str) -> String {
    let body = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let checksum = checksum(&body);
    format!("{prefix}{body}{checksum}")
}

/// What people recognise a token by in lists.
pub fn visible_prefix(token: &str) -> String {
    token.chars().take(PREFIX.len() + 6).collect()
}

pub fn checksum_holds(token: &str) -> bool {
    holds(token, PREFIX)
}

pub fn billing_checksum_holds(token: &str) -> bool {
    holds(token, BILLING_PREFIX)
}

fn holds(token: &str, prefix: &str) -> bool {
    token
        .strip_prefix(prefix)
        .filter(|rest| rest.is_ascii() && rest.len() == BODY + CHECKSUM)
        .is_some_and(|rest| checksum(&rest[..BODY]) == rest[BODY..])
}

fn checksum(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..CHECKSUM / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_token_is_noticed() {
        let token = generate();
        assert!(checksum_holds(&token));
        let mut typo = token.clone().into_bytes();
        typo[10] = if typo[10] == b'a' { b'b' } else { b'a' };
        assert!(!checksum_holds(std::str::from_utf8(&typo).unwrap()));
        assert!(!checksum_holds(""));
        assert!(!checksum_holds("jst_é"));
        // Neither kind passes for the other.
        let billing = generate_for_billing();
        assert!(billing_checksum_holds(&billing) && !checksum_holds(&billing));
        assert!(!billing_checksum_holds(&token));
    }
}
