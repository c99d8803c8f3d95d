use crate::server::{Agent, Server};
use crate::{delete, instance, set_power};
use jst_agent::config::HypervisorKind;
use jst_policy::lifecycle::Power;
use jst_policy::units::{Iops, MiB, MilliCpu};
use jst_protocol::desired::{ConsoleKind, ConsoleRequest, OneShot, OneShotKind, Presence};
use jst_protocol::report::*;
use std::time::Duration;
use uuid::Uuid;

async fn simulated() -> (std::sync::Arc<Server>, Agent) {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| config.sim.delay_ms = 30).await;
    (server, agent)
}

async fn running(server: &Server) -> Uuid {
    let wanted = instance(Power::Running);
    server.set(wanted.clone());
    let report = server.until_applied(wanted.id, 1, 10).await;
    assert_eq!(report.observed, Observed::Running);
    wanted.id
}

fn act_as_guest(agent: &Agent, id: Uuid, what: &str) {
    std::fs::write(agent.config.data_dir.join(format!("sim/guests/{id}.{what}")), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_lives_from_creation_to_deletion() {
    let (server, _agent) = simulated().await;
    let id = running(&server).await;
    assert!(
        server
            .history(id)
            .iter()
            .any(|r| matches!(r.outcome, Outcome::Progress { step: Step::FetchingImage, .. }))
    );

    let generation = server.change_spec(id, |spec| {
        spec.policy.cpu.vcpus = 2;
        spec.policy.memory.size = MiB(512);
        spec.policy.disk.size = MiB(1024);
    });
    let report = server.until_applied(id, generation, 10).await;
    assert_eq!(report.applied.unwrap().policy.memory.size, MiB(512));

    let generation = server.change_spec(id, |spec| spec.policy.memory.size = MiB(16_384));
    let report = server
        .until(id, 10, |r| r.generation == generation && !matches!(r.outcome, Outcome::Progress { .. }))
        .await;
    assert_eq!(report.outcome, Outcome::RestartRequired { fields: vec!["memory.size".into()] });

    let action = Uuid::now_v7();
    let generation =
        server.change(id, |i| i.actions = vec![OneShot { id: action, kind: OneShotKind::PowerCycle }]);
    let report = server.until_applied(id, generation, 10).await;
    assert_eq!(report.actions, vec![ActionReport { id: action, outcome: Outcome::Applied }]);

    let generation = server.change(id, |i| set_power(i, Power::Stopped));
    assert_eq!(server.until_applied(id, generation, 10).await.observed, Observed::Stopped);

    let generation = server.change(id, delete);
    assert_eq!(server.until_applied(id, generation, 10).await.observed, Observed::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_off_stays_off_until_a_newer_generation() {
    let (server, agent) = simulated().await;
    let id = running(&server).await;
    act_as_guest(&agent, id, "poweroff");
    server.until(id, 10, |r| r.observed == Observed::Stopped && r.outcome == Outcome::Applied).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.report(id).unwrap().observed, Observed::Stopped);
    let generation = server.change(id, |_| {});
    assert_eq!(server.until_applied(id, generation, 10).await.observed, Observed::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_crashes_is_restarted_to_a_ceiling() {
    let (server, agent) = simulated().await;
    let id = running(&server).await;
    for _ in 0..2 {
        let before = server.history(id).len();
        act_as_guest(&agent, id, "crash");
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.until(id, 10, |r| r.observed == Observed::Running && r.outcome == Outcome::Applied).await;
        assert!(server.history(id)[before..].iter().any(|r| r.observed == Observed::Crashed));
    }
    act_as_guest(&agent, id, "crash");
    server.until(id, 10, |r| r.observed == Observed::Crashed && r.outcome == Outcome::Applied).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.report(id).unwrap().observed, Observed::Crashed);
    let generation = server.change(id, |_| {});
    assert_eq!(server.until_applied(id, generation, 10).await.observed, Observed::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_never_heard_of_fails_for_good() {
    let server = Server::start().await;
    let _agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.sim.silent = true;
        config.timing.boot = 2;
    })
    .await;
    let wanted = instance(Power::Running);
    server.set(wanted.clone());
    let report = server.until(wanted.id, 10, |r| matches!(r.outcome, Outcome::Failed { .. })).await;
    let Outcome::Failed { code, permanent, .. } = report.outcome else { panic!("{report:?}") };
    assert_eq!((code, permanent), (FailureCode::GuestDidNotBoot, true));
    let history = server.history(wanted.id);
    assert!(history.iter().any(|r| matches!(r.outcome, Outcome::Progress { step: Step::Booting, .. })));
    assert!(history.iter().all(|r| r.outcome != Outcome::Applied), "it was said to be in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_reported_as_seen_or_not_seen_on_the_network() {
    for unreachable in [false, true] {
        let server = Server::start().await;
        let _agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
            config.sim.unreachable = unreachable;
            config.timing.boot = 2;
            config.timing.usage = 1;
        })
        .await;
        let id = running(&server).await;
        let seen = |report: &InstanceReport| report.usage.and_then(|usage| usage.network_seen);
        let report = server.until(id, 20, |report| seen(report).is_some()).await;
        assert_eq!((seen(&report), &report.outcome), (Some(!unreachable), &Outcome::Applied));
        let told = server.history(id).iter().filter_map(seen).collect::<Vec<_>>();
        assert!(told.iter().all(|told| *told != unreachable), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_finds_everything_again() {
    let (server, mut agent) = simulated().await;
    let id = running(&server).await;
    agent.stop().await;
    let generation = server.change_spec(id, |spec| spec.policy.cpu.vcpus = 3);
    let gone = running_later(&server);
    agent.start();
    server.until_applied(id, generation, 10).await;
    server.until_applied(gone, 1, 10).await;
    let before = server.history(id).len();
    assert!(before > 0);
}

fn running_later(server: &Server) -> Uuid {
    let wanted = instance(Power::Running);
    server.set(wanted.clone());
    wanted.id
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_of_the_host_guests_start_in_their_order() {
    let (server, mut agent) = simulated().await;
    let mut ids = Vec::new();
    for order in [2, 0, 1] {
        let mut wanted = instance(Power::Running);
        if let Presence::Present { spec, .. } = &mut wanted.presence {
            spec.start_order = order;
        }
        server.set(wanted.clone());
        server.until_applied(wanted.id, 1, 10).await;
        ids.push((order, wanted.id));
    }
    agent.stop().await;
    for (_, id) in &ids {
        act_as_guest(&agent, *id, "reboot");
    }
    let before = server.told().len();
    agent.start();
    let up = |told: &[(Uuid, Observed)]| -> Vec<Uuid> {
        let mut up = Vec::new();
        for (id, observed) in told {
            if *observed == Observed::Running && !up.contains(id) {
                up.push(*id);
            }
        }
        up
    };
    let waited = std::time::Instant::now();
    while up(&server.told()[before..]).len() < ids.len() {
        assert!(waited.elapsed() < Duration::from_secs(20), "they did not all start again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ids.sort_unstable();
    let wanted: Vec<Uuid> = ids.into_iter().map(|(_, id)| id).collect();
    assert_eq!(up(&server.told()[before..]), wanted, "they started in another order");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_nothing_is_started_and_nothing_is_stopped() {
    let (server, mut agent) = simulated().await;
    let id = running(&server).await;
    server.set_away(true);
    agent.stop().await;
    agent.start();
    act_as_guest(&agent, id, "crash");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let file = agent.config.data_dir.join(format!("sim/{id}.json"));
    assert!(std::fs::read_to_string(&file).unwrap().contains("Crashed"), "it must not be restarted");
    server.set_away(false);
    server.until(id, 15, |r| r.observed == Observed::Running && r.outcome == Outcome::Applied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_answered_again_until_it_is_listed_no_more() {
    let (server, agent) = simulated().await;
    let id = running(&server).await;
    let generation = server.change(id, delete);
    server.until_applied(id, generation, 10).await;
    // The server has the answer before the agent has the receipt.  Told again in between, the tombstone
    // is the one that the receipt is for.
    let kept = agent.config.data_dir.join(format!("ledger/{id}.json"));
    let waited = std::time::Instant::now();
    while kept.exists() {
        assert!(waited.elapsed() < Duration::from_secs(10), "the acknowledged tombstone was not buried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = server.history(id).len();
    server.set(jst_protocol::desired::DesiredInstance {
        id,
        generation,
        epoch: 1,
        presence: Presence::Deleted,
        actions: vec![],
    });
    let waited = std::time::Instant::now();
    while server.history(id).len() == before {
        assert!(waited.elapsed() < Duration::from_secs(10), "the repeated tombstone was not answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.report(id).unwrap().observed, Observed::Absent);
    // A late document from before its deletion brings nothing back.
    let mut late = instance(Power::Running);
    late.id = id;
    server.set(late);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.report(id).unwrap().observed, Observed::Absent);
}

/// One core and one disk for two guests: each has its part of them when the other is there, soon after it came or went, and
/// without a word of the server to the one that stayed.
#[tokio::test(flavor = "multi_thread")]
async fn a_weight_follows_the_neighbours() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.sim.delay_ms = 30;
        config.sim.cpus = 1;
        config.storage.iops = Some(Iops(1000));
        // So that it is the neighbours, and not the clock, that it follows.
        config.timing.check = 600;
    })
    .await;
    let of = |id: Uuid, weight: &str| {
        let file = std::fs::read_to_string(agent.config.data_dir.join(format!("sim/{id}.json"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&file).unwrap()[weight].as_u64()
    };
    // Of its processors and of its disk.
    let weights = |id: Uuid| (of(id, "weight"), of(id, "disk_weight"));
    let becomes = async |id: Uuid, processors: u64, disk: u64| {
        let (begun, wanted) = (std::time::Instant::now(), (Some(processors), Some(disk)));
        while weights(id) != wanted {
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?} and not {wanted:?}", weights(id));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first = running(&server).await;
    assert_eq!(weights(first), (Some(2000), Some(1000)));

    let mut wanted = instance(Power::Running);
    if let Presence::Present { spec, .. } = &mut wanted.presence {
        // 100 and 300 are guaranteed; of the other 600 the first gets a third.
        spec.policy.cpu.reservation = MilliCpu(300);
        spec.policy.cpu.shares = jst_policy::claim::Shares::High;
        // 400 are guaranteed; of the other 600 the first gets a third.
        spec.policy.disk.reservation = Iops(400);
        spec.policy.disk.shares = jst_policy::claim::Shares::High;
    }
    let second = wanted.id;
    server.set(wanted);
    server.until_applied(second, 1, 10).await;
    assert_eq!(weights(second), (Some(2 * (300 + 400)), Some(1000)));
    becomes(first, 2 * (100 + 200), 1000 * 200 / (400 + 400)).await;

    let generation = server.change(second, |i| set_power(i, Power::Stopped));
    server.until_applied(second, generation, 10).await;
    becomes(first, 2000, 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_guests_settle() {
    let server = Server::start().await;
    let _agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| config.sim.delay_ms = 0).await;
    let ids: Vec<Uuid> = (0..500).map(|_| running_later(&server)).collect();
    for id in ids {
        server.until_applied(id, 1, 120).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_is_dialled_once_and_where_the_person_waits() {
    let (server, _agent) = simulated().await;
    let instance = running(&server).await;
    let replica = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", replica.local_addr().unwrap());
    let request =
        ConsoleRequest { id: Uuid::now_v7(), instance, kind: ConsoleKind::Serial, server: Some(address) };
    server.ask_for_console(request.clone());
    let soon = Duration::from_secs(5);
    let (mut stream, _) =
        tokio::time::timeout(soon, replica.accept()).await.expect("the agent dials").unwrap();
    // It speaks TLS before anything else: whoever has no certificate of the authority learns nothing.
    let mut first = [0; 3];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    assert_eq!(first[..2], [22, 3], "a TLS handshake");
    drop(stream);
    // Every document that comes while the person waits names the request again.
    server.change(instance, |_| {});
    server.ask_for_console(request);
    let again = tokio::time::timeout(Duration::from_secs(2), replica.accept()).await;
    assert!(again.is_err(), "once is enough");
}
