//! A probe: thousands of random steps of customers, hosts, operators and payment providers, and after each of them the rules
//! of [`rules`].
//!
//! [`SEEDS`] are walked by default, so that a run means the same another time; `JST_PROBE_SEED` is another seed, or `random`.
//! Each takes [`STEPS`], because a step costs 10 to 20 ms and the other tests wait too; before a change of metering, booking or
//! payments is released, `JST_PROBE_STEPS=10000 JST_PROBE_SEED=random` walks further, for two to four minutes.  The platform's workers go on meanwhile, so that a seed says what is done
//! and not how their transactions fall among it.

mod host;
mod purse;
mod rules;

use super::billing::START;
use super::instances::desk::{add_host, policy};
use super::payments::{Counter, waiting};
use host::{Host, Letter};
use jst_protocol::report::Observed;
use jst_server::auth::{Actor, Role, Scopes};
use jst_server::error::{Error, Result};
use jst_server::ids::InstanceId;
use jst_server::instances::create::{self, NewInstance};
use jst_server::instances::delete::{self, When};
use jst_server::instances::power::{self, PowerAction};
use jst_server::instances::rebuild::{self, Rebuild};
use jst_server::instances::{desired, reports, resize};
use jst_server::{billing, worker};
use jst_tests::eventually;
use purse::Purse;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// For each seed.
const STEPS: u32 = 2500;
const SEEDS: [u64; 2] = [1, 12_997_833_628_481_893_278];
/// Instances at a time.
const MOST: usize = 24;
const PLANS: [&str; 4] = ["one", "two", "three", "four"];
/// Seconds between two looks at the accounts.
const CHECK: i64 = 300;

/// All of the platform's statements have the time of the test: what columns are by default, what functions do that name their
/// own search path, and the sessions that are opened from now on.  Each change is kept at once, so that no worker waits for
/// another one.
const CLOCK: [&str; 3] = [
    "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM public.test_clock'",
    "DO $$ DECLARE change text; BEGIN FOR change IN \
         SELECT format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', adrelid::regclass, attname, \
             replace(pg_get_expr(adbin, adrelid), 'now()', 'public.now()')) FROM pg_attrdef \
             JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE pg_get_expr(adbin, adrelid) LIKE '%now()%' \
         UNION ALL SELECT format('ALTER FUNCTION %s SET search_path = public, pg_catalog, pg_temp', oid::regprocedure) \
             FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proconfig::text LIKE '%search_path=%' \
     LOOP EXECUTE change; COMMIT; END LOOP; END $$",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); \
         PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); END $$",
];

struct World {
    counter: Counter,
    random: StdRng,
    hosts: Vec<Host>,
    purses: Vec<Purse>,
    /// Reports that were made so far.
    serial: u64,
    /// Seconds after [`START`].
    now: i64,
    looked_at: i64,
    made: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Order,
    Resize,
    Power,
    Rebuild,
    Delete,
    Undelete,
    /// A grace period is over.
    Expire,
    Hear,
    Act,
    Deliver,
    Repeat,
    /// A guest stops by itself.
    Stop,
    /// A host is lost, or is back.
    Lose,
    Pay,
    Refund,
    Dispute,
    /// The platform looks at the accounts.
    Look,
}

/// How often each comes.
const WEIGHTS: [(Step, u32); 17] = [
    (Step::Order, 5),
    (Step::Resize, 14),
    (Step::Power, 8),
    (Step::Rebuild, 1),
    (Step::Delete, 3),
    (Step::Undelete, 4),
    (Step::Expire, 1),
    (Step::Hear, 12),
    (Step::Act, 24),
    (Step::Deliver, 24),
    (Step::Repeat, 5),
    (Step::Stop, 2),
    (Step::Lose, 1),
    (Step::Pay, 2),
    (Step::Refund, 1),
    (Step::Dispute, 1),
    (Step::Look, 2),
];

impl World {
    async fn open(seed: u64) -> Self {
        let counter = Counter::open().await;
        let desk = &counter.till.desk;
        desk.as_owner(rules::TABLE).await;
        let mut purses = Vec::new();
        for number in 0..6 {
            purses.push(Purse::open(&counter, number).await);
        }
        for statement in CLOCK {
            desk.as_owner(statement).await;
        }
        desk.as_owner("DELETE FROM hosts").await;
        let mut hosts = Vec::new();
        for name in ["probe-1", "probe-2", "probe-3"] {
            hosts.push(Host::new(add_host(desk.pool(), name, 8192).await));
        }
        sqlx::query(
            "UPDATE hosts SET capacity_cpu_millicpu = 6000, overcommit_cpu_permille = 4000, capacity_storage_mib = 16384, \
             capacity_network_kbit = 400000, lease_until = now() + interval '1 year'",
        )
        .execute(desk.pool())
        .await
        .unwrap();
        for (size, slug) in (1..).zip(PLANS) {
            let memory = 256 << (size - 1);
            let mut figures = policy(size, memory, memory / 2, 512 * u64::from(size));
            figures["cpu"]["reservation"] = (250 * size).into();
            for direction in ["inbound", "outbound"] {
                figures["network"][direction]["average"] = (50_000 * size).into();
                figures["network"][direction]["reservation"] = (10_000 * size).into();
            }
            desk.plan(slug, false, figures).await;
            sqlx::query(
                "UPDATE plans SET version = version + 1, price_hourly_usd_micro = $2, price_monthly_usd = 0, \
                 price_hourly_cny_micro = $2 * 7, price_monthly_cny = 0 WHERE slug = $1",
            )
            .bind(slug)
            .bind(i64::from(40_000 * size))
            .execute(desk.pool())
            .await
            .unwrap();
        }
        sqlx::query("UPDATE billing_settings SET first_period = 'hour', credit_limit_usd = 300, suspend_days = 0, remind_days = 0")
            .execute(desk.pool())
            .await
            .unwrap();
        Self {
            counter,
            random: StdRng::seed_from_u64(seed),
            hosts,
            purses,
            serial: 0,
            now: 0,
            looked_at: 0,
            made: 0,
        }
    }

    fn pool(&self) -> &PgPool {
        self.counter.pool()
    }

    fn any(&mut self, below: usize) -> usize {
        self.random.random_range(0..below)
    }

    fn step(&mut self) -> Step {
        let mut left = self.random.random_range(0..WEIGHTS.iter().map(|(_, weight)| weight).sum::<u32>());
        for (step, weight) in WEIGHTS {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return step,
            }
        }
        Step::Look
    }

    /// An instance that is not purged, in the order in which they were made, and whose it is.
    async fn instance(&mut self) -> Option<(Actor, InstanceId)> {
        let all: Vec<(Uuid, Uuid)> =
            sqlx::query_as("SELECT id, tenant_id FROM instances WHERE purged_at IS NULL ORDER BY id")
                .fetch_all(self.pool())
                .await
                .unwrap();
        if all.is_empty() {
            return None;
        }
        let (id, tenant) = all[self.any(all.len())];
        let purse = self.purses.iter().find(|purse| purse.customer.tenant == tenant)?;
        let actor = actor(self.pool(), purse).await;
        Some((actor, InstanceId::from_uuid(id)))
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Order => self.order().await,
            Step::Resize | Step::Power | Step::Rebuild | Step::Delete | Step::Undelete => {
                self.ask(step).await
            }
            Step::Expire => self.expire().await,
            Step::Hear | Step::Act | Step::Deliver | Step::Repeat | Step::Stop | Step::Lose => {
                self.at_a_host(step).await;
            }
            Step::Pay | Step::Refund | Step::Dispute => {
                let purse = self.any(self.purses.len());
                self.purses[purse].tell(&self.counter, step, &mut self.random).await;
            }
            Step::Look => self.look().await,
        }
    }

    async fn order(&mut self) {
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM instances WHERE purged_at IS NULL")
            .fetch_one(self.pool())
            .await
            .unwrap();
        if usize::try_from(live).unwrap() >= MOST {
            return;
        }
        let purse = self.any(self.purses.len());
        let plan = PLANS[self.any(PLANS.len())].to_owned();
        self.made += 1;
        let name = format!("vm-{}", self.made);
        let actor = actor(self.pool(), &self.purses[purse]).await;
        let new = NewInstance { plan, image: "test".into(), name, ..NewInstance::default() };
        answered(create::create(self.counter.till.desk.platform.app(), &actor, new).await);
    }

    /// A refusal is an answer too.
    async fn ask(&mut self, step: Step) {
        let Some((actor, id)) = self.instance().await else { return };
        let (plan, choice, grow) = (PLANS[self.any(PLANS.len())], self.any(4), self.any(3) == 0);
        let app = self.counter.till.desk.platform.app();
        let action =
            [PowerAction::Start, PowerAction::Shutdown, PowerAction::PowerOff, PowerAction::Reboot][choice];
        let when = if choice == 0 { When::Now } else { When::Later };
        let again = Rebuild { image: "test".into(), ..Rebuild::default() };
        answered(match step {
            Step::Resize => resize::resize(app, &actor, id, plan, grow).await,
            Step::Power => power::power(app, &actor, id, action).await,
            Step::Rebuild => rebuild::rebuild(app, &actor, id, again).await,
            Step::Delete => delete::delete(app, &actor, id, when).await,
            _ => delete::undelete(app, &actor, id).await,
        });
    }

    async fn expire(&mut self) {
        sqlx::query(
            "UPDATE instances SET purge_at = now() - interval '1 second', deleted_at = deleted_at - interval '72 hours', \
             first_deleted_at = first_deleted_at - interval '72 hours' WHERE id = (SELECT id FROM instances \
             WHERE deleted_at IS NOT NULL AND tombstone_at IS NULL ORDER BY id LIMIT 1)",
        )
        .execute(self.pool())
        .await
        .unwrap();
        worker::purge::pass(self.counter.till.desk.platform.app().clone()).await.unwrap();
    }

    async fn at_a_host(&mut self, step: Step) {
        let index = self.any(self.hosts.len());
        let back = self.random.random_ratio(1, 3);
        if matches!(step, Step::Lose) {
            self.hosts[index].lost = !(self.hosts[index].lost || back);
            return;
        }
        if self.hosts[index].lost {
            self.hosts[index].lost = self.random.random_ratio(29, 30);
            return;
        }
        match step {
            Step::Hear => {
                let app = self.counter.till.desk.platform.app();
                let told = desired::changed_since(app, self.hosts[index].id, 0).await.unwrap();
                self.hosts[index].hear(told);
            }
            Step::Act | Step::Stop => self.act(index, matches!(step, Step::Stop)).await,
            Step::Deliver => {
                let letter = self.hosts[index].deliver(&mut self.random);
                self.deliver(index, letter).await;
            }
            _ => {
                let letter = self.hosts[index].repeat(&mut self.random);
                self.deliver(index, letter).await;
            }
        }
    }

    async fn act(&mut self, index: usize, stops: bool) {
        let Some(id) = self.hosts[index].any(&mut self.random) else { return };
        let crashed = self.random.random_ratio(1, 2);
        let host = &mut self.hosts[index];
        let guest = host.guests.get_mut(&id).unwrap();
        let report = match (stops, crashed) {
            (true, true) => guest.stop(Observed::Crashed),
            (true, false) => guest.stop(Observed::Stopped),
            (false, _) => guest.act(&mut self.random),
        };
        if let Some(report) = report {
            self.serial += 1;
            host.post(self.serial, report);
        }
        rules::note(self.counter.pool(), &self.hosts[index], id, &self.hosts[index].guests[&id]).await;
    }

    async fn deliver(&mut self, index: usize, letter: Option<Letter>) {
        let Some(letter) = letter else { return };
        let host = self.hosts[index].id;
        let app = self.counter.till.desk.platform.app();
        let refused = reports::apply(app, host, std::slice::from_ref(&letter.report)).await.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        let id = letter.report.id;
        if let Some(guest) = self.hosts[index].guests.get_mut(&id) {
            guest.heard(&letter);
            let gone = guest.is_gone();
            rules::note(self.counter.pool(), &self.hosts[index], id, &self.hosts[index].guests[&id]).await;
            if gone {
                self.hosts[index].guests.remove(&id);
            }
        }
    }

    async fn look(&mut self) {
        billing::entitlement::pass(self.counter.till.desk.platform.app()).await.unwrap();
        self.looked_at = self.now;
    }

    /// Time passes, and accounts are looked at as often as the platform does it.
    async fn pass_time(&mut self) {
        self.now += self.random.random_range(0..60);
        self.counter.till.at(self.now).await;
        if self.now - self.looked_at >= CHECK {
            self.look().await;
        }
    }

    /// Waits until everything that providers told is applied; what failed.
    async fn settled(&self) -> Vec<String> {
        eventually("all events are applied, or one failed", Duration::from_secs(60), || async {
            let failed = rules::failed(self.pool()).await;
            (!failed.is_empty() || waiting(self.pool()).await == 0).then_some(failed)
        })
        .await
    }

    /// What was asked for the instances that are named, and what was delivered of them last.
    async fn said_of(&self, wrong: &str) -> String {
        if wrong.is_empty() {
            return String::new();
        }
        let mut said: Vec<String> = sqlx::query_scalar(
            "SELECT concat('generation ', generation, ': ', kind, ' ', state, ', plan ', slug) FROM operations \
             LEFT JOIN instance_terms USING (instance_id, generation) LEFT JOIN plans ON plans.id = plan_id \
             WHERE $1 LIKE '%' || instance_id || '%' ORDER BY instance_id, generation",
        )
        .bind(wrong)
        .fetch_all(self.pool())
        .await
        .unwrap();
        said.extend(self.hosts.iter().flat_map(|host| host.said_of(wrong)));
        said.join("\n")
    }

    async fn check(&mut self, number: u32) -> Vec<String> {
        let mut broken = rules::failed(self.pool()).await;
        broken.extend(rules::broken(self.pool()).await);
        let time = START + self.now;
        for purse in &mut self.purses {
            broken.extend(purse.broken(self.counter.pool(), time, CHECK).await);
        }
        if number.is_multiple_of(500) {
            broken.extend(self.settled().await);
            broken.extend(rules::broken_over_all_time(self.pool()).await);
            for purse in &self.purses {
                broken.extend(purse.balance_is_wrong(&self.counter).await);
            }
        }
        broken
    }
}

fn answered<T>(answer: Result<T>) {
    if let Err(Error::Internal(error)) = answer {
        panic!("{error:?}");
    }
}

async fn actor(pool: &PgPool, purse: &Purse) -> Actor {
    let suspended = sqlx::query_scalar("SELECT suspended_at IS NOT NULL FROM tenants WHERE id = $1")
        .bind(purse.customer.tenant)
        .fetch_one(pool)
        .await
        .unwrap();
    Actor {
        user_id: purse.customer.user.into(),
        email: purse.email.clone(),
        email_verified: true,
        locale: "en".into(),
        is_admin: false,
        tenant_id: purse.customer.tenant.into(),
        tenant_name: String::new(),
        role: Role::Owner,
        suspended,
        acting: false,
        bound_to: None,
        token: None,
        scopes: Scopes::of_person(Role::Owner, false),
        expires_at: None,
        ip: None,
        request_id: None,
        idempotency_key: None,
    }
}

fn figure<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Nothing is in force that is neither booked nor metered, and nobody owes more than the rules allow, whatever is ordered,
/// changed, deleted, undone, paid, given back and disputed, in whatever order hosts report it.
#[tokio::test(flavor = "multi_thread")]
async fn random_steps_leave_nothing_unbooked_unmetered_or_unpaid() {
    for seed in seeds() {
        walk(seed, figure("JST_PROBE_STEPS").unwrap_or(STEPS)).await;
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("JST_PROBE_SEED").as_deref() {
        Err(_) => SEEDS.to_vec(),
        Ok("random") => vec![rand::random()],
        Ok(seed) => vec![seed.parse().expect("JST_PROBE_SEED is a number, or random")],
    }
}

async fn walk(seed: u64, steps: u32) {
    let mut world = World::open(seed).await;
    let (begun, mut taken) = (Instant::now(), BTreeMap::<Step, u32>::new());
    for number in 1..=steps {
        world.pass_time().await;
        let step = world.step();
        *taken.entry(step).or_default() += 1;
        world.take(step).await;
        let broken = world.check(number).await;
        let wrong = broken.join("\n");
        let said = world.said_of(&wrong).await;
        assert!(broken.is_empty(), "JST_PROBE_SEED={seed}, step {number} ({step:?}):\n{wrong}\n{said}");
    }
    let counted: BTreeMap<String, i64> = sqlx::query_as(
        "SELECT kind || ' ' || state, count(*) FROM operations GROUP BY 1 \
             UNION ALL SELECT 'account suspended', count(*) FROM account_suspensions",
    )
    .fetch_all(world.pool())
    .await
    .unwrap()
    .into_iter()
    .collect();
    println!("JST_PROBE_SEED={seed}: {steps} steps in {:?}\n  {taken:?}\n  {counted:?}", begun.elapsed());
    // The probe must have come to what it is about.
    for what in [
        "create succeeded",
        "resize succeeded",
        "undelete succeeded",
        "delete succeeded",
        "account suspended",
    ] {
        let enough = counted.get(what).is_some_and(|count| *count > i64::from(steps / 5000));
        assert!(enough, "JST_PROBE_SEED={seed}: hardly any '{what}' in {counted:?}");
    }
    world.counter.close().await;
}
