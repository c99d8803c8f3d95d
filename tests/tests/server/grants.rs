//! No credential makes a wider or longer-lived one: every call that makes one, by tokens of every set of scopes.

use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Api, Client, Platform};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Calls that make something which lets somebody in, or tells somebody something, and the scopes that they need.  None is
/// made by a call that is not listed.
const MAKES: [(&str, &str, &[&str]); 15] = [
    ("POST", "/api/v1/team/invitations", &["write", "members"]),
    ("PATCH", "/api/v1/team/members/{id}", &["write", "members"]),
    ("POST", "/api/v1/ssh-keys", &["write"]),
    // Their keys and user data let somebody in to the guest.
    ("POST", "/api/v1/instances", &["write"]),
    ("POST", "/api/v1/instances/{id}/actions/rebuild", &["write"]),
    ("POST", "/api/v1/instances/{id}/console", &["write"]),
    ("POST", "/api/v1/webhooks", &["write"]),
    ("PATCH", "/api/v1/webhooks/{id}", &["write"]),
    ("POST", "/api/v1/webhooks/{id}/rotate", &["write"]),
    ("POST", "/api/v1/admin/instances/{id}/console", &["write", "admin"]),
    ("POST", "/api/v1/admin/host-tokens", &["write", "admin"]),
    ("POST", "/api/v1/admin/webhooks", &["write", "admin"]),
    ("PATCH", "/api/v1/admin/webhooks/{id}", &["write", "admin"]),
    ("POST", "/api/v1/admin/webhooks/{id}/rotate", &["write", "admin"]),
    // Removing an owner makes nobody one, but leaves the team to who remains.
    ("DELETE", "/api/v1/team/members/{id}", &["write", "members"]),
];

/// The same for billing systems.  A mail for a new password opens nothing to who asks for it.
const BILLING_MAKES: [(&str, &str, &[&str]); 3] = [
    ("POST", "/billing/v1/services/{external_ref}/sso", &["sso"]),
    ("POST", "/billing/v1/services/{external_ref}/reset-password", &["provision"]),
    ("PUT", "/billing/v1/services/{external_ref}", &["provision"]),
];

/// Changes that make no credential.
const OTHERS: &str = "
    PATCH /api/v1/account
    PUT /api/v1/account/notifications
    POST /api/v1/admin/announcements
    DELETE PUT /api/v1/admin/announcements/{id}
    POST /api/v1/admin/announcements/{id}/end
    PUT /api/v1/admin/billing/settings
    PUT /api/v1/admin/customers/{id}/billing
    POST /api/v1/admin/customers/{id}/entries
    PUT /api/v1/admin/customers/{id}/quotas
    POST /api/v1/admin/customers/{id}/suspend
    POST /api/v1/admin/customers/{id}/unsuspend
    PATCH /api/v1/admin/hosts/{id}
    POST /api/v1/admin/hosts/{id}/revoke
    POST /api/v1/admin/image-imports
    DELETE /api/v1/admin/image-imports/{id}
    POST /api/v1/admin/images
    DELETE PUT /api/v1/admin/images/{id}
    POST /api/v1/admin/images/{id}/restore
    PUT /api/v1/admin/instances/{id}/policy
    POST /api/v1/admin/invoices/{id}/credit-notes
    POST /api/v1/admin/mail/{id}/retry
    POST /api/v1/admin/operations/{id}/cancel
    POST /api/v1/admin/operations/{id}/retry
    POST /api/v1/admin/payment-events/{id}/retry
    PUT /api/v1/admin/payment-providers/{provider}
    POST /api/v1/admin/payments/{id}/settle-dispute
    POST /api/v1/admin/plans
    DELETE PUT /api/v1/admin/plans/{id}
    POST /api/v1/admin/plans/{id}/restore
    POST /api/v1/admin/pools
    DELETE PUT /api/v1/admin/pools/{id}
    PATCH /api/v1/admin/settings
    POST /api/v1/admin/trials/appeals/{id}
    POST /api/v1/admin/users/{id}/disable
    POST /api/v1/admin/users/{id}/enable
    POST /api/v1/admin/vouchers
    DELETE /api/v1/admin/webhooks/{id}
    POST /api/v1/admin/webhooks/{id}/deliveries/{delivery}/resend
    POST /api/v1/admin/webhooks/{id}/test
    POST /api/v1/billing/payments
    POST /api/v1/billing/vouchers
    DELETE PATCH /api/v1/instances/{id}
    POST /api/v1/instances/{id}/actions/power-off
    POST /api/v1/instances/{id}/actions/reboot
    POST /api/v1/instances/{id}/actions/resize
    POST /api/v1/instances/{id}/actions/retry
    POST /api/v1/instances/{id}/actions/shutdown
    POST /api/v1/instances/{id}/actions/start
    POST /api/v1/instances/{id}/actions/undelete
    PUT /api/v1/instances/{id}/firewall
    PUT /api/v1/instances/{id}/name
    DELETE /api/v1/sessions
    DELETE /api/v1/sessions/{id}
    DELETE /api/v1/ssh-keys/{id}
    DELETE /api/v1/team/invitations/{id}
    DELETE /api/v1/tokens/{id}
    DELETE /api/v1/webhooks/{id}
    POST /api/v1/webhooks/{id}/deliveries/{delivery}/resend
    POST /api/v1/webhooks/{id}/test
    POST /billing/v1/services/{external_ref}/change-plan
    POST /billing/v1/services/{external_ref}/renew
    POST /billing/v1/services/{external_ref}/suspend
    POST /billing/v1/services/{external_ref}/terminate
    POST /billing/v1/services/{external_ref}/undo-terminate
    POST /billing/v1/services/{external_ref}/unsuspend
";

/// A key of which nobody has the other half.
pub fn ssh_key() -> String {
    use ssh_key::public::{Ed25519PublicKey, KeyData};
    let key = KeyData::Ed25519(Ed25519PublicKey(rand::random()));
    ssh_key::PublicKey::new(key, "test").to_openssh().unwrap()
}

/// Every call that changes something, as both documents describe them.
async fn changes(api: &Api) -> BTreeSet<(String, String)> {
    let mut calls = BTreeSet::new();
    for document in ["/api/v1/openapi.json", "/billing/v1/openapi.json"] {
        let document = api.get(document).await.expect(200).json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in ["post", "put", "patch", "delete"] {
                if item.get(method).is_some() {
                    calls.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
    }
    calls
}

fn others() -> BTreeSet<(String, String)> {
    let lines = OTHERS.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .flat_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let (path, methods) = words.split_last().unwrap();
            methods.iter().map(|method| (method.to_string(), path.to_string())).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn every_call_says_whether_it_makes_a_credential() {
    let platform = Platform::start().await;
    let found = changes(&platform.api("")).await;
    let made = MAKES.iter().chain(&BILLING_MAKES);
    let made: BTreeSet<_> = made.map(|(method, path, _)| (method.to_string(), path.to_string())).collect();
    let others = others();
    assert!(made.is_disjoint(&others));
    let said: BTreeSet<_> = made.union(&others).cloned().collect();
    let unsaid: Vec<_> = found.difference(&said).collect();
    assert!(
        unsaid.is_empty(),
        "does it make a credential?  Then it belongs into MAKES, else into OTHERS: {unsaid:?}"
    );
    let gone: Vec<_> = said.difference(&found).collect();
    assert!(gone.is_empty(), "there is no such call any more: {gone:?}");
    platform.stop().await;
}

/// Every set of some scopes, the empty one left out.
fn sets<'a>(scopes: &[&'a str]) -> Vec<Vec<&'a str>> {
    (1..1 << scopes.len())
        .map(|bits: usize| {
            scopes.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, s)| *s).collect()
        })
        .collect()
}

/// A team with a viewer and an endpoint, and an endpoint of the operator's, as an administrator of it made them.
struct Ground {
    platform: Platform,
    owner: Client,
    viewer: String,
    hook: String,
    operator_hook: String,
}

impl Ground {
    async fn prepare() -> Self {
        let platform = Platform::start_with(&["--api-requests-per-second", "1000"]).await;
        let owner = platform.admin().await;
        let guest = platform.customer("viewer@example.com").await;
        owner
            .post("/team/invitations", &[("email", "viewer@example.com"), ("role", "viewer")])
            .await
            .expect(303);
        let link = platform.token_in_mail("viewer@example.com", "/invitation?token=").await;
        guest.post("/invitation", &[("token", &link)]).await.expect(303);
        let api = platform.api(&platform.admin_token().await);
        let members = api.get("/api/v1/team/members").await.expect(200).json();
        let viewer = members["items"].as_array().unwrap().iter().find(|member| member["role"] == "viewer");
        let viewer = viewer.unwrap()["user_id"].as_str().unwrap().to_owned();
        let body = json!({ "url": "https://hooks.example.com/in" });
        let id = |answer: Answer| answer.expect(201).json()["id"].as_str().unwrap().to_owned();
        let hook = id(api.post("/api/v1/webhooks", body.clone()).await);
        let operator_hook = id(api.post("/api/v1/admin/webhooks", body).await);
        Self { platform, owner, viewer, hook, operator_hook }
    }

    /// Undoes what the call before has made, so that the next one meets the same.
    async fn tidy(&self) {
        for sql in [
            "DELETE FROM invitations",
            "DELETE FROM attempt_limits",
            "DELETE FROM webhook_endpoints WHERE url LIKE '%/new'",
            "UPDATE memberships SET role = 'viewer' FROM users WHERE users.id = user_id AND email = 'viewer@example.com' \
             AND role <> 'owner'",
        ] {
            sqlx::query(sql).execute(self.platform.app().db.platform()).await.unwrap();
        }
    }

    /// Makes the call with what it needs.  What it names is there, but for instances: those are looked up only once the
    /// scopes have been found to be enough.
    async fn call(&self, api: &Api, method: &str, path: &str) -> Answer {
        self.tidy().await;
        let instance = "vm_019ab300000070008000000000000000";
        let id = match path {
            _ if path.contains("/members/") => &self.viewer,
            _ if path.contains("/admin/webhooks/") => &self.operator_hook,
            _ if path.contains("/webhooks/") => &self.hook,
            _ => instance,
        };
        let body = match path {
            "/api/v1/team/invitations" => json!({ "email": "guest@example.com", "role": "viewer" }),
            "/api/v1/team/members/{id}" => json!({ "role": "operator" }),
            "/api/v1/ssh-keys" => json!({ "name": uuid::Uuid::now_v7(), "public_key": ssh_key() }),
            "/api/v1/admin/host-tokens" => json!({ "name": "host-9" }),
            _ if path.ends_with("/console") => json!({ "kind": "serial" }),
            _ if path.ends_with("/webhooks") => json!({ "url": "https://hooks.example.com/new" }),
            _ if path.contains("/webhooks/") => json!({ "name": "renamed" }),
            _ => json!({}),
        };
        let body = (method != "DELETE").then_some(body);
        api.send(method.parse::<Method>().unwrap(), &path.replace("{id}", id), body, &[]).await
    }
}

#[tokio::test]
async fn a_token_makes_only_what_its_scopes_have() {
    let ground = Ground::prepare().await;
    let (mut made, mut refused) = (0, 0);
    for scopes in sets(&["read", "write", "members", "admin"]) {
        let api = ground.platform.api(&ground.owner.make_token(&scopes).await);
        for (method, path, needed) in MAKES {
            // Last, and by nobody here: the others need the member.
            if method == "DELETE" {
                continue;
            }
            let answer = ground.call(&api, method, path).await;
            let may = needed.iter().all(|scope| scopes.contains(scope));
            // Without the scope of administrators there is no administration; without an instance, no console.
            let hidden = path.contains("/admin/") || path.contains("/instances");
            let refusal = answer.status == 403 || hidden && answer.status == 404;
            if may {
                let fits = (200..300).contains(&answer.status)
                    || path.contains("/instances") && answer.status != 403;
                assert!(fits, "{scopes:?} {method} {path}: {answer:?}");
                made += 1;
            } else {
                assert!(refusal, "{scopes:?} {method} {path}: {answer:?}");
                refused += 1;
            }
        }
    }
    assert!(made > 40 && refused > 100, "{made} {refused}");
    ground.platform.stop().await;
}

#[tokio::test]
async fn no_token_makes_an_owner_or_touches_one() {
    let ground = Ground::prepare().await;
    let api = ground.platform.api(&ground.owner.make_token(&["read", "write", "members", "admin"]).await);
    let invite = async |role: &str| {
        ground.tidy().await;
        api.post("/api/v1/team/invitations", json!({ "email": "guest@example.com", "role": role })).await
    };
    let member = format!("/api/v1/team/members/{}", ground.viewer);
    for (role, invited, changed) in [("viewer", 201, 204), ("operator", 201, 204), ("owner", 403, 403)] {
        let answer = invite(role).await.expect(invited);
        assert!(invited != 403 || answer.json()["code"] == "role-above-own", "{}", answer.body);
        api.patch(&member, json!({ "role": role })).await.expect(changed);
    }
    // Nor does it lower or remove one, its own person included.
    ground
        .owner
        .post(&format!("/team/members/{}/role", ground.viewer), &[("role", "owner")])
        .await
        .expect(303);
    api.patch(&member, json!({ "role": "viewer" })).await.expect(403);
    api.delete(&member).await.expect(403);
    let account = api.get("/api/v1/account").await.expect(200).json();
    api.delete(&format!("/api/v1/team/members/{}", account["id"].as_str().unwrap())).await.expect(403);
    ground
        .owner
        .post(&format!("/team/members/{}/role", ground.viewer), &[("role", "viewer")])
        .await
        .expect(303);
    // Without the scope it removes nobody; with it, whoever is no owner.
    let writes = ground.platform.api(&ground.owner.make_token(&["write"]).await);
    let refused = writes.delete(&member).await.expect(403).json();
    assert_eq!(refused["code"], "scope-members");
    api.delete(&member).await.expect(204);
    ground.platform.stop().await;
}

#[tokio::test]
async fn what_a_token_makes_ends_with_it_at_the_latest() {
    let ground = Ground::prepare().await;
    let api = ground.platform.api(&ground.owner.make_token(&["write", "members", "admin"]).await);
    sqlx::query("UPDATE api_tokens SET expires_at = now() + interval '1 minute' WHERE name = 'test'")
        .execute(ground.platform.app().db.platform())
        .await
        .unwrap();
    let ends = async |sql: &'static str| {
        let found: i64 =
            sqlx::query_scalar(sql).fetch_one(ground.platform.app().db.platform()).await.unwrap();
        found
    };
    api.post("/api/v1/admin/host-tokens", json!({ "name": "host-9" })).await.expect(201);
    let join = "SELECT extract(epoch FROM expires_at - now())::bigint FROM host_join_tokens";
    assert!(ends(join).await <= 60);
    api.post("/api/v1/team/invitations", json!({ "email": "guest@example.com", "role": "viewer" }))
        .await
        .expect(201);
    let invitation =
        "SELECT extract(epoch FROM expires_at - now())::bigint FROM invitations WHERE accepted_at IS NULL";
    assert!(ends(invitation).await <= 60);
    ground.platform.stop().await;
}

#[tokio::test]
async fn a_billing_systems_token_makes_only_what_its_scopes_have() {
    let shop = super::billing_systems::Shop::open().await;
    for scopes in sets(&super::billing_systems::ALL) {
        let api = shop.narrow(&scopes).await;
        for (method, path, needed) in BILLING_MAKES {
            let body = (method == "PUT").then(|| super::billing_systems::order(1));
            let path = path.replace("{external_ref}", "unknown");
            let answer = api.send(method.parse::<Method>().unwrap(), &path, body, &[]).await;
            let may = needed.iter().all(|scope| scopes.contains(scope));
            // Whether there is such a service yet is another question.
            assert_eq!(answer.status != 403, may, "{scopes:?} {method} {path}: {answer:?}");
        }
        // It is no token of the API, and nobody's session.
        api.post("/api/v1/team/invitations", json!({})).await.expect(401);
    }
    shop.desk.platform.stop().await;
}

/// Joins the owner's team with a role, in a browser of their own.
async fn member(platform: &Platform, owner: &Client, role: &str) -> Client {
    let email = format!("{role}@example.com");
    owner.post("/team/invitations", &[("email", &email), ("role", role)]).await.expect(303);
    let link = platform.token_in_mail(&email, "/invitation?token=").await;
    let member = platform.customer(&email).await;
    member.post("/invitation", &[("token", &link)]).await.expect(303);
    member
}

#[tokio::test]
async fn every_role_has_tokens_with_at_most_its_rights() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    owner.make_token(&["read"]).await;
    let (viewer, operator) =
        (member(&platform, &owner, "viewer").await, member(&platform, &owner, "operator").await);
    let table: [(&Client, &[&str], &[&str]); 3] = [
        (&viewer, &["read"], &["write", "members", "admin"]),
        (&operator, &["read", "write"], &["members", "admin"]),
        (&owner, &["read", "write", "members"], &["admin"]),
    ];
    for (person, may, may_not) in table {
        let page = person.get("/api-tokens").await.expect(200).body;
        for scope in may {
            assert!(page.contains(&format!("value=\"{scope}\"")), "{scope}: {page}");
            person.make_token(&[scope]).await;
        }
        for scope in may_not {
            assert!(!page.contains(&format!("value=\"{scope}\"")), "{scope}: {page}");
            let form =
                [("name", "x"), ("scopes", "read"), ("scopes", *scope), ("current_password", PASSWORD)];
            person.post("/api-tokens", &form).await.expect(422);
        }
    }
    // Members see their own only, owners all, and owners revoke them.
    let (reads, writes) = (viewer.make_token(&["read"]).await, operator.make_token(&["write"]).await);
    let (reads, writes) = (platform.api(&reads), platform.api(&writes));
    let list = async |api: &Api| -> Vec<Value> {
        api.get("/api/v1/tokens").await.expect(200).json()["items"].as_array().unwrap().clone()
    };
    let own = list(&reads).await;
    assert!(!own.is_empty() && own.iter().all(|token| token["owner"] == "viewer@example.com"), "{own:?}");
    assert!(!viewer.get("/api-tokens").await.body.contains("operator@example.com"));
    let page = owner.get("/api-tokens").await.body;
    for email in ["viewer@example.com", "operator@example.com", "owner@example.com"] {
        assert!(page.contains(email), "{email}: {page}");
    }
    let id = own[0]["id"].as_str().unwrap();
    writes.delete(&format!("/api/v1/tokens/{id}")).await.expect(404);
    operator.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(404);
    // The rights are those of the role.
    let key = || json!({ "name": uuid::Uuid::now_v7(), "public_key": ssh_key() });
    reads.post("/api/v1/ssh-keys", key()).await.expect(403);
    writes.post("/api/v1/ssh-keys", key()).await.expect(201);
    writes.post("/api/v1/webhooks", json!({ "url": "https://hooks.example.com/" })).await.expect(403);
    writes
        .post("/api/v1/team/invitations", json!({ "email": "x@example.com", "role": "viewer" }))
        .await
        .expect(403);
    owner.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(303);
    reads.get("/api/v1/tokens").await.expect(401);
    platform.stop().await;
}

#[tokio::test]
async fn a_member_leaves_room_for_the_tokens_of_others() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let viewer = member(&platform, &owner, "viewer").await;
    sqlx::query(
        "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes) \
         SELECT gen_random_uuid(), memberships.tenant_id, user_id, 'x', 'jst_', sha256(n::text::bytea), '{read}' \
         FROM memberships, generate_series(1, 19) AS n WHERE role = 'viewer'",
    )
    .execute(platform.app().db.platform())
    .await
    .unwrap();
    viewer.make_token(&["read"]).await;
    let form = [("name", "x"), ("scopes", "read"), ("current_password", PASSWORD)];
    viewer.post("/api-tokens", &form).await.expect(409);
    owner.make_token(&["read"]).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_repeated_request_needs_the_rights_of_the_first() {
    let platform = Platform::start().await;
    let owner = platform.admin().await;
    let wide = platform.api(&owner.make_token(&["write", "admin"]).await);
    let narrow = platform.api(&owner.make_token(&["write"]).await);
    let reads = platform.api(&owner.make_token(&["read"]).await);
    let send = async |api: &Api, path: &str, body: Value| {
        api.send(Method::POST, path, Some(body), &[("idempotency-key", "once")]).await
    };
    let path = "/api/v1/admin/host-tokens";
    let body = || json!({ "name": "host-9" });
    let first = send(&wide, path, body()).await.expect(201);
    let again = send(&wide, path, body()).await.expect(201);
    assert_eq!(first.body, again.body);
    let refused = send(&narrow, path, body()).await.expect(403);
    assert_eq!(refused.json()["code"], "idempotency-rights");
    assert!(!refused.body.contains("jst-agent"), "{}", refused.body);
    send(&reads, path, body()).await.expect(403);
    // The other way round the wider token is told what the narrow one was.
    let key = json!({ "name": "key", "public_key": ssh_key() });
    let headers = [("idempotency-key", "twice")];
    let keys = "/api/v1/ssh-keys";
    let first = narrow.send(Method::POST, keys, Some(key.clone()), &headers).await.expect(201);
    let again = wide.send(Method::POST, keys, Some(key.clone()), &headers).await.expect(201);
    assert_eq!(first.body, again.body);
    // A role that was lowered since then is no longer told.
    sqlx::query("UPDATE memberships SET role = 'operator'")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    narrow.send(Method::POST, keys, Some(key), &headers).await.expect(403);
    platform.stop().await;
}

#[tokio::test]
async fn a_billing_systems_repeated_request_needs_its_scope() {
    let shop = super::billing_systems::Shop::open().await;
    shop.running("svc-1").await;
    let path = "/billing/v1/services/svc-1/sso";
    let headers = [("idempotency-key", "once")];
    let first = shop.api.send(Method::POST, path, None, &headers).await.expect(201);
    assert!(first.body.contains("/sso?token="), "{}", first.body);
    for scopes in [&["read"][..], &["read", "provision", "terminate"]] {
        let api = shop.narrow(scopes).await;
        let refused = api.send(Method::POST, path, None, &headers).await.expect(403);
        assert!(!refused.body.contains("/sso?token="), "{}", refused.body);
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn the_scheme_is_understood_in_any_case_everywhere() {
    let shop = super::billing_systems::Shop::open().await;
    let anonymous = shop.desk.platform.api("");
    let admin = shop.desk.platform.admin_token().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        for (path, token) in [("/api/v1/account", &admin), ("/billing/v1/ping", &shop.token)] {
            let value = format!("{scheme} {token}");
            anonymous.send(Method::GET, path, None, &[("authorization", &value)]).await.expect(200);
        }
    }
    for value in ["Basic x", "Bearer", "bearer "] {
        anonymous.send(Method::GET, "/api/v1/account", None, &[("authorization", value)]).await.expect(401);
    }
    shop.desk.platform.stop().await;
}
