use super::*;

/// Carries out an action on what was observed, and refuses what a hypervisor refuses.
fn carry_out(wish: &Wish, observed: &mut Observed, action: Action) -> Result<(), String> {
    let running = live(observed).is_some();
    let volume = |observed: &Observed, build| observed.volumes.iter().any(|volume| volume.build == build);
    let must = |condition: bool, why: &str| {
        if condition { Ok(()) } else { Err(format!("{action:?}: {why}")) }
    };
    let stop = |observed: &mut Observed, reason| {
        if let Some(domain) = &mut observed.domain {
            domain.state = DomainState::Stopped(reason);
        }
    };
    match action {
        Action::CreateVolume { build, size } => {
            must(!volume(observed, build), "exists")?;
            observed.volumes.push(Volume { build, size });
            observed.leftovers = true;
        }
        Action::GrowVolume { build, size } => {
            must(!running, "in use")?;
            let volume = observed.volumes.iter_mut().find(|volume| volume.build == build).ok_or("absent")?;
            must(volume.size < size, "a disk never shrinks")?;
            volume.size = size;
        }
        Action::DeleteVolume { build } => {
            let used = observed.domain.as_ref().is_some_and(|domain| domain.build == build);
            must(!(running && used), "in use")?;
            must(build != wish.build || wish.presence == Presence::Deleted, "the customer's data")?;
            observed.volumes.retain(|volume| volume.build != build);
        }
        Action::WriteSeed => observed.seed = true,
        Action::RemoveSeed => observed.seed = false,
        Action::AttachNetwork => {
            observed.network = true;
            if let Some(live) = live_mut(observed) {
                live.network_in_force = true;
            }
        }
        Action::DetachNetwork => {
            must(!running, "in use")?;
            observed.network = false;
        }
        Action::Define => {
            must(!running, "running")?;
            must(volume(observed, wish.build), "no volume")?;
            let state = DomainState::Stopped(StopReason::NotStarted);
            observed.domain = Some(Domain { build: wish.build, state });
        }
        Action::Undefine => {
            must(!running, "running")?;
            observed.domain = None;
        }
        Action::Start => {
            must(wish.hold.is_none(), "held back")?;
            must(wish.presence == Presence::Running, "not wanted")?;
            must(!running, "running")?;
            must(observed.network, "the filters are not there")?;
            must(observed.seed || !wish.needs_seed, "no seed")?;
            let domain = observed.domain.as_mut().ok_or("not defined")?;
            must(domain.build == wish.build, "an old build")?;
            domain.state = DomainState::Running(running_as(wish));
        }
        Action::Shutdown => {
            must(running, "not running")?;
            stop(observed, StopReason::Guest);
        }
        Action::Destroy => {
            must(running, "not running")?;
            stop(observed, StopReason::Destroyed);
        }
        Action::Resume => {
            let live = live(observed).cloned().ok_or("not running")?;
            observed.domain.as_mut().ok_or("absent")?.state = DomainState::Running(live);
        }
        Action::Reboot => must(running, "not running")?,
        Action::SetVcpus(vcpus) => {
            let live = live_mut(observed).ok_or("not running")?;
            must(vcpus <= live.max_vcpus, "no room")?;
            live.vcpus = vcpus;
        }
        Action::SetMemory(memory) => {
            let live = live_mut(observed).ok_or("not running")?;
            must((live.boot_memory..=live.max_memory).contains(&memory), "no room")?;
            live.memory = memory;
        }
        Action::ResizeDisk(size) => {
            must(running, "not running")?;
            let volume =
                observed.volumes.iter_mut().find(|volume| volume.build == wish.build).ok_or("absent")?;
            must(volume.size < size, "a disk never shrinks")?;
            volume.size = size;
        }
        Action::SetCpuLimits => live_mut(observed).ok_or("not running")?.cpu_in_force = true,
        Action::SetDiskLimits => live_mut(observed).ok_or("not running")?.disk_in_force = true,
        Action::DeleteLeftovers => {
            must(observed.volumes.is_empty() && !observed.seed, "something is left in it")?;
            observed.leftovers = false;
        }
    }
    Ok(())
}

fn live_mut(observed: &mut Observed) -> Option<&mut Live> {
    match &mut observed.domain.as_mut()?.state {
        DomainState::Running(live) | DomainState::Paused(live) => Some(live),
        DomainState::Stopped(_) => None,
    }
}

fn running_as(wish: &Wish) -> Live {
    Live {
        vcpus: wish.vcpus,
        max_vcpus: 8,
        memory: wish.memory,
        boot_memory: wish.memory,
        max_memory: MiB(8192),
        cpu_in_force: true,
        disk_in_force: true,
        network_in_force: true,
    }
}

fn wish() -> Wish {
    Wish {
        presence: Presence::Running,
        build: 2,
        vcpus: 2,
        memory: MiB(1024),
        disk: MiB(2048),
        image: MiB(256),
        hold: None,
        needs_seed: false,
        cycle: None,
        untaken: vec![],
    }
}

fn all_wishes() -> Vec<Wish> {
    let mut wishes = Vec::new();
    for presence in [Presence::Running, Presence::Stopped, Presence::Retained, Presence::Deleted] {
        for hold in [None, Some(Hold::LeaseExpired), Some(Hold::StoppedByGuest)] {
            for needs_seed in [false, true] {
                for cycle in [None, Some(Cycle::Reboot), Some(Cycle::PowerCycle), Some(Cycle::PowerOff)] {
                    for untaken in [vec![], vec![Field::Vcpus, Field::Memory]] {
                        wishes.push(Wish { presence, hold, needs_seed, cycle, untaken, ..wish() });
                    }
                }
            }
        }
    }
    wishes
}

fn all_observed() -> Vec<Observed> {
    let as_wished = running_as(&wish());
    let lives = [
        as_wished.clone(),
        Live { vcpus: 1, memory: MiB(512), boot_memory: MiB(512), ..as_wished.clone() },
        Live { vcpus: 1, max_vcpus: 1, max_memory: MiB(512), memory: MiB(512), ..as_wished.clone() },
        Live { cpu_in_force: false, disk_in_force: false, network_in_force: false, ..as_wished },
    ];
    let mut states: Vec<DomainState> =
        [StopReason::NotStarted, StopReason::Guest, StopReason::Destroyed, StopReason::Crashed]
            .map(DomainState::Stopped)
            .into();
    states.extend(lives.iter().cloned().map(DomainState::Running));
    states.push(DomainState::Paused(lives[0].clone()));
    let volumes = [
        vec![],
        vec![Volume { build: 2, size: MiB(2048) }],
        vec![Volume { build: 2, size: MiB(1024) }],
        vec![Volume { build: 1, size: MiB(4096) }],
        vec![Volume { build: 1, size: MiB(1024) }, Volume { build: 2, size: MiB(2048) }],
    ];
    let mut all = Vec::new();
    for volumes in volumes {
        for (network, seed, leftovers) in [(false, false, false), (true, true, true), (true, false, true)] {
            let leftovers = leftovers || !volumes.is_empty();
            all.push(Observed { domain: None, volumes: volumes.clone(), network, seed, leftovers });
            for state in &states {
                for build in [1, 2] {
                    let domain = Domain { build, state: state.clone() };
                    let volumes = volumes.clone();
                    // A running guest has its volume and its network.
                    let running = !matches!(state, DomainState::Stopped(_));
                    if !running || (network && volumes.iter().any(|volume| volume.build == build)) {
                        all.push(Observed { domain: Some(domain), volumes, network, seed, leftovers });
                    }
                }
            }
        }
    }
    all
}

/// Executes plans until one is empty, as the agent does.
fn settle(mut wish: Wish, mut observed: Observed) -> Result<(Wish, Observed, Plan), String> {
    for _ in 0..6 {
        let plan = converge(&wish, &observed);
        if plan.actions.is_empty() {
            return Ok((wish, observed, plan));
        }
        for action in &plan.actions {
            carry_out(&wish, &mut observed, *action)?;
        }
        // What the agent concludes after these actions.
        if plan.actions.iter().any(|action| matches!(action, Action::Reboot | Action::Start)) {
            wish.cycle = None;
        }
    }
    Err(format!("does not settle: {:?}", converge(&wish, &observed)))
}

#[test]
fn every_situation_settles_and_no_action_is_ever_refused() {
    for wish in all_wishes() {
        for observed in all_observed() {
            let context = format!("{wish:?}\n{observed:?}");
            let (wish, settled, plan) =
                settle(wish.clone(), observed).unwrap_or_else(|e| panic!("{e}\n{context}"));
            let running = live(&settled).is_some();
            match wish.presence {
                Presence::Deleted => assert_eq!(settled, Observed::default(), "{context}"),
                Presence::Retained | Presence::Stopped => {
                    assert!(!running && !settled.network, "{context}");
                }
                Presence::Running if wish.hold.is_none() && wish.cycle.is_none() => {
                    let refused = plan.refused.is_some() && settled.volumes.is_empty();
                    assert!(running || refused, "{context}");
                    assert!(plan.held.is_none(), "{context}");
                }
                Presence::Running => assert!(running || !settled.network, "{context}"),
            }
            // A seed is a secret: it goes once it is not needed.
            if matches!(wish.presence, Presence::Running | Presence::Stopped) && !wish.needs_seed {
                assert!(!settled.seed, "{context}");
            }
        }
    }
}

#[test]
fn a_running_guest_is_never_stopped_for_want_of_a_lease() {
    let hold = Some(Hold::LeaseExpired);
    for cycle in [None, Some(Cycle::Reboot), Some(Cycle::PowerCycle)] {
        let wish = Wish { hold, cycle, ..wish() };
        let observed = Observed {
            domain: Some(Domain { build: 2, state: DomainState::Running(running_as(&wish)) }),
            volumes: vec![Volume { build: 2, size: MiB(2048) }],
            network: true,
            ..Observed::default()
        };
        let plan = converge(&wish, &observed);
        assert!(!plan.actions.iter().any(|a| matches!(a, Action::Shutdown | Action::Destroy)), "{plan:?}");
    }
}

#[test]
fn a_rebuild_keeps_the_old_volume_until_the_new_one_exists() {
    let observed = Observed {
        domain: Some(Domain { build: 1, state: DomainState::Running(running_as(&wish())) }),
        volumes: vec![Volume { build: 1, size: MiB(2048) }],
        network: true,
        ..Observed::default()
    };
    let plan = converge(&wish(), &observed);
    assert_eq!(plan.actions, [Action::CreateVolume { build: 2, size: MiB(2048) }, Action::Destroy]);
}

#[test]
fn what_a_running_guest_cannot_take_is_said() {
    let live =
        Live { vcpus: 1, max_vcpus: 1, memory: MiB(2048), boot_memory: MiB(2048), ..running_as(&wish()) };
    let observed = Observed {
        domain: Some(Domain { build: 2, state: DomainState::Running(live) }),
        volumes: vec![Volume { build: 2, size: MiB(2048) }],
        network: true,
        ..Observed::default()
    };
    let plan = converge(&wish(), &observed);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.restart_required, [Field::Vcpus, Field::Memory]);
}

#[test]
fn a_disk_never_shrinks() {
    let observed = Observed { volumes: vec![Volume { build: 2, size: MiB(4096) }], ..Observed::default() };
    let plan = converge(&Wish { presence: Presence::Stopped, ..wish() }, &observed);
    assert_eq!((plan.actions, plan.refused), (vec![], Some(Refusal::DiskNeverShrinks)));
    let plan = converge(&Wish { image: MiB(4096), ..wish() }, &Observed::default());
    assert_eq!((plan.actions, plan.refused), (vec![], Some(Refusal::DiskNeverShrinks)));
}

#[test]
fn the_filters_stand_before_the_guest_starts() {
    let observed = Observed { volumes: vec![Volume { build: 2, size: MiB(2048) }], ..Observed::default() };
    let actions = converge(&wish(), &observed).actions;
    let at = |wanted| actions.iter().position(|action| *action == wanted);
    assert!(at(Action::AttachNetwork) < at(Action::Start) && at(Action::AttachNetwork).is_some());
}
