//! Stand-ins for payment providers: what they sign, and how.
//!
//! This is written from the providers' public descriptions and shares no code with the server, so that a mistake in one is found
//! by the other.  [`simulator`] answers orders and lets somebody pay; here are its keys and its notifications.

pub mod simulator;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

pub const STRIPE_KEY: &str = "sk_test_of_the_simulator_0123456789";
pub const STRIPE_SECRET: &str = "whsec_of_the_simulator_0123456789";
pub const ALIPAY_APP: &str = "2014072300007148";
pub const WECHAT_APP: &str = "wxd678efh567hg6787";
pub const WECHAT_MERCHANT: &str = "1230000109";
pub const WECHAT_SERIAL: &str = "444F4864EA9B34415286BC3E48FF9A04FEBF0AA1";
pub const WECHAT_PLATFORM: &str = "PUB_KEY_ID_0112300001092024";
pub const WECHAT_API_KEY: &str = "0123456789abcdefghijklmnopqrstuv";

/// One pair of keys.
pub struct Pair {
    signs: RsaKeyPair,
    verifies: Vec<u8>,
    /// PKCS#8, in PEM and in bare base64.
    pub private_pem: String,
    pub private_base64: String,
    pub public_pem: String,
    pub public_base64: String,
}

impl Pair {
    fn generate() -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let private = key.to_pkcs8_der().expect("a document");
        let public = key.to_public_key();
        Self {
            signs: RsaKeyPair::from_pkcs8(private.as_bytes()).expect("a key"),
            verifies: public.to_pkcs1_der().expect("a document").as_bytes().to_vec(),
            private_pem: key.to_pkcs8_pem(LineEnding::LF).expect("a document").to_string(),
            private_base64: STANDARD.encode(private.as_bytes()),
            public_pem: public.to_public_key_pem(LineEnding::LF).expect("a document"),
            public_base64: STANDARD.encode(public.to_public_key_der().expect("a document").as_bytes()),
        }
    }

    pub fn sign(&self, message: &[u8]) -> String {
        let mut signature = vec![0; self.signs.public().modulus_len()];
        self.signs.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("it signs");
        STANDARD.encode(signature)
    }

    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.verifies)
            .verify(message, &signature)
            .is_ok()
    }
}

/// All keys there are: the operator's two, the providers' two, and a forger's.
pub struct Keys {
    pub app: Pair,
    pub alipay: Pair,
    pub merchant: Pair,
    pub platform: Pair,
    pub forger: Pair,
}

/// Made once a process: they take a second each.
pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let made: Vec<_> = (0..5).map(|_| std::thread::spawn(Pair::generate)).collect();
        let mut made = made.into_iter().map(|thread| thread.join().expect("a key"));
        let mut next = || made.next().expect("five keys");
        Keys { app: next(), alipay: next(), merchant: next(), platform: next(), forger: next() }
    })
}

/// The settings of a provider as the API takes them, with the simulator at this address.
pub fn settings(provider: &str, simulator: &str) -> Value {
    let keys = keys();
    let values = match provider {
        "stripe" => json!({
            "base_url": format!("{simulator}/stripe"), "secret_key": STRIPE_KEY, "webhook_secret": STRIPE_SECRET,
        }),
        "alipay" => json!({
            "base_url": format!("{simulator}/alipay/gateway.do"), "app_id": ALIPAY_APP,
            "private_key": keys.app.private_base64, "public_key": keys.alipay.public_base64,
        }),
        _ => json!({
            "base_url": format!("{simulator}/wechat"), "app_id": WECHAT_APP, "merchant_id": WECHAT_MERCHANT,
            "serial": WECHAT_SERIAL, "private_key": keys.merchant.private_pem, "api_v3_key": WECHAT_API_KEY,
            "platform_keys": format!("{WECHAT_PLATFORM}\n{}", keys.platform.public_pem),
        }),
    };
    json!({ "enabled": true, "values": values })
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Provider,
    Forger,
}

/// A notification as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Notification {
    pub provider: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Notification {
    pub fn path(&self) -> String {
        format!("/payments/{}/notify", self.provider)
    }

    /// With another amount, and the signature that it had.
    pub fn altered(mut self) -> Self {
        let at = self.body.iter().rposition(u8::is_ascii_digit).expect("there is a figure");
        self.body[at] = if self.body[at] == b'9' { b'0' } else { self.body[at] + 1 };
        self
    }

    pub async fn send(&self, http: &reqwest::Client, platform: &str) -> reqwest::Result<(u16, String)> {
        let mut request = http.post(format!("{platform}{}", self.path())).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

/// An event of Stripe.
pub fn stripe(id: &str, kind: &str, object: &Value, at: i64, signer: Signer) -> Notification {
    let body = json!({
        "id": id, "object": "event", "api_version": "2024-06-20", "created": at, "livemode": false, "type": kind,
        "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "data": { "object": object },
    })
    .to_string();
    let secret = if signer == Signer::Provider { STRIPE_SECRET } else { "whsec_of_somebody_else" };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{at}.{body}").as_bytes());
    let code = hex::encode(mac.finalize().into_bytes());
    let headers = vec![
        ("stripe-signature", format!("t={at},v1={code},v0=6ffbb59b2300aae63f272406069a9788")),
        ("content-type", "application/json; charset=utf-8".to_owned()),
    ];
    Notification { provider: "stripe", headers, body: body.into_bytes() }
}

/// A Checkout Session that was paid, or not.
pub fn stripe_session(number: &str, amount: i64, currency: &str, paid: bool) -> Value {
    json!({
        "id": format!("cs_test_{number}"), "object": "checkout.session", "amount_subtotal": amount,
        "amount_total": amount, "client_reference_id": number, "currency": currency.to_lowercase(),
        "customer_details": { "email": "jenny@example.com", "name": "Jenny" }, "livemode": false, "metadata": {},
        "mode": "payment", "payment_intent": format!("pi_{number}"),
        "payment_status": if paid { "paid" } else { "unpaid" }, "status": "complete",
    })
}

/// A charge of which so much was given back until now.
pub fn stripe_charge(number: &str, amount: i64, refunded: i64, currency: &str) -> Value {
    json!({
        "id": format!("ch_{number}"), "object": "charge", "amount": amount, "amount_refunded": refunded,
        "currency": currency.to_lowercase(), "metadata": { "payment": number },
        "payment_intent": format!("pi_{number}"), "refunded": refunded == amount, "status": "succeeded",
    })
}

/// A dispute of the charge of a payment.  It names the payment by its intent only, as disputes have notes of their own.
pub fn stripe_dispute(number: &str, dispute: &str, amount: i64, currency: &str, status: &str) -> Value {
    json!({
        "id": dispute, "object": "dispute", "amount": amount, "balance_transactions": [], "charge": format!("ch_{number}"),
        "currency": currency.to_lowercase(), "is_charge_refundable": false, "livemode": false, "metadata": {},
        "payment_intent": format!("pi_{number}"), "reason": "fraudulent", "status": status,
    })
}

/// A refund of its own number.
pub fn stripe_refund(number: &str, refund: &str, amount: i64, currency: &str, status: &str) -> Value {
    json!({
        "id": refund, "object": "refund", "amount": amount, "charge": format!("ch_{number}"), "metadata": {},
        "currency": currency.to_lowercase(), "payment_intent": format!("pi_{number}"), "reason": null, "status": status,
    })
}

fn joined(parameters: &BTreeMap<String, String>) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

pub fn yuan(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// A notification of Alipay about a trade, with such fields besides those that each has.
pub fn alipay(id: &str, number: &str, fields: &[(&str, String)], signer: Signer) -> Notification {
    let mut parameters: BTreeMap<String, String> = [
        ("notify_time", "2026-01-02 13:14:15"),
        ("notify_type", "trade_status_sync"),
        ("notify_id", id),
        ("app_id", ALIPAY_APP),
        ("charset", "utf-8"),
        ("version", "1.0"),
        ("trade_no", format!("20260102{number}").as_str()),
        ("out_trade_no", number),
        ("buyer_logon_id", "159****5620"),
        ("seller_id", "2088101106499364"),
        ("subject", "Jinshitong VPS & 云服务器 100%"),
        ("gmt_create", "2026-01-02 13:14:00"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    parameters.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let pair = if signer == Signer::Provider { &keys().alipay } else { &keys().forger };
    let signature = pair.sign(joined(&parameters).as_bytes());
    parameters.insert("sign_type".to_owned(), "RSA2".to_owned());
    parameters.insert("sign".to_owned(), signature);
    let body = serde_urlencoded::to_string(&parameters).expect("text");
    let kind = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
    Notification { provider: "alipay", headers: vec![("content-type", kind)], body: body.into_bytes() }
}

/// An event of WeChat Pay about what is in `resource`.
pub fn wechat(id: &str, kind: &str, resource: &Value, at: i64, signer: Signer) -> Notification {
    let nonce: [u8; 6] = rand::random();
    let nonce = hex::encode(nonce);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, WECHAT_API_KEY.as_bytes()).expect("32 bytes"));
    let mut sealed = resource.to_string().into_bytes();
    let original = if kind.starts_with("REFUND") { "refund" } else { "transaction" };
    key.seal_in_place_append_tag(
        Nonce::try_assume_unique_for_key(nonce.as_bytes()).expect("12 bytes"),
        Aad::from(original.as_bytes()),
        &mut sealed,
    )
    .expect("it seals");
    let body = json!({
        "id": id, "create_time": "2026-01-02T13:14:15+08:00", "resource_type": "encrypt-resource", "event_type": kind,
        "summary": "通知", "resource": {
            "original_type": original, "algorithm": "AEAD_AES_256_GCM", "ciphertext": STANDARD.encode(sealed),
            "associated_data": original, "nonce": nonce,
        },
    })
    .to_string();
    let headers = wechat_headers(body.as_bytes(), at, signer);
    Notification { provider: "wechat", headers, body: body.into_bytes() }
}

fn wechat_headers(body: &[u8], at: i64, signer: Signer) -> Vec<(&'static str, String)> {
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let message = [format!("{at}\n{nonce}\n").as_bytes(), body, b"\n"].concat();
    let pair = if signer == Signer::Provider { &keys().platform } else { &keys().forger };
    vec![
        ("wechatpay-timestamp", at.to_string()),
        ("wechatpay-nonce", nonce),
        ("wechatpay-serial", WECHAT_PLATFORM.to_owned()),
        ("wechatpay-signature", pair.sign(&message)),
        ("content-type", "application/json".to_owned()),
    ]
}

/// What WeChat Pay says of a transaction that succeeded.
pub fn wechat_transaction(number: &str, amount: i64, currency: &str) -> Value {
    json!({
        "mchid": WECHAT_MERCHANT, "appid": WECHAT_APP, "out_trade_no": number,
        "transaction_id": format!("4200{number}"), "trade_type": "NATIVE", "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功", "bank_type": "OTHERS", "success_time": "2026-01-02T13:14:15+08:00",
        "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" },
        "amount": { "total": amount, "payer_total": amount, "currency": currency, "payer_currency": currency },
    })
}

/// And of a refund.
pub fn wechat_refund(number: &str, refund: &str, amount: i64, total: i64) -> Value {
    json!({
        "mchid": WECHAT_MERCHANT, "out_trade_no": number, "transaction_id": format!("4200{number}"),
        "out_refund_no": format!("out{refund}"), "refund_id": refund, "refund_status": "SUCCESS",
        "success_time": "2026-01-03T13:14:15+08:00", "user_received_account": "支付用户零钱",
        "amount": { "total": total, "refund": amount, "payer_total": total, "payer_refund": amount },
    })
}

/// One thing to tell of a payment, whoever its provider is.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    Paid,
    /// So much in all until now.
    Refunded(i64),
    Expired,
    /// Another amount than was asked for.
    Wrong,
}

/// How a payment is known to its provider.
#[derive(Clone, Debug)]
pub struct Known {
    pub provider: &'static str,
    pub number: String,
    pub amount: i64,
    pub currency: &'static str,
}

/// What the provider of a payment sends to tell it.  A second refund of WeChat Pay is one of its own, so that `before` says
/// what went back before.
pub fn tell(known: &Known, what: &Tell, before: i64, id: &str, at: i64, signer: Signer) -> Notification {
    let Known { provider, number, amount, currency } = known;
    let charged = if *what == Tell::Wrong { amount - 1 } else { *amount };
    match (*provider, what) {
        ("stripe", Tell::Paid | Tell::Wrong) => stripe(
            id,
            "checkout.session.completed",
            &stripe_session(number, charged, currency, true),
            at,
            signer,
        ),
        ("stripe", Tell::Refunded(total)) => {
            stripe(id, "charge.refunded", &stripe_charge(number, *amount, *total, currency), at, signer)
        }
        ("stripe", Tell::Expired) => stripe(
            id,
            "checkout.session.expired",
            &stripe_session(number, *amount, currency, false),
            at,
            signer,
        ),
        ("alipay", what) => {
            let (status, refunded) = match what {
                Tell::Paid | Tell::Wrong => ("TRADE_SUCCESS", None),
                Tell::Refunded(total) if total == amount => ("TRADE_CLOSED", Some(*total)),
                Tell::Refunded(total) => ("TRADE_SUCCESS", Some(*total)),
                Tell::Expired => ("TRADE_CLOSED", None),
            };
            let mut fields = vec![("trade_status", status.to_owned()), ("total_amount", yuan(charged))];
            if let Some(total) = refunded {
                fields.push(("refund_fee", yuan(total)));
                fields.push(("gmt_refund", "2026-01-03 13:14:15.123".to_owned()));
            }
            alipay(id, number, &fields, signer)
        }
        (_, Tell::Paid | Tell::Wrong) => {
            wechat(id, "TRANSACTION.SUCCESS", &wechat_transaction(number, charged, currency), at, signer)
        }
        (_, Tell::Refunded(total)) => {
            let refund = format!("5000{number}{before}");
            wechat(id, "REFUND.SUCCESS", &wechat_refund(number, &refund, total - before, *amount), at, signer)
        }
        // WeChat Pay says nothing of orders that nobody paid; of a refund that was closed it does.
        (_, Tell::Expired) => {
            let mut closed = wechat_refund(number, "5000", 1, *amount);
            closed["refund_status"] = "CLOSED".into();
            wechat(id, "REFUND.CLOSED", &closed, at, signer)
        }
    }
}
