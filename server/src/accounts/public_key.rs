//! Public keys as people paste them.

use crate::error::FieldError;
use crate::name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

/// The longest key in use, RSA of 16,384 bits, has under 3 KiB.
const MAX_BYTES: usize = 16 * 1024;
const MIN_RSA_BITS: usize = 3072;

/// How the body of a private key in OpenSSH's form begins, for those who left the first line out: `openssh-key-v1`.
const PRIVATE_BODY: &str = "b3BlbnNzaC1rZXktdjE";

/// One public key of a kind that is still safe, and nothing else: OpenSSH's line, or the form of RFC 4716.
///
/// Errors are at `public_key`; what is wrong is told, and never what was pasted.
pub fn parse(text: &str) -> Result<PublicKey, FieldError> {
    let refuse = |code| FieldError::new("public_key", code);
    let text = text.trim_matches(name::is_blank);
    if text.is_empty() {
        return Err(refuse("required"));
    }
    if is_private(text) {
        return Err(refuse("ssh-key-private"));
    }
    if text.len() > MAX_BYTES {
        return Err(refuse("ssh-key-too-long").with("max", MAX_BYTES / 1024));
    }
    let key = if text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
        rfc4716(text).ok_or_else(|| refuse("ssh-key-rfc4716"))?
    } else if text.starts_with("-----BEGIN ") {
        return Err(refuse("ssh-key-pem"));
    } else {
        openssh(text)?
    };
    if key.comment().chars().any(char::is_control) {
        return Err(refuse("ssh-key-form"));
    }
    check_strength(key)
}

/// Whatever else is wrong with it, who pastes a private key must hear that first.
fn is_private(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    // With what frames it: `private key` alone may be a comment's.
    ["PRIVATE KEY-----", "PRIVATE KEY ----"].iter().any(|frame| upper.contains(frame))
        || text.contains("PuTTY-User-Key-File")
        || text.contains("Private-Lines:")
        || text.starts_with(PRIVATE_BODY)
}

/// A line of `authorized_keys` without options.  Lines that are empty or comments say nothing, as there.
fn openssh(text: &str) -> Result<PublicKey, FieldError> {
    let refuse = |code| FieldError::new("public_key", code);
    let said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut lines = text.split(['\n', '\r']).map(str::trim).filter(said);
    let line = lines.next().ok_or_else(|| refuse("ssh-key-form"))?;
    if lines.next().is_some() {
        return Err(refuse("ssh-key-lines"));
    }
    // Tabs part the fields as spaces do, and so do the spaces of phones.
    let mut fields = line.split_whitespace();
    let (algorithm, body) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
    if algorithm == "ssh-dss" {
        return Err(refuse("ssh-key-dsa"));
    }
    // What sshd would take for options stands before the algorithm: `command="…" ssh-ed25519 …`.
    if !["ssh-", "ecdsa-", "sk-"].iter().any(|start| algorithm.starts_with(start)) {
        return Err(refuse("ssh-key-form"));
    }
    let comment = fields.collect::<Vec<_>>().join(" ");
    let line = format!("{algorithm} {body} {comment}");
    PublicKey::from_openssh(line.trim_end()).map_err(|_| refuse("ssh-key-form"))
}

/// What `ssh-keygen -e` and PuTTYgen write: a frame, headers that a backslash continues, and the key in Base64.
fn rfc4716(text: &str) -> Option<PublicKey> {
    let mut lines = text.lines().map(str::trim).skip(1);
    let (mut comment, mut body) = (String::new(), String::new());
    loop {
        let line = lines.next()?;
        if line == "---- END SSH2 PUBLIC KEY ----" {
            break;
        }
        match line.split_once(':') {
            Some((header, value)) => {
                let mut value = value.trim().to_owned();
                while let Some(continued) = value.strip_suffix('\\') {
                    value = format!("{continued}{}", lines.next()?);
                }
                if header.eq_ignore_ascii_case("comment") {
                    comment = value.trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ");
                }
            }
            None => body.push_str(line),
        }
    }
    // A second key would be lost without a word.
    if lines.any(|line| !line.is_empty()) {
        return None;
    }
    let mut key = PublicKey::from_bytes(&STANDARD.decode(body).ok()?).ok()?;
    key.set_comment(comment);
    Some(key)
}

fn check_strength(key: PublicKey) -> Result<PublicKey, FieldError> {
    let refuse = |code| FieldError::new("public_key", code);
    match key.key_data() {
        KeyData::Dsa(_) => Err(refuse("ssh-key-dsa")),
        KeyData::Rsa(rsa) => {
            let modulus = rsa.n.as_positive_bytes().ok_or_else(|| refuse("ssh-key-form"))?;
            let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            let bits = (modulus.len() * 8).saturating_sub(leading);
            if bits < MIN_RSA_BITS {
                return Err(refuse("ssh-key-short").with("bits", bits).with("min", MIN_RSA_BITS));
            }
            Ok(key)
        }
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Ok(key)
        }
        _ => Err(refuse("ssh-key-form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn read(text: &str) -> Result<String, &'static str> {
        parse(text).map(|key| key.to_openssh().unwrap()).map_err(|error| error.code)
    }

    fn framed(headers: &str, body: &str) -> String {
        format!("---- BEGIN SSH2 PUBLIC KEY ----\n{headers}{body}\n---- END SSH2 PUBLIC KEY ----\n")
    }

    #[test]
    fn a_key_is_read_in_every_form_that_holds_one() {
        let line = format!("ssh-ed25519 {BODY}");
        let named = format!("{line} lin wen@example.com");
        let wrapped = format!("{}\r\n{}", &BODY[..40], &BODY[40..]);
        for (text, read_as) in [
            (line.clone(), &line),
            (format!(" {named}\n"), &named),
            (format!("\u{feff}{named}"), &named),
            (format!("ssh-ed25519\t{BODY}\tlin\twen@example.com"), &named),
            (format!("ssh-ed25519\u{a0}{BODY}  lin\u{3000}wen@example.com"), &named),
            (format!("{named}'s no private key"), &format!("{named}'s no private key")),
            (format!("# my key\r\n\r\n{named}\r\n# the end"), &named),
            (framed("", BODY), &line),
            (framed("", &wrapped), &line),
            (framed("Comment: \"lin wen@example.com\"\n", &wrapped), &named),
            (framed("Subject: lin\ncomment: lin \\\nwen@example.com\n", BODY), &named),
        ] {
            assert_eq!(read(&text).as_ref(), Ok(read_as), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_single_public_key_hears_what_it_is() {
        let line = format!("ssh-ed25519 {BODY}");
        let private =
            |kind: &str| format!("-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n-----END {kind}PRIVATE KEY-----");
        for (text, code) in [
            ("\u{a0}\n".to_owned(), "required"),
            (private(""), "ssh-key-private"),
            (private("OPENSSH "), "ssh-key-private"),
            (private("ENCRYPTED "), "ssh-key-private"),
            (private("RSA ").to_lowercase(), "ssh-key-private"),
            (format!("my key:\n{}", private("EC ")), "ssh-key-private"),
            (format!("{}{}", private(""), "x".repeat(MAX_BYTES)), "ssh-key-private"),
            ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAAAA".to_owned(), "ssh-key-private"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none".to_owned(), "ssh-key-private"),
            ("Public-Lines: 2\nAAAA\nPrivate-Lines: 1\nAAAA".to_owned(), "ssh-key-private"),
            (format!("{PRIVATE_BODY}AAAAABG5vbmU"), "ssh-key-private"),
            ("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----".to_owned(), "ssh-key-pem"),
            ("-----BEGIN CERTIFICATE-----\nMIIB".to_owned(), "ssh-key-pem"),
            (framed("", "AAAA"), "ssh-key-rfc4716"),
            (framed("", "not base64!"), "ssh-key-rfc4716"),
            (framed("Comment: \\", ""), "ssh-key-rfc4716"),
            (framed("", BODY) + &framed("", BODY), "ssh-key-rfc4716"),
            (format!("---- BEGIN SSH2 PUBLIC KEY ----\n{BODY}"), "ssh-key-rfc4716"),
            (format!("{line}\n{line}"), "ssh-key-lines"),
            (format!("ssh-ed25519\n{BODY}"), "ssh-key-lines"),
            (format!("command=\"true\"\t{line}"), "ssh-key-form"),
            (format!("no-pty {line}"), "ssh-key-form"),
            (format!("{line} a\u{7}b"), "ssh-key-form"),
            ("ssh-ed25519".to_owned(), "ssh-key-form"),
            (BODY.to_owned(), "ssh-key-form"),
            ("# only a comment".to_owned(), "ssh-key-form"),
            ("ssh-dss AAAA".to_owned(), "ssh-key-dsa"),
            (format!("ssh-rsa {}", "A".repeat(MAX_BYTES)), "ssh-key-too-long"),
        ] {
            assert_eq!(read(&text), Err(code), "{text:?}");
        }
    }
}
