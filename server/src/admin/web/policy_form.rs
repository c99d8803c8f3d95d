//! The form of a resource policy: the plan editor and an instance's own policy use it.
//!
//! One table says which fields there are, where each stands in the policy's JSON document, and in
//! which unit people enter it.  Reading, showing and the errors at the fields follow from the table,
//! so that a field cannot be shown in one unit and read in another.  Values are decimals of the
//! unit, kept exact: a figure that the API wrote survives being shown and saved here.

use super::form::Sent;
use super::{Bar, percent};
use crate::error::FieldError;
use crate::typed;
use crate::web::Page;
use crate::web::format;
use jst_policy::claim::Shares;
use jst_policy::instance::{NetworkLimits, ResourcePolicy};
use serde_json::{Map, Value, json};

/// What kind of control a field has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number with so many decimal places; the figure in the document is a whole number of the last.
    Number(u32),
    Shares,
    Checkbox,
}

pub struct Spec {
    /// Where it stands in the document.
    path: &'static str,
    label: &'static str,
    unit: &'static str,
    kind: Kind,
    required: bool,
}

pub struct GroupSpec {
    title: &'static str,
    hint: &'static str,
    fields: &'static [Spec],
}

const fn field(path: &'static str, label: &'static str, unit: &'static str, decimals: u32) -> Spec {
    Spec { path, label, unit, kind: Kind::Number(decimals), required: false }
}

const fn required(spec: Spec) -> Spec {
    Spec { required: true, ..spec }
}

const fn shares(path: &'static str) -> Spec {
    Spec { path, label: "policy-shares", unit: "", kind: Kind::Shares, required: false }
}

/// mCPU as cores, kbit/s as Mbit/s: three places.
const MILLI: u32 = 3;
/// Bytes a second as MB/s: six places.
const MICRO: u32 = 6;

pub const GROUPS: &[GroupSpec] = &[
    GroupSpec {
        title: "policy-cpu",
        hint: "policy-cpu-hint",
        fields: &[
            required(field("cpu.vcpus", "policy-vcpus", "vCPU", 0)),
            field("cpu.reservation", "policy-reservation", "vCPU", MILLI),
            field("cpu.limit", "policy-limit", "vCPU", MILLI),
            shares("cpu.shares"),
            Spec {
                path: "cpu.dedicated",
                label: "policy-dedicated",
                unit: "",
                kind: Kind::Checkbox,
                required: false,
            },
        ],
    },
    GroupSpec {
        title: "policy-memory",
        hint: "policy-memory-hint",
        fields: &[
            required(field("memory.size", "policy-size", "MiB", 0)),
            field("memory.reservation", "policy-reservation", "MiB", 0),
            field("memory.limit", "policy-limit", "MiB", 0),
            shares("memory.shares"),
        ],
    },
    GroupSpec {
        title: "policy-disk",
        hint: "policy-disk-hint",
        fields: &[
            required(field("disk.size", "policy-size", "MiB", 0)),
            field("disk.reservation", "policy-reservation", "IOPS", 0),
            shares("disk.shares"),
        ],
    },
    GroupSpec {
        title: "policy-disk-read",
        hint: "policy-burst-hint",
        fields: &[
            field("disk.read.operations.average", "policy-operations-average", "IOPS", 0),
            field("disk.read.operations.peak", "policy-operations-peak", "IOPS", 0),
            field("disk.read.operations.peak_seconds", "policy-peak-seconds", "s", 0),
            field("disk.read.throughput.average", "policy-throughput-average", "MB/s", MICRO),
            field("disk.read.throughput.peak", "policy-throughput-peak", "MB/s", MICRO),
            field("disk.read.throughput.peak_seconds", "policy-peak-seconds", "s", 0),
        ],
    },
    GroupSpec {
        title: "policy-disk-write",
        hint: "policy-burst-hint",
        fields: &[
            field("disk.write.operations.average", "policy-operations-average", "IOPS", 0),
            field("disk.write.operations.peak", "policy-operations-peak", "IOPS", 0),
            field("disk.write.operations.peak_seconds", "policy-peak-seconds", "s", 0),
            field("disk.write.throughput.average", "policy-throughput-average", "MB/s", MICRO),
            field("disk.write.throughput.peak", "policy-throughput-peak", "MB/s", MICRO),
            field("disk.write.throughput.peak_seconds", "policy-peak-seconds", "s", 0),
        ],
    },
    GroupSpec {
        title: "policy-inbound",
        hint: "policy-network-hint",
        fields: &[
            field("network.inbound.reservation", "policy-reservation", "Mbit/s", MILLI),
            field("network.inbound.average", "policy-average", "Mbit/s", MILLI),
            field("network.inbound.peak", "policy-peak", "Mbit/s", MILLI),
            field("network.inbound.burst", "policy-burst", "KiB", 0),
            shares("network.inbound.shares"),
        ],
    },
    GroupSpec {
        title: "policy-outbound",
        hint: "policy-network-hint",
        fields: &[
            field("network.outbound.reservation", "policy-reservation", "Mbit/s", MILLI),
            field("network.outbound.average", "policy-average", "Mbit/s", MILLI),
            field("network.outbound.peak", "policy-peak", "Mbit/s", MILLI),
            field("network.outbound.burst", "policy-burst", "KiB", 0),
            shares("network.outbound.shares"),
            field("network.monthly_quota", "policy-quota", "MiB", 0),
        ],
    },
];

/// The limits that are absent as a whole when they have no average.
const BURST_LIMITS: [&str; 4] =
    ["disk.read.operations", "disk.read.throughput", "disk.write.operations", "disk.write.throughput"];

/// Fields of the form begin so, as errors of the use cases do.
const PREFIX: &str = "policy.";

/// One field as the template shows it.
pub struct Field {
    pub name: String,
    pub label: &'static str,
    pub unit: &'static str,
    pub value: String,
    pub error: Option<String>,
    pub required: bool,
    pub shares: bool,
    pub checkbox: bool,
}

pub struct Group {
    pub title: &'static str,
    pub hint: &'static str,
    pub fields: Vec<Field>,
}

impl Group {
    /// Fields side by side: five fit into a line, and six are two lines of three.
    pub fn rows(&self) -> std::slice::Chunks<'_, Field> {
        self.fields.chunks(if self.fields.len() > 5 { 3 } else { 5 })
    }
}

fn specs() -> impl Iterator<Item = &'static Spec> {
    GROUPS.iter().flat_map(|group| group.fields)
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// The fields of a form that holds this policy.
pub fn from_policy(policy: &ResourcePolicy) -> Sent {
    let document = serde_json::to_value(policy).unwrap_or_default();
    let mut form = Sent::default();
    for spec in specs() {
        let text = match (spec.kind, document.pointer(&pointer(spec.path))) {
            (_, None | Some(Value::Null)) => String::new(),
            (Kind::Number(decimals), Some(value)) => decimal(value.as_u64().unwrap_or(0), decimals),
            (Kind::Checkbox, Some(value)) => if value == &Value::Bool(true) { "on" } else { "" }.to_owned(),
            (Kind::Shares, Some(value)) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        form.insert(format!("{PREFIX}{}", spec.path), text);
    }
    for limit in BURST_LIMITS {
        // A length of the peak means nothing without one, and zero guarantees are shown as none.
        if form.trimmed(&format!("{PREFIX}{limit}.peak")).is_empty() {
            form.insert(format!("{PREFIX}{limit}.peak_seconds"), String::new());
        }
    }
    form
}

/// Reads the policy out of a form.  What it accepts may still break a rule: see
/// [`crate::plans::edit::policy_problems`].
pub fn to_policy(form: &Sent) -> Result<ResourcePolicy, Vec<FieldError>> {
    let mut document = json!({ "network": {} });
    let mut problems = Vec::new();
    for spec in specs() {
        let name = format!("{PREFIX}{}", spec.path);
        let text = form.trimmed(&name);
        let value = match spec.kind {
            Kind::Checkbox => Some(json!(form.on(&name))),
            _ if text.is_empty() && spec.required => {
                problems.push(FieldError::new(name, "required"));
                None
            }
            _ if text.is_empty() => None,
            Kind::Shares => match text.parse::<Shares>() {
                Ok(shares) => serde_json::to_value(shares).ok(),
                Err(_) => {
                    problems.push(FieldError::new(name, "policy-shares").with("max", Shares::MAX_CUSTOM));
                    None
                }
            },
            Kind::Number(decimals) => {
                match parse_decimal(&typed::figure(text, decimals as usize), decimals) {
                    Some(figure) => Some(json!(narrowed(spec.path, figure))),
                    None if decimals == 0 => {
                        problems.push(FieldError::new(name, "number"));
                        None
                    }
                    None => {
                        problems.push(FieldError::new(name, "policy-decimal").with("places", decimals));
                        None
                    }
                }
            }
        };
        if let Some(value) = value {
            insert(&mut document, spec.path, value);
        }
    }
    for limit in BURST_LIMITS {
        lone_parts(&mut document, limit, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(document)
        .map_err(|error| vec![FieldError::new("policy", "json").with("problem", error)])
}

/// A disk limit without an average is none; parts of one that were filled in anyway are a mistake.
fn lone_parts(document: &mut Value, limit: &str, problems: &mut Vec<FieldError>) {
    let (parent, last) = limit.rsplit_once('.').unwrap_or(("", limit));
    let Some(parent) = document.pointer_mut(&pointer(parent)).and_then(Value::as_object_mut) else { return };
    let Some(parts) = parent.get(last).and_then(Value::as_object) else { return };
    if parts.contains_key("average") {
        return;
    }
    for part in parts.keys() {
        problems.push(FieldError::new(format!("{PREFIX}{limit}.{part}"), "policy-needs-average"));
    }
    parent.remove(last);
}

fn insert(document: &mut Value, path: &str, value: Value) {
    let mut place = document;
    for part in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[part];
    }
    *place = value;
}

/// Two fields are 32 bits wide; what is beyond is refused as out of range, as a larger one would be.
fn narrowed(path: &str, figure: u64) -> u64 {
    if path == "cpu.vcpus" || path.ends_with("peak_seconds") { figure.min(u32::MAX.into()) } else { figure }
}

/// The groups as the template shows them.
pub fn groups(page: &Page, form: &Sent, errors: &[FieldError]) -> Vec<Group> {
    let show = |spec: &Spec| {
        let name = format!("{PREFIX}{}", spec.path);
        Field {
            label: spec.label,
            unit: spec.unit,
            value: form.get(&name).cloned().unwrap_or_default(),
            error: page.error(&in_units(errors, &name, spec.kind), &name),
            required: spec.required,
            shares: spec.kind == Kind::Shares,
            checkbox: spec.kind == Kind::Checkbox,
            name,
        }
    };
    GROUPS
        .iter()
        .map(|group| Group {
            title: group.title,
            hint: group.hint,
            fields: group.fields.iter().map(show).collect(),
        })
        .collect()
}

/// The errors of one field with their figures in the unit in which people entered theirs.
fn in_units(errors: &[FieldError], name: &str, kind: Kind) -> Vec<FieldError> {
    let mut found: Vec<FieldError> = errors.iter().filter(|error| error.field == name).cloned().collect();
    if let Kind::Number(decimals @ 1..) = kind {
        for (argument, value) in found.iter_mut().flat_map(|error| &mut error.arguments) {
            if let (true, Ok(figure)) = (*argument != "places", value.parse()) {
                *value = decimal(figure, decimals);
            }
        }
    }
    found
}

/// `1500` thousandths as `1.5`.
pub fn decimal(figure: u64, decimals: u32) -> String {
    let scale = 10u64.pow(decimals);
    let (whole, rest) = (figure / scale, figure % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let places = format!("{rest:0width$}", width = decimals as usize);
    format!("{whole}.{}", places.trim_end_matches('0'))
}

/// `1.5` as `1500` thousandths; none for anything else than a number of at most so many places.
pub fn parse_decimal(text: &str, decimals: u32) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(places) || places.len() > decimals as usize {
        return None;
    }
    let scale = 10u64.pow(decimals);
    let rest = format!("{places:0<width$}", width = decimals as usize);
    let rest: u64 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(rest)
}

/// What the policy promises, as share bars: how much of each resource is guaranteed, and the limit.
pub fn bars(page: &Page, policy: &ResourcePolicy) -> Vec<Bar> {
    let cores = |millicpu: u64| format!("{} vCPU", format::cores(millicpu));
    let mut bars = vec![
        bar(
            page,
            "policy-cpu",
            policy.cpu_claim().reservation,
            policy.cpu_claim().limit,
            policy.cpu.size().get(),
            cores,
        ),
        bar(
            page,
            "policy-memory",
            policy.memory.reservation.get(),
            policy.memory_claim().limit,
            policy.memory.size.get(),
            format::mib,
        ),
    ];
    let operations = policy.disk_claim();
    let whole = operations.limit.unwrap_or(operations.reservation);
    bars.push(bar(page, "policy-disk", operations.reservation, operations.limit, whole, format::iops));
    let mut network = |label, limits: &NetworkLimits| {
        let average = limits.average.map(|rate| rate.get());
        let whole = limits.peak.map(|rate| rate.get()).or(average).unwrap_or(limits.reservation.get());
        bars.push(bar(page, label, limits.reservation.get(), average, whole, format::kbit));
    };
    network("policy-inbound", &policy.network.inbound);
    network("policy-outbound", &policy.network.outbound);
    bars
}

fn bar(
    page: &Page,
    label: &str,
    reserved: u64,
    limit: Option<u64>,
    whole: u64,
    figure: impl Fn(u64) -> String,
) -> Bar {
    let text = match limit {
        Some(limit) => page.t2("policy-bar", "reserved", figure(reserved), "limit", figure(limit)),
        None => page.t1("policy-bar-unlimited", "reserved", figure(reserved)),
    };
    Bar {
        label: page.t(label),
        value: if whole == 0 { page.t("policy-unlimited") } else { figure(whole) },
        reserved: percent(reserved, whole),
        used: 0.0,
        limit: limit.map_or(100.0, |limit| percent(limit, whole)),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, decimals, figure) in [
            ("1.5", 3, 1500),
            ("0.001", 3, 1),
            ("12", 3, 12_000),
            ("100.5", 6, 100_500_000),
            ("7", 0, 7),
            ("2.", 3, 2000),
        ] {
            assert_eq!(parse_decimal(text, decimals), Some(figure), "{text}");
        }
        for bad in [
            "",
            ".",
            ".5",
            "1.2345",
            "-1",
            "1e3",
            "1,5",
            "one",
            "٣",
            "99999999999999999999",
            "18446744073709551615",
        ] {
            assert_eq!(parse_decimal(bad, 3), None, "{bad}");
        }
        for figure in [0, 1, 10, 999, 1000, 1001, 123_456_789] {
            assert_eq!(parse_decimal(&decimal(figure, 3), 3), Some(figure));
            assert_eq!(parse_decimal(&decimal(figure, 6), 6), Some(figure));
        }
    }

    fn full() -> ResourcePolicy {
        let disk = json!({
            "throughput": { "average": 1_500_001, "peak": 2_000_000, "peak_seconds": 60 },
            "operations": { "average": 10, "peak": 20, "peak_seconds": 30 },
        });
        let network =
            json!({ "reservation": 1, "average": 2500, "peak": 3000, "burst": 40, "shares": "high" });
        serde_json::from_value(json!({
            "cpu": { "vcpus": 2, "reservation": 500, "limit": 1500, "shares": 77, "dedicated": false },
            "memory": { "size": 2048, "reservation": 512, "limit": 1024, "shares": "low" },
            "disk": { "size": 20480, "reservation": 5, "shares": "normal", "read": disk, "write": disk },
            "network": { "inbound": network, "outbound": network, "monthly_quota": 1000 },
        }))
        .unwrap()
    }

    #[test]
    fn a_policy_survives_the_form() {
        let full = full();
        assert_eq!(to_policy(&from_policy(&full)).unwrap(), full);
        let bare: ResourcePolicy = serde_json::from_value(
            json!({ "cpu": { "vcpus": 1 }, "memory": { "size": 64 }, "disk": { "size": 64 }, "network": {} }),
        )
        .unwrap();
        assert_eq!(to_policy(&from_policy(&bare)).unwrap(), bare);
    }

    /// A field that is added to the policy must be added to the form, or saving a plan would lose it.
    #[test]
    fn every_field_of_a_policy_is_in_the_form() {
        fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                    leaves(
                        &if path.is_empty() { key.clone() } else { format!("{path}.{key}") },
                        value,
                        found,
                    );
                }),
                _ => found.push(path.to_owned()),
            }
        }
        let mut found = Vec::new();
        leaves("", &serde_json::to_value(full()).unwrap(), &mut found);
        let mut paths: Vec<&str> = specs().map(|spec| spec.path).collect();
        found.sort();
        paths.sort_unstable();
        assert_eq!(found, paths);
    }

    #[test]
    fn mistakes_are_told_at_their_fields() {
        let mut form = from_policy(&full());
        let mut set = |name: &str, value: &str| form.insert(format!("policy.{name}"), value.to_owned());
        set("cpu.vcpus", "");
        set("cpu.shares", "much");
        set("memory.size", "a lot");
        set("network.inbound.average", "1.23456");
        set("disk.read.operations.average", "");
        let problems = to_policy(&form).unwrap_err();
        let problems: Vec<(&str, &str)> = problems.iter().map(|p| (p.field.as_str(), p.code)).collect();
        assert_eq!(
            problems,
            [
                ("policy.cpu.vcpus", "required"),
                ("policy.cpu.shares", "policy-shares"),
                ("policy.memory.size", "number"),
                ("policy.network.inbound.average", "policy-decimal"),
                ("policy.disk.read.operations.peak", "policy-needs-average"),
                ("policy.disk.read.operations.peak_seconds", "policy-needs-average"),
            ]
        );
    }
}
