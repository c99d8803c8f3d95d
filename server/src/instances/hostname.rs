//! What a guest calls itself: a host name of one label, and the domain that it stands in where it has one.

use crate::error::FieldError;
use crate::typed;
use unicode_normalization::UnicodeNormalization;

/// Octets of one label, and of a whole name without the dot at its end (RFC 1035, section 2.3.4).
pub const MAX_LABEL: usize = 63;
pub const MAX_DOMAIN: usize = 253;

/// `web`, or `web` in `example.com`; in ASCII and lower case, international names as punycode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname {
    pub label: String,
    /// What stands after the first dot.
    pub domain: Option<String>,
}

impl Hostname {
    /// Reads a host name with its domain or without.
    ///
    /// Errors are at `field`: `hostname-too-long` for a name or a label beyond its bounds, and `hostname` for whatever else
    /// is no host name.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        let typed = typed::plain(text);
        // A dot at the end says that nothing follows.
        let typed = typed.strip_suffix('.').unwrap_or(&typed);
        let refuse = |code| FieldError::new(field, code);
        // Without the library's own bounds, so that a name that is only too long hears that.
        let name = idna::domain_to_ascii(typed).map_err(|_| refuse("hostname"))?;
        let labels: Vec<&str> = name.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) || is_address(&labels) {
            return Err(refuse("hostname"));
        }
        if name.len() > MAX_DOMAIN || labels.iter().any(|label| label.len() > MAX_LABEL) {
            return Err(refuse("hostname-too-long").with("max", MAX_DOMAIN).with("label", MAX_LABEL));
        }
        // What is left to check is what only international names can have wrong.
        idna::domain_to_ascii_strict(&name).map_err(|_| refuse("hostname"))?;
        let (label, domain) = match name.split_once('.') {
            Some((label, domain)) => (label, Some(domain.to_owned())),
            None => (name.as_str(), None),
        };
        Ok(Self { label: label.to_owned(), domain })
    }

    /// `Web server 1` becomes `web-server-1`; a name without any letter or digit of ASCII becomes `vm`.
    pub fn of_name(name: &str) -> Self {
        let mut label = String::new();
        // Letters apart from their accents, and wide ones as plain ones.
        for c in name.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).map(|c| c.to_ascii_lowercase()) {
            if c.is_ascii_alphanumeric() {
                label.push(c);
            } else if !label.is_empty() && !label.ends_with('-') {
                label.push('-');
            }
        }
        label.truncate(MAX_LABEL);
        let label = label.trim_matches('-');
        Self { label: if label.is_empty() { "vm" } else { label }.to_owned(), domain: None }
    }
}

/// A label with its domain, as people write it.
pub fn full(label: &str, domain: Option<&str>) -> String {
    domain.map_or_else(|| label.to_owned(), |domain| format!("{label}.{domain}"))
}

/// Letters, digits and hyphens (RFC 1123), whatever their number.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// No top-level domain is a number, so that `192.0.2.1` is an address and no name.
fn is_address(labels: &[&str]) -> bool {
    labels.len() > 1 && labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_made_from_any_name() {
        for (name, label) in [
            ("web-1", "web-1"),
            ("Web Server 1", "web-server-1"),
            ("--x--", "x"),
            ("测试", "vm"),
            ("测试 db 2", "db-2"),
            ("Café ｗｅｂ", "cafe-web"),
            ("2026", "2026"),
            (&"a".repeat(80), &"a".repeat(63)),
        ] {
            let made = Hostname::of_name(name);
            assert_eq!(made.label, label);
            assert_eq!(Hostname::parse("hostname", label), Ok(made));
        }
    }

    #[test]
    fn a_host_name_is_read_with_its_domain_or_without() {
        let long = format!("{}.{}.{}.{}.com", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(57));
        assert_eq!(long.len(), 253);
        for (text, label, domain) in [
            ("web", "web", None),
            (" WEB ", "web", None),
            ("web.example.com", "web", Some("example.com")),
            ("web.example.com.", "web", Some("example.com")),
            ("Web.Example.COM", "web", Some("example.com")),
            ("163.com", "163", Some("com")),
            ("2026-12-01", "2026-12-01", None),
            ("ｗｅｂ。ｅｘａｍｐｌｅ。ｃｏｍ", "web", Some("example.com")),
            ("例子.中国", "xn--fsqu00a", Some("xn--fiqs8s")),
            ("bücher.example", "xn--bcher-kva", Some("example")),
            ("xn--bcher-kva.example", "xn--bcher-kva", Some("example")),
            (&"a".repeat(63), &"a".repeat(63), None),
            (&long, &long[..63], Some(&long[64..])),
        ] {
            let expected = Hostname { label: label.to_owned(), domain: domain.map(str::to_owned) };
            assert_eq!(Hostname::parse("hostname", text), Ok(expected.clone()), "{text}");
            let written = full(&expected.label, expected.domain.as_deref());
            assert_eq!(Hostname::parse("hostname", &written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn every_label_of_a_domain_is_checked() {
        let long = format!("{}.com", "abcd.".repeat(50) + "x");
        for (text, code) in [
            ("", "hostname"),
            (".", "hostname"),
            ("-a", "hostname"),
            ("a-", "hostname"),
            ("a_b", "hostname"),
            ("a b", "hostname"),
            ("a..b", "hostname"),
            (".a", "hostname"),
            ("web.-example.com", "hostname"),
            ("web.example-.com", "hostname"),
            ("web.exa_mple.com", "hostname"),
            ("web.example.com..", "hostname"),
            ("web:80", "hostname"),
            ("http://web.example.com", "hostname"),
            ("192.0.2.1", "hostname"),
            ("web.123", "hostname"),
            ("xn--a.example", "hostname"),
            ("a\nruncmd.com", "hostname"),
            (&"a".repeat(64), "hostname-too-long"),
            (&format!("web.{}.com", "a".repeat(64)), "hostname-too-long"),
            (&format!("{}.com", "ü".repeat(60)), "hostname-too-long"),
            (&long, "hostname-too-long"),
        ] {
            let refused = Hostname::parse("hostname", text).map_err(|error| error.code);
            assert_eq!(refused, Err(code), "{text}");
        }
    }
}
