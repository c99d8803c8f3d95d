//! Requests to addresses that people give us.
//!
//! Whoever may name a URL could otherwise reach what only this machine can: itself, its neighbours, and the
//! metadata services of clouds.  So nothing is asked but public addresses, checked where it counts: names are resolved
//! here and the connection goes to the addresses that passed, so that a name cannot mean something else a moment
//! later; addresses that stand in the URL are checked before each hop; and no proxy of the system is used.

use crate::config::Config;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Url, redirect};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What is not public (IANA's special-purpose registries), and what leads to something that is not.
const FORBIDDEN: [&str; 27] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    // Loopback, unspecified, and IPv4 in its old disguise.
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

/// IPv4 behind a translator: as public as what it stands for.
const TRANSLATED: &str = "64:ff9b::/96";

const MAX_REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);

/// An address that must not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("only http and https are asked")]
    Scheme,
    #[error("without encryption only the operator's own networks are asked")]
    Unencrypted,
    #[error("the address must not carry a name and a password")]
    Credentials,
    #[error("the address is not a public one")]
    Address,
    #[error("too many redirections")]
    Redirects,
}

impl Forbidden {
    /// Selects the message `invalid-<code>`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Scheme => "url-scheme",
            Self::Unencrypted => "url-unencrypted",
            Self::Credentials => "url-credentials",
            Self::Address => "url-address",
            Self::Redirects => "url-redirects",
        }
    }
}

/// Which addresses may be asked.
#[derive(Clone, Debug)]
pub struct Guard {
    forbidden: Arc<[IpNet]>,
    translated: IpNet,
    /// Networks of the operator's own that are asked all the same.
    allowed: Arc<[IpNet]>,
}

impl Guard {
    /// For images that administrators import.
    pub fn imports(config: &Config) -> Self {
        Self::new(&config.import_allow)
    }

    /// For payment providers, whose addresses are settings.
    pub fn payments(config: &Config) -> Self {
        Self::new(&config.payment_allow)
    }

    /// For the operator's own webhooks.
    pub fn operators_webhooks(config: &Config) -> Self {
        Self::new(&config.webhook_allow)
    }

    /// For customers' webhooks: public addresses only.  What the operator lists as their own is none of them, even where
    /// it is public.
    pub fn customers_webhooks(config: &Config) -> Self {
        let guard = Self::new(&config.danger_customer_webhook_allow);
        let own = [&config.import_allow, &config.webhook_allow, &config.payment_allow].into_iter().flatten();
        Self { forbidden: guard.forbidden.iter().chain(own).copied().collect(), ..guard }
    }

    pub fn new(allowed: &[IpNet]) -> Self {
        let network = |text: &str| text.parse().expect("a constant network");
        Self {
            forbidden: FORBIDDEN.iter().map(|text| network(text)).collect(),
            translated: network(TRANSLATED),
            allowed: allowed.into(),
        }
    }

    pub fn permits(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(v6) if self.translated.contains(&address) => IpAddr::V4(low_bits(v6)),
            // `::ffff:127.0.0.1` is 127.0.0.1.
            other => other.to_canonical(),
        };
        self.allowed.iter().any(|network| network.contains(&address))
            || !self.forbidden.iter().any(|network| network.contains(&address))
    }

    /// What can be said of a URL before its name is resolved.
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::Credentials);
        }
        // The parser has understood decimal, octal and hexadecimal spellings already.
        let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        match literal {
            Some(address) if !self.permits(address) => Err(Forbidden::Address),
            _ => Ok(()),
        }
    }

    /// Permits nothing but the operator's own networks.
    pub fn own_networks(&self) -> Self {
        let everything = ["0.0.0.0/0", "::/0"].map(|text| text.parse().expect("a constant network"));
        Self { forbidden: everything.into(), ..self.clone() }
    }

    /// Like [`Guard::check`] for an address that is sent what others must not read: unencrypted only into the
    /// operator's own networks.
    pub fn check_confidential(&self, url: &Url) -> Result<(), Forbidden> {
        self.check(url)?;
        if url.scheme() == "https" {
            return Ok(());
        }
        // What a name means is found out when it is asked.
        if self.allowed.is_empty() {
            return Err(Forbidden::Unencrypted);
        }
        self.own_networks().check(url).map_err(|_| Forbidden::Unencrypted)
    }

    /// A client for one request to an address that [`Guard::check_confidential`] has passed: it follows nothing, and
    /// keeps no connection.
    pub fn confidential_client(
        &self,
        url: &Url,
        connect: Duration,
        whole: Duration,
    ) -> reqwest::Result<Client> {
        let guard = if url.scheme() == "https" { self.clone() } else { self.own_networks() };
        guard
            .builder(SystemNames)
            .redirect(redirect::Policy::none())
            .connect_timeout(connect)
            .timeout(whole)
            .pool_max_idle_per_host(0)
            .build()
    }

    fn builder(&self, names: impl Resolve + 'static) -> ClientBuilder {
        Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Permitted { guard: self.clone(), names }))
            .user_agent(concat!("jinshitong-vps/", env!("CARGO_PKG_VERSION")))
    }

    /// A client that asks nothing else.  It follows redirections, each of which is checked like the first address.
    pub fn client(&self) -> reqwest::Result<Client> {
        let guard = self.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error(Forbidden::Redirects);
            }
            match guard.check(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(forbidden) => attempt.error(forbidden),
            }
        });
        self.builder(SystemNames).redirect(policy).connect_timeout(CONNECT).build()
    }
}

/// The names that this machine knows.
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the URL's; the resolver's answer has none.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Of what names mean, the addresses that a guard permits: the connection goes to one of these, whatever a name
/// means a moment later.
struct Permitted<N> {
    guard: Guard,
    names: N,
}

impl<N: Resolve> Resolve for Permitted<N> {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let found = self.names.resolve(name);
        Box::pin(async move {
            let permitted: Vec<SocketAddr> = found.await?.filter(|found| guard.permits(found.ip())).collect();
            if permitted.is_empty() {
                return Err(Forbidden::Address.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// Why a request was not made, where the guard is the reason.
pub fn forbidden(error: &reqwest::Error) -> Option<Forbidden> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Some(*forbidden);
        }
        cause = error.source();
    }
    None
}

fn low_bits(address: Ipv6Addr) -> std::net::Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    std::net::Ipv4Addr::new(a, b, c, d)
}

/// An address for logs, mails and whoever else did not write it: what stands behind the `?` of a signed address opens
/// something.
pub fn without_query(url: &str) -> String {
    match url.split_once(['?', '#']) {
        Some((before, _)) => format!("{before}?…"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(guard: &Guard, url: &str) -> Result<(), Forbidden> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn a_signed_address_is_logged_without_what_signs_it() {
        assert_eq!(without_query("https://a.example/x.qcow2?sig=1&t=2"), "https://a.example/x.qcow2?…");
        assert_eq!(without_query("https://a.example/x#token"), "https://a.example/x?…");
        assert_eq!(without_query("https://a.example/x"), "https://a.example/x");
    }

    #[test]
    fn only_public_addresses_are_asked_however_they_are_spelt() {
        let guard = Guard::new(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://10.1.2.3:8080/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.100.100.200/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b:1::1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://0.0.0.0/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ] {
            assert_eq!(verdict(&guard, url), Err(Forbidden::Address), "{url}");
        }
        for url in [
            "https://example.com/a",
            "http://93.184.215.14/",
            "http://[2606:2800:21f:cb07::1]/",
            "http://[64:ff9b::5db8:d70e]/",
        ] {
            assert_eq!(verdict(&guard, url), Ok(()), "{url}");
        }
        assert_eq!(verdict(&guard, "file:///etc/passwd"), Err(Forbidden::Scheme));
        assert_eq!(verdict(&guard, "gopher://example.com/"), Err(Forbidden::Scheme));
        assert_eq!(verdict(&guard, "http://me:secret@example.com/"), Err(Forbidden::Credentials));
    }

    #[test]
    fn each_list_is_for_one_purpose_and_none_for_customers() {
        let config =
            |arguments: &[&str]| <Config as clap::Parser>::parse_from(["jst-server"].iter().chain(arguments));
        let lists = config(&[
            "--import-allow=10.1.0.0/16",
            "--webhook-allow=10.2.0.0/16,93.184.215.0/24",
            "--payment-allow=10.3.0.0/16",
        ]);
        let guards = [
            Guard::imports(&lists),
            Guard::operators_webhooks(&lists),
            Guard::payments(&lists),
            Guard::customers_webhooks(&lists),
        ];
        for (address, permitted) in [
            ("10.1.0.1", [true, false, false, false]),
            ("10.2.0.1", [false, true, false, false]),
            ("10.3.0.1", [false, false, true, false]),
            ("10.4.0.1", [false; 4]),
            ("127.0.0.1", [false; 4]),
            ("93.184.215.14", [true, true, true, false]),
            ("9.9.9.9", [true; 4]),
        ] {
            let found = guards.each_ref().map(|guard| guard.permits(address.parse().unwrap()));
            assert_eq!(found, permitted, "{address}");
        }
        let danger = config(&["--danger-customer-webhook-allow=127.0.0.0/8"]);
        assert!(Guard::customers_webhooks(&danger).permits("127.0.0.1".parse().unwrap()));
        assert!(!Guard::operators_webhooks(&danger).permits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_network_of_the_operators_is_asked_where_it_is_listed() {
        let own = Guard::new(&["10.1.0.0/16".parse().unwrap()]);
        assert_eq!(verdict(&own, "http://10.1.2.3/"), Ok(()));
        assert_eq!(verdict(&own, "http://10.2.2.3/"), Err(Forbidden::Address));
    }

    #[tokio::test]
    async fn a_name_that_means_this_machine_is_not_asked() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Guard::new(&[]).client().unwrap();
        let error = client.get(format!("http://localhost:{port}/")).send().await.unwrap_err();
        assert_eq!(forbidden(&error), Some(Forbidden::Address), "{error:?}");
        let came = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(came.is_err(), "nobody connected");
    }
    #[test]
    fn unencrypted_only_the_operators_own_networks_are_asked() {
        let verdict =
            |allowed: &[IpNet], url: &str| Guard::new(allowed).check_confidential(&url.parse().unwrap());
        let own: IpNet = "10.1.0.0/16".parse().unwrap();
        assert_eq!(verdict(&[], "https://example.com/"), Ok(()));
        assert_eq!(verdict(&[], "http://example.com/"), Err(Forbidden::Unencrypted));
        assert_eq!(verdict(&[], "https://10.1.0.1/"), Err(Forbidden::Address));
        assert_eq!(verdict(&[own], "http://10.1.0.1/"), Ok(()));
        assert_eq!(verdict(&[own], "https://10.1.0.1/"), Ok(()));
        assert_eq!(verdict(&[own], "http://93.184.215.14/"), Err(Forbidden::Unencrypted));
        assert_eq!(verdict(&[own], "http://10.2.0.1/"), Err(Forbidden::Address));
        // It is asked for its address first, and then only if that is one of the operator's own.
        assert_eq!(verdict(&[own], "http://inside.example/"), Ok(()));
        assert!(!Guard::new(&[own]).own_networks().permits("93.184.215.14".parse().unwrap()));
    }

    /// A name that means something public to whoever looks first, and this machine to whoever looks again.
    struct Rebound(std::sync::atomic::AtomicUsize);

    impl Resolve for Rebound {
        fn resolve(&self, _: Name) -> Resolving {
            let looks = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let address = if looks == 0 { "192.0.2.1:0" } else { "127.0.0.1:0" };
            let found = vec![address.parse::<SocketAddr>().unwrap()];
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    #[tokio::test]
    async fn a_name_that_changes_its_meaning_leads_nowhere() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let guard = Guard::new(&["192.0.2.0/24".parse().unwrap()]);
        let names = Rebound(std::sync::atomic::AtomicUsize::new(0));
        let client = guard.builder(names).connect_timeout(Duration::from_millis(200)).build().unwrap();
        // The first look passes, and the connection goes there and nowhere else.
        let first = client.get(format!("http://rebound.test:{port}/")).send().await.unwrap_err();
        assert_eq!(forbidden(&first), None, "{first:?}");
        let second = client.get(format!("http://rebound.test:{port}/")).send().await.unwrap_err();
        assert_eq!(forbidden(&second), Some(Forbidden::Address), "{second:?}");
        let came = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(came.is_err(), "nobody connected");
    }
}
