//! What a provider has sent, as administrators read it: without what could be used again and without who paid.

use serde_json::Value;

/// Fields whose values are not shown, wherever they stand.
const HIDDEN: [&str; 16] = [
    "address",
    "buyer_id",
    "buyer_logon_id",
    "ciphertext",
    "client_secret",
    "customer_details",
    "customer_email",
    "email",
    "name",
    "openid",
    "payment_method_details",
    "phone",
    "receipt_email",
    "receipt_url",
    "sign",
    "url",
];

const MASK: &str = "••••";

pub fn masked(body: &[u8]) -> String {
    if let Ok(mut document) = serde_json::from_slice::<Value>(body) {
        hide(&mut document);
        return serde_json::to_string_pretty(&document).unwrap_or_default();
    }
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body).unwrap_or_default();
    let line = |(name, value): &(String, String)| {
        format!("{name} = {}", if HIDDEN.contains(&name.as_str()) { MASK } else { value })
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if HIDDEN.contains(&name.as_str()) && !value.is_null() {
                    *value = MASK.into();
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_used_again_is_not_shown() {
        let json = br#"{"id":"evt_1","data":{"object":{"amount_total":5,"client_secret":"s3cret","customer_details":{"email":"a@b"}}}}"#;
        let shown = masked(json);
        assert!(shown.contains("evt_1") && shown.contains("amount_total"), "{shown}");
        assert!(!shown.contains("s3cret") && !shown.contains("a@b"), "{shown}");
        let shown = masked(b"notify_id=n1&sign=s3cret&buyer_logon_id=a%40b&total_amount=1.00");
        assert_eq!(shown, "notify_id = n1\nsign = ••••\nbuyer_logon_id = ••••\ntotal_amount = 1.00");
        // What is no text is shown as what it is not, and breaks nothing.
        masked(&[0xff, 0xfe, b'=', 0]);
    }
}
