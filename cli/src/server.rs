//! The address of a server.  A token is as good as a password, so it is never sent unencrypted to another
//! machine.

use crate::error::{Failure, Result};
use crate::words::texts;
use reqwest::Url;
use std::fmt;
use std::net::IpAddr;

/// `https://portal.example.com`, without what may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(Url);

impl Server {
    /// Reads an address; `https://` may be left out.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bad = || Failure::usage(texts::BAD_SERVER).with("server", text);
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&with_scheme).map_err(|_| bad())?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.host_str().is_some_and(|host| !host.is_empty());
        if !plain {
            return Err(bad());
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(Failure::usage(texts::NOT_ENCRYPTED).with("server", text)),
            _ => return Err(bad()),
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The address of something in the API.  The parts are escaped, so that none leads elsewhere.
    pub fn url(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address of something beside the API.
    pub fn beside(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push(path);
        }
        url
    }

    /// Whether it is this machine, reached without TLS.
    pub fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }
}

/// Only what the system cannot lead elsewhere: addresses, and the one name that is reserved for them.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_encrypted_or_not_at_all() {
        for bad in [
            "http://portal.example.com",
            "http://192.0.2.1:8080",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
        ] {
            let Err(Failure::Usage(message)) = Server::parse(bad) else { panic!("{bad}") };
            assert_eq!(message.text, texts::NOT_ENCRYPTED, "{bad}");
        }
        for good in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", "http://127.9.9.9"] {
            assert!(Server::parse(good).unwrap().is_plain_http(), "{good}");
        }
    }

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, shown) in [
            ("portal.example.com", "https://portal.example.com"),
            (" https://portal.example.com/ ", "https://portal.example.com"),
            ("https://example.com:8443/vps/", "https://example.com:8443/vps"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), shown);
        }
        for bad in
            ["", "ftp://x", "https://", "https://me:secret@x", "https://x?y", "https://x#y", "https://a b"]
        {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_part_of_a_path_leads_elsewhere() {
        let server = Server::parse("https://example.com/vps").unwrap();
        let url = server.url(&["instances", "a/../b?c"], &[("limit", "5".into())]);
        assert_eq!(url.as_str(), "https://example.com/vps/api/v1/instances/a%2F..%2Fb%3Fc?limit=5");
        let root = Server::parse("https://example.com").unwrap();
        assert_eq!(root.url(&["account"], &[]).as_str(), "https://example.com/api/v1/account");
    }
}
