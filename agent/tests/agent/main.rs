//! The agent against a server that tests steer: simulated guests everywhere, real ones where the
//! machine has libvirt and an image.

mod binary;
mod libvirt;
mod memory;
mod merging;
mod power;
mod server;
mod sim;

use jst_policy::instance::*;
use jst_policy::lifecycle::Power;
use jst_policy::units::*;
use jst_protocol::desired::*;
use uuid::Uuid;

pub fn policy() -> ResourcePolicy {
    ResourcePolicy {
        cpu: CpuPolicy {
            vcpus: 1,
            reservation: MilliCpu(100),
            limit: None,
            shares: Default::default(),
            dedicated: false,
        },
        memory: MemoryPolicy {
            size: MiB(256),
            reservation: MiB(128),
            limit: None,
            shares: Default::default(),
        },
        disk: DiskPolicy {
            size: MiB(512),
            reservation: Iops(0),
            shares: Default::default(),
            read: DiskLimits::default(),
            write: DiskLimits::default(),
        },
        network: NetworkPolicy::default(),
    }
}

pub fn instance(power: Power) -> DesiredInstance {
    DesiredInstance {
        id: Uuid::now_v7(),
        generation: 1,
        epoch: 1,
        presence: Presence::Present {
            power,
            spec: InstanceSpec {
                name: "test".into(),
                hostname: "test".into(),
                domain: None,
                policy: policy(),
                image: ImageRef {
                    sha256: "00".repeat(32),
                    format: ImageFormat::Qcow2,
                    file_bytes: 1,
                    virtual_bytes: 256 * 1024 * 1024,
                },
                build: 1,
                interfaces: vec![],
                seed: Seed { ssh_keys: vec![], user_data: None },
                firewall: Firewall::default(),
                on_crash: OnCrash::Restart,
                start_order: 0,
            },
        },
        actions: vec![],
    }
}

pub fn set_power(instance: &mut DesiredInstance, to: Power) {
    match &mut instance.presence {
        Presence::Present { power, .. } => *power = to,
        _ => panic!("not present"),
    }
}

pub fn delete(instance: &mut DesiredInstance) {
    instance.presence = Presence::Deleted;
}
