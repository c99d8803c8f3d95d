//! Agents one release older keep working: the documents that the first release wrote are read by
//! today's types and keep their meaning when they are written again.

use jst_policy::power::Saving;
use jst_protocol::desired::{ConsoleKind, Desired, FirewallRule, HostSettings, OneShotKind};
use jst_protocol::enroll::{EnrollRequest, EnrollResponse, JoinToken};
use jst_protocol::report::{
    FailureCode, HostLoad, MemoryPressure, Observed, Outcome, Qualification, Receipt, RefusalReason, Report,
    Step,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Everything the golden document says is still said after a round through today's type.  Today's
/// type may say more (new fields with defaults).
fn keeps_its_meaning<T: DeserializeOwned + Serialize>(name: &str) {
    let path = format!("{}/golden/v1-{name}.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let read: T = serde_json::from_value(golden.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    contains(name, &serde_json::to_value(&read).unwrap(), &golden);
}

fn contains(path: &str, whole: &Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                contains(&format!("{path}.{key}"), whole.get(key).unwrap_or(&Value::Null), value);
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{path}");
            for (index, (whole, part)) in whole.iter().zip(part).enumerate() {
                contains(&format!("{path}[{index}]"), whole, part);
            }
        }
        (whole, part) => assert_eq!(whole, part, "{path}"),
    }
}

#[test]
fn documents_of_the_first_release_are_understood() {
    keeps_its_meaning::<Desired>("desired");
    keeps_its_meaning::<Report>("report");
    keeps_its_meaning::<EnrollRequest>("enroll_request");
    keeps_its_meaning::<EnrollResponse>("enroll_response");
    keeps_its_meaning::<Receipt>("receipt");
}

#[test]
fn what_a_newer_peer_adds_is_tolerated() {
    let receipt: Receipt = serde_json::from_value(json!({ "lease_seconds": 30, "news": true })).unwrap();
    assert_eq!(receipt.lease_seconds, 30);
    assert!(receipt.refused.is_empty() && !receipt.facts_refused, "what nobody refuses was taken");
    let reason: RefusalReason = serde_json::from_value(json!("levitated")).unwrap();
    assert_eq!(reason, RefusalReason::Unknown);
    // What an agent of the first release reads is what it always read.
    let plain = Receipt { lease_seconds: 30, refused: Vec::new(), facts_refused: false };
    assert_eq!(serde_json::to_value(&plain).unwrap(), json!({ "lease_seconds": 30 }));
    assert_eq!(serde_json::from_value::<Step>(json!("levitating")).unwrap(), Step::Unknown);
    assert_eq!(serde_json::from_value::<Observed>(json!("levitating")).unwrap(), Observed::Unknown);
    assert_eq!(serde_json::from_value::<FailureCode>(json!("levitating")).unwrap(), FailureCode::Unknown);
    assert_eq!(serde_json::from_value::<OneShotKind>(json!("levitate")).unwrap(), OneShotKind::Unknown);
    assert_eq!(serde_json::from_value::<ConsoleKind>(json!("hologram")).unwrap(), ConsoleKind::Unknown);
    let load = json!({ "cpu_used_millicpu": 1, "memory_used_mib": 2, "storage_used_mib": 3, "running": 4 });
    let load: HostLoad = serde_json::from_value(load).unwrap();
    assert_eq!((load.memory_reclaimed_mib, load.memory_pressure), (0, MemoryPressure::None));
    assert_eq!(load.memory_merged_mib, 0);
    let host: HostSettings = serde_json::from_value(json!({ "system_memory_mib": 1, "nat": true })).unwrap();
    assert!(!host.page_merging, "what is not said is not allowed");
    assert_eq!(host.power_saving, Saving::Off);
    let host: HostSettings = serde_json::from_value(json!({ "power_saving": "hibernate" })).unwrap();
    assert_eq!(host.power_saving, Saving::Unknown);
    let pressure: MemoryPressure = serde_json::from_value(json!("levitating")).unwrap();
    assert_eq!(pressure, MemoryPressure::Unknown);
    let outcome: Outcome = serde_json::from_value(json!({ "outcome": "levitated", "height": 3 })).unwrap();
    assert_eq!(outcome, Outcome::Unknown);
    let status: Qualification = serde_json::from_value(json!({ "status": "levitated" })).unwrap();
    assert_eq!(status, Qualification::Unknown);
}

#[test]
fn a_rule_without_readable_peers_is_no_rule_for_everybody() {
    let rule =
        |peers: Value| serde_json::from_value::<FirewallRule>(json!({ "protocol": "tcp", "peers": peers }));
    assert_eq!(rule(json!([])).unwrap().peers, []);
    assert_eq!(rule(json!(["192.0.2.0/24"])).unwrap().peers.len(), 1);
    for peers in
        [json!([""]), json!([" "]), json!([null]), json!(null), json!(""), json!(["192.0.2.0/24", ""])]
    {
        assert!(rule(peers.clone()).is_err(), "{peers}");
    }
    assert!(
        serde_json::from_value::<FirewallRule>(json!({ "protocol": "tcp" })).is_err(),
        "nobody said everybody"
    );
}

#[test]
fn a_join_token_survives_copying_and_nothing_else_passes() {
    let token = JoinToken { secret: "ab".repeat(32), ca_fingerprint: "cd".repeat(32) };
    assert_eq!(format!(" {}\n", token.reveal()).parse::<JoinToken>().unwrap(), token);
    assert!(!format!("{token:?}").contains("abab"), "a log line would show the secret");
    for broken in [
        "",
        "jst-join",
        "jst-join.ab.cd",
        &token.reveal().replace("ab", "zz"),
        &format!("{}.x", token.reveal()),
    ] {
        assert!(broken.parse::<JoinToken>().is_err(), "{broken} passed");
    }
}
