//! Plans, images and address pools: what is accepted, and what is refused at which field.

use jst_tests::{Api, Platform, images};
use serde_json::{Value, json};
use std::process::Command;

fn plan() -> Value {
    json!({
        "slug": "s1", "name_en": "Small", "name_zh": "小型",
        "policy": {
            "cpu": { "vcpus": 2, "reservation": 500, "limit": 1500, "shares": "high" },
            "memory": { "size": 2048, "reservation": 1024 },
            "disk": { "size": 20480, "write": { "operations": { "average": 500, "peak": 1000, "peak_seconds": 10 } } },
            "network": { "outbound": { "reservation": 1000, "average": 100000, "peak": 1000000, "burst": 10000 } },
        },
        "price_monthly_usd": 450, "price_monthly_cny": 2900,
    })
}

/// The plan with one thing changed, by its JSON pointer.
fn plan_with(pointer: &str, value: Value) -> Value {
    let mut plan = plan();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    plan.pointer_mut(parent).unwrap()[last] = value;
    plan
}

async fn admin(platform: &Platform) -> Api {
    platform.api(&platform.admin_token().await)
}

#[tokio::test]
async fn plans_grow_by_versions() {
    let platform = Platform::start().await;
    let api = admin(&platform).await;
    let made = api.post("/api/v1/admin/plans", plan()).await.expect(201).json();
    assert_eq!((&made["version"], &made["retired"]), (&json!(1), &json!(false)));
    let path = format!("/api/v1/admin/plans/{}", made["id"].as_str().unwrap());

    // The same again changes nothing; a change makes a version; a change upon an old one is refused.
    assert_eq!(api.put(&path, plan()).await.expect(200).json()["version"], 1);
    let dearer = plan_with("/price_monthly_usd", json!(500));
    assert_eq!(api.put(&format!("{path}?version=1"), dearer.clone()).await.expect(200).json()["version"], 2);
    let cheaper = plan_with("/price_monthly_usd", json!(400));
    let refused = api.put(&format!("{path}?version=1"), cheaper).await.expect(409).json();
    assert_eq!(refused["code"], "plan-changed");
    assert_eq!(api.get(&path).await.json()["price_monthly_usd"], 500);
    let events = api.get("/api/v1/admin/audit?action=plan.updated").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(events["items"][0]["data"], json!({ "price_monthly_usd": { "from": 450, "to": 500 } }));

    // Of many changes at once upon one version, one is taken.
    let all = futures::future::join_all((0..6).map(|n| {
        let (api, path) = (api.clone(), format!("{path}?version=2"));
        async move { api.put(&path, plan_with("/sort_order", json!(n + 1))).await.status }
    }));
    let all = all.await;
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == 409).count(), 5, "{all:?}");

    let public = platform.api("");
    assert_eq!(public.get("/api/v1/plans").await.expect(200).json()["items"][0]["slug"], "s1");
    api.delete(&path).await.expect(200);
    assert_eq!(public.get("/api/v1/plans").await.json()["items"], json!([]));
    api.post(&format!("{path}/restore"), json!({})).await.expect(200);
    assert_eq!(public.get("/api/v1/plans").await.json()["items"].as_array().unwrap().len(), 1);
    api.put(&path, plan_with("/public", json!(false))).await.expect(200);
    assert_eq!(public.get("/api/v1/plans").await.json()["items"], json!([]));

    let taken = api.post("/api/v1/admin/plans", plan()).await.expect(422).json();
    assert_eq!(
        (&taken["errors"][0]["field"], &taken["errors"][0]["code"]),
        (&json!("slug"), &json!("slug-taken"))
    );
    platform.stop().await;
}

#[tokio::test]
async fn bad_plans_are_refused_at_the_field() {
    let platform = Platform::start().await;
    let api = admin(&platform).await;
    for (pointer, value, field, code) in [
        ("/slug", json!(""), "slug", "required"),
        ("/slug", json!("-s1"), "slug", "slug"),
        ("/slug", json!("S1"), "slug", "slug"),
        ("/slug", json!("x".repeat(41)), "slug", "slug"),
        ("/slug", json!("套餐"), "slug", "slug"),
        ("/name_en", json!("  "), "name_en", "required"),
        ("/name_zh", json!("长".repeat(61)), "name_zh", "too-long"),
        ("/name_en", json!("a\u{0}b"), "name_en", "control-characters"),
        ("/price_monthly_usd", json!(-1), "price_monthly_usd", "range"),
        ("/price_hourly_cny_micro", json!(i64::MAX), "price_hourly_cny_micro", "range"),
        ("/sort_order", json!(i32::MIN), "sort_order", "range"),
        ("/policy/cpu/vcpus", json!(0), "policy.cpu.vcpus", "policy-out-of-range"),
        ("/policy/cpu/reservation", json!(1501), "policy.cpu.reservation", "policy-reservation-above-limit"),
        ("/policy/cpu/limit", json!(2001), "policy.cpu.limit", "policy-limit-above-size"),
        (
            "/policy/memory/reservation",
            json!(4096),
            "policy.memory.reservation",
            "policy-reservation-above-size",
        ),
        ("/policy/memory/size", json!(1), "policy.memory.size", "policy-out-of-range"),
        ("/policy/disk/size", json!(u64::MAX), "policy.disk.size", "policy-out-of-range"),
        (
            "/policy/disk/write/operations/peak",
            json!(1),
            "policy.disk.write.operations.peak",
            "policy-peak-below-average",
        ),
        (
            "/policy/network/outbound/peak",
            json!(1),
            "policy.network.outbound.peak",
            "policy-peak-below-average",
        ),
        (
            "/policy/network/outbound/average",
            Value::Null,
            "policy.network.outbound.peak",
            "policy-needs-average",
        ),
        ("/policy/network/outbound/burst", json!(1), "policy.network.outbound.burst", "policy-out-of-range"),
        // What cannot be read at all.
        ("/policy/cpu/vcpus", json!(-1), "policy.cpu.vcpus", "json"),
        ("/policy/cpu/vcpus", json!(1.5), "policy.cpu.vcpus", "json"),
        ("/policy/cpu/shares", json!(0), "policy", "json"),
        ("/policy/cpu/shares", json!("most"), "policy.cpu.shares", "json"),
        ("/policy/cpu/resevation", json!(5), "policy.cpu.resevation", "json"),
        ("/policy/memory", Value::Null, "policy.memory", "json"),
        ("/polici", json!({}), "polici", "json"),
        ("/price_monthly_usd", json!("4.50"), "price_monthly_usd", "json"),
    ] {
        let answer =
            api.post("/api/v1/admin/plans", plan_with(pointer, value.clone())).await.expect(422).json();
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(
            (&errors[0]["field"], &errors[0]["code"]),
            (&json!(field), &json!(code)),
            "{pointer} = {value}: {answer}"
        );
        assert!(!errors[0]["detail"].as_str().unwrap().contains("Unknown localization"));
    }
    // Everything that is wrong is told at once.
    let mut plan = plan_with("/policy/cpu/vcpus", json!(0));
    plan["slug"] = json!("");
    let errors = api.post("/api/v1/admin/plans", plan).await.expect(422).json();
    assert_eq!(errors["errors"].as_array().unwrap().len(), 2);
    assert_eq!(api.get("/api/v1/admin/plans").await.json()["items"], json!([]), "nothing was made");
    platform.stop().await;
}

#[tokio::test]
async fn the_plan_form_previews_refuses_and_saves() {
    let platform = Platform::start().await;
    let admin = platform.admin().await;
    let fields = |reservation: &'static str, more: &'static [(&'static str, &'static str)]| {
        let mut fields = vec![
            ("slug", "m1"),
            ("name_en", "Medium"),
            ("name_zh", "中型"),
            ("sort_order", "1"),
            ("price_monthly_usd", "4.5"),
            ("public", "on"),
            ("policy.cpu.vcpus", "2"),
            ("policy.cpu.reservation", reservation),
            ("policy.memory.size", "1024"),
            ("policy.disk.size", "10240"),
            ("policy.network.outbound.average", "2.5"),
        ];
        fields.extend(more);
        fields
    };
    let preview = admin.post("/admin/plans", &fields("0.5", &[("preview", "1")])).await.expect(200);
    assert!(preview.body.contains("0.5 vCPU guaranteed"), "{}", preview.body);
    // The error is in the unit of the form, and what was typed comes back.
    let refused = admin.post("/admin/plans", &fields("2.5", &[])).await.expect(422);
    assert!(
        refused.body.contains("This guarantees 2.5, which is more than the 2 that the instance has."),
        "{}",
        refused.body
    );
    assert!(refused.body.contains("value=\"2.5\"") && refused.body.contains("value=\"中型\""));
    let refused = admin.post("/admin/plans", &fields("x", &[])).await.expect(422);
    assert!(refused.body.contains("at most 3 decimal places"));

    let saved = admin.post("/admin/plans", &fields("0.5", &[])).await.expect(303);
    assert_eq!(saved.location, "/admin/plans");
    let plan = jst_server::plans::db::by_slug(platform.app().db.platform(), "m1").await.unwrap().unwrap();
    assert_eq!((plan.policy.cpu.reservation.get(), plan.price_monthly_usd), (500, 450));
    assert_eq!(plan.policy.network.outbound.average.unwrap().get(), 2500);
    let page = admin.get(&format!("/admin/plans/{}", plan.id)).await.expect(200);
    assert!(page.body.contains("value=\"4.5\"") && page.body.contains("value=\"0.5\""));
    // Somebody else's change is not overwritten.
    let stale = admin.post(&format!("/admin/plans/{}", plan.id), &fields("0.6", &[("version", "7")])).await;
    assert_eq!(stale.status, 409, "{}", stale.body);
    platform.stop().await;
}

fn image_file(platform: &Platform, name: &str, options: &[&str]) -> Vec<u8> {
    let path = platform.directory.path().join(name);
    let made =
        Command::new("qemu-img").args(["create", "-q"]).args(options).arg(&path).arg("16M").status().unwrap();
    assert!(made.success());
    std::fs::read(path).unwrap()
}

async fn upload(
    platform: &Platform,
    token: &str,
    fields: &[(&str, &str)],
    file: Option<Vec<u8>>,
) -> (u16, Value) {
    let mut form = Multipart::default();
    for (name, value) in fields {
        form.text(name, value);
    }
    if let Some(file) = file {
        form.file(&file);
    }
    let response = reqwest::Client::new()
        .post(format!("{}/api/v1/admin/images", platform.url))
        .bearer_auth(token)
        .header("content-type", "multipart/form-data; boundary=xyz")
        .body(form.end())
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// The bytes of a multipart form, as a browser would send them.
#[derive(Default)]
struct Multipart(Vec<u8>);

impl Multipart {
    fn text(&mut self, name: &str, value: &str) {
        self.0.extend(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }

    fn file(&mut self, content: &[u8]) {
        self.0
            .extend(b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../x\"\r\n\r\n");
        self.0.extend(content);
        self.0.extend(b"\r\n");
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend(b"--xyz--\r\n");
        self.0
    }
}

const IMAGE: [(&str, &str); 5] = [
    ("slug", "debian-13"),
    ("name", "Debian 13"),
    ("os_family", "linux"),
    ("format", "qcow2"),
    ("login_user", "debian"),
];

/// Whoever sends one believes that it was compared.
#[tokio::test]
async fn a_checksum_that_nobody_compares_is_refused() {
    let platform = Platform::start().await;
    let token = platform.admin_token().await;
    let fields = [&IMAGE[..], &[("sha256", "ab")]].concat();
    let (status, problem) = upload(&platform, &token, &fields, Some(vec![0; 1024])).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("sha256")), "{problem}");
    let api = platform.api(&token);
    for sha256 in ["", " ", "ab"] {
        let import = json!({ "url": "https://example.com/a.qcow2", "slug": "a", "name": "A", "format": "qcow2",
            "sha256": sha256 });
        let answer = api.post("/api/v1/admin/image-imports", import).await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], "sha256", "{sha256:?}");
    }
    assert_eq!(api.get("/api/v1/admin/image-imports").await.expect(200).json()["items"], json!([]));
    platform.stop().await;
}

#[tokio::test]
async fn images_are_inspected_before_they_are_kept() {
    let platform = Platform::start().await;
    let token = platform.admin_token().await;
    let directory = platform.app().config.data_dir.join("images");
    let good = std::fs::read(images::blank(platform.directory.path(), "good", 16)).unwrap();
    let blank = image_file(&platform, "blank", &["-f", "qcow2"]);
    let truncated = good[..good.len() / 2].to_vec();
    let backed = image_file(&platform, "backed", &["-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw"]);
    let data_file = format!("data_file={}", platform.directory.path().join("data").display());
    let split = image_file(&platform, "split", &["-f", "qcow2", "-o", &data_file]);
    let raw = vec![0u8; 1 << 20];
    let lie = [&IMAGE[..3], &[("format", "raw"), ("login_user", "root")]].concat();

    for (fields, file, field, code) in [
        (&IMAGE[..], Some(backed), "file", "image-backing-file"),
        (&IMAGE[..], Some(split), "file", "image-data-file"),
        (&IMAGE[..], Some(raw), "file", "image-not-this-format"),
        (&IMAGE[..], Some(blank), "file", "image-not-bootable"),
        (&IMAGE[..], Some(truncated), "file", "image-incomplete"),
        (&IMAGE[..], Some(b"<html>".to_vec()), "file", "image-web-page"),
        (&lie[..], Some(b"PK\x03\x04".to_vec()), "file", "image-archive"),
        (&lie[..], Some(b"\x1f\x8b\x08\0".to_vec()), "file", "image-unpack-damaged"),
        (&IMAGE[..], Some(Vec::new()), "file", "image-empty"),
        (&IMAGE[..], None, "file", "required"),
        (&lie[..], Some(good.clone()), "format", "image-format-lie"),
        (&IMAGE[1..], Some(good.clone()), "slug", "required"),
        (&[("slug", "a b"), IMAGE[1], IMAGE[2], IMAGE[3], IMAGE[4]][..], Some(good.clone()), "slug", "slug"),
        (
            &[IMAGE[0], IMAGE[1], IMAGE[2], ("format", "vmdk"), IMAGE[4]][..],
            Some(good.clone()),
            "format",
            "choice",
        ),
        (
            &[IMAGE[0], IMAGE[1], IMAGE[2], IMAGE[3], ("login_user", "a;b")][..],
            Some(good.clone()),
            "login_user",
            "login-user",
        ),
    ] {
        let (status, answer) = upload(&platform, &token, fields, file).await;
        assert_eq!(status, 422, "{answer}");
        assert_eq!(
            (&answer["errors"][0]["field"], &answer["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{answer}"
        );
    }
    let left: Vec<_> =
        std::fs::read_dir(&directory).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "what was refused is gone: {left:?}");

    let (status, image) = upload(&platform, &token, &IMAGE, Some(good.clone())).await;
    assert_eq!(status, 201, "{image}");
    assert_eq!((&image["virtual_bytes"], &image["file_bytes"]), (&json!(16 << 20), &json!(good.len())));
    let kept = directory.join(image["sha256"].as_str().unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), good);

    let (status, answer) = upload(&platform, &token, &IMAGE, Some(good.clone())).await;
    assert_eq!((status, &answer["errors"][0]["code"]), (422, &json!("slug-taken")));
    assert!(kept.exists(), "the refused twin did not take the file with it");

    // The limit counts the bytes that arrive, whatever was announced.
    let api = platform.api(&token);
    api.patch("/api/v1/admin/settings", json!({ "image_max_gib": 1 })).await.expect(200);
    assert_eq!(
        platform.api("").get("/api/v1/images").await.expect(200).json()["items"].as_array().unwrap().len(),
        0
    );
    let path = format!("/api/v1/admin/images/{}", image["id"].as_str().unwrap());
    let mut public = json!({ "slug": "debian-13", "name": "Debian 13", "format": "qcow2", "login_user": "debian", "public": true });
    api.put(&path, public.clone()).await.expect(200);
    assert_eq!(platform.api("").get("/api/v1/images").await.json()["items"][0]["slug"], "debian-13");
    public["format"] = json!("raw");
    assert_eq!(api.put(&path, public).await.expect(422).json()["errors"][0]["code"], "image-format-fixed");
    platform.stop().await;
}

#[tokio::test]
async fn imports_stay_in_their_directory() {
    let platform = Platform::start().await;
    let api = admin(&platform).await;
    let import = platform.app().config.data_dir.join("import");
    std::fs::create_dir_all(&import).unwrap();
    let ours = images::blank(platform.directory.path(), "ours", 16);
    std::fs::copy(ours, import.join("ours.qcow2")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", import.join("link")).unwrap();
    std::fs::create_dir(import.join("folder")).unwrap();
    let body = |path: &str| json!({ "path": path, "slug": "ours", "name": "Ours", "format": "qcow2" });
    for (path, code) in [
        ("", "import-path"),
        ("/etc/passwd", "import-path"),
        ("../sealing.key", "import-path"),
        ("folder/../../sealing.key", "import-path"),
        ("link", "import-path"),
        ("none.qcow2", "import-absent"),
        ("folder", "import-absent"),
    ] {
        let answer = api.post("/api/v1/admin/images", body(path)).await.expect(422).json();
        assert_eq!(
            (&answer["errors"][0]["field"], &answer["errors"][0]["code"]),
            (&json!("path"), &json!(code)),
            "{path}"
        );
    }
    assert_eq!(api.post("/api/v1/admin/images", body("ours.qcow2")).await.expect(201).json()["slug"], "ours");
    platform.stop().await;
}

#[tokio::test]
async fn pools_do_not_overlap_and_stay_while_they_are_used() {
    let platform = Platform::start().await;
    let api = admin(&platform).await;
    let pool =
        |name: &str, network: &str| json!({ "name": name, "network": network, "nameservers": ["9.9.9.9"] });
    let made = api.post("/api/v1/admin/pools", pool("one", "203.0.113.0/24")).await.expect(201).json();
    assert_eq!((&made["usable"], &made["used"]), (&json!(254), &json!(0)));
    for (name, network, field, code) in [
        ("two", "203.0.113.128/25", "network", "pool-overlap"),
        ("two", "203.0.112.0/23", "network", "pool-overlap"),
        ("one", "198.51.100.0/24", "name", "pool-name-taken"),
        ("two", "198.51.100.1/24", "network", "pool-host-bits"),
        ("two", "everything", "network", "pool-network"),
        ("", "198.51.100.0/24", "name", "required"),
    ] {
        let answer = api.post("/api/v1/admin/pools", pool(name, network)).await.expect(422).json();
        assert_eq!(
            (&answer["errors"][0]["field"], &answer["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{network}"
        );
    }
    let unknown =
        json!({ "name": "x", "network": "198.51.100.0/24", "host_id": format!("host_{}", "0".repeat(32)) });
    assert_eq!(
        api.post("/api/v1/admin/pools", unknown).await.expect(422).json()["errors"][0]["field"],
        "host_id"
    );
    // Of two overlapping pools at once, one is made.
    let both = futures::future::join_all(["198.51.100.0/24", "198.51.100.0/25"].map(|network| {
        let api = api.clone();
        async move { api.post("/api/v1/admin/pools", pool(network, network)).await.status }
    }))
    .await;
    assert_eq!(both.iter().filter(|status| **status == 201).count(), 1, "{both:?}");

    let path = format!("/api/v1/admin/pools/{}", made["id"].as_str().unwrap());
    let moved = api.put(&path, pool("one", "192.0.2.0/24")).await.expect(200).json();
    assert_eq!(moved["network"], "192.0.2.0/24");
    api.delete(&path).await.expect(204);
    api.delete(&path).await.expect(404);
    platform.stop().await;
}
