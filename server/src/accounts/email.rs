//! Email addresses: one normal form, made here and nowhere else.
//!
//! Whatever is compared, counted, looked up or stored is an [`EmailAddress`]. The database keeps the same form and checks
//! it, but never makes one: its `lower()` and Rust's `to_lowercase()` differ for letters such as `İ`, and what is two
//! addresses in one place and one in another is a hole.

use super::db::users::User;
use crate::error::FieldError;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use std::fmt;
use std::ops::Deref;

/// RFC 5321: a path of 256 with its brackets.
const MAX_BYTES: usize = 254;

/// One mailbox at a domain with a dot, in ASCII and lower case. A domain in other letters has the form of the DNS
/// (UTS 46: `例え.jp` is `xn--r8jz45g.jp`); a local part in other letters is not accepted.
///
/// By the standard a mail server may tell `A@` from `a@`. None does, and people write both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The mailbox that the address leads to, for telling whether two addresses are one person: without a `+tag`, and
    /// for Gmail without dots.
    pub fn mailbox(&self) -> String {
        let Some((local, domain)) = self.0.rsplit_once('@') else { return self.0.clone() };
        let local = local.split('+').next().unwrap_or(local);
        match domain {
            "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
            _ => format!("{local}@{domain}"),
        }
    }

    /// Of an account: the database keeps nothing but the normal form.
    pub fn of(user: &User) -> Self {
        Self(user.email.clone())
    }

    /// As [`Self::of`], of somebody who is signed in.
    pub fn of_actor(actor: &crate::auth::Actor) -> Self {
        Self(actor.email.clone())
    }
}

impl Deref for EmailAddress {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// An address as somebody typed it, in its normal form. Fails at `field` where it is none that an account can have.
pub fn parse(field: &str, text: &str) -> Result<EmailAddress, FieldError> {
    normal(text.trim()).map(EmailAddress).ok_or_else(|| FieldError::new(field, "email"))
}

fn normal(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let domain = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify)
        .ok()?;
    let address = format!("{}@{domain}", local.to_ascii_lowercase());
    let well_formed = address.is_ascii()
        && address.len() <= MAX_BYTES
        && !address.contains(['"', '(', ')', '<', '>', ',', ';', ':', '[', ']', '\\'])
        && domain.contains('.')
        && !domain.ends_with('.')
        && address.parse::<lettre::Address>().is_ok();
    well_formed.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> EmailAddress {
        parse("email", text).unwrap()
    }

    #[test]
    fn addresses_of_one_person_are_one_mailbox() {
        assert_eq!(parsed("A.B+trial2@GoogleMail.com").mailbox(), "ab@gmail.com");
        assert_eq!(parsed("li.wen+a+b@example.com").mailbox(), "li.wen@example.com");
        assert_eq!(parsed("Li.Wen@Example.com").mailbox(), "li.wen@example.com");
    }

    #[test]
    fn every_way_of_writing_an_address_has_one_normal_form() {
        for (typed, normal) in [
            (" Lin.Wen+x@Example.COM ", "lin.wen+x@example.com"),
            ("lin@例え.JP", "lin@xn--r8jz45g.jp"),
            ("lin@XN--R8JZ45G.jp", "lin@xn--r8jz45g.jp"),
            // A full stop, a Kelvin sign and a full-width letter that stand for others in a domain.
            ("lin@example。com", "lin@example.com"),
            ("lin@\u{212a}.example.com", "lin@k.example.com"),
            ("lin@ｅxample.com", "lin@example.com"),
        ] {
            assert_eq!(&*parsed(typed), normal, "{typed:?}");
        }
        // Domains that only look alike are different ones.
        assert_ne!(parsed("a@straße.de"), parsed("a@strasse.de"));
        assert_ne!(parsed("a@İ.example.com"), parsed("a@i.example.com"));
    }

    #[test]
    fn letters_whose_case_is_disputed_are_no_local_part() {
        for letter in ['İ', 'ı', 'ß', 'ſ', '\u{212a}', 'é', 'ａ'] {
            assert!(parse("email", &format!("{letter}lker@example.com")).is_err(), "{letter:?}");
        }
    }

    proptest! {
        /// What is stored is found again however its case is written, and normalising twice changes nothing.
        #[test]
        fn the_normal_form_is_stable(text in "[a-zA-ZİıßſK.+]{1,12}@[a-zA-Zßé]{1,8}\\.[a-zA-Z]{2,3}") {
            if let Ok(address) = parse("email", &text) {
                prop_assert_eq!(&parse("email", &address).unwrap(), &address);
                prop_assert_eq!(&parse("email", &address.to_ascii_uppercase()).unwrap(), &address);
                prop_assert!(address.is_ascii() && !address.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
        }
    }

    #[test]
    fn only_plain_addresses_are_accepted() {
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
            "a@exam%70le.com",
            "a@b@example.com",
        ] {
            assert!(parse("email", wrong).is_err(), "{wrong:?}");
        }
        assert!(parse("email", &format!("{}@example.com", "a".repeat(250))).is_err());
    }
}
