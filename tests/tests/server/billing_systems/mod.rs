//! `/billing/v1`: what an operator's own billing system does with the platform, and what it cannot do.

mod modules;
mod order;
mod sign_on;
mod tokens;

use super::instances::desk::{Desk, text};
use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Api, Client, Platform};
use reqwest::Method;
use serde_json::{Value, json};

/// A desk with a billing system, which may do everything.
pub struct Shop {
    pub desk: Desk,
    /// A browser of the administrator, who has made its token.
    pub admin: Client,
    pub id: String,
    pub token: String,
    pub api: Api,
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lin@example.com";

pub const ALL: [&str; 4] = ["read", "provision", "terminate", "sso"];

impl Shop {
    pub async fn open() -> Self {
        // Modules ask faster than shops do.
        let desk = Desk::on(Platform::start_with(&["--api-requests-per-second", "1000"]).await).await;
        let admin = desk.platform.admin().await;
        let page = connect(&admin, "WHMCS", &ALL).await.expect(200);
        let token = token_in(&page.body);
        let api = desk.platform.api(&token);
        let id = page.body.split("/admin/billing-systems/bsys_").nth(1).unwrap();
        let id = format!("bsys_{}", &id[..32]);
        Self { desk, admin, id, token, api }
    }

    pub async fn put(&self, reference: &str, order: Value) -> Answer {
        self.api.put(&format!("/billing/v1/services/{reference}"), order).await
    }

    pub async fn service(&self, reference: &str) -> Value {
        self.api.get(&format!("/billing/v1/services/{reference}")).await.expect(200).json()
    }

    /// A service that runs.
    pub async fn running(&self, reference: &str) -> Value {
        self.put(reference, order(1)).await.expect(202);
        self.desk.obey().await;
        let service = self.service(reference).await;
        assert_eq!((text(&service["state"]), text(&service["entitlement"])), ("running", "active"));
        service
    }

    pub async fn say(&self, service: &Value, action: &str, version: i64) -> Answer {
        let path = format!("/billing/v1/services/{}/{action}", text(&service["external_ref"]));
        let body = json!({ "entitlement_version": version, "service_id": service["id"] });
        self.api.post(&path, body).await
    }

    pub async fn events(&self, action: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM events WHERE action = $1")
            .bind(action)
            .fetch_one(self.desk.pool())
            .await
            .unwrap()
    }

    /// Another token of the system, with these scopes only.
    pub async fn narrow(&self, scopes: &[&str]) -> Api {
        let mut fields = vec![("current_password", PASSWORD)];
        fields.extend(scopes.iter().map(|scope| ("scopes", *scope)));
        let page =
            self.admin.post(&format!("/admin/billing-systems/{}/tokens", self.id), &fields).await.expect(200);
        self.desk.platform.api(&token_in(&page.body))
    }
}

pub async fn connect(admin: &Client, name: &str, scopes: &[&str]) -> Answer {
    let mut fields = vec![("name", name), ("current_password", PASSWORD)];
    fields.extend(scopes.iter().map(|scope| ("scopes", *scope)));
    admin.post("/admin/billing-systems", &fields).await
}

/// The token that a page shows once.
pub fn token_in(body: &str) -> String {
    let at = body.match_indices("jstb_").map(|(at, _)| &body[at..]);
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect()
    };
    at.map(word).find(|token| token.len() == 54).unwrap_or_else(|| panic!("no token in {body}"))
}

pub fn order(version: i64) -> Value {
    json!({
        "owner": { "reference": "client-7", "email": "lin@example.com", "name": "Lin Wen", "locale": "zh-CN" },
        "plan": "small", "image": "test", "hostname": "web.example.com", "ssh_keys": [],
        "entitlement_version": version,
    })
}

/// The same order with one field changed.
pub fn order_with(pointer: &str, value: Value) -> Value {
    let mut order = order(1);
    *order.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    order
}

#[tokio::test]
async fn an_order_makes_customer_and_instance_once() {
    let shop = Shop::open().await;
    let counts = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM tenants) + (SELECT count(*) FROM instances) \
         + (SELECT count(*) FROM billing_services) + (SELECT count(*) FROM billing_owners)";
    let before = shop.desk.count(counts).await;
    let dry = shop.put("42?dry_run=true", order(1)).await.expect(200).json();
    assert_eq!(dry, json!({ "possible": true }));
    let none = shop.put("42?dry_run=true", order_with("/plan", json!("huge"))).await;
    assert_eq!(none.expect(409).json()["code"], "short-memory");
    assert_eq!(shop.put("42", order_with("/plan", json!("huge"))).await.status, 409);
    assert_eq!(shop.desk.count(counts).await, before, "a rehearsal and a refusal leave nothing");

    let made = shop.put("42", order_with("/ssh_keys", json!([KEY, KEY]))).await.expect(202).json();
    assert_eq!((text(&made["external_ref"]), text(&made["operation"]["kind"])), ("42", "create"));
    shop.desk.obey().await;
    let service = shop.service("42").await;
    assert_eq!((text(&service["state"]), text(&service["plan"])), ("running", "small"));
    assert_eq!(
        (text(&service["hostname"]), text(&service["addresses"][0])),
        ("web.example.com", "198.51.100.1")
    );
    assert_eq!(service["operation"]["state"], "succeeded");
    // The same again, also where it comes late, is what there is.
    for version in [1, 1, 9] {
        let again = shop.put("42", order(version)).await.expect(200).json();
        assert_eq!((&again["id"], &again["entitlement_version"]), (&service["id"], &json!(1)));
    }
    let other = shop.put("42", order_with("/plan", json!("large"))).await.expect(409).json();
    assert_eq!(other["code"], "use-change-plan");
    assert_eq!(shop.desk.count("SELECT count(*) FROM instances").await, 1);

    // Several orders at once of a customer who is new: one account, one tenant.
    let many: Vec<String> = (0..4).map(|n| format!("many-{n}")).collect();
    let mut new = order(1);
    new["owner"] = json!({ "email": "new@example.com" });
    let orders = many.iter().map(|reference| shop.put(reference, new.clone()));
    let twice = many.iter().map(|reference| shop.put(reference, new.clone()));
    for answer in futures::future::join_all(orders.chain(twice)).await {
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }
    let owners = "SELECT count(*) FROM billing_owners WHERE reference = 'new@example.com'";
    assert_eq!(shop.desk.count(owners).await, 1);
    assert_eq!(shop.desk.count("SELECT count(*) FROM instances").await, 5);
    let list = shop.api.get("/billing/v1/services?limit=2").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let rest = format!("/billing/v1/services?limit=100&cursor={}", text(&list["next_cursor"]));
    let rest = shop.api.get(&rest).await.expect(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 3);
    shop.desk.books_agree().await;

    // Another system has references of its own.
    let page = connect(&shop.admin, "Paymenter", &ALL).await.expect(200);
    let other = shop.desk.platform.api(&token_in(&page.body));
    assert_eq!(other.get("/billing/v1/services/42").await.status, 404);
    let list = other.get("/billing/v1/services").await.expect(200).json();
    assert_eq!(list["items"], json!([]));
    let late = json!({ "entitlement_version": 99, "service_id": service["id"] });
    assert_eq!(other.post("/billing/v1/services/42/terminate", late).await.status, 404);
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn orders_that_are_wrong_are_refused_in_words() {
    let shop = Shop::open().await;
    let wrong = [
        (order_with("/plan", json!("")), "plan", "required"),
        (order_with("/plan", json!("none")), "plan", "choice"),
        (order_with("/image", json!("none")), "image", "choice"),
        (order_with("/hostname", json!("bad_name")), "hostname", "hostname"),
        (order_with("/hostname", json!("a".repeat(64))), "hostname", "hostname-too-long"),
        (order_with("/owner/email", json!("nobody")), "owner.email", "email"),
        (order_with("/owner/email", json!("a@example.com\nBcc: b@example.com")), "owner.email", "email"),
        (order_with("/owner/name", json!("a\u{202e}b")), "owner.name", "name-characters"),
        (order_with("/owner/locale", json!("fr")), "owner.locale", "choice"),
        (order_with("/owner/reference", json!("../../x")), "owner.reference", "reference"),
        (order_with("/ssh_keys", json!(["ssh-rsa AAAA"])), "ssh_keys.0", "ssh-key-form"),
        (order_with("/ssh_keys", json!(vec!["x"; 21])), "ssh_keys", "ssh-keys-too-many"),
        (order_with("/entitlement_version", json!(0)), "entitlement_version", "number"),
        (order_with("/entitlement_version", json!("1")), "entitlement_version", "json"),
    ];
    for (order, field, code) in wrong {
        let answer = shop.put("42", order.clone()).await;
        let errors = super::instances::desk::field_errors(&answer.expect(422));
        assert!(errors.contains(&(field.to_owned(), code.to_owned())), "{order}: {errors:?}");
    }
    // Nobody names a tenant, a user or an instance in a body.
    for field in ["tenant_id", "user_id", "instance_id", "id"] {
        let mut order = order(1);
        order[field] = json!("ten_0199b0c4a7d27c6e8f3a5b1c2d3e4f50");
        assert_eq!(shop.put("42", order).await.status, 422, "{field}");
    }
    for reference in ["a%2Fb", "a%20b", "%00", "%E9%87%91", &"x".repeat(256)] {
        assert_eq!(shop.put(reference, order(1)).await.status, 422, "{reference}");
        assert_eq!(shop.api.get(&format!("/billing/v1/services/{reference}")).await.status / 100, 4);
    }
    assert_eq!(shop.put("42?dry_run=perhaps", order(1)).await.status, 422);
    for path in ["usage", "usage?since=yesterday", "stock", "stock?plan=none", "services?limit=0"] {
        assert_eq!(shop.api.get(&format!("/billing/v1/{path}")).await.status, 422, "{path}");
    }
    assert_eq!(shop.desk.count("SELECT count(*) FROM billing_services").await, 0);
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn what_is_sold_elsewhere_is_metered_and_not_billed() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let instance = text(&service["instance_id"]).to_owned();
    let told = shop.desk.told(&instance).await.unwrap();
    let usage = jst_protocol::report::Usage {
        network_in_bytes: 5_000,
        network_out_bytes: 7_000,
        ..Default::default()
    };
    let report =
        jst_protocol::report::InstanceReport { usage: Some(usage), ..super::instances::desk::obeyed(&told) };
    shop.desk.report(&[report]).await;
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM ledger ORDER BY n").fetch_all(shop.desk.pool()).await.unwrap();
    assert_eq!(kinds, ["external"]);
    let used = shop.api.get("/billing/v1/usage?since=2026-01-01T00:00:00Z").await.expect(200).json();
    let used = &used["items"][0];
    assert_eq!((&used["traffic_in_bytes"], &used["traffic_out_bytes"]), (&json!(5_000), &json!(7_000)));
    assert_eq!(used["intervals"][0]["plan"], "small");
    let later = shop.api.get("/billing/v1/usage?since=2100-01-01T00:00:00Z").await.expect(200).json();
    assert_eq!(
        (&later["items"][0]["metered_seconds"], &later["items"][0]["intervals"]),
        (&json!(0), &json!([]))
    );

    // The customer owes nothing, whatever the plan costs.
    let admin = shop.desk.platform.api(&shop.desk.platform.admin_token().await);
    let owner = "SELECT tenant_id FROM billing_owners";
    let tenant: uuid::Uuid = sqlx::query_scalar(owner).fetch_one(shop.desk.pool()).await.unwrap();
    let account = format!("/api/v1/admin/customers/{}/billing", jst_server::ids::TenantId::from_uuid(tenant));
    let account = admin.get(&account).await.expect(200).json();
    let owed = (&account["unbilled"]["minor"], &account["forecast"]["minor"], &account["lines"]);
    assert_eq!(owed, (&json!(0), &json!(0), &json!([])), "{account}");
    let ledger = admin.get(&format!("/api/v1/admin/instances/{instance}/ledger")).await.expect(200).json();
    assert_eq!(ledger["intervals"][0]["kind"], "external");

    // And changes neither its plan nor its end here.
    let token = jst_server::auth::token::generate();
    sqlx::query(
        "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes) \
         SELECT $1, tenant_id, user_id, 't', 't', $2, '{read,write}' FROM billing_owners",
    )
    .bind(uuid::Uuid::now_v7())
    .bind(jst_server::secrets::token_hash(&token))
    .execute(shop.desk.pool())
    .await
    .unwrap();
    let customer = shop.desk.platform.api(&token);
    let path = format!("/api/v1/instances/{instance}");
    let resize = customer.post(&format!("{path}/actions/resize"), json!({ "plan": "large" })).await;
    let resize = resize.expect(403).json();
    assert!(resize["code"] == "sold-elsewhere" && text(&resize["detail"]).contains("WHMCS"), "{resize}");
    assert_eq!(customer.delete(&path).await.expect(403).json()["code"], "sold-elsewhere");
    shop.say(&service, "terminate", 2).await.expect(202);
    let undo = customer.post(&format!("{path}/actions/undelete"), json!({})).await;
    assert_eq!(undo.expect(403).json()["code"], "sold-elsewhere");
    // Nor does it begin something of its own there, also once its address is confirmed.
    sqlx::query("UPDATE users SET email_verified_at = now()").execute(shop.desk.pool()).await.unwrap();
    let more = json!({ "name": "more", "plan": "large", "image": "test" });
    assert_eq!(customer.post("/api/v1/instances", more).await.expect(403).json()["code"], "orders-elsewhere");
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn stock_counts_what_fits() {
    let shop = Shop::open().await;
    let stock = |plan: &str| {
        let path = format!("/billing/v1/stock?plan={plan}");
        let api = shop.api.clone();
        async move { api.get(&path).await.expect(200).json()["available"].as_i64().unwrap() }
    };
    let before = stock("large").await;
    assert!(before > 1 && stock("small").await >= before, "{before}");
    assert_eq!(stock("huge").await, 0);
    shop.put("41", order_with("/plan", json!("large"))).await.expect(202);
    assert_eq!(stock("large").await, before - 1);
    let plans = shop.api.get("/billing/v1/plans").await.expect(200).json();
    assert_eq!(plans["items"].as_array().unwrap().len(), 3);
    assert_eq!(shop.api.get("/billing/v1/images").await.expect(200).json()["items"][0]["slug"], "test");
    // What the portal does not offer can be sold all the same.
    sqlx::query("UPDATE plans SET public = false WHERE slug = 'small'")
        .execute(shop.desk.pool())
        .await
        .unwrap();
    shop.running("42").await;
    // One order, one answer, whatever is between.
    let body = json!({ "entitlement_version": 5 });
    let key = [("idempotency-key", "abc")];
    let path = "/billing/v1/services/42/suspend";
    let first = shop.api.send(Method::POST, path, Some(body.clone()), &key).await.expect(202);
    let again = shop.api.send(Method::POST, path, Some(body), &key).await.expect(202);
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = shop.api.send(Method::POST, path, Some(json!({ "entitlement_version": 6 })), &key).await;
    assert_eq!(other.status, 422);
    assert_eq!(shop.events("service.suspended").await, 1);
    shop.desk.platform.stop().await;
}
