//! Mail addresses.

use crate::error::FieldError;

/// RFC 5321: a path of 256 with its brackets.
const MAX_BYTES: usize = 254;

/// An address as we accept it for an account: one mailbox at a domain with a dot, in ASCII.
pub fn parse(field: &str, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let well_formed = text.is_ascii()
        && text.len() <= MAX_BYTES
        && !text.contains(['"', '(', ')', '<', '>', ',', ';', ':', '[', ']', '\\'])
        && text.parse::<lettre::Address>().is_ok()
        && text.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.') && !domain.ends_with('.'));
    if well_formed { Ok(text.to_owned()) } else { Err(FieldError::new(field, "email")) }
}

/// The mailbox that an address leads to, for telling whether two addresses are one person: lower
/// case, without a `+tag`, and for Gmail without dots.
pub fn mailbox(email: &str) -> String {
    let email = email.trim().to_lowercase();
    let Some((local, domain)) = email.rsplit_once('@') else { return email };
    let local = local.split('+').next().unwrap_or(local);
    match domain {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
        _ => format!("{local}@{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_person_are_one_mailbox() {
        assert_eq!(mailbox("A.B+trial2@GoogleMail.com"), "ab@gmail.com");
        assert_eq!(mailbox("li.wen+a+b@example.com"), "li.wen@example.com");
        assert_eq!(mailbox("Li.Wen@Example.com"), "li.wen@example.com");
    }

    #[test]
    fn only_plain_addresses_are_accepted() {
        assert_eq!(parse("email", " lin.wen+x@example.com ").unwrap(), "lin.wen+x@example.com");
        for wrong in [
            "",
            "@",
            "a@",
            "a@b",
            "a b@example.com",
            "a@example.com\nBcc: b@example.com",
            "a@example.com,b@example.com",
            "\"a\"@example.com",
            "<a@example.com>",
            "a@[127.0.0.1]",
            "é@example.com",
            "a@example.",
        ] {
            assert!(parse("email", wrong).is_err(), "{wrong:?}");
        }
        assert!(parse("email", &format!("{}@example.com", "a".repeat(250))).is_err());
    }
}
