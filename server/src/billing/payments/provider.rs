//! The providers, what each of them takes, and the fields of its settings.

use super::keys;
use crate::billing::money::Currency;
use reqwest::Url;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Stripe,
    Alipay,
    Wechat,
}

/// A field of a provider's settings.
pub struct Field {
    pub name: &'static str,
    /// It is sealed, and never shown again.
    pub secret: bool,
    /// In the form it takes several lines.
    pub long: bool,
    /// The code of what is wrong with a value.
    check: fn(&str) -> Result<(), &'static str>,
}

impl Field {
    const fn plain(name: &'static str, check: fn(&str) -> Result<(), &'static str>) -> Self {
        Self { name, secret: false, long: false, check }
    }

    const fn secret(name: &'static str, check: fn(&str) -> Result<(), &'static str>) -> Self {
        Self { name, secret: true, long: false, check }
    }

    const fn long(self) -> Self {
        Self { long: true, ..self }
    }

    pub fn check(&self, value: &str) -> Result<(), &'static str> {
        if value.len() > MAX_VALUE { Err("payment-too-long") } else { (self.check)(value) }
    }
}

/// Some keys of 4096 bits, in PEM.
const MAX_VALUE: usize = 16_000;

const STRIPE: [Field; 3] = [
    Field::plain("base_url", url),
    Field::secret("secret_key", |value| starts(value, &["sk_", "rk_"], "payment-stripe-key")),
    Field::secret("webhook_secret", |value| starts(value, &["whsec_"], "payment-webhook-secret")),
];

const ALIPAY: [Field; 4] = [
    Field::plain("base_url", url),
    Field::plain("app_id", digits),
    Field::secret("private_key", private_key).long(),
    Field::plain("public_key", public_key).long(),
];

const WECHAT: [Field; 7] = [
    Field::plain("base_url", url),
    Field::plain("app_id", |value| {
        let rest = value.strip_prefix("wx").unwrap_or("");
        let well = (8..=32).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if well { Ok(()) } else { Err("payment-wechat-app") }
    }),
    Field::plain("merchant_id", digits),
    Field::plain("serial", |value| {
        let well = (8..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        if well { Ok(()) } else { Err("payment-serial") }
    }),
    Field::secret("private_key", private_key).long(),
    Field::secret("api_v3_key", |value| {
        let well = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_graphic());
        if well { Ok(()) } else { Err("payment-api-v3-key") }
    }),
    Field::plain("platform_keys", |value| platform_keys(value).map(|_| ())).long(),
];

impl Provider {
    pub const ALL: [Self; 3] = [Self::Stripe, Self::Alipay, Self::Wechat];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Alipay => "alipay",
            Self::Wechat => "wechat",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    pub const fn takes(self, currency: Currency) -> bool {
        match self {
            Self::Stripe => true,
            Self::Alipay | Self::Wechat => matches!(currency, Currency::Cny),
        }
    }

    /// All of them must be there.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Stripe => &STRIPE,
            Self::Alipay => &ALIPAY,
            Self::Wechat => &WECHAT,
        }
    }

    /// Where the provider's API is, unless the settings say something else.
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::Stripe => "https://api.stripe.com",
            Self::Alipay => "https://openapi.alipay.com/gateway.do",
            Self::Wechat => "https://api.mch.weixin.qq.com",
        }
    }

    /// The customer scans a code instead of going to an address.
    pub const fn by_code(self) -> bool {
        matches!(self, Self::Wechat)
    }
}

/// `https`; or `http` to this very machine, where only a stand-in for the provider can be.
fn url(value: &str) -> Result<(), &'static str> {
    let bad = "payment-url";
    let url: Url = value.parse().map_err(|_| bad)?;
    let local = url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if scheme && plain && url.fragment().is_none() && url.has_host() { Ok(()) } else { Err(bad) }
}

fn starts(value: &str, beginnings: &[&str], bad: &'static str) -> Result<(), &'static str> {
    let rest = beginnings.iter().find_map(|beginning| value.strip_prefix(beginning)).unwrap_or("");
    let well = (8..=250).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_graphic());
    if well { Ok(()) } else { Err(bad) }
}

fn digits(value: &str) -> Result<(), &'static str> {
    let well = (6..=32).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if well { Ok(()) } else { Err("payment-digits") }
}

fn private_key(value: &str) -> Result<(), &'static str> {
    keys::private_key(value).map(|_| ()).map_err(|_| "payment-private-key")
}

fn public_key(value: &str) -> Result<(), &'static str> {
    keys::public_key(value).map(|_| ()).map_err(|_| "payment-public-key")
}

/// Keys by serial number: a line with the number, and the PEM block of its key or certificate below it.  There are several
/// while the provider changes from one to the next.
pub fn platform_keys(value: &str) -> Result<Vec<(String, keys::PublicKey)>, &'static str> {
    let bad = "payment-platform-keys";
    let (mut found, mut serial, mut block) = (Vec::new(), None, None::<String>);
    for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match &mut block {
            Some(text) => {
                text.push_str(line);
                text.push('\n');
                if line.starts_with("-----END") {
                    let key = keys::public_key(text).map_err(|_| bad)?;
                    found.push((serial.take().ok_or(bad)?, key));
                    block = None;
                }
            }
            None if line.starts_with("-----BEGIN") => block = Some(format!("{line}\n")),
            None if serial.is_none()
                && line.len() <= 64
                && line.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                serial = Some(line.to_owned());
            }
            None => return Err(bad),
        }
    }
    if found.is_empty() || serial.is_some() || block.is_some() { Err(bad) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_providers_or_of_this_machine() {
        for good in [
            "https://api.stripe.com",
            "https://openapi.alipay.com/gateway.do",
            "http://127.0.0.1:9000/stripe",
            "http://[::1]:9000",
            "http://localhost:1",
        ] {
            assert_eq!(url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "api.stripe.com",
            "http://api.stripe.com",
            "http://10.0.0.1",
            "ftp://localhost",
            "https://me:secret@api.stripe.com",
            "https://api.stripe.com/?key=1",
            "https://api.stripe.com/#top",
            "http://127.0.0.1.example.com",
            "javascript:alert(1)",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        for provider in Provider::ALL {
            assert_eq!(url(provider.base_url()), Ok(()));
        }
    }
}
