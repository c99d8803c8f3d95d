//! The memory of simulated guests.  Each has touched all that the balloon leaves it, uses half of its
//! size, and follows the balloon at once.

use super::{Machine, Sim};
use crate::hypervisor::{Fault, GuestMemory};
use jst_policy::memory::Statistics;
use jst_policy::units::MiB;
use jst_protocol::desired::HostSettings;
use std::sync::atomic::Ordering;
use uuid::Uuid;

impl Sim {
    pub fn host_memory(&self) -> (MiB, MiB) {
        let total = MiB(self.config.sim.memory_mib);
        let used: MiB = self.lock().values().map(Machine::left).sum();
        (total, total.saturating_sub(used))
    }

    pub fn guest_memory(&self) -> Vec<GuestMemory> {
        let machines = self.lock();
        let running =
            machines.iter().filter_map(|(id, machine)| Some((*id, machine, machine.policy.as_ref()?)));
        running
            .map(|(id, machine, policy)| {
                let left = machine.left();
                let usable = left.saturating_sub(self.working_set(id, policy.memory.size));
                let mute = self.directory.join(format!("guests/{id}.mute")).exists();
                GuestMemory {
                    id,
                    size: policy.memory.size,
                    plugged: MiB::ZERO,
                    left,
                    mergeable: machine.mergeable,
                    resident: left,
                    statistics: (!mute).then_some(Statistics { usable, age_seconds: 0 }),
                }
            })
            .collect()
    }

    pub fn adopt(&self, host: &HostSettings) {
        self.page_merging.store(host.page_merging, Ordering::Relaxed);
    }

    pub fn set_balloon(&self, id: Uuid, target: MiB) -> Result<(), Fault> {
        self.change(id, |machine| {
            if let Some(policy) = &machine.policy {
                machine.held = policy.memory.size.saturating_sub(target);
            }
        })
    }

    /// What the guest's programs use: half of its size, or what a test says.
    pub(super) fn working_set(&self, id: Uuid, size: MiB) -> MiB {
        let said = std::fs::read_to_string(self.directory.join(format!("guests/{id}.uses")));
        said.ok().and_then(|text| text.trim().parse().ok()).map_or(MiB(size.get() / 2), MiB)
    }
}

impl Machine {
    /// What the balloon leaves the guest; nothing while it is stopped.
    pub(super) fn left(&self) -> MiB {
        self.policy.as_ref().map_or(MiB::ZERO, |policy| policy.memory.size.saturating_sub(self.held))
    }
}
