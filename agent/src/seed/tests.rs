use super::*;
use jst_protocol::desired::{Firewall, ImageFormat, ImageRef, OnCrash};
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

#[test]
fn the_network_is_written_as_small_guests_read_it() {
    let expected = r#"version: 2
ethernets:
  eth0:
    match:
      macaddress: "52:54:00:aa:bb:cc"
    set-name: eth0
    addresses:
      - "10.60.0.5/32"
    routes:
      - to: "0.0.0.0/0"
        via: "169.254.0.1"
        on-link: true
    nameservers:
      addresses: ["10.60.0.1"]
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
    let text = document(&spec, "network-config").unwrap();
    assert_eq!(text.matches("routes:").count(), 1);
    assert!(text.contains("      - to: \"::/0\"\n        via: \"fe80::1\"\n        on-link: true\n"));
    assert!(text.contains("  eth1:\n"));
}

#[test]
fn keys_are_escaped_and_stand_where_user_data_cannot_displace_them() {
    let default = spec(None);
    let line = format!("  - {}\n", serde_json::to_string(KEY).unwrap());
    assert_eq!(
        document(&default, "meta-data").unwrap(),
        format!(
            "instance-id: 00000000-0000-0000-0000-000000000005-3\nlocal-hostname: web-1\npublic-keys:\n{line}"
        )
    );
    let ours = document(&default, "user-data").unwrap();
    assert_eq!(
        ours,
        format!(
            "#cloud-config\nhostname: web-1\ndisable_root: false\nssh_pwauth: false\nssh_authorized_keys:\n{line}"
        )
    );
    assert_eq!(document(&default, "vendor-data"), None);

    let script = "#!/bin/sh\necho 你好 > /root/x\n";
    let custom = spec(Some(script));
    assert_eq!(document(&custom, "user-data").unwrap(), script);
    assert_eq!(document(&custom, "vendor-data").unwrap(), ours);
    assert!(document(&custom, "meta-data").unwrap().contains(&line));
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
