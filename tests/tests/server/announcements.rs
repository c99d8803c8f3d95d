//! Announcements: above every page, on the status page, and what is refused.

use jst_tests::Platform;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/admin/announcements";

fn input() -> Value {
    json!({ "kind": "incident", "title_en": "Slow <b>disks</b>", "title_zh": "磁盘变慢",
        "text_en": "We look into it.\nSorry.", "text_zh": "正在处理。", "starts_at": "2026-01-01T00:00:00Z", "banner": true })
}

#[tokio::test]
async fn what_is_on_stands_above_every_page() {
    let platform = Platform::start().await;
    let admin = platform.api(&platform.admin_token().await);
    let visitor = platform.client();
    assert!(visitor.get("/status").await.expect(200).body.contains("Everything works"));

    let made = admin.post(PATH, input()).await.expect(201).json();
    let id = made["id"].as_str().expect("an id").to_owned();
    for path in ["/", "/plans", "/help", "/sign-in", "/no-such-page"] {
        let page = visitor.get(path).await.body;
        assert!(page.contains("Slow &#60;b&#62;disks&#60;/b&#62;"), "{path}: {page}");
    }
    let page = visitor.get_in("/status", "zh-CN").await.expect(200).body;
    assert!(page.contains("磁盘变慢") && page.contains("正在处理") && page.contains("出现故障"), "{page}");

    admin.post(&format!("{PATH}/{id}/end"), json!({})).await.expect(204);
    assert!(!visitor.get("/").await.body.contains("disks"));
    let page = visitor.get("/status").await.expect(200).body;
    assert!(page.contains("disks") && page.contains("Everything works"), "{page}");

    // What is planned is on the status page alone.
    let mut planned = input();
    planned["kind"] = json!("maintenance");
    planned["title_en"] = json!("New switches");
    planned["starts_at"] = json!("2126-01-01T00:00:00Z");
    let later = admin.post(PATH, planned).await.expect(201).json();
    assert!(!visitor.get("/").await.body.contains("New switches"));
    assert!(visitor.get("/status").await.expect(200).body.contains("New switches"));

    for id in [&id, later["id"].as_str().expect("an id")] {
        admin.delete(&format!("{PATH}/{id}")).await.expect(204);
        admin.get(&format!("{PATH}/{id}")).await.expect(404);
    }
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM events WHERE subject_kind = 'announcement' ORDER BY id")
            .fetch_all(platform.app().db.platform())
            .await
            .expect("the log is there");
    let verbs: Vec<_> = actions.iter().filter_map(|action| action.split('.').nth(1)).collect();
    assert_eq!(verbs, ["created", "ended", "created", "deleted", "deleted"]);
    platform.stop().await;
}

#[tokio::test]
async fn bad_input_changes_nothing() {
    let platform = Platform::start().await;
    let admin = platform.api(&platform.admin_token().await);
    let wrong = [
        ("kind", json!("party"), ""),
        ("title_zh", json!(" "), "title_zh"),
        ("title_en", json!("x".repeat(121)), "title_en"),
        ("text_en", json!("a\u{1b}[2J"), "text_en"),
        ("ends_at", json!("2025-01-01T00:00:00Z"), "ends_at"),
        ("starts_at", json!("tomorrow"), ""),
        ("colour", json!("red"), ""),
    ];
    for (name, value, field) in wrong {
        let mut body = input();
        body[name] = value;
        let answer = admin.post(PATH, body).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.body);
        assert!(answer.body.contains(field), "{name}: {}", answer.body);
    }
    let made = admin.post(PATH, input()).await.expect(201).json();
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    let mut body = input();
    body["title_en"] = json!("");
    admin.put(&path, body).await.expect(422);
    assert_eq!(admin.get(&path).await.expect(200).json(), made);
    platform.stop().await;
}

#[tokio::test]
async fn administrators_write_them_in_a_form() {
    let platform = Platform::start().await;
    let admin = platform.admin().await;
    let fields = |ends: &'static str| {
        [
            ("kind", "maintenance"),
            ("title_en", "New switches"),
            ("title_zh", "更换交换机"),
            ("text_en", "One hour."),
            ("text_zh", "一小时。"),
            ("starts_at", "2026-01-01T10:00"),
            ("ends_at", ends),
            ("banner", "on"),
        ]
    };
    let page = admin.post("/admin/announcements", &fields("2025-01-01T10:00")).await.expect(422).body;
    assert!(page.contains("It must end after it begins") && page.contains("更换交换机"), "{page}");
    let page = admin.post("/admin/announcements", &fields("soon")).await.expect(422).body;
    assert!(page.contains("Give a day and a time"), "{page}");
    admin.post("/admin/announcements", &fields("")).await.expect(303);
    let list = admin.get("/admin/announcements").await.expect(200).body;
    let id = list.split("/admin/announcements/ann_").nth(1).expect("it is listed")[..32].to_owned();
    let path = format!("/admin/announcements/ann_{id}");
    let page = admin.get(&path).await.expect(200).body;
    assert!(page.contains("2026-01-01T10:00") && page.contains("End it now"), "{page}");
    admin.post(&path, &fields("2026-01-01T11:00")).await.expect(303);
    assert!(!admin.get("/").await.body.contains("New switches"), "it is over");
    admin.post(&format!("{path}/delete"), &[]).await.expect(303);
    admin.get(&path).await.expect(404);
    platform.stop().await;
}
