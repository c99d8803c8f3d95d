//! What people type, paste and dictate to input methods, for fields that machines read: codes, numbers, ports, addresses.
//!
//! Chinese input methods write `：` and `１`, phones paste spaces that do not break, word processors make dashes of hyphens.
//! All of it has one plain meaning.  Names and texts are not read here: there such characters are meant.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The plain form of a text: signs of ASCII where wide or typographic ones were written, single spaces for every white
/// space, none around it, and nothing that cannot be seen.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.nfkc() {
        let c = match c {
            // NFKC knows the wide forms; these are no compatible forms of anything, and yet written for them.
            '\u{3002}' => '.',
            '\u{3001}' => ',',
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' => '-',
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c => c,
        };
        if c.is_whitespace() {
            if !plain.ends_with(' ') {
                plain.push(' ');
            }
        } else if c.general_category() != GeneralCategory::Format {
            plain.push(c);
        }
    }
    plain.trim().to_owned()
}

/// A code as it was given out, whatever spaces and hyphens were put between its groups.
pub fn code(text: &str) -> String {
    plain(text).chars().filter(|c| !matches!(c, ' ' | '-')).collect()
}

/// An address.  One of IPv4 within IPv6 (`::ffff:192.0.2.1`) is that of IPv4, which is what packets carry; numbers with a
/// leading zero are refused, because some read them as octal.
pub fn address(text: &str) -> Option<IpAddr> {
    plain(text).parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A network in CIDR notation, or an address as a network of its own; bits below its length stay as they are.
pub fn network(text: &str) -> Option<IpNet> {
    let text = plain(text);
    let Some((address, length)) = text.split_once('/') else {
        return self::address(&text).map(IpNet::from);
    };
    let (address, length) = (address.trim().parse::<IpAddr>().ok()?, number(length.trim())?);
    let length = u8::try_from(length).ok()?;
    match address {
        IpAddr::V6(within) if within.to_ipv4_mapped().is_some() => mapped_network(within, length),
        _ => IpNet::new(address, length).ok(),
    }
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`; what reaches beyond the addresses of IPv4 is nothing that can be meant.
fn mapped_network(address: Ipv6Addr, length: u8) -> Option<IpNet> {
    Ipv4Net::new(address.to_ipv4_mapped()?, length.checked_sub(96)?).ok().map(IpNet::V4)
}

/// The ports from the first to the last: `80`, `8000-8100`, `80 - 90`.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let text = plain(text).replace('~', "-");
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let port =
        |text: &str| number(text.trim()).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// A figure of at most so many decimal places as `1234.5`: without a sign of currency and without what parts thousands, and
/// with a decimal point where a comma was one.  What is no figure, or could be two (`1,234` where thousandths are possible),
/// comes back as it is, for the reader of the figure to refuse.
pub fn figure(text: &str, decimals: usize) -> String {
    let text = plain(text);
    let bare = text.trim_matches(|c| matches!(c, '¥' | '$' | ' '));
    let (sign, bare) = bare.strip_prefix('-').map_or(("", bare), |rest| ("-", rest));
    match ungrouped(bare, decimals) {
        Some(figure) => format!("{sign}{figure}"),
        None => text,
    }
}

fn ungrouped(text: &str, decimals: usize) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, places) = match text.rsplit_once('.') {
        Some((whole, places)) => (whole, Some(places)),
        None => match text.rsplit_once(',') {
            // Not three digits, or more places than one group has: no thousands.
            Some((whole, places)) if places.len() != 3 || whole == "0" => (whole, Some(places)),
            Some((whole, _)) if !whole.contains([',', ' ']) && decimals >= 3 => return None,
            _ => (text, None),
        },
    };
    let mut groups = whole.split([',', ' ']);
    let first = groups.next().filter(|first| digits(first))?;
    let grouped = whole.contains([',', ' ']);
    if grouped && first.len() > 3 || !groups.all(|group| group.len() == 3 && digits(group)) {
        return None;
    }
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    Some(places.map_or_else(|| whole.clone(), |places| format!("{whole}.{places}")))
}

/// Digits alone, without a sign and without a zero before others.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_however_they_are_grouped() {
        for (typed, read) in [
            ("123456", "123456"),
            (" 123 456 ", "123456"),
            ("123-456", "123456"),
            ("１２３４５６", "123456"),
            ("123\u{a0}456", "123456"),
            ("123\u{202f}456\u{200b}", "123456"),
            ("123–456", "123456"),
            ("123　456", "123456"),
            ("7KQ2M－ABCDE", "7KQ2MABCDE"),
            ("12345x", "12345x"),
            ("", ""),
        ] {
            assert_eq!(code(typed), read, "{typed:?}");
        }
    }

    #[test]
    fn figures_are_read_with_their_commas() {
        for (typed, decimals, read) in [
            ("12.5", 2, "12.5"),
            ("12,5", 2, "12.5"),
            ("12,50", 2, "12.50"),
            ("1,234.50", 2, "1234.50"),
            ("1 234,50", 2, "1234.50"),
            ("1,234", 2, "1234"),
            ("1,234,567", 6, "1234567"),
            ("1\u{202f}234", 2, "1234"),
            ("１２．５０", 2, "12.50"),
            ("12。50", 2, "12.50"),
            ("１，２３４", 2, "1234"),
            ("¥12.50", 2, "12.50"),
            ("￥ 12.50", 2, "12.50"),
            ("$12", 2, "12"),
            ("-0.01", 2, "-0.01"),
            ("−5", 2, "-5"),
            ("0,006", 6, "0.006"),
            ("0,0069", 6, "0.0069"),
            // One and a bit, or more than a thousand: nobody knows.
            ("1,234", 6, "1,234"),
            ("1,23,456", 2, "1,23,456"),
            ("1234,567.00", 2, "1234,567.00"),
            ("1.234,50", 2, "1.234,50"),
            ("12 50", 2, "12 50"),
            ("twelve", 2, "twelve"),
            ("", 2, ""),
        ] {
            assert_eq!(figure(typed, decimals), read, "{typed:?} with {decimals} places");
        }
    }

    #[test]
    fn addresses_are_read_in_the_forms_that_mean_one() {
        for (typed, read) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1\u{a0}", Some("192.0.2.1")),
            ("１９２．０．２．１", Some("192.0.2.1")),
            ("192。0。2。1", Some("192.0.2.1")),
            ("2001：db8：：1", Some("2001:db8::1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("010.1.2.3", None),
            ("192.0.2", None),
            ("192.0.2.1/32", None),
            ("0x7f.0.0.1", None),
            ("3221225985", None),
            ("fe80::1%eth0", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(address(typed), read.map(|read| read.parse().unwrap()), "{typed:?}");
        }
    }

    #[test]
    fn networks_are_read_in_the_forms_that_mean_one() {
        for (typed, read) in [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.7/24", Some("192.0.2.7/24")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("192.0.2.0 / 24", Some("192.0.2.0/24")),
            ("192.0.2.0／２４", Some("192.0.2.0/24")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::/0", Some("::/0")),
            ("::ffff:192.0.2.1", Some("192.0.2.1/32")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::ffff:0.0.0.0/96", Some("0.0.0.0/0")),
            ("::ffff:192.0.2.0/64", None),
            ("010.1.2.0/24", None),
            ("192.0.2.0/024", None),
            ("192.0.2.0/+24", None),
            ("192.0.2.0/33", None),
            ("192.0.2.0/255.255.255.0", None),
            ("192.0.2.0/", None),
            ("/24", None),
            ("", None),
        ] {
            assert_eq!(network(typed), read.map(|read| read.parse().unwrap()), "{typed:?}");
        }
    }

    #[test]
    fn ports_are_read_as_one_or_as_a_range() {
        for (typed, read) in [
            ("22", Some((22, 22))),
            ("8000-8100", Some((8000, 8100))),
            ("80 - 90", Some((80, 90))),
            ("80–90", Some((80, 90))),
            ("８０－９０", Some((80, 90))),
            ("80~90", Some((80, 90))),
            ("80～90", Some((80, 90))),
            (" 443\u{a0}", Some((443, 443))),
            ("1-65535", Some((1, 65535))),
            ("0", None),
            ("022", None),
            ("+22", None),
            ("65536", None),
            ("90-80", None),
            ("80-", None),
            ("-80", None),
            ("80-90-100", None),
            ("80,90", None),
            ("ssh", None),
            ("", None),
        ] {
            assert_eq!(ports(typed), read, "{typed:?}");
        }
    }
}
