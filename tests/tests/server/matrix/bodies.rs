//! What is sent: bodies that fit the documents of the API, and one form that fits every page well enough to be judged.

use jst_tests::Api;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Deeper than any of our documents.
const DEPTH: u32 = 8;

pub struct Bodies {
    documents: [Value; 2],
}

impl Bodies {
    pub async fn read(api: &Api) -> Self {
        let public = api.get("/api/v1/openapi.json").await.expect(200).json();
        let billing = api.get("/billing/v1/openapi.json").await.expect(200).json();
        Self { documents: [public, billing] }
    }

    /// The body of a call; absent where it takes none.
    pub fn json(&self, method: &str, path: &str, things: &BTreeMap<&'static str, String>) -> Option<Value> {
        if let Some(body) = of_agents(path) {
            return Some(body);
        }
        if let Some(body) = by_hand(method, path, things) {
            return Some(body);
        }
        let method = method.to_lowercase();
        self.documents.iter().find_map(|document| {
            let call = &document["paths"][path][&method];
            let schema = call.pointer("/requestBody/content/application~1json/schema")?;
            let given = call.pointer("/requestBody/content/application~1json/example");
            Some(given.cloned().unwrap_or_else(|| example(document, schema, DEPTH)))
        })
    }

    /// Names that forms of pages have.  What a page does not know it ignores.
    pub fn form<'a>(&self, things: &'a BTreeMap<&'static str, String>) -> Vec<(&'static str, &'a str)> {
        vec![
            ("name", "renamed"),
            ("email", "somebody@example.com"),
            ("role", "viewer"),
            ("public_key", "none"),
            ("scopes", "read"),
            ("tenant", things["any-tenant"].as_str()),
            ("kind", "serial"),
            ("state", "active"),
            ("plan", "large"),
            ("image", "test"),
            ("message", "Please."),
            ("language", "en"),
        ]
    }
}

fn of_agents(path: &str) -> Option<Value> {
    match path.strip_prefix(jst_protocol::PREFIX)? {
        "/reports" => Some(json!({ "revision": 0 })),
        "/enroll" | "/certificate" => {
            Some(json!({ "secret": "00", "csr_pem": "", "hostname": "h", "agent_version": "0" }))
        }
        _ => None,
    }
}

/// Where the example of the document names things that do not exist here.
fn by_hand(method: &str, path: &str, things: &BTreeMap<&'static str, String>) -> Option<Value> {
    let body = match (method, path) {
        ("POST", "/api/v1/instances") => json!({ "name": "another", "plan": "small", "image": "test" }),
        ("POST", "/api/v1/instances/{id}/actions/rebuild") => json!({ "image": "test" }),
        ("POST", "/api/v1/instances/{id}/actions/resize") => json!({ "plan": "large" }),
        ("PATCH", "/api/v1/instances/{id}") => json!({ "delete_protection": false }),
        ("PUT", "/api/v1/instances/{id}/firewall") => json!({ "inbound": null, "outbound": null }),
        ("PUT", "/api/v1/instances/{id}/name") => json!({ "name": "renamed" }),
        ("POST", "/api/v1/team/invitations") => json!({ "email": "new@example.com", "role": "viewer" }),
        ("PATCH", "/api/v1/team/members/{id}") => json!({ "role": "viewer" }),
        ("PATCH", "/api/v1/webhooks/{id}") => json!({ "name": "renamed" }),
        ("POST", "/api/v1/webhooks") => json!({ "url": "http://127.0.0.1:9/", "types": [] }),
        ("PUT", "/billing/v1/services/{external_ref}") => crate::server::billing_systems::order(1),
        ("POST", "/billing/v1/services/{external_ref}/change-plan") => {
            json!({ "entitlement_version": 2, "plan": "large" })
        }
        (
            "POST",
            "/billing/v1/services/{external_ref}/sso" | "/billing/v1/services/{external_ref}/reset-password",
        ) => {
            json!({})
        }
        ("POST", "/billing/v1/services/{external_ref}/terminate") => {
            json!({ "entitlement_version": 2, "service_id": things["service"] })
        }
        ("POST", _) if path.starts_with("/billing/v1/services/") => json!({ "entitlement_version": 2 }),
        _ => return None,
    };
    Some(body)
}

/// The least that fits a schema: required fields, with the examples that stand there.
fn example(document: &Value, schema: &Value, depth: u32) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(given) =
        schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"))
    {
        return given.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let found = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        return example(document, found, depth - 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut fields = Map::new();
        for part in parts {
            if let Value::Object(more) = example(document, part, depth - 1) {
                fields.extend(more);
            }
        }
        return Value::Object(fields);
    }
    if let Some(first) =
        schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"))
    {
        return example(document, first, depth - 1);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")),
        kind => kind.as_str(),
    };
    match kind.unwrap_or("object") {
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            required
                .map(|name| (name.to_owned(), example(document, &schema["properties"][name], depth - 1)))
                .collect()
        }
        "array" => json!([]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(false),
        _ if schema["format"] == "date-time" => json!("2026-11-23T08:00:00Z"),
        _ => json!("text"),
    }
}
