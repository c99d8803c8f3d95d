//! What agents write for guests and what customers hand to them, as Debian's cloud-init reads it: with PyYAML, which is
//! YAML 1.1.  `tests/cloud-init/install` unpacks it.

use ipnet::IpNet;
use jst_protocol::desired::{Firewall, ImageFormat, ImageRef, InstanceSpec, Interface, OnCrash, Seed};
use jst_server::instances::user_data;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use uuid::Uuid;

/// Generated cases besides the named ones; one Python process reads all of them.
const CASES: usize = 300;

/// One answer of cloud-init for each question.
fn cloud_init(questions: &[Value]) -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cloud-init");
    let installed = Command::new(root.join("install")).output().expect("a script");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let place = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("../../target"), PathBuf::from);
    // Debian's own Python: another one does not have Debian's modules.
    let mut child = Command::new("/usr/bin/python3")
        .arg(root.join("read.py"))
        .arg(place.join("cloud-init/usr/lib/python3/dist-packages"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed by tests/run");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    assert!(output.status.success(), "tests/run installs what it imports (seed_packages)");
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn spec(hostname: &str, keys: Vec<String>, addresses: Vec<IpNet>, user_data: Option<String>) -> InstanceSpec {
    let policy = json!({
        "cpu": { "vcpus": 1 }, "memory": { "size": 512 }, "disk": { "size": 1024 }, "network": {}
    });
    let interface = |index, addresses| Interface {
        index,
        mac: format!("52:54:00:aa:bb:{index:02x}"),
        addresses,
        nameservers: vec!["9.9.9.9".parse().unwrap(), "2620:fe::9".parse().unwrap()],
    };
    InstanceSpec {
        name: "web".into(),
        hostname: hostname.into(),
        domain: None,
        policy: serde_json::from_value(policy).unwrap(),
        image: ImageRef { sha256: String::new(), format: ImageFormat::Raw, file_bytes: 0, virtual_bytes: 0 },
        build: 1,
        interfaces: vec![interface(0, addresses), interface(1, vec!["10.61.0.7/32".parse().unwrap()])],
        seed: Seed { ssh_keys: keys, user_data },
        firewall: Firewall::default(),
        on_crash: OnCrash::Restart,
        start_order: 0,
    }
}

/// What YAML 1.1 takes for something else than a string, where it is not quoted.
const NAMES: [&str; 24] = [
    "2026",
    "no",
    "n",
    "y",
    "on",
    "off",
    "yes",
    "true",
    "null",
    "2026-12-01",
    "1e3",
    "0x1f",
    "0o17",
    "017",
    "1-2",
    "163.com",
    "12.30",
    "1.5e3",
    "685230.15",
    "0.0",
    "inf",
    "nan",
    "e1",
    "2001-12-14t21",
];

fn key(comment: &str) -> String {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ{comment}")
}

const COMMENTS: [&str; 14] = [
    "",
    " li",
    " # no comment",
    " a: b",
    " \"quoted\"",
    " 'single'",
    " back\\slash \\n",
    " {a: [1]}",
    " \u{7f52}\u{9875}",
    " \u{1f600}",
    " \u{feff}\u{fffe}",
    " %TAG !",
    " *alias &anchor",
    " {{ jinja }}",
];

fn generated<S: Strategy>(strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..CASES).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

/// Specs of every name and comment above, and generated ones.
fn specs() -> Vec<InstanceSpec> {
    let v4: IpNet = "10.60.0.5/32".parse().unwrap();
    let v6: IpNet = "2001:db8::5/128".parse().unwrap();
    let mut specs: Vec<InstanceSpec> =
        NAMES.iter().map(|name| spec(name, vec![key("")], vec![v4, v6], None)).collect();
    specs.extend(COMMENTS.iter().map(|comment| spec("web", vec![key(comment), key(" b")], vec![v6], None)));
    specs.push(spec("web", Vec::new(), vec![v4], None));
    let script = "#!/bin/sh\n: \"{\u{1f600}\" # \t\n".to_owned();
    specs.push(spec("no", vec![key(" \u{1f600}")], vec![v4], Some(script)));
    let label = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";
    let made =
        generated((label, proptest::collection::vec("[^\\p{C}\\p{Zl}\\p{Zp}]{0,40}", 0..3), any::<u32>()));
    specs.extend(made.into_iter().map(|(name, comments, address)| {
        let keys = comments.iter().map(|comment| key(&format!(" {comment}"))).collect();
        let address = IpNet::new(std::net::Ipv4Addr::from(address | 0x0a00_0000).into(), 32).unwrap();
        spec(&name, keys, vec![address], None)
    }));
    specs
}

fn seed_of(spec: &InstanceSpec) -> Value {
    let documents = jst_agent::seed::documents(Uuid::from_u128(5), 1, spec).unwrap();
    let files: serde_json::Map<String, Value> =
        documents.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
    json!({ "seed": files })
}

#[test]
fn a_seed_says_to_cloud_init_what_it_was_written_from() {
    let specs = specs();
    let questions: Vec<Value> = specs.iter().map(seed_of).collect();
    for (spec, found) in specs.iter().zip(cloud_init(&questions)) {
        assert_eq!(found["error"], Value::Null, "{spec:?}: {found}");
        assert_eq!(found["instance_id"], format!("{}-1", Uuid::from_u128(5)));
        // Its data source takes what stands before the first dot for the name of the host.
        assert_eq!(found["host"], spec.hostname.split('.').next().unwrap(), "{found}");
        assert_eq!(found["cloud_config"]["hostname"], spec.hostname, "{found}");
        assert_eq!(found["type"], "text/cloud-config");
        assert_eq!(found["keys"], json!(spec.seed.ssh_keys), "{found}");
        let keys = &found["cloud_config"]["ssh_authorized_keys"];
        assert_eq!(
            keys,
            &if spec.seed.ssh_keys.is_empty() { Value::Null } else { json!(spec.seed.ssh_keys) }
        );
        if let Some(user_data) = &spec.seed.user_data {
            assert_eq!(found["user_data"], *user_data);
        }
        for (interface, found) in spec.interfaces.iter().zip(found["interfaces"].as_array().unwrap()) {
            let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
            assert_eq!(found["name"], format!("eth{}", interface.index));
            assert_eq!(found["mac"], interface.mac);
            assert_eq!(found["addresses"], json!(addresses), "{found}");
        }
        assert_eq!(found["nameservers"].as_array().map(Vec::len), Some(4), "{found}");
    }
}

#[test]
fn cloud_init_reads_unquoted_names_as_something_else() {
    // The check can fail: this is how the same names read where nothing quotes them.
    let mut seed = seed_of(&spec("web", Vec::new(), vec!["10.60.0.5/32".parse().unwrap()], None));
    for name in ["2026", "no", "2026-12-01", "1e3"] {
        seed["seed"]["meta-data"] = json!(format!("instance-id: a\nlocal-hostname: {name}\n"));
        let found = &cloud_init(std::slice::from_ref(&seed))[0];
        assert!(name == "1e3" || found["host"] != name, "{name}: {found}");
    }
}

/// What the micro image makes of a document: lines of a path and a value.
fn flattened(document: &str) -> String {
    let script = "../deploy/images/micro/root/usr/lib/guest/yaml.awk";
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    // Bytes, as the guest's busybox has them.
    let mut awk = Command::new("awk");
    awk.arg("-f").arg(script).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = awk.spawn().expect("awk");
    child.stdin.take().expect("a pipe").write_all(document.as_bytes()).expect("less than a pipe holds");
    String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
}

#[test]
fn small_guests_read_the_same_seed() {
    for spec in specs().iter().take(NAMES.len() + COMMENTS.len() + 40) {
        let documents = jst_agent::seed::documents(Uuid::nil(), 1, spec).unwrap();
        let text = |wanted| &documents.iter().find(|(name, _)| *name == wanted).expect("it is there").1;
        let found = flattened(text("meta-data"));
        let mut expected = format!("instance-id\t{}-1\nlocal-hostname\t{}\n", Uuid::nil(), spec.hostname);
        for (index, key) in spec.seed.ssh_keys.iter().enumerate() {
            expected += &format!("public-keys/{index}\t{key}\n");
        }
        assert_eq!(found, expected);
        let network = flattened(text("network-config"));
        for address in &spec.interfaces[0].addresses {
            assert!(network.contains(&format!("\t{address}\n")), "{network}");
        }
    }
}

/// User data whose fate depends on its first line, and pieces of YAML that are put together at random.
fn user_data_samples() -> Vec<String> {
    let mut samples: Vec<String> = [
        "#cloud-config\na: b\n", "#Cloud-Config\na: b\n", "\n\n #cloud-config\na: b\n", "---\n#cloud-config\na: b\n",
        "#!/bin/sh\n", "#! /usr/bin/env python3\n", "#include https://example.com/x\n", "#include-once\nhttps://example.com\n",
        "#cloud-boothook\n#!/bin/sh\n", "#part-handler\n", "#cloud-config-archive\n- {type: text/cloud-config, content: 'a: b'}\n",
        "#cloud-config-jsonp\n[]\n", "## template: jinja\n#cloud-config\na: b\n", "##template: jinja\n#!/bin/sh\n",
        "# cloud-config\na: b\n", "cloud-config\n", "a: b\n", "hello\n", "#upstart-job\n", "#ps1_sysnative\n",
        "<powershell>\n", "rem cmd\n", "echo hello\n",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"x\"\n\n--x\nContent-Type: text/cloud-config\n\n#cloud-config\na: b\n--x--\n",
    ]
    .map(str::to_owned)
    .to_vec();
    let piece = prop::sample::select(vec![
        "a: b\n",
        "a: [1, 2]\n",
        "b: {c: d}\n",
        "  - x\n",
        "- x\n",
        "c:\n",
        "  d: e\n",
        "a: [1\n",
        "\t",
        "e: |\n  text\n",
        "f: \"x\n",
        "g: 'y'\n",
        "\"h\": 1\n",
        "? i\n",
        ": j\n",
        "&k l: m\n",
        "n: *k\n",
        "o: !!str 1\n",
        "p: 2026-12-01\n",
        "---\n",
        "...\n",
        "# comment\n",
        "%YAML 1.1\n",
        "q: a: b\n",
        "r: @x\n",
        "s: `x\n",
        "t: %x\n",
        "\"u\":1\n",
        "{v: w}\n",
        "x",
        "y: \u{7f52}\n",
        "<<: {z: 1}\n",
        "a: null\n",
        "1: 2\n",
        "no: yes\n",
        "   ",
        "a: >-\n\n  b\n",
    ]);
    let made = generated(proptest::collection::vec(piece, 0..7));
    samples.extend(made.into_iter().map(|pieces| format!("#cloud-config\n{}", pieces.concat())));
    samples
}

#[test]
fn user_data_is_taken_exactly_where_cloud_init_takes_it() {
    let samples = user_data_samples();
    let questions: Vec<Value> = samples.iter().map(|text| json!({ "user_data": text })).collect();
    let (mut taken, mut refused) = (0, 0);
    for (sample, found) in samples.iter().zip(cloud_init(&questions)) {
        let ignored =
            found["types"].as_array().is_none_or(|types| types.contains(&json!("text/x-not-multipart")));
        let readable = found["readable"] != false;
        match user_data::understand(sample, "linux") {
            Ok(_) => assert!(!ignored, "taken, and ignored by cloud-init: {sample:?}: {found}"),
            // What cloud-init can read is never refused.
            Err(error) => assert!(ignored || !readable, "{error:?}: {sample:?}: {found}"),
        }
        if ignored || !readable { refused += 1 } else { taken += 1 }
    }
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}
