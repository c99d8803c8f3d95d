//! What these tests stand on: a platform with a plan, an image, a pool and a host, customers with
//! tokens, and a host that obeys.

use jst_policy::lifecycle::Power;
use jst_protocol::desired::{DesiredInstance, Presence};
use jst_protocol::report::{ActionReport, Applied, InstanceReport, Observed, Outcome};
use jst_server::ids::{HostId, InstanceId, OperationId};
use jst_server::instances::{desired, reports};
use jst_tests::{Answer, Api, Platform};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgPool};
use uuid::Uuid;

pub struct Desk {
    pub platform: Platform,
    pub host: HostId,
}

/// A customer with an API token.
pub struct Customer {
    pub api: Api,
    pub token: String,
    pub tenant: Uuid,
    pub user: Uuid,
}

/// Figures of a plan; everything else has its default.
pub fn policy(vcpus: u32, memory: u64, reserved: u64, disk: u64) -> Value {
    json!({
        "cpu": { "vcpus": vcpus },
        "memory": { "size": memory, "reservation": reserved },
        "disk": { "size": disk },
        "network": { "inbound": { "average": 100_000 }, "outbound": { "average": 100_000 } },
    })
}

impl Desk {
    /// A host with 64 cores, 64 GiB and 1 TiB; the plans `small` (a trial one, 256 MiB), `large` (1 GiB) and
    /// `huge` (more than the host has); the image `test`; 250 addresses.
    pub async fn open() -> Self {
        Self::on(Platform::start().await).await
    }

    /// The same upon a platform of one's own.
    pub async fn on(platform: Platform) -> Self {
        let host = add_host(platform.app().db.platform(), "host-1", 65_536).await;
        let pool = platform.app().db.platform();
        sqlx::query("INSERT INTO address_pools (id, name, network, nameservers) VALUES ($1, 'v4', '198.51.100.0/24', '{9.9.9.9}')")
            .bind(Uuid::now_v7())
            .execute(pool)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO images (id, slug, name, sha256, format, file_bytes, virtual_bytes, min_memory_mib) \
             VALUES ($1, 'test', 'Test', repeat('ab', 32), 'qcow2', 1000, 67108864, 64)",
        )
        .bind(Uuid::now_v7())
        .execute(pool)
        .await
        .unwrap();
        let desk = Self { platform, host };
        desk.plan("small", true, policy(1, 256, 128, 512)).await;
        desk.plan("large", false, policy(2, 1024, 512, 1024)).await;
        desk.plan("huge", false, policy(2, 1_000_000, 900_000, 1024)).await;
        desk
    }

    pub fn pool(&self) -> &PgPool {
        self.platform.app().db.platform()
    }

    pub async fn plan(&self, slug: &str, trial: bool, policy: Value) {
        sqlx::query(
            "INSERT INTO plans (id, slug, name_en, name_zh, policy, trial, price_monthly_usd, price_monthly_cny) \
             VALUES ($1, $2, $2, $2, $3, $4, 500, 3500)",
        )
        .bind(Uuid::now_v7())
        .bind(slug)
        .bind(policy)
        .bind(trial)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// A customer who may buy.
    pub async fn buyer(&self, email: &str) -> Customer {
        let customer = self.stranger(email).await;
        sqlx::query(
            "UPDATE tenants SET may_buy = true, quota_instances = 1000, quota_vcpus = 4000, quota_memory_mib = 4000000, \
             quota_disk_mib = 40000000 WHERE id = $1",
        )
        .bind(customer.tenant)
        .execute(self.pool())
        .await
        .unwrap();
        customer
    }

    /// A customer whose address is confirmed, and who may not buy.
    pub async fn stranger(&self, email: &str) -> Customer {
        let (tenant, user) = (Uuid::now_v7(), Uuid::now_v7());
        let token = jst_server::auth::token::generate();
        let pool = self.pool();
        sqlx::query("INSERT INTO tenants (id, name) VALUES ($1, $2)")
            .bind(tenant)
            .bind(email)
            .execute(pool)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO users (id, email, email_verified_at, password_hash) VALUES ($1, $2, now(), '')",
        )
        .bind(user)
        .bind(email)
        .execute(pool)
        .await
        .unwrap();
        sqlx::query("INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, 'owner')")
            .bind(tenant)
            .bind(user)
            .execute(pool)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes) \
             VALUES ($1, $2, $3, 't', 't', $4, '{read,write}')",
        )
        .bind(Uuid::now_v7())
        .bind(tenant)
        .bind(user)
        .bind(jst_server::secrets::token_hash(&token))
        .execute(pool)
        .await
        .unwrap();
        Customer { api: self.platform.api(&token), token, tenant, user }
    }

    /// What the host is told about one instance.
    pub async fn told(&self, id: &str) -> Option<DesiredInstance> {
        let uuid = uuid_of(id);
        let all = desired::changed_since(self.platform.app(), self.host, 0).await.unwrap();
        all.into_iter().find(|instance| instance.id == uuid)
    }

    /// The host does everything it is told, and says so.
    pub async fn obey(&self) {
        let told = desired::changed_since(self.platform.app(), self.host, 0).await.unwrap();
        let done: Vec<InstanceReport> = told.iter().map(obeyed).collect();
        self.report(&done).await;
    }

    pub async fn report(&self, reports: &[InstanceReport]) {
        reports::apply(self.platform.app(), self.host, reports).await.unwrap();
    }

    /// An instance of this plan that runs.
    pub async fn running(&self, customer: &Customer, name: &str, plan: &str) -> String {
        let id = customer.create(name, plan).await;
        self.obey().await;
        assert_eq!(customer.instance(&id).await["state"], "running");
        id
    }

    /// Every host's booked figures are the sums of its bookings, and what is booked fits.
    pub async fn books_agree(&self) {
        let wrong: Vec<String> = sqlx::query_scalar(
            "SELECT hosts.name FROM hosts LEFT JOIN bookings ON bookings.host_id = hosts.id GROUP BY hosts.id \
             HAVING booked_cpu_millicpu <> coalesce(sum(bookings.cpu_millicpu), 0) \
                 OR booked_vcpus <> coalesce(sum(bookings.vcpus), 0) \
                 OR booked_memory_reserved_mib <> coalesce(sum(bookings.memory_reserved_mib), 0) \
                 OR booked_memory_size_mib <> coalesce(sum(bookings.memory_size_mib), 0) \
                 OR booked_storage_mib <> coalesce(sum(bookings.storage_mib), 0) \
                 OR booked_network_in_kbit <> coalesce(sum(bookings.network_in_kbit), 0) \
                 OR booked_network_out_kbit <> coalesce(sum(bookings.network_out_kbit), 0) \
                 OR booked_dedicated_cores <> coalesce(sum(bookings.dedicated_cores), 0) \
                 OR booked_disk_iops <> coalesce(sum(bookings.disk_iops), 0) \
                 OR booked_memory_reserved_mib > capacity_memory_mib",
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "booked figures are not the sums of the bookings");
    }

    /// As who owns the tables, whom the server never is.
    pub async fn as_owner(&self, statements: &'static str) {
        let options = self.pool().connect_options();
        let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
        connection.execute(statements).await.unwrap();
        connection.close().await.unwrap();
    }

    /// From now on the database can be made to refuse whatever is written about one thing.
    pub async fn make_poisonable(&self) {
        self.as_owner(
            "CREATE TABLE poison (id text PRIMARY KEY); GRANT SELECT, INSERT, DELETE ON poison TO jst_platform; \
             CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ \
             DECLARE written jsonb := to_jsonb(NEW); BEGIN \
                 IF EXISTS (SELECT FROM public.poison \
                     WHERE poison.id IN (written ->> 'id', written ->> 'instance_id', written ->> 'tenant_id')) THEN \
                     RAISE check_violation USING MESSAGE = 'this instance is refused', CONSTRAINT = 'poison'; \
                 END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse_poison BEFORE UPDATE ON instances FOR EACH ROW EXECUTE FUNCTION refuse_poison(); \
             CREATE TRIGGER refuse_poison BEFORE UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION refuse_poison(); \
             CREATE TRIGGER refuse_poison BEFORE UPDATE ON trials FOR EACH ROW EXECUTE FUNCTION refuse_poison(); \
             CREATE TRIGGER refuse_poison BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION refuse_poison(); \
             CREATE TRIGGER refuse_poison BEFORE UPDATE ON billing_accounts FOR EACH ROW EXECUTE FUNCTION refuse_poison(); \
             CREATE TRIGGER refuse_poison BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION refuse_poison()",
        )
        .await;
    }

    pub async fn poison(&self, id: Uuid) {
        sqlx::query("INSERT INTO poison VALUES ($1)")
            .bind(id.to_string())
            .execute(self.pool())
            .await
            .unwrap();
    }

    /// Makes something due and one of it impossible in the same moment: the platform's own workers look all the time.
    pub async fn poison_with(&self, id: Uuid, statement: &str) {
        let mut tx = self.pool().begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await.unwrap();
        sqlx::query("INSERT INTO poison VALUES ($1)").bind(id.to_string()).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn heal(&self) {
        sqlx::query("DELETE FROM poison").execute(self.pool()).await.unwrap();
    }

    /// What was set aside is due again now.
    pub async fn wait_is_over(&self) {
        sqlx::query("UPDATE set_aside SET next_at = now()").execute(self.pool()).await.unwrap();
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }

    /// The data of the newest event of this kind.
    pub async fn event(&self, action: &str) -> Option<Value> {
        sqlx::query_scalar("SELECT data FROM events WHERE action = $1 ORDER BY id DESC LIMIT 1")
            .bind(action)
            .fetch_optional(self.pool())
            .await
            .unwrap()
    }
}

/// A simulated host that can do everything, with a lease for the whole test.
pub async fn add_host(pool: &PgPool, name: &str, memory: i64) -> HostId {
    let host = HostId::new();
    let capabilities: Vec<String> = jst_policy::placement::Capability::ALL
        .into_iter()
        .map(|capability| serde_json::to_value(capability).unwrap().as_str().unwrap().to_owned())
        .collect();
    sqlx::query(
        "INSERT INTO hosts (id, name, qualification, capabilities, lease_until, capacity_cpu_millicpu, capacity_memory_mib, \
         capacity_storage_mib, capacity_network_kbit) \
         VALUES ($1, $2, 'simulated', $3, now() + interval '1 day', 64000, $4, 1048576, 10000000)",
    )
    .bind(host.uuid())
    .bind(name)
    .bind(capabilities)
    .bind(memory)
    .execute(pool)
    .await
    .unwrap();
    host
}

/// The report of a host that has done what it was told.
pub fn obeyed(told: &DesiredInstance) -> InstanceReport {
    let (observed, applied) = match &told.presence {
        Presence::Present { power: Power::Running, spec } => {
            (Observed::Running, Some(Applied { policy: spec.policy.clone(), drift: Vec::new() }))
        }
        Presence::Present { power: Power::Stopped, .. } | Presence::Retained { .. } => {
            (Observed::Stopped, None)
        }
        Presence::Deleted => (Observed::Absent, None),
    };
    InstanceReport {
        id: told.id,
        epoch: told.epoch,
        generation: told.generation,
        observed,
        outcome: Outcome::Applied,
        actions: told
            .actions
            .iter()
            .map(|action| ActionReport { id: action.id, outcome: Outcome::Applied })
            .collect(),
        applied,
        usage: None,
    }
}

pub fn uuid_of(id: &str) -> Uuid {
    id.parse::<InstanceId>()
        .map(InstanceId::uuid)
        .or_else(|_| id.parse::<OperationId>().map(OperationId::uuid))
        .unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The codes of a 422, by field.
pub fn field_errors(answer: &Answer) -> Vec<(String, String)> {
    answer.json()["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("no errors in {}", answer.body))
        .iter()
        .map(|error| (text(&error["field"]).to_owned(), text(&error["code"]).to_owned()))
        .collect()
}

impl Customer {
    pub async fn try_create(&self, name: &str, plan: &str) -> Answer {
        self.api.post("/api/v1/instances", json!({ "name": name, "plan": plan, "image": "test" })).await
    }

    /// The id of a new instance.
    pub async fn create(&self, name: &str, plan: &str) -> String {
        text(&self.try_create(name, plan).await.expect(202).json()["instance_id"]).to_owned()
    }

    pub async fn instance(&self, id: &str) -> Value {
        self.api.get(&format!("/api/v1/instances/{id}")).await.expect(200).json()
    }

    pub async fn operation(&self, id: &str) -> Value {
        self.api.get(&format!("/api/v1/operations/{id}")).await.expect(200).json()
    }

    pub async fn act(&self, id: &str, action: &str, body: Value) -> Answer {
        self.api.post(&format!("/api/v1/instances/{id}/actions/{action}"), body).await
    }

    /// Asks for an action that is accepted; the operation's id.
    pub async fn asked(&self, id: &str, action: &str) -> String {
        text(&self.act(id, action, json!({})).await.expect(202).json()["id"]).to_owned()
    }
}
