use super::*;
use jst_policy::instance::*;
use jst_policy::units::{Iops, MilliCpu};
use jst_protocol::desired::*;
use std::sync::Arc;

struct Lab {
    sim: Sim,
    target: Target,
}

fn lab(adjust: impl FnOnce(&mut Config)) -> Lab {
    let data_dir = std::env::temp_dir().join(format!("jst-sim-{}", Uuid::new_v4()));
    let mut config = Config { data_dir, ..Config::default() };
    config.sim.delay_ms = 0;
    config.sim.shutdown_ms = 0;
    adjust(&mut config);
    let policy = ResourcePolicy {
        cpu: CpuPolicy {
            vcpus: 1,
            reservation: MilliCpu(0),
            limit: None,
            shares: Default::default(),
            dedicated: false,
        },
        memory: MemoryPolicy { size: MiB(512), reservation: MiB(0), limit: None, shares: Default::default() },
        disk: DiskPolicy {
            size: MiB(1024),
            reservation: Iops(0),
            shares: Default::default(),
            read: Default::default(),
            write: Default::default(),
        },
        network: NetworkPolicy::default(),
    };
    let spec = InstanceSpec {
        name: "sim".into(),
        hostname: "sim".into(),
        domain: None,
        policy,
        image: ImageRef {
            sha256: "00".repeat(32),
            format: ImageFormat::Qcow2,
            file_bytes: 1,
            virtual_bytes: 1,
        },
        build: 1,
        interfaces: vec![],
        seed: Seed { ssh_keys: vec![], user_data: None },
        firewall: Firewall::default(),
        on_crash: OnCrash::Restart,
        start_order: 0,
    };
    let sim = Sim::open(&config).unwrap();
    let target = Target {
        id: Uuid::now_v7(),
        generation: 1,
        epoch: 1,
        spec: Some(Arc::new(spec)),
        seed: true,
        place: None,
        cpu_weight: Some(100),
        disk_weight: Some(500),
    };
    Lab { sim, target }
}

impl Lab {
    async fn act(&self, action: Action) -> Result<Done, Fault> {
        self.sim.execute(&self.target, action, &|_, _| {}).await
    }

    async fn start(&self) {
        for action in [
            Action::CreateVolume { build: 1, size: MiB(1024) },
            Action::AttachNetwork,
            Action::Define,
            Action::Start,
        ] {
            self.act(action).await.unwrap();
        }
    }

    async fn refused(&self, action: Action) {
        let fault = self.act(action).await.unwrap_err();
        assert_eq!(fault.code, FailureCode::HypervisorRefused, "{action:?}: {fault}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.sim.config.data_dir);
    }
}

#[tokio::test]
async fn it_refuses_what_libvirt_refuses() {
    let lab = lab(|_| {});
    lab.refused(Action::Start).await;
    lab.refused(Action::Define).await;
    lab.refused(Action::GrowVolume { build: 1, size: MiB(2048) }).await;
    lab.start().await;
    for action in [
        Action::Start,
        Action::Define,
        Action::Undefine,
        Action::DetachNetwork,
        Action::GrowVolume { build: 1, size: MiB(2048) },
        Action::DeleteVolume { build: 1 },
        Action::ResizeDisk(MiB(512)),
        Action::SetVcpus(64),
        Action::SetMemory(MiB(1_000_000)),
        Action::SetMemory(MiB(256)),
    ] {
        lab.refused(action).await;
    }
    lab.act(Action::Shutdown).await.unwrap();
    lab.refused(Action::SetVcpus(2)).await;
    lab.refused(Action::DeleteLeftovers).await;
}

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let lab = lab(|_| {});
    lab.start().await;
    let before = lab.sim.observe(&lab.target).unwrap();
    for action in [
        Action::CreateVolume { build: 1, size: MiB(1024) },
        Action::AttachNetwork,
        Action::SetCpuLimits,
        Action::SetDiskLimits,
        Action::SetVcpus(1),
        Action::SetMemory(MiB(512)),
    ] {
        lab.act(action).await.unwrap();
        assert_eq!(lab.sim.observe(&lab.target).unwrap(), before, "{action:?}");
    }
}

/// A guest's weight changes with its neighbours, and is in force when it was set and not before.
#[tokio::test]
async fn a_weight_that_changed_is_in_force_when_it_is_set() {
    let mut lab = lab(|_| {});
    lab.start().await;
    let in_force = |lab: &Lab| live(&lab.sim.observe(&lab.target).unwrap()).unwrap().cpu_in_force;
    assert!(in_force(&lab));
    lab.target.cpu_weight = Some(50);
    assert!(!in_force(&lab));
    assert_eq!(lab.sim.applied(&lab.target).unwrap().drift, ["cpu.shares"]);
    lab.act(Action::SetCpuLimits).await.unwrap();
    assert!(in_force(&lab) && lab.sim.applied(&lab.target).unwrap().drift.is_empty());
    // One that is not wanted any more keeps what it has.
    lab.target.cpu_weight = None;
    assert!(in_force(&lab));

    let in_force = |lab: &Lab| live(&lab.sim.observe(&lab.target).unwrap()).unwrap().disk_in_force;
    assert!(in_force(&lab));
    lab.target.disk_weight = Some(1000);
    assert!(!in_force(&lab));
    assert_eq!(lab.sim.applied(&lab.target).unwrap().drift, ["disk.shares"]);
    lab.act(Action::SetDiskLimits).await.unwrap();
    assert!(in_force(&lab) && lab.sim.applied(&lab.target).unwrap().drift.is_empty());
}

#[tokio::test]
async fn guests_outlive_the_process() {
    let lab = lab(|_| {});
    lab.start().await;
    let again = Sim::open(&lab.sim.config).unwrap();
    assert_eq!(again.observe(&lab.target).unwrap(), lab.sim.observe(&lab.target).unwrap());
}

#[tokio::test]
async fn the_host_has_an_end() {
    let lab = lab(|config| config.sim.memory_mib = 500);
    lab.start().await;
    let mut other = Lab { sim: Sim::open(&lab.sim.config).unwrap(), target: lab.target.clone() };
    other.target.id = Uuid::now_v7();
    for action in [Action::CreateVolume { build: 1, size: MiB(1024) }, Action::AttachNetwork, Action::Define]
    {
        other.act(action).await.unwrap();
    }
    let fault = other.act(Action::Start).await.unwrap_err();
    assert_eq!((fault.code, fault.permanent), (FailureCode::HostMemory, false));
}
