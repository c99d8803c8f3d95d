//! Two teams, everything that a team can have, and everybody who may come by.

use crate::server::billing_systems::{ALL, connect, order, token_in};
use crate::server::instances::desk::{Customer, Desk, text};
use jst_server::ids::{
    AnnouncementId, AppealId, ImageId, ImageImportId, InvitationId, InvoiceId, MailId, PasskeyId, PaymentId,
    PlanId, PoolId, SshKeyId, TenantId, TokenId, UserId,
};
use jst_tests::agent::AgentClient;
use jst_tests::platform::PASSWORD;
use jst_tests::{Api, Client, Platform};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How somebody comes in.
pub enum Door {
    Browser(Client),
    Token(Api),
    BillingToken(Api),
    /// The agents' port, with a certificate or without one.
    Agent(AgentClient),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    Operator,
    Owner,
}

/// What the rules ask about somebody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Who {
    /// In the team in which they are now; absent: unknown here.
    pub role: Option<Role>,
    /// That team owns the things that are asked for.
    pub own: bool,
    /// Sessions, passkeys and tokens that are asked for are this person's.
    pub person: bool,
    pub suspended: bool,
    pub acting: bool,
    /// Signed in by a billing system's link, and so in the teams that this system made.
    pub bound: bool,
    /// Administrator, as far as the credential says so.
    pub admin: bool,
    /// A token without the scope `write`, or whose owner has no right to it.
    pub reads_only: bool,
    /// In person, or a token with the scope `members`.
    pub members: bool,
    /// Scopes of a billing system's token.
    pub billing: &'static [&'static str],
    /// A host with a certificate.
    pub host: bool,
}

pub struct Principal {
    pub name: &'static str,
    pub door: Door,
    pub who: Who,
}

pub struct World {
    pub desk: Desk,
    pub things: BTreeMap<&'static str, String>,
    pub victim: Uuid,
    pub principals: Vec<Principal>,
}

/// A team with people in it, written directly: how people join is tested elsewhere.
struct Maker<'a> {
    desk: &'a Desk,
    hash: String,
}

impl Maker<'_> {
    async fn team(&self, name: &str) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query("INSERT INTO tenants (id, name, may_buy, quota_instances) VALUES ($1, $2, true, 1000)")
            .bind(id)
            .bind(name)
            .execute(self.desk.pool())
            .await
            .unwrap();
        id
    }

    async fn person(&self, email: &str, teams: &[(Uuid, &str)]) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO users (id, email, email_verified_at, password_hash) VALUES ($1, $2, now(), $3)",
        )
        .bind(id)
        .bind(email)
        .bind(&self.hash)
        .execute(self.desk.pool())
        .await
        .unwrap();
        for (team, role) in teams {
            sqlx::query("INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, $3)")
                .bind(team)
                .bind(id)
                .bind(role)
                .execute(self.desk.pool())
                .await
                .unwrap();
        }
        id
    }

    async fn token(&self, team: Uuid, person: Uuid, scopes: &[&str]) -> (String, Uuid) {
        let (token, id) = (jst_server::auth::token::generate(), Uuid::now_v7());
        sqlx::query(
            "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes) \
             VALUES ($1, $2, $3, $1::text, 't', $4, $5)",
        )
        .bind(id)
        .bind(team)
        .bind(person)
        .bind(jst_server::secrets::token_hash(&token))
        .bind(scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>())
        .execute(self.desk.pool())
        .await
        .unwrap();
        (token, id)
    }

    async fn api(&self, team: Uuid, person: Uuid, scopes: &[&str]) -> Api {
        self.desk.platform.api(&self.token(team, person, scopes).await.0)
    }

    async fn browser(&self, email: &str) -> Client {
        let client = self.desk.platform.client();
        client.sign_in(email, PASSWORD).await;
        client
    }

    /// A customer as the desk knows them.
    async fn customer(&self, team: Uuid, user: Uuid) -> Customer {
        let (token, _) = self.token(team, user, &["read", "write"]).await;
        Customer { api: self.desk.platform.api(&token), token, tenant: team, user }
    }

    async fn write(&self, statement: &'static str, id: Uuid, of: Uuid) {
        sqlx::query(statement).bind(id).bind(of).execute(self.desk.pool()).await.unwrap();
    }

    async fn text(&self, query: &'static str, of: Uuid) -> String {
        sqlx::query_scalar(query).bind(of).fetch_one(self.desk.pool()).await.unwrap()
    }
}

pub async fn build() -> World {
    let arguments = [
        "--api-requests-per-second",
        "100000",
        "--page-requests-per-second",
        "100000",
        "--connections-per-network",
        "10000",
        "--danger-customer-webhook-allow",
        "127.0.0.0/8",
        "--webhook-allow",
        "127.0.0.0/8",
        // Nobody may wait for a second connection: whoever does so here waits in vain.
        "--database-connections",
        "1",
    ];
    let desk = Desk::on(Platform::start_with(&arguments).await).await;
    let hash = jst_server::auth::password::hash(PASSWORD.to_owned()).await.unwrap();
    let maker = Maker { desk: &desk, hash };
    let (victim, other) = (maker.team("Victim").await, maker.team("Other").await);
    let owner = maker.person("owner@victim.example", &[(victim, "owner")]).await;
    let stranger = maker.person("owner@other.example", &[(other, "owner")]).await;
    let operators = maker.team("Operator").await;
    let admin = maker.person("admin@example.com", &[(operators, "owner")]).await;
    maker.write("UPDATE users SET is_admin = true WHERE id = $1 AND id <> $2", admin, owner).await;
    let mut things = things_of(&maker, victim, owner).await;
    // What only administrators may touch belongs to neither, so that their doings change nothing for the others.
    let bystanders = maker.team("Bystanders").await;
    let bystander = maker.person("owner@bystander.example", &[(bystanders, "owner")]).await;
    for (name, id) in things_of(&maker, bystanders, bystander).await {
        things.insert(of_bystanders(name), id);
    }
    things.extend(of_the_operator(&maker, bystander).await);
    let everything = maker.api(operators, admin, &["write", "admin"]).await;
    let (hook, sent) = webhook(&everything, "/api/v1/admin/webhooks").await;
    things.extend([("any-webhook", hook), ("any-delivery", sent)]);
    let teams = Teams { victim, other, operators };
    let mut principals = people(&maker, teams, owner, stranger, admin).await;
    principals.extend(programs(&maker, &mut things, [victim, bystanders]).await);
    principals.extend(hosts(&desk).await);
    let key: Vec<u8> = sqlx::query_scalar("SELECT id_hash FROM sessions WHERE user_id = $1 LIMIT 1")
        .bind(owner)
        .fetch_one(desk.pool())
        .await
        .unwrap();
    things.insert("session", format!("ses_{}", hex::encode(key)));
    things.insert("console", Uuid::now_v7().to_string());
    World { desk, things, victim, principals }
}

/// Under which name the administration's things go.
fn of_bystanders(name: &'static str) -> &'static str {
    match name {
        "instance" => "any-instance",
        "operation" => "any-operation",
        "invoice" => "any-invoice",
        "payment" => "any-payment",
        "tenant" => "any-tenant",
        "user" => "any-user",
        "appeal" => "any-appeal",
        _ => "unused",
    }
}

/// One of everything that a team, or its owner, can have.
async fn things_of(maker: &Maker<'_>, team: Uuid, owner: Uuid) -> BTreeMap<&'static str, String> {
    let customer = maker.customer(team, owner).await;
    let instance = maker.desk.running(&customer, "web", "small").await;
    let operation = customer.api.get("/api/v1/operations").await.expect(200).json()["items"][0].clone();
    let spare = maker.person(&format!("spare@{team}.example"), &[(team, "viewer")]).await;
    let (_, token) = maker.token(team, owner, &["read"]).await;
    let [key, invitation, passkey, invoice, payment, appeal] = [(); 6].map(|()| Uuid::now_v7());
    maker
        .write(
            "INSERT INTO ssh_keys (id, tenant_id, name, public_key, fingerprint) VALUES ($1, $2, 'k', 'k', $1::text)",
            key,
            team,
        )
        .await;
    maker
        .write(
            "INSERT INTO invitations (id, tenant_id, email, role, token_hash, invited_by, expires_at) \
             SELECT $1, $2, 'guest@example.com', 'viewer', sha256($1::text::bytea), user_id, now() + interval '1 day' \
             FROM memberships WHERE tenant_id = $2 LIMIT 1",
            invitation,
            team,
        )
        .await;
    maker
        .write(
            "INSERT INTO passkeys (id, user_id, name, credential_id, credential) \
             VALUES ($1, $2, 'k', sha256($1::text::bytea), '{}')",
            passkey,
            owner,
        )
        .await;
    maker
        .write(
            "INSERT INTO invoices (id, number, tenant_id, currency, month, time_zone, due_at, net, tax, total, tax_rate, \
             tax_included, issuer, billed_to) SELECT $1, (SELECT count(*) + 1 FROM invoices), $2, currency, '2026-01-01', \
             'UTC', now() + interval '30 days', 0, 0, 0, 0, false, '', '' FROM billing_accounts WHERE tenant_id = $2",
            invoice,
            team,
        )
        .await;
    maker
        .write(
            "INSERT INTO payments (id, tenant_id, currency, provider, amount, created_by, expires_at) \
             SELECT $1, $2, currency, 'stripe', 100, 'test', now() + interval '2 hours' FROM billing_accounts WHERE tenant_id = $2",
            payment,
            team,
        )
        .await;
    maker
        .write(
            "INSERT INTO trial_appeals (id, user_id, reason, message) VALUES ($1, $2, 'device', 'Please.')",
            appeal,
            owner,
        )
        .await;
    let (hook, sent) = webhook(&customer.api, "/api/v1/webhooks").await;
    BTreeMap::from([
        ("instance", instance),
        ("operation", text(&operation["id"]).to_owned()),
        ("tenant", TenantId::from_uuid(team).to_string()),
        ("user", UserId::from_uuid(spare).to_string()),
        ("key", SshKeyId::from_uuid(key).to_string()),
        ("token", TokenId::from_uuid(token).to_string()),
        ("invitation", InvitationId::from_uuid(invitation).to_string()),
        ("passkey", PasskeyId::from_uuid(passkey).to_string()),
        ("invoice", InvoiceId::from_uuid(invoice).to_string()),
        ("payment", PaymentId::from_uuid(payment).to_string()),
        ("appeal", AppealId::from_uuid(appeal).to_string()),
        ("webhook", hook),
        ("delivery", sent),
    ])
}

/// An endpoint, and something that was sent to it.
async fn webhook(api: &Api, path: &str) -> (String, String) {
    let hook = api.post(path, json!({ "url": "http://127.0.0.1:9/", "types": [] })).await.expect(201).json();
    let hook = text(&hook["id"]).to_owned();
    let sent = api.post(&format!("{path}/{hook}/test"), json!({})).await.expect(202).json();
    (hook, text(&sent["id"]).to_owned())
}

/// What the operator has.
async fn of_the_operator(maker: &Maker<'_>, anybody: Uuid) -> BTreeMap<&'static str, String> {
    let pool = maker.desk.pool();
    let [announcement, import, mail, address_pool] = [(); 4].map(|()| Uuid::now_v7());
    maker
        .write(
            "INSERT INTO announcements (id, kind, title_en, title_zh, text_en, text_zh, starts_at, banner) \
             VALUES ($1, 'notice', $2::text, '', '', '', now(), false)",
            announcement,
            anybody,
        )
        .await;
    maker
        .write(
            "INSERT INTO image_imports (id, url, image, state, actor_kind, actor_label) \
             VALUES ($1, 'http://127.0.0.1:9/', jsonb_build_object('slug', 'fetched', 'name', 'Fetched', 'format', 'qcow2'), \
             'failed', 'user', $2::text)",
            import,
            anybody,
        )
        .await;
    maker
        .write(
            "INSERT INTO mail_outbox (id, recipient, subject, body, kind, abandoned_at) \
             VALUES ($1, 'a@example.com', $2::text, '', 'verify', now())",
            mail,
            anybody,
        )
        .await;
    maker
        .write(
            "INSERT INTO address_pools (id, name, network, nameservers, enabled) \
             VALUES ($1, $2::text, '203.0.113.0/28', '{9.9.9.9}', false)",
            address_pool,
            anybody,
        )
        .await;
    let event: i64 = sqlx::query_scalar(
        "INSERT INTO payment_events (provider, event_id, kind, body, state) VALUES ('stripe', 'e', '', '', 'unknown') RETURNING id",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let plan: Uuid =
        sqlx::query_scalar("SELECT id FROM plans WHERE slug = 'huge'").fetch_one(pool).await.unwrap();
    maker
        .write(
            "INSERT INTO images (id, slug, name, sha256, format, file_bytes, virtual_bytes, min_memory_mib) \
             VALUES ($1, 'spare', $2::text, repeat('cd', 32), 'qcow2', 1000, 67108864, 64)",
            import,
            anybody,
        )
        .await;
    let spare = crate::server::instances::desk::add_host(pool, "spare-host", 1024).await;
    BTreeMap::from([
        ("announcement", AnnouncementId::from_uuid(announcement).to_string()),
        ("import", ImageImportId::from_uuid(import).to_string()),
        ("image", ImageId::from_uuid(import).to_string()),
        ("mail", MailId::from_uuid(mail).to_string()),
        ("pool", PoolId::from_uuid(address_pool).to_string()),
        ("plan", PlanId::from_uuid(plan).to_string()),
        ("payment-event", event.to_string()),
        ("host", spare.to_string()),
        ("anybody", UserId::from_uuid(anybody).to_string()),
    ])
}

#[derive(Clone, Copy)]
struct Teams {
    victim: Uuid,
    other: Uuid,
    operators: Uuid,
}

async fn people(maker: &Maker<'_>, teams: Teams, owner: Uuid, stranger: Uuid, admin: Uuid) -> Vec<Principal> {
    use Role::{Operator, Owner, Viewer};
    let Teams { victim, other, operators } = teams;
    let mut all = Vec::new();
    let mut browser = |name, client, who| all.push(Principal { name, door: Door::Browser(client), who });
    let own = |role| Who { role: Some(role), own: true, ..Who::default() };
    let foreign = |role| Who { role: Some(role), ..Who::default() };

    let operator = maker.person("operator@victim.example", &[(victim, "operator")]).await;
    let viewer = maker.person("viewer@victim.example", &[(victim, "viewer")]).await;
    maker.person("operator@other.example", &[(other, "operator")]).await;
    maker.person("viewer@other.example", &[(other, "viewer")]).await;
    maker.person("both@example.com", &[(victim, "owner"), (other, "owner")]).await;
    let left = maker.person("disabled@victim.example", &[(victim, "owner")]).await;
    browser("anonymous", maker.desk.platform.client(), Who::default());
    let signed_in = maker.browser("owner@victim.example").await;
    browser("owner", signed_in.clone(), Who { person: true, ..own(Owner) });
    browser("operator", maker.browser("operator@victim.example").await, own(Operator));
    browser("viewer", maker.browser("viewer@victim.example").await, own(Viewer));
    browser("owner of another team", maker.browser("owner@other.example").await, foreign(Owner));
    browser("operator of another team", maker.browser("operator@other.example").await, foreign(Operator));
    browser("viewer of another team", maker.browser("viewer@other.example").await, foreign(Viewer));
    let both = maker.browser("both@example.com").await;
    let team = TenantId::from_uuid(other).to_string();
    both.post("/tenant", &[("tenant", team.as_str())]).await.expect(303);
    browser("member of both, in the other team", both, foreign(Owner));
    browser("owner of a suspended team", signed_in, Who { person: true, suspended: true, ..own(Owner) });
    let disabled = maker.browser("disabled@victim.example").await;
    let disabled_api = maker.api(victim, left, &["read", "write"]).await;
    maker.write("UPDATE users SET disabled_at = now() WHERE id = $1 AND id <> $2", left, owner).await;
    browser("disabled person", disabled, Who::default());

    let acting = maker.person("acting@example.com", &[(operators, "owner")]).await;
    maker.write("UPDATE users SET is_admin = true WHERE id = $1 AND id <> $2", acting, owner).await;
    browser("administrator", maker.browser("admin@example.com").await, Who { admin: true, ..foreign(Owner) });
    let acts = maker.browser("acting@example.com").await;
    let victim_id = TenantId::from_uuid(victim);
    acts.post(&format!("/admin/customers/{victim_id}/act-for"), &[]).await.expect(303);
    let who = Who { admin: true, acting: true, ..own(Operator) };
    browser("administrator who acts for the team", acts, who);

    let mut token = |name, api, who| all.push(Principal { name, door: Door::Token(api), who });
    let mine = Who { person: true, ..own(Owner) };
    token("read token", maker.api(victim, owner, &["read"]).await, Who { reads_only: true, ..mine });
    token("write token", maker.api(victim, owner, &["write"]).await, mine);
    token(
        "write token of a suspended team",
        maker.api(victim, owner, &["write"]).await,
        Who { suspended: true, ..mine },
    );
    token(
        "members token",
        maker.api(victim, owner, &["write", "members"]).await,
        Who { members: true, ..mine },
    );
    let all_scopes = ["read", "write", "members", "admin"];
    token("operator's token", maker.api(victim, operator, &all_scopes).await, own(Operator));
    let looks = Who { reads_only: true, ..own(Viewer) };
    token("viewer's token", maker.api(victim, viewer, &all_scopes).await, looks);
    // The scope alone makes nobody an administrator.
    token("admin token of no administrator", maker.api(victim, owner, &["write", "admin"]).await, mine);
    let theirs = foreign(Owner);
    let reads = Who { reads_only: true, ..theirs };
    token("read token of another team", maker.api(other, stranger, &["read"]).await, reads);
    token("write token of another team", maker.api(other, stranger, &["read", "write"]).await, theirs);
    token("token of a disabled person", disabled_api, Who::default());
    token("administrator's token without the scope", maker.api(operators, admin, &["write"]).await, theirs);
    let reading = Who { admin: true, reads_only: true, ..theirs };
    token("administrator's read token", maker.api(operators, admin, &["read", "admin"]).await, reading);
    let writing = Who { admin: true, ..theirs };
    token("administrator's write token", maker.api(operators, admin, &["write", "admin"]).await, writing);
    all
}

/// The two billing systems, one of which sells `svc-1`, and who comes by its link.
async fn programs(
    maker: &Maker<'_>,
    things: &mut BTreeMap<&'static str, String>,
    teams: [Uuid; 2],
) -> Vec<Principal> {
    let admin = maker.browser("admin@example.com").await;
    let mut all = Vec::new();
    let page = connect(&admin, "Shop", &ALL).await.expect(200).body;
    let id = page.split("/admin/billing-systems/bsys_").nth(1).expect("its page is linked");
    let system = format!("bsys_{}", &id[..32]);
    let shop = maker.desk.platform.api(&token_in(&page));
    shop.put("/billing/v1/services/svc-1", order(1)).await.expect(202);
    maker.desk.obey().await;
    all.push(by_link(maker, &shop, teams).await);
    let narrow = admin
        .post(
            &format!("/admin/billing-systems/{system}/tokens"),
            &[("scopes", "read"), ("current_password", PASSWORD)],
        )
        .await;
    let narrow = maker.desk.platform.api(&token_in(&narrow.expect(200).body));
    // And one that nobody uses, for whoever revokes it.
    admin
        .post(
            &format!("/admin/billing-systems/{system}/tokens"),
            &[("scopes", "read"), ("current_password", PASSWORD)],
        )
        .await
        .expect(200);
    let elsewhere = connect(&admin, "Another", &ALL).await.expect(200).body;
    let elsewhere = maker.desk.platform.api(&token_in(&elsewhere));
    let system_id = Uuid::parse_str(system.trim_start_matches("bsys_")).unwrap();
    let token = maker
        .text("SELECT replace(id::text, '-', '') FROM billing_system_tokens WHERE system_id = $1 ORDER BY id DESC LIMIT 1", system_id)
        .await;
    let service = shop.get("/billing/v1/services/svc-1").await.expect(200).json();
    things.insert("service", text(&service["id"]).to_owned());
    things.insert("system-token", format!("tok_{token}"));
    things.insert("system", system);
    let scopes = Who { billing: &ALL, own: true, ..Who::default() };
    for (name, api, who) in [
        ("billing system", shop, scopes),
        ("billing system that reads", narrow, Who { billing: &["read"], ..scopes }),
        ("another billing system", elsewhere, Who { own: false, ..scopes }),
    ] {
        all.push(Principal { name, door: Door::BillingToken(api), who });
    }
    all
}

/// A customer of the billing system in a session that its link began, who owns these teams too.
async fn by_link(maker: &Maker<'_>, shop: &Api, teams: [Uuid; 2]) -> Principal {
    for team in teams {
        sqlx::query(
            "INSERT INTO memberships (tenant_id, user_id, role) \
             SELECT $1, id, 'owner' FROM users WHERE email = 'lin@example.com'",
        )
        .bind(team)
        .execute(maker.desk.pool())
        .await
        .unwrap();
    }
    let link = shop.post("/billing/v1/services/svc-1/sso", json!({})).await.expect(201).json();
    let path = text(&link["url"]).split_once("/sso?").expect("a link").1.to_owned();
    let browser = maker.desk.platform.client();
    let inside = browser.get(&format!("/sso?{path}")).await.expect(303).location;
    assert!(inside.starts_with("/instances/"), "{inside}");
    let who = Who { role: Some(Role::Owner), bound: true, ..Who::default() };
    Principal { name: "customer who came by a billing system's link", door: Door::Browser(browser), who }
}

async fn hosts(desk: &Desk) -> Vec<Principal> {
    let host = Who { host: true, ..Who::default() };
    let mine = AgentClient::enrolled(&desk.platform, "host-1").await;
    let another = AgentClient::enrolled(&desk.platform, "host-2").await;
    let without = AgentClient::new(&desk.platform, None);
    vec![
        Principal { name: "host", door: Door::Agent(mine), who: Who { own: true, ..host } },
        Principal { name: "another host", door: Door::Agent(another), who: host },
        Principal { name: "host without a certificate", door: Door::Agent(without), who: Who::default() },
    ]
}
