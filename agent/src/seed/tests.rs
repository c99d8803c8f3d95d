use super::*;
use jst_protocol::desired::{Firewall, ImageFormat, ImageRef, OnCrash};
use serde_json::Value;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ li \"the\" wang";

fn spec(user_data: Option<&str>) -> InstanceSpec {
    let policy = serde_json::json!({
        "cpu": {"vcpus": 1}, "memory": {"size": 512}, "disk": {"size": 1024}, "network": {}
    });
    InstanceSpec {
        name: "web".into(),
        hostname: "web-1".into(),
        domain: None,
        policy: serde_json::from_value(policy).unwrap(),
        image: ImageRef { sha256: String::new(), format: ImageFormat::Raw, file_bytes: 0, virtual_bytes: 0 },
        build: 1,
        interfaces: vec![Interface {
            index: 0,
            mac: "52:54:00:aa:bb:cc".into(),
            addresses: vec!["10.60.0.5/32".parse().unwrap()],
            nameservers: vec!["10.60.0.1".parse().unwrap()],
        }],
        seed: Seed { ssh_keys: vec![KEY.into()], user_data: user_data.map(str::to_owned) },
        firewall: Firewall::default(),
        on_crash: OnCrash::Restart,
        start_order: 0,
    }
}

fn document(spec: &InstanceSpec, wanted: &str) -> Option<String> {
    let documents = documents(Uuid::from_u128(5), 3, spec).unwrap();
    documents.into_iter().find(|(name, _)| *name == wanted).map(|(_, text)| text)
}

/// What a reader of JSON finds in a document.
fn read(spec: &InstanceSpec, wanted: &str) -> Value {
    let text = document(spec, wanted).unwrap();
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap_or(&text)).unwrap()
}

#[test]
fn the_network_is_one_value_a_line_as_small_guests_read_it() {
    let expected = r#"{
  "version": 2,
  "ethernets": {
    "eth0": {
      "match": {
        "macaddress": "52:54:00:aa:bb:cc"
      },
      "set-name": "eth0",
      "addresses": [
        "10.60.0.5/32"
      ],
      "routes": [
        {
          "to": "0.0.0.0/0",
          "via": "169.254.0.1",
          "on-link": true
        }
      ],
      "nameservers": {
        "addresses": [
          "10.60.0.1"
        ]
      }
    }
  }
}
"#;
    assert_eq!(document(&spec(None), "network-config").unwrap(), expected);
}

#[test]
fn both_families_have_a_default_route_on_the_first_interface_only() {
    let mut spec = spec(None);
    let mut second = spec.interfaces[0].clone();
    second.index = 1;
    spec.interfaces[0].addresses.push("2001:db8::5/128".parse().unwrap());
    spec.interfaces.push(second);
    let network = read(&spec, "network-config");
    let routes = &network["ethernets"]["eth0"]["routes"];
    assert_eq!(routes[1], serde_json::json!({ "to": "::/0", "via": "fe80::1", "on-link": true }));
    assert_eq!(network["ethernets"]["eth1"]["routes"], Value::Null);
    assert_eq!(network["ethernets"]["eth1"]["set-name"], "eth1");
}

#[test]
fn keys_stand_where_user_data_cannot_displace_them() {
    let default = spec(None);
    let id = "00000000-0000-0000-0000-000000000005-3";
    assert_eq!(
        read(&default, "meta-data"),
        serde_json::json!({ "instance-id": id, "local-hostname": "web-1", "public-keys": [KEY] })
    );
    let ours = document(&default, "user-data").unwrap();
    assert_eq!(
        read(&default, "user-data"),
        serde_json::json!({
            "hostname": "web-1", "disable_root": false, "ssh_pwauth": false, "ssh_authorized_keys": [KEY]
        })
    );
    assert!(ours.starts_with("#cloud-config\n{\n"));
    assert_eq!(document(&default, "vendor-data"), None);

    let script = "#!/bin/sh\necho 你好 > /root/x\n";
    let custom = spec(Some(script));
    assert_eq!(document(&custom, "user-data").unwrap(), script);
    assert_eq!(document(&custom, "vendor-data").unwrap(), ours);
    assert_eq!(read(&custom, "meta-data")["public-keys"], serde_json::json!([KEY]));
}

#[test]
fn a_host_name_that_yaml_takes_for_something_else_is_quoted() {
    for name in ["2026", "no", "2026-12-01", "1e3", "0x1f", "null", "on", "12.30"] {
        let mut spec = spec(None);
        spec.hostname = name.into();
        assert_eq!(read(&spec, "meta-data")["local-hostname"], name);
        assert!(document(&spec, "user-data").unwrap().contains(&format!("\"hostname\": \"{name}\"")));
    }
}

#[test]
fn the_guest_learns_its_domain() {
    let mut spec = spec(None);
    assert_eq!(read(&spec, "user-data").get("fqdn"), None);
    spec.domain = Some("example.com".into());
    let config = read(&spec, "user-data");
    assert_eq!((&config["fqdn"], &config["hostname"]), (&"web-1.example.com".into(), &"web-1".into()));
    spec.domain = Some("example.com\nruncmd".into());
    assert!(documents(Uuid::nil(), 1, &spec).is_err());
}

#[test]
fn what_a_yaml_reader_refuses_or_folds_is_escaped() {
    let comment = "a\u{85}b\u{2028}c\u{feff}d\u{7f}e\u{ffff}f😀";
    let text = super::document(&[comment]).unwrap();
    assert_eq!(text, "[\n  \"a\\u0085b\\u2028c\\ufeffd\\u007fe\\uffff\u{66}😀\"\n]\n");
    assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [comment]);
}

#[test]
fn what_could_break_out_of_a_line_is_refused() {
    let refused = |change: fn(&mut InstanceSpec)| {
        let mut spec = spec(None);
        change(&mut spec);
        documents(Uuid::nil(), 1, &spec).is_err()
    };
    assert!(refused(|spec| spec.hostname = "a\nruncmd: [x]".into()));
    assert!(refused(|spec| spec.hostname = "a: b".into()));
    assert!(refused(|spec| spec.hostname = String::new()));
    assert!(refused(|spec| spec.seed.ssh_keys.push("ssh-ed25519 A\nroot".into())));
    assert!(refused(|spec| spec.seed.ssh_keys.push("ssh-ed25519 A\u{2028}root".into())));
    assert!(refused(|spec| spec.interfaces[0].mac = "52:54:00:aa:bb:cc\"".into()));
}

#[test]
fn the_disk_is_labelled_private_and_replaced_whole() {
    let directory = std::env::temp_dir().join(format!("seed-{}", Uuid::new_v4()));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("seed.img");
    // Larger than the smallest disk, so that the size follows the content.
    let large = "#!/bin/sh\n".to_owned() + &"# filler\n".repeat(200_000);
    write_seed(&path, Uuid::nil(), 1, &spec(None)).unwrap();
    write_seed(&path, Uuid::nil(), 2, &spec(Some(&large))).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);

    let file_system = fatfs::FileSystem::new(
        std::fs::File::options().read(true).write(true).open(&path).unwrap(),
        fatfs::FsOptions::new(),
    )
    .unwrap();
    assert_eq!(file_system.volume_label(), "CIDATA");
    let mut text = String::new();
    file_system.root_dir().open_file("user-data").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, large);
    std::fs::remove_dir_all(&directory).unwrap();
}
