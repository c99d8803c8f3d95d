use super::*;
use crate::hypervisor::libvirt::limits::CpuLimits;

#[test]
fn a_title_is_one_line_in_characters_that_xml_has() {
    assert_eq!(title("web\n\u{1}\u{85}\u{fffe}\u{ffff} 1 \u{1f600}"), "web      1 \u{1f600}");
}

fn definition() -> DomainXml {
    DomainXml {
        virtualization: Virtualization::Kvm,
        emulator: "/usr/bin/qemu-system-x86_64".into(),
        id: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001),
        name: DomainXml::name_of(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001)),
        title: "web <1> & 'friends'".into(),
        host: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0002),
        generation: 7,
        epoch: 2,
        build: 3,
        vcpus: 2,
        max_vcpus: 8,
        cpuset: Some("2-63".into()),
        numa_node: Some(0),
        memory_mib: 1024,
        max_memory_mib: 8192,
        page_merging: false,
        cpu: CpuLimits { weight: Some(2048), quota: Some(150_000) },
        cpu_period: DomainXml::PERIOD,
        disk: vec![("read_iops_sec", 500), ("read_iops_sec_max", 1000)],
        direct_io: true,
        root_disk: "/volumes/1/root-3.qcow2".into(),
        seed: Some("/volumes/1/seed.img".into()),
        interfaces: vec![InterfaceXml { mac: "52:54:00:00:00:01".into(), tap: "jst-t1".into() }],
        console_log: "/volumes/1/console.log".into(),
    }
}

/// The whole definition, so that no change of the template goes unseen.  `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_definition_is_as_it_was() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hypervisor/libvirt/domain_xml/golden.xml");
    let xml = definition().render().unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &xml).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap().trim(), xml.trim());
}

#[test]
fn translations_of_emulated_guests_are_bounded() {
    let xml = |virtualization| DomainXml { virtualization, ..definition() }.render().unwrap();
    assert!(xml(Virtualization::Emulation).contains("<tb-cache unit='MiB'>64</tb-cache>"));
    assert!(!xml(Virtualization::Kvm).contains("tcg"));
}

#[test]
fn what_people_enter_is_escaped() {
    let xml = definition().render().unwrap();
    assert!(!xml.contains("<1>"));
    assert!(quick_xml::Reader::from_str(&xml).read_event().is_ok());
}

#[test]
fn every_size_has_a_unit() {
    let xml = definition().render().unwrap();
    for element in ["<memory", "<currentMemory", "<maxMemory", "<cell", "<size", "<requested", "<block"] {
        for (at, _) in xml.match_indices(element) {
            let tag = &xml[at..at + xml[at..].find('>').unwrap()];
            let other = ["<memoryBacking", "model=", "nodeset="].iter().any(|sign| tag.contains(sign));
            assert!(other || tag.contains("unit="), "{tag}");
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    let facts = DomainFacts::read(&definition().render().unwrap()).unwrap();
    assert_eq!(facts.host, Some(definition().host));
    assert_eq!((facts.build, facts.vcpus, facts.max_vcpus), (3, 2, 8));
    assert_eq!((facts.boot_memory, facts.room, facts.plugged), (MiB(1024), MiB(7168), MiB(0)));
    assert!(facts.has_seed);
}

#[test]
fn pages_are_merged_only_where_that_is_allowed() {
    let facts = |page_merging| {
        let xml = DomainXml { page_merging, ..definition() }.render().unwrap();
        DomainFacts::read(&xml).unwrap()
    };
    assert!(facts(false).unmerged && !facts(true).unmerged);
}

#[test]
fn a_foreign_domain_has_no_host() {
    let xml = "<domain type='kvm'><name>jst-something</name><vcpu>4</vcpu></domain>";
    let facts = DomainFacts::read(xml).unwrap();
    assert_eq!((facts.host, facts.vcpus, facts.max_vcpus), (None, 4, 4));
}

#[test]
fn the_memory_device_is_asked_for_another_size_and_nothing_else() {
    let live = "<devices><memory model='virtio-mem'><target><size unit='KiB'>7340032</size>\
                <requested unit='KiB'>0</requested><current unit='KiB'>0</current></target>\
                <alias name='virtiomem0'/></memory><memballoon/></devices>";
    let device = with_requested(live, MiB(512)).unwrap();
    assert!(device.starts_with("<memory model='virtio-mem'>") && device.ends_with("</memory>"));
    assert!(device.contains("<requested unit='MiB'>512</requested>"));
    assert!(device.contains("<alias name='virtiomem0'/>"));
    assert!(with_requested("<devices/>", MiB(1)).is_err());
}

#[test]
fn the_seed_is_told_from_the_root_disk() {
    let xml = definition().render().unwrap();
    let disk = seed_disk(&xml).unwrap();
    assert!(disk.starts_with("<disk ") && disk.contains("seed.img") && !disk.contains("root-3"));
    assert_eq!(seed_disk(&DomainXml { seed: None, ..definition() }.render().unwrap()), None);
}
