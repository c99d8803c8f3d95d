//! Graphs of what an instance used, as a page of its own and as a part of the administrator's page.
//!
//! The server draws simple ones and puts all figures into a table, so that nothing is missing without a script.
//! With one, `static/js/graphs.js` takes the figures from the page and draws them anew.

use super::head::Head;
use super::resources::{limits_words, vcpus};
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::Instance;
use crate::instances::api::metrics::MetricsParams;
use crate::instances::samples::figure::{Figure, Unit};
use crate::instances::samples::history::{History, Range, Series};
use crate::instances::{samples, view};
use crate::state::App;
use crate::web::format;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use jst_policy::instance::ResourcePolicy;
use serde::Serialize;
use std::fmt::Write;
use time::OffsetDateTime;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/graphs", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/graphs.html")]
struct GraphsPage {
    head: Head,
    panel: Panel,
    page: Page,
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Query(params): Query<MetricsParams>,
) -> Result<GraphsPage> {
    let id: InstanceId = id.parse()?;
    let (instance, history) = samples::history(&app, &actor, id, params.range()?).await?;
    let view = view::one(&app, &actor, id).await?;
    let head = Head::new(&page, &view, "graphs");
    let panel = Panel::new(&page, &format!("{}/graphs", head.path), &instance, &history)?;
    Ok(GraphsPage { head, panel, page })
}

/// All graphs of one instance and one range.
pub struct Panel {
    pub ranges: Vec<RangeLink>,
    pub is_empty: bool,
    pub from: OffsetDateTime,
    pub until: OffsetDateTime,
    pub graphs: Vec<Graph>,
    /// What the script draws: [`Drawing`] as JSON that may stand within a `script` element.
    pub drawing: String,
}

pub struct RangeLink {
    pub href: String,
    pub text: String,
    pub current: bool,
}

pub struct Graph {
    pub name: &'static str,
    pub title: String,
    /// What is guaranteed, and the most.
    pub limits: String,
    pub lines: Vec<Line>,
    /// Paths in a box of [`WIDTH`] by [`HEIGHT`].
    pub area: String,
    pub marks: Vec<Height>,
}

/// One series: its path, and its figures in words.
pub struct Line {
    /// 1 to 4: selects colour and dashes.
    pub number: usize,
    pub label: String,
    pub path: String,
    pub lowest: String,
    pub average: String,
    pub highest: String,
    pub latest: String,
}

/// A guaranteed or highest rate as a line across the graph.
pub struct Height {
    pub kind: &'static str,
    pub y: String,
}

pub const WIDTH: f64 = 600.0;
pub const HEIGHT: f64 = 160.0;

/// What belongs into one graph.
struct Subject {
    name: &'static str,
    title: &'static str,
    lines: &'static [(Figure, &'static str)],
    /// The limit is always shown, because how near one is to it is the question; else only when use comes near.
    whole: bool,
    /// Below this a graph would show noise as mountains.
    least_top: f64,
    write: fn(u64) -> String,
}

const SUBJECTS: [Subject; 6] = [
    Subject {
        name: "cpu",
        title: "graph-cpu",
        lines: &[
            (Figure::CpuUsed, "graph-used"),
            (Figure::CpuStolen, "graph-stolen"),
            (Figure::CpuHeldBack, "graph-held-back"),
        ],
        whole: true,
        least_top: 100.0,
        write: vcpus,
    },
    Subject {
        name: "memory",
        title: "graph-memory",
        lines: &[
            (Figure::MemoryUsed, "graph-used"),
            (Figure::MemoryLent, "graph-lent"),
            (Figure::MemorySize, "graph-size"),
        ],
        whole: true,
        least_top: 16.0,
        write: format::mib,
    },
    Subject {
        name: "network",
        title: "graph-network",
        lines: &[(Figure::NetworkIn, "graph-in"), (Figure::NetworkOut, "graph-out")],
        whole: false,
        least_top: 100.0,
        write: format::kbit,
    },
    Subject {
        name: "dropped",
        title: "graph-dropped",
        lines: &[(Figure::NetworkInDropped, "graph-in"), (Figure::NetworkOutDropped, "graph-out")],
        whole: false,
        least_top: 10.0,
        write: format::packets_per_second,
    },
    Subject {
        name: "disk",
        title: "graph-disk",
        lines: &[(Figure::DiskReadBytes, "graph-read"), (Figure::DiskWriteBytes, "graph-write")],
        whole: false,
        least_top: 10_000.0,
        write: format::bytes_per_second,
    },
    Subject {
        name: "operations",
        title: "graph-operations",
        lines: &[(Figure::DiskReadOperations, "graph-read"), (Figure::DiskWriteOperations, "graph-write")],
        whole: false,
        least_top: 10.0,
        write: format::iops,
    },
];

/// What the script needs, in the shape in which it draws.
#[derive(Serialize)]
struct Drawing<'a> {
    step: i64,
    timestamps: &'a [i64],
    graphs: Vec<DrawnGraph<'a>>,
}

#[derive(Serialize)]
struct DrawnGraph<'a> {
    name: &'static str,
    unit: &'static str,
    top: f64,
    lines: Vec<&'a [Option<f32>]>,
    marks: Vec<(&'static str, u64)>,
}

impl Panel {
    pub fn new(page: &Page, path: &str, instance: &Instance, history: &History) -> Result<Self> {
        let policy = instance.applied.as_ref().unwrap_or(&instance.policy);
        let mut graphs = Vec::new();
        let mut drawn = Vec::new();
        for subject in &SUBJECTS {
            let series: Vec<&Series> = subject.lines.iter().map(|(figure, _)| history.of(*figure)).collect();
            let (top, marks) = subject.scale(policy, &series);
            graphs.push(subject.graph(page, policy, &series, top, &marks));
            drawn.push(DrawnGraph {
                name: subject.name,
                unit: subject.unit().name(),
                top,
                lines: series.iter().map(|series| series.average.as_slice()).collect(),
                marks,
            });
        }
        let range = history.range;
        let drawing = Drawing { step: range.step(), timestamps: &history.timestamps, graphs: drawn };
        // Within a script element only `<` could end it.
        let drawing = serde_json::to_string(&drawing).map_err(anyhow::Error::from)?.replace('<', "\\u003c");
        let first = history.timestamps.first().copied().unwrap_or_default();
        let moment = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(anyhow::Error::from);
        Ok(Self {
            ranges: Range::ALL
                .into_iter()
                .map(|choice| RangeLink {
                    href: format!("{path}?range={}", choice.name()),
                    text: page.t(&format!("graph-range-{}", choice.name())),
                    current: choice == range,
                })
                .collect(),
            is_empty: history.is_empty(),
            from: moment(first)?,
            until: moment(first + range.seconds())?,
            graphs,
            drawing,
        })
    }
}

impl Subject {
    fn unit(&self) -> Unit {
        self.lines[0].0.unit()
    }

    /// How high the graph is, and which limits are within it.
    fn scale(&self, policy: &ResourcePolicy, series: &[&Series]) -> (f64, Vec<(&'static str, u64)>) {
        let values = series.iter().flat_map(|series| series.average.iter().flatten());
        let highest = f64::from(values.copied().fold(0.0, f32::max));
        let mut top = (highest * 1.1).max(self.least_top);
        let mut marks: Vec<(&'static str, u64)> = Vec::new();
        for (figure, _) in self.lines {
            // A guarantee for reads and writes together is no line that either could be compared with.
            let guaranteed = figure.guaranteed(policy).filter(|_| self.unit() != Unit::Iops);
            let limits = [("guaranteed", guaranteed), ("maximum", figure.maximum(policy))];
            for (kind, amount) in limits {
                let Some(amount) = amount else { continue };
                let near = amount as f64 <= highest * 3.0;
                if (self.whole || near) && !marks.contains(&(kind, amount)) {
                    top = top.max(amount as f64 * 1.05);
                    marks.push((kind, amount));
                }
            }
        }
        (top, marks)
    }

    fn graph(
        &self,
        page: &Page,
        policy: &ResourcePolicy,
        series: &[&Series],
        top: f64,
        marks: &[(&'static str, u64)],
    ) -> Graph {
        let write = |value: f32| (self.write)(value.round().max(0.0) as u64);
        let lines = self.lines.iter().zip(series).enumerate().map(|(index, ((figure, label), series))| {
            let word = |value: Option<f32>| value.map_or_else(|| page.t("resource-nothing"), write);
            let summary = series.summary;
            Line {
                // A size is no use: it stands behind the others.
                number: if *figure == Figure::MemorySize { 4 } else { index + 1 },
                label: page.t(label),
                path: path(&series.average, top, false),
                lowest: word(summary.map(|summary| summary.lowest)),
                average: word(summary.map(|summary| summary.average)),
                highest: word(summary.map(|summary| summary.highest)),
                latest: word(summary.map(|summary| summary.latest)),
            }
        });
        Graph {
            name: self.name,
            title: page.t(self.title),
            limits: self.limits(page, policy),
            lines: lines.collect(),
            area: path(&series[0].average, top, true),
            marks: marks
                .iter()
                .map(|(kind, amount)| Height { kind, y: format!("{:.1}", y(*amount as f64, top)) })
                .collect(),
        }
    }

    /// In words; of each direction by itself where they differ.
    fn limits(&self, page: &Page, policy: &ResourcePolicy) -> String {
        if self.unit() == Unit::Iops {
            let claim = policy.disk_claim();
            let words = limits_words(page, claim.reservation, claim.limit, self.write);
            return page.t2("graph-limits-of", "series", page.t("graph-together"), "words", words);
        }
        let words = |figure: Figure| {
            let reserved = figure.guaranteed(policy).unwrap_or(0);
            limits_words(page, reserved, figure.maximum(policy), self.write)
        };
        // Only of use itself there are limits; what was stolen or lent has none.
        let limited = if self.whole { &self.lines[..1] } else { self.lines };
        let all: Vec<String> = limited.iter().map(|(figure, _)| words(*figure)).collect();
        if all.iter().all(|words| *words == all[0]) {
            return all.into_iter().next().unwrap_or_default();
        }
        let labelled = limited.iter().zip(all);
        labelled
            .map(|((_, label), words)| page.t2("graph-limits-of", "series", page.t(label), "words", words))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - (value / top).clamp(0.0, 1.0) * HEIGHT
}

/// A line, or the area below it; it ends where nothing is known and begins anew after it.
pub fn path(values: &[Option<f32>], top: f64, area: bool) -> String {
    let width = WIDTH / values.len().max(1) as f64;
    let mut path = String::new();
    let mut start = None;
    for (index, value) in values.iter().chain([&None]).enumerate() {
        let x = (index as f64 + 0.5) * width;
        match (value, start) {
            (Some(value), None) => {
                let foot = if area { format!("M{x:.1} {HEIGHT}L") } else { "M".to_owned() };
                let _ = write!(path, "{foot}{x:.1} {:.1}", y(f64::from(*value), top));
                start = Some(index);
            }
            (Some(value), Some(_)) => {
                let _ = write!(path, "L{x:.1} {:.1}", y(f64::from(*value), top));
            }
            (None, Some(begun)) => {
                // A single value would have no length and not be seen.
                let end = if index - begun == 1 { format!("h{:.1}", width / 2.0) } else { String::new() };
                let foot = if area { format!("V{HEIGHT}Z") } else { String::new() };
                path.push_str(&end);
                path.push_str(&foot);
                start = None;
            }
            (None, None) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_nothing_is_known() {
        let values = [Some(0.0), Some(50.0), None, Some(100.0)];
        assert_eq!(path(&values, 100.0, false), "M75.0 160.0L225.0 80.0M525.0 0.0h75.0");
        assert_eq!(
            path(&values, 100.0, true),
            "M75.0 160L75.0 160.0L225.0 80.0V160ZM525.0 160L525.0 0.0h75.0V160Z"
        );
        assert_eq!(path(&[None, None], 100.0, true), "");
    }

    #[test]
    fn a_far_limit_does_not_flatten_the_graph() {
        let policy: ResourcePolicy = serde_json::from_value(serde_json::json!({
            "cpu": { "vcpus": 2, "reservation": 500 }, "memory": { "size": 64 }, "disk": { "size": 64 },
            "network": { "inbound": { "average": 100_000 }, "outbound": { "average": 100_000 } },
        }))
        .unwrap();
        let of = |value| Series { average: vec![Some(value)], ..Series::default() };
        let [cpu, _, network, ..] = &SUBJECTS;
        let quiet = [&of(200.0), &of(100.0)];
        assert_eq!(network.scale(&policy, &quiet), (f64::from(200.0_f32) * 1.1, vec![]));
        let busy = [&of(90_000.0), &of(0.0)];
        assert_eq!(network.scale(&policy, &busy), (105_000.0, vec![("maximum", 100_000)]), "once for both");
        let operations = &SUBJECTS[4];
        let guaranteed: ResourcePolicy = ResourcePolicy {
            disk: jst_policy::instance::DiskPolicy {
                reservation: jst_policy::units::Iops(50),
                ..policy.disk.clone()
            },
            ..policy.clone()
        };
        assert_eq!(
            operations.scale(&guaranteed, &[&of(100.0), &of(0.0)]).1,
            vec![],
            "reads and writes share it"
        );
        let idle = [&of(10.0), &of(0.0), &of(0.0)];
        assert_eq!(cpu.scale(&policy, &idle), (2100.0, vec![("guaranteed", 500), ("maximum", 2000)]));
    }
}
