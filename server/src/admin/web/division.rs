//! How a host is divided among its guests: what is guaranteed to each, what each uses of it, what it lends to its
//! neighbours meanwhile, and what it borrows beyond it.
//!
//! ```text
//!   reserved by a guest     in use beyond reservations
//!  |used......|lent......| |borrowed|  free
//! ```
//!
//! What is used is each guest's latest sample, of a minute or two ago.

use super::{Bar, percent};
use crate::admin::db::instances::InstanceRow;
use crate::hosts::Host;
use crate::ids::InstanceId;
use crate::instances::samples::figure::{Figure, Figures};
use crate::web::format;
use crate::web::page::Page;
use jst_policy::admission::{Booking, Resource};
use jst_protocol::report::{HostLoad, MemoryPressure};
use std::collections::HashMap;

/// The latest sample of each guest that has one.
pub type Samples = HashMap<InstanceId, Figures>;

/// One guest in a bar that shows all of them; positions and widths in per cent.
pub struct Guest {
    pub x: f64,
    pub reserved: f64,
    pub used: f64,
    /// Of its reservation, to neighbours.
    pub lent: f64,
    pub name: String,
    pub href: String,
}

pub struct Stack {
    pub label: String,
    pub value: String,
    pub text: String,
    pub guests: Vec<Guest>,
    /// What guests together use beyond their reservations: where it begins, and its width.
    pub borrowed: (f64, f64),
}

/// What one guest has and uses of a resource.
struct Part<'a> {
    instance: &'a InstanceRow,
    reserved: u64,
    /// Absent where nothing was measured lately.
    used: Option<u64>,
    /// What it does not use is there for others.
    lends: bool,
}

/// Processors, memory and both directions of the uplink.
pub fn stacks(page: &Page, host: &Host, instances: &[InstanceRow], samples: &Samples) -> Vec<Stack> {
    let used = |instance: &InstanceRow, figure| {
        samples.get(&instance.id).and_then(|figures| figures[figure]).map(|value| value.max(0.0) as u64)
    };
    let capacity = &host.capacity;
    let cores = |millicpu: u64| format!("{} vCPU", format::cores(millicpu));
    let parts = |reserved: &dyn Fn(&Booking) -> u64, figure: Figure| -> Vec<Part<'_>> {
        let parts = instances.iter().map(|instance| Part {
            instance,
            reserved: reserved(&Booking::of(&instance.policy)),
            used: used(instance, figure),
            // Nobody else may run on a dedicated guest's cores.
            lends: figure != Figure::CpuUsed || !instance.policy.cpu.dedicated,
        });
        parts.collect()
    };
    // Where nothing was measured lately nothing is said of it.
    let all = |figure: Figure| -> Option<u64> {
        let values = samples.values().filter_map(|figures| figures[figure]);
        (!samples.is_empty()).then(|| values.map(|value| value.max(0.0) as u64).sum())
    };
    let booked = &host.booked;
    let cpu = (capacity.cpu.get(), booked.cpu_reservation.get(), all(Figure::CpuUsed));
    let memory = (capacity.memory.get(), booked.memory_reservation.get(), all(Figure::MemoryUsed));
    let inbound = (capacity.uplink.get(), booked.network_reservation_in.get(), all(Figure::NetworkIn));
    let outbound = (capacity.uplink.get(), booked.network_reservation_out.get(), all(Figure::NetworkOut));
    let cpu_parts = parts(&|booking| booking.cpu_reservation.get(), Figure::CpuUsed);
    // As it is booked: with the overhead of the guest's process.
    let memory_parts = parts(&|booking| booking.memory_reservation.get(), Figure::MemoryUsed);
    let inbound_parts = parts(&|booking| booking.network_reservation_in.get(), Figure::NetworkIn);
    let outbound_parts = parts(&|booking| booking.network_reservation_out.get(), Figure::NetworkOut);
    vec![
        stack(page, "policy-cpu", cpu, &cpu_parts, &cores),
        stack(page, "policy-memory", memory, &memory_parts, &format::mib),
        stack(page, "policy-inbound", inbound, &inbound_parts, &format::kbit),
        stack(page, "policy-outbound", outbound, &outbound_parts, &format::kbit),
    ]
}

/// Guests side by side in one bar.
///
/// What is guaranteed is what is booked, and all samples are counted, also where there are more guests than are drawn.
fn stack(
    page: &Page,
    label: &str,
    (whole, booked, used): (u64, u64, Option<u64>),
    parts: &[Part<'_>],
    figure: &dyn Fn(u64) -> String,
) -> Stack {
    let mut x = 0.0;
    let mut guests = Vec::with_capacity(parts.len());
    for Part { instance, reserved, used, lends } in parts {
        let width = percent(*reserved, whole).min(100.0 - x);
        let within = percent(used.unwrap_or(0).min(*reserved), whole).min(width);
        let words = match used {
            Some(used) => page.t2("admin-host-bar", "booked", figure(*reserved), "used", figure(*used)),
            None => page.t1("admin-host-bar-booked", "booked", figure(*reserved)),
        };
        guests.push(Guest {
            x,
            reserved: width,
            used: within,
            lent: if *lends && used.is_some() { (width - within).max(0.0) } else { 0.0 },
            name: format!("{} ({}): {words}", instance.name, instance.tenant_name),
            href: format!("/admin/instances/{}", instance.id),
        });
        x += width;
    }
    let beyond = |part: &Part<'_>| part.used.unwrap_or(0).saturating_sub(part.reserved);
    let borrowed: u64 = parts.iter().map(beyond).sum();
    let text = if whole == 0 {
        // Of an uplink whose rate nobody has said or measured, nothing is a share.
        page.t("admin-host-bar-unknown")
    } else {
        let guaranteed = page.t2("admin-host-guaranteed", "part", figure(booked), "whole", figure(whole));
        let now = used.map(|used| {
            let in_use = page.t2("admin-host-in-use", "used", figure(used), "borrowed", figure(borrowed));
            let idle = page.t1("admin-host-idle", "idle", figure(whole.saturating_sub(used)));
            format!(" {in_use} {idle}")
        });
        guaranteed + &now.unwrap_or_default()
    };
    Stack {
        label: page.t(label),
        value: if whole == 0 { "—".to_owned() } else { figure(whole) },
        text,
        guests,
        borrowed: (x, percent(borrowed, whole).min(100.0 - x)),
    }
}

/// How one guest does at the moment, in words: what it uses, and what it has to wait for or lends.
pub struct Doing {
    pub cpu: String,
    pub memory: String,
    pub network: String,
    /// Waiting for others, held back by its own limits, and memory lent: only what there is.
    pub remarks: Vec<String>,
}

pub fn doing(page: &Page, samples: &Samples, instance: &InstanceRow) -> Option<Doing> {
    let figures = samples.get(&instance.id)?;
    let value = |figure: Figure| figures[figure].map(|value| value.max(0.0).round() as u64);
    let words = |figure: Figure, unit: fn(u64) -> String| value(figure).map_or_else(|| "—".to_owned(), unit);
    // Less than a hundredth of a core or a MiB is noise.
    let remark = |figure: Figure, least: u64, key: &str, unit: fn(u64) -> String| {
        value(figure).filter(|value| *value >= least).map(|value| page.t1(key, "amount", unit(value)))
    };
    let cores = |millicpu: u64| format!("{} vCPU", format::cores(millicpu));
    Some(Doing {
        cpu: words(Figure::CpuUsed, cores),
        memory: words(Figure::MemoryUsed, format::mib),
        network: format!(
            "{} / {}",
            words(Figure::NetworkIn, format::kbit),
            words(Figure::NetworkOut, format::kbit)
        ),
        remarks: [
            remark(Figure::CpuStolen, 10, "admin-host-waits", cores),
            remark(Figure::CpuHeldBack, 10, "admin-host-held-back", cores),
            remark(Figure::MemoryLent, 1, "admin-host-lends", format::mib),
            remark(Figure::NetworkInDropped, 1, "admin-host-drops-in", format::packets_per_second),
            remark(Figure::NetworkOutDropped, 1, "admin-host-drops-out", format::packets_per_second),
        ]
        .into_iter()
        .flatten()
        .collect(),
    })
}

/// Booked, and in use by the whole machine, the host's own programs included.
pub fn bars(page: &Page, host: &Host) -> Vec<Bar> {
    let load = host.load.unwrap_or_default();
    let cores = |millicpu: u64| format!("{} vCPU", format::cores(millicpu));
    let (capacity, booked) = (&host.capacity, &host.booked);
    let bar = |label: &str, booked: u64, used: u64, whole: u64, figure: &dyn Fn(u64) -> String| Bar {
        label: page.t(label),
        value: figure(whole),
        reserved: percent(booked, whole),
        used: percent(used, whole),
        limit: 100.0,
        text: page.t2("admin-host-bar", "booked", figure(booked), "used", figure(used)),
    };
    let cpu =
        bar("policy-cpu", booked.cpu_reservation.get(), load.cpu_used_millicpu, capacity.cpu.get(), &cores);
    let mut memory = bar(
        "policy-memory",
        booked.memory_reservation.get(),
        load.memory_used_mib,
        capacity.memory.get(),
        &format::mib,
    );
    for words in memory_words(&load) {
        let text = match words {
            (key, Some(mib)) => page.t1(key, "amount", format::mib(mib)),
            (key, None) => page.t(key),
        };
        memory.text = format!("{} {text}", memory.text);
    }
    let disk =
        bar("policy-disk", booked.disk.get(), load.storage_used_mib, capacity.disk.get(), &format::mib);
    vec![cpu, memory, disk]
}

/// How the memory manager stands, beyond the figures: keys of texts, and their amounts.
fn memory_words(load: &HostLoad) -> Vec<(&'static str, Option<u64>)> {
    let mut words = Vec::new();
    if load.memory_reclaimed_mib > 0 {
        words.push(("admin-host-memory-lent", Some(load.memory_reclaimed_mib)));
    }
    if load.memory_merged_mib > 0 {
        words.push(("admin-host-memory-merged", Some(load.memory_merged_mib)));
    }
    match load.memory_pressure {
        MemoryPressure::None | MemoryPressure::Unknown => {}
        MemoryPressure::Low => words.push(("admin-host-memory-low", None)),
        MemoryPressure::Critical => words.push(("admin-host-memory-critical", None)),
    }
    if load.memory_missing_mib > 0 {
        words.push(("admin-host-memory-missing", Some(load.memory_missing_mib)));
    }
    words
}

/// One line of the table of what is sold.
pub struct Sold {
    pub label: String,
    pub booked: String,
    pub ceiling: String,
    pub free: String,
}

pub fn sold(page: &Page, host: &Host) -> Vec<Sold> {
    let admission = host.admission();
    Resource::ALL
        .into_iter()
        .map(|resource| {
            let figure = |amount| format::amount(resource, amount);
            Sold {
                label: page.t(resource_key(resource)),
                booked: figure(admission.counted(&admission.booked, resource)),
                ceiling: figure(admission.ceiling(resource)),
                free: figure(admission.free(resource)),
            }
        })
        .collect()
}

/// The words for what a host can run short of.
pub fn resource_key(resource: Resource) -> &'static str {
    match resource {
        Resource::CpuReservation => "admin-resource-cpu-reservation",
        Resource::Vcpus => "admin-resource-vcpus",
        Resource::DedicatedCores => "admin-resource-dedicated-cores",
        Resource::MemoryReservation => "admin-resource-memory-reservation",
        Resource::MemorySize => "admin-resource-memory-size",
        Resource::Disk => "admin-resource-disk",
        Resource::DiskReservation => "admin-resource-disk-reservation",
        Resource::NetworkInbound => "admin-resource-network-inbound",
        Resource::NetworkOutbound => "admin-resource-network-outbound",
    }
}
