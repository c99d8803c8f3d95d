//! Memory under pressure on a simulated host: fifty guests that were sold more than there is.

use crate::instance;
use crate::server::{Agent, Server};
use jst_agent::config::HypervisorKind;
use jst_policy::lifecycle::Power;
use jst_policy::units::MiB;
use jst_protocol::report::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const GUESTS: usize = 50;
/// Of [`crate::policy`].
const SIZE: u64 = 256;
const RESERVATION: u64 = 128;
/// What the programs of a busy guest use.
const BUSY: u64 = 250;
/// 12,800 MiB were sold of it.
const HOST: u64 = 9000;
/// A 64th of the memory, see `jst_policy::memory::Marks`.
const LOW: u64 = HOST / 64;

struct Lab {
    server: Arc<Server>,
    agent: Agent,
    ids: Vec<Uuid>,
}

async fn full_host() -> Lab {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.sim.delay_ms = 0;
        config.sim.memory_mib = HOST;
        config.timing.memory = 1;
        config.timing.check = 1;
    })
    .await;
    let ids: Vec<Uuid> = (0..GUESTS)
        .map(|_| {
            let wanted = instance(Power::Running);
            server.set(wanted.clone());
            wanted.id
        })
        .collect();
    for id in &ids {
        assert_eq!(server.until_applied(*id, 1, 60).await.observed, Observed::Running);
    }
    Lab { server, agent, ids }
}

impl Lab {
    /// How much memory the guest's programs use.
    fn uses(&self, id: Uuid, mib: u64) {
        std::fs::write(self.agent.config.data_dir.join(format!("sim/guests/{id}.uses")), mib.to_string())
            .unwrap();
    }

    fn left(&self) -> Vec<u64> {
        self.ids
            .iter()
            .map(|id| self.server.report(*id).and_then(|r| r.usage).map_or(0, |u| u.balloon_mib))
            .collect()
    }

    /// Waits until the last reports satisfy `test`, and in none of them is anybody below the reservation.
    async fn until(&self, what: &str, seconds: u64, test: impl Fn(&[u64], &HostLoad) -> bool) -> Vec<u64> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let (left, load) = (self.left(), self.server.load().unwrap_or_default());
            assert!(left.iter().all(|left| *left >= RESERVATION), "{what}: {left:?}");
            if test(&left, &load) {
                return left;
            }
            assert!(Instant::now() < deadline, "{what}: {load:?}, {left:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn sum(left: &[u64]) -> u64 {
    left.iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guests_share_what_was_sold_half_again() {
    let mut lab = full_host().await;
    let left = lab
        .until("pressure ends", 30, |left, load| {
            sum(left) + LOW <= HOST && load.memory_pressure == MemoryPressure::None
        })
        .await;
    // All use half of their memory, and none is left less than that.
    assert!(left.iter().all(|left| *left >= SIZE / 2), "{left:?}");
    lab.until("what is held back is reported", 30, |left, load| {
        load.memory_reclaimed_mib == GUESTS as u64 * SIZE - sum(left) && load.memory_missing_mib == 0
    })
    .await;

    // Ten become busy, half fall asleep: memory moves, and the size that was sold is what is in force.
    let (busy, idle) = (&lab.ids[..10], &lab.ids[25..]);
    busy.iter().for_each(|id| lab.uses(*id, BUSY));
    idle.iter().for_each(|id| lab.uses(*id, 20));
    lab.until("memory moves to the busy", 30, |left, _| {
        left[..10].iter().all(|left| *left >= BUSY) && sum(left) + LOW <= HOST
    })
    .await;
    for id in &lab.ids {
        let report = lab.server.report(*id).unwrap();
        assert_eq!(report.outcome, Outcome::Applied);
        let applied = report.applied.unwrap();
        assert_eq!((applied.policy.memory.size, applied.drift), (MiB(SIZE), vec![]));
    }

    // An agent that starts anew knows nothing, and takes over what it finds.
    lab.agent.stop().await;
    let before = lab.left();
    lab.agent.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = lab
        .until("it goes on", 30, |left, load| load.memory_reclaimed_mib == GUESTS as u64 * SIZE - sum(left))
        .await;
    assert_eq!(before, after, "a restart moved balloons");

    // When twenty are gone there is room for everybody.
    for id in lab.ids.drain(30..).collect::<Vec<_>>() {
        let generation = lab.server.change(id, crate::delete);
        lab.server.until_applied(id, generation, 30).await;
    }
    lab.until("everything is given back", 30, |left, load| {
        left.iter().all(|left| *left == SIZE) && load.memory_reclaimed_mib == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_a_driver_is_left_alone_and_what_is_missing_is_said() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.sim.delay_ms = 0;
        config.sim.memory_mib = 1000;
        config.timing.memory = 1;
    })
    .await;
    std::fs::create_dir_all(agent.config.data_dir.join("sim/guests")).unwrap();
    let ids: Vec<Uuid> = (0..4)
        .map(|_| {
            let wanted = instance(Power::Running);
            // The first three have no driver, and all of them use everything.
            std::fs::write(agent.config.data_dir.join(format!("sim/guests/{}.uses", wanted.id)), "200")
                .unwrap();
            wanted
        })
        .enumerate()
        .map(|(index, wanted)| {
            if index < 3 {
                let file = agent.config.data_dir.join(format!("sim/guests/{}.mute", wanted.id));
                std::fs::write(file, "").unwrap();
            }
            server.set(wanted.clone());
            wanted.id
        })
        .collect();
    for id in &ids {
        server.until_applied(*id, 1, 30).await;
    }
    let lab = Lab { server, agent, ids };
    // 768 MiB are with those that say nothing: the fourth keeps what is left of 1,000 above the low mark of 15.
    let left = lab
        .until("the fourth gives", 30, |left, load| {
            left[3] + 768 + 15 <= 1000 && load.memory_pressure == MemoryPressure::None
        })
        .await;
    assert_eq!(left[..3], [SIZE; 3], "a guest without statistics was touched");
    lab.server.change_spec(lab.ids[3], |spec| spec.policy.memory.reservation = MiB(240));
    lab.until("a reservation that was raised holds, and guests should move", 30, |left, load| {
        left[3] >= 240 && load.memory_missing_mib > 0
    })
    .await;
}
