//! User data: what a guest does at its first start, in one of the forms that cloud-init 22.4 takes.
//!
//! cloud-init ignores what it does not know, with a line in a log that nobody reads.  So everything
//! that people send is brought into a form that it knows (as text, from base64, from gzip, without a
//! byte order mark), and the rest is refused while its author is there.

use crate::error::FieldError;
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::io::Read as _;

/// Bytes once it is decoded.  Cloud-init's seed must stay small; providers agree on this size.
pub const MAX_BYTES: usize = 16 * 1024;
/// Bytes as it is sent: base64 with ends of lines needs 1.4 times as many.
const MAX_SENT_BYTES: usize = 64 * 1024;

/// What cloud-init 22.4 knows user data by, in lower case.  It skips blanks before, and so do we.
const HEADS: [&str; 6] = [
    "#!",
    "#include",      // and #include-once
    "#cloud-config", // and -archive, -jsonp
    "#cloud-boothook",
    "#part-handler",
    "## template: jinja",
];
/// The same for cloudbase-init, which does its work in Windows.
const WINDOWS_HEADS: [&str; 4] = ["#ps1", "<powershell>", "<script>", "rem cmd"];
/// cloud-init looks for this in so many bytes, wherever it stands among the headers.
const MIME: (&str, usize) = ("mime-version:", 4096);
const CLOUD_CONFIG: &str = "#cloud-config";
/// Other than YAML, and known by the longer head.
const NOT_YAML: [&str; 2] = ["#cloud-config-archive", "#cloud-config-jsonp"];

/// User data as the guest gets it: text that begins with a head that the guest knows.  None where there
/// is none.
pub fn understand(sent: &str, os_family: &str) -> Result<Option<String>, FieldError> {
    if sent.len() > MAX_SENT_BYTES {
        return Err(too_long());
    }
    let windows = os_family == "windows";
    let text = plain(sent);
    let text = match decode(&text, windows)? {
        Some(decoded) => decoded,
        None => text,
    };
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_BYTES {
        return Err(too_long());
    }
    if text.contains('\0') {
        return Err(FieldError::new("user_data", "control-characters"));
    }
    if !has_head(&text, windows) {
        return Err(no_head(&text));
    }
    check_yaml(&text)?;
    Ok(Some(text))
}

/// Without a byte order mark and blanks before the first line, which must be the head for small guests
/// and for the kernel; with the ends of lines that a script needs.
fn plain(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.trim_end().is_empty() { String::new() } else { text.replace("\r\n", "\n") }
}

fn has_head(text: &str, windows: bool) -> bool {
    let begin = beginning(text, MIME.1);
    let heads = HEADS.iter().chain(WINDOWS_HEADS.iter().filter(|_| windows));
    heads.into_iter().any(|head| begin.starts_with(head)) || is_mime(&begin)
}

/// So many bytes of a text, or a few less, in lower case.
fn beginning(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_ascii_lowercase()
}

/// Headers of a message, among them the one that cloud-init looks for.
fn is_mime(begin: &str) -> bool {
    let headers = begin.lines().take_while(|line| !line.is_empty());
    let mut headers = headers.filter(|line| !line.starts_with([' ', '\t'])).peekable();
    headers.peek().is_some_and(|line| line.split_once(':').is_some_and(|(name, _)| is_header_name(name)))
        && headers.any(|line| line.starts_with(MIME.0))
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What base64 holds; None for anything else, and for words that only happen to be base64.
fn decode(text: &str, windows: bool) -> Result<Option<String>, FieldError> {
    if has_head(text, windows) {
        return Ok(None);
    }
    let Some(bytes) = from_base64(text) else { return Ok(None) };
    let bytes = if bytes.starts_with(b"\x1f\x8b") { unpack(&bytes)? } else { bytes };
    match String::from_utf8(bytes) {
        Ok(decoded) if decoded.chars().all(|c| !c.is_control() || c.is_whitespace()) => {
            Ok(Some(plain(&decoded)))
        }
        // UTF-16, as some editors save it, or a program.
        _ if text.len() >= 64 => Err(FieldError::new("user_data", "user-data-not-text")),
        _ => Ok(None),
    }
}

/// Either alphabet, with or without padding and ends of lines.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let with = |alphabet: &Alphabet| {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, config).decode(&compact).ok()
    };
    with(&STANDARD).or_else(|| with(&URL_SAFE))
}

/// Never more than is allowed, whatever it would come to.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, FieldError> {
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|_| FieldError::new("user_data", "user-data-gzip"))?;
    if unpacked.len() > MAX_BYTES { Err(too_long()) } else { Ok(unpacked) }
}

fn too_long() -> FieldError {
    FieldError::new("user_data", "user-data-too-long").with("max", MAX_BYTES)
}

/// The refusal that names what was most likely meant.
fn no_head(text: &str) -> FieldError {
    let first = text.lines().next().unwrap_or_default().trim();
    let setting = first.split_once(':').is_some_and(|(name, value)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            && (value.is_empty() || value.starts_with(' '))
    });
    let meant = first.to_ascii_lowercase().replace([' ', '_'], "-").contains("cloud-config");
    let found: String = first.chars().take(40).collect();
    let code = match first {
        _ if meant || setting || first.starts_with("---") || first.starts_with("%YAML") => {
            "user-data-no-cloud-config"
        }
        _ => "user-data-no-head",
    };
    FieldError::new("user_data", code).with("found", found)
}

/// Refuses a cloud-config that cloud-init could not read.
///
/// libyaml and cloud-init's PyYAML have one author and one grammar, YAML 1.1.  Only the structure is
/// looked at and no value is resolved, so that what they take for a number or a date does not matter.
fn check_yaml(text: &str) -> Result<(), FieldError> {
    let begin = beginning(text, 64);
    if !begin.starts_with(CLOUD_CONFIG) || NOT_YAML.iter().any(|head| begin.starts_with(head)) {
        return Ok(());
    }
    let Err(error) = serde_norway::from_str::<Settings>(text) else { return Ok(()) };
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    Err(FieldError::new("user_data", "user-data-yaml")
        .with("line", line)
        .with("column", column)
        .with("problem", said))
}

/// A document of names with values, or an empty one, which is what cloud-init takes.
struct Settings;

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyMap)
    }
}

struct AnyMap;

impl<'de> Visitor<'de> for AnyMap {
    type Value = Settings;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("settings, each as `name: value`")
    }

    fn visit_unit<E>(self) -> Result<Settings, E> {
        Ok(Settings)
    }

    /// A document of comments alone.
    fn visit_none<E>(self) -> Result<Settings, E> {
        Ok(Settings)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use std::io::Write as _;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    fn refused(sent: &str) -> FieldError {
        understand(sent, "linux").unwrap_err()
    }

    const SCRIPT: &str = "#!/bin/sh\necho 你好 > /root/x\n";

    #[test]
    fn user_data_in_every_usual_form_reaches_the_guest_as_the_same_text() {
        let lines: Vec<String> = BASE64_STANDARD
            .encode(SCRIPT)
            .as_bytes()
            .chunks(10)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        for sent in [
            SCRIPT.to_owned(),
            SCRIPT.replace('\n', "\r\n"),
            format!("\u{feff}{SCRIPT}"),
            format!("\n  \n{SCRIPT}"),
            BASE64_STANDARD.encode(SCRIPT),
            BASE64_URL_SAFE_NO_PAD.encode(SCRIPT),
            lines.join("\r\n"),
            BASE64_STANDARD.encode(format!("\u{feff}{}", SCRIPT.replace('\n', "\r\n"))),
            BASE64_STANDARD.encode(gzip(SCRIPT.as_bytes())),
        ] {
            assert_eq!(understand(&sent, "linux").unwrap().unwrap(), SCRIPT, "{sent:?}");
        }
        for nothing in ["", " \n", "\u{feff}\n", &BASE64_STANDARD.encode("\n \n")] {
            assert_eq!(understand(nothing, "linux").unwrap(), None, "{nothing:?}");
        }
    }

    #[test]
    fn user_data_that_a_guest_would_ignore_is_refused_with_what_was_meant() {
        for (sent, code) in [
            ("---\n#cloud-config\npackages: [nginx]\n", "user-data-no-cloud-config"),
            ("packages:\n  - nginx\n", "user-data-no-cloud-config"),
            ("hostname: web\n", "user-data-no-cloud-config"),
            ("# cloud-config\nhostname: web\n", "user-data-no-cloud-config"),
            ("apt-get install -y nginx\n", "user-data-no-head"),
            ("installs", "user-data-no-head"),
            ("##template: jinja\n#!/bin/sh\n", "user-data-no-head"),
            ("#ps1_sysnative\n", "user-data-no-head"),
        ] {
            assert_eq!(refused(sent).code, code, "{sent:?}");
            assert_eq!(refused(&BASE64_STANDARD.encode(sent.repeat(4))).code, code, "{sent:?}");
        }
        assert_eq!(refused("---\na: b").arguments, [("found", "---".to_owned())]);
        assert!(understand("#ps1_sysnative\n", "windows").unwrap().is_some());
        assert_eq!(refused("#!/bin/sh\n\0").code, "control-characters");
        let utf_16: Vec<u8> = "\u{feff}#!/bin/sh\necho hello to everybody\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(refused(&BASE64_STANDARD.encode(utf_16)).code, "user-data-not-text");
    }

    #[test]
    fn user_data_is_bounded_whatever_it_is_packed_in() {
        let longest = format!("#!/bin/sh\n{}", "#".repeat(MAX_BYTES - 10));
        for sent in [
            longest.clone(),
            BASE64_STANDARD.encode(&longest),
            BASE64_STANDARD.encode(gzip(longest.as_bytes())),
        ] {
            assert_eq!(understand(&sent, "linux").unwrap().unwrap(), longest);
        }
        let bomb = BASE64_STANDARD.encode(gzip(&vec![b'#'; 40 << 20]));
        for sent in
            [format!("{longest}#"), BASE64_STANDARD.encode(format!("{longest}#")), bomb, "A".repeat(1 << 20)]
        {
            assert_eq!(refused(&sent).code, "user-data-too-long");
        }
        let mut damaged = gzip(SCRIPT.as_bytes());
        damaged.truncate(damaged.len() - 6);
        assert_eq!(refused(&BASE64_STANDARD.encode(damaged)).code, "user-data-gzip");
    }

    #[test]
    fn a_cloud_config_that_is_no_yaml_is_refused_with_its_place() {
        let error = refused("#cloud-config\npackages:\n  - nginx\n - curl\n");
        assert_eq!((error.code, error.arguments[0].1.as_str()), ("user-data-yaml", "4"), "{error:?}");
        for broken in [
            "#cloud-config\na: [1\n",
            "#cloud-config\njust words\n",
            "#cloud-config\n- a\n",
            "#cloud-config\na: \"\n",
        ] {
            assert_eq!(refused(broken).code, "user-data-yaml", "{broken:?}");
        }
        for good in [
            "#cloud-config\n",
            "#cloud-config\n---\na: b\n...\n",
            "#cloud-config\na: b\na: 2026-12-01\n? 1e3\n: no\n<<: {c: !!str 1}\n",
            "#cloud-config\n{\"a\":\"b\"}",
            "#cloud-config-archive\n- type: text/cloud-config\n",
            "## template: jinja\n#cloud-config\na: {{ b }}\n  c\n",
            "Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x--\n",
            "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"x\"\n\n--x--\n",
        ] {
            assert_eq!(understand(good, "linux").unwrap().unwrap(), good);
        }
    }
}
