//! The fleet at a glance: what is booked, used and lent of each host's resources, the hottest hosts first.

use super::percent;
use crate::hosts::{Host, HostState};
use crate::web::page::Page;

/// More hosts than anybody reads at a glance; the list has all of them.
const SHOWN: usize = 40;

/// One figure of one host.
pub struct Cell {
    /// The key of the resource's name and that of the figure's.
    pub resource: &'static str,
    pub figure: &'static str,
    /// Absent where nothing is known now.
    pub percent: Option<f64>,
}

impl Cell {
    /// 0 to 10, for the colour.
    pub fn heat(&self) -> u8 {
        self.percent.map_or(0, |percent| (percent / 10.0).round() as u8)
    }

    pub fn text(&self) -> String {
        self.percent.map_or_else(|| String::from("–"), |percent| format!("{percent:.0}%"))
    }
}

pub struct Row {
    pub name: String,
    pub href: String,
    pub look: &'static str,
    pub state: String,
    pub cells: Vec<Cell>,
}

pub struct HeatMap {
    pub rows: Vec<Row>,
    /// How many hosts are cooler than those that are shown.
    pub more: usize,
}

impl HeatMap {
    /// Of the hosts that are meant to work.
    pub fn of(page: &Page, hosts: &[Host]) -> Self {
        let mut rows: Vec<(u32, Row)> = hosts
            .iter()
            .filter(|host| host.state != HostState::Disabled)
            .map(|host| {
                let cells = cells(host);
                let hottest = cells.iter().filter_map(|cell| cell.percent).fold(0.0, f64::max);
                // A host that is away is what an operator looks for first.
                let order = if host.online { (hottest * 10.0) as u32 } else { u32::MAX };
                (order, row(page, host, cells))
            })
            .collect();
        rows.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        let more = rows.len().saturating_sub(SHOWN);
        Self { rows: rows.into_iter().take(SHOWN).map(|(_, row)| row).collect(), more }
    }
}

fn row(page: &Page, host: &Host, cells: Vec<Cell>) -> Row {
    let (state, look) = super::hosts::state_of(page, host);
    Row { name: host.name.clone(), href: format!("/admin/hosts/{}", host.id), look, state, cells }
}

fn cells(host: &Host) -> Vec<Cell> {
    let (capacity, booked) = (&host.capacity, &host.booked);
    // What an agent said before it went away is not what is now.
    let load = host.load.filter(|_| host.online);
    let cpu = capacity.cpu.get();
    let memory = capacity.memory.get();
    let network = booked.network_reservation_in.get().max(booked.network_reservation_out.get());
    let now = |used: Option<u64>, whole: u64| used.map(|used| percent(used, whole));
    let cell = |resource, figure, percent| Cell { resource, figure, percent };
    let lent_cpu = load.map(|load| booked.cpu_reservation.get().saturating_sub(load.cpu_used_millicpu));
    vec![
        cell("policy-cpu", "heat-booked", Some(percent(booked.cpu_reservation.get(), cpu))),
        cell("policy-cpu", "heat-used", now(load.map(|load| load.cpu_used_millicpu), cpu)),
        cell("policy-cpu", "heat-lent", now(lent_cpu, cpu)),
        cell("policy-memory", "heat-booked", Some(percent(booked.memory_reservation.get(), memory))),
        cell("policy-memory", "heat-used", now(load.map(|load| load.memory_used_mib), memory)),
        cell("policy-memory", "heat-lent", now(load.map(|load| load.memory_reclaimed_mib), memory)),
        cell("policy-disk", "heat-booked", Some(percent(booked.disk.get(), capacity.disk.get()))),
        cell("policy-disk", "heat-used", now(load.map(|load| load.storage_used_mib), capacity.disk.get())),
        cell("policy-network", "heat-booked", Some(percent(network, capacity.uplink.get()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_follows_the_percentage() {
        let cell = |percent| Cell { resource: "", figure: "", percent };
        let heats = [0.0, 4.9, 5.0, 50.0, 100.0].map(|percent| cell(Some(percent)).heat());
        assert_eq!(heats, [0, 0, 1, 5, 10]);
        assert_eq!((cell(None).heat(), cell(None).text().as_str()), (0, "–"));
    }
}
