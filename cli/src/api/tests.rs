//! Against a server of a few lines, which breaks connections when it is told to.

use super::*;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone)]
enum Act {
    /// Hangs up without an answer.
    Break,
    /// Hangs up in the middle of the answer.
    BreakWithin,
    /// Status, further header lines, body.
    Answer(u16, &'static str, String),
}

/// The heads of the requests that came, in lower case, each with its body.
type Heard = Arc<Mutex<Vec<String>>>;

async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return format!("{head}\n{body}");
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&more[..count]),
        }
    }
}

/// A server that does one thing after the other, a connection each.
async fn server(acts: Vec<Act>) -> (Api, Heard) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let log = heard.clone();
    tokio::spawn(async move {
        for act in acts {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = request(&mut stream).await;
            log.lock().unwrap().push(text);
            let answer = match act {
                Act::Break => continue,
                Act::BreakWithin => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
                Act::Answer(status, headers, body) => format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
                    body.len()
                ),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let access = Access {
        server: Server::parse(&format!("http://{address}")).unwrap(),
        token: "jst_test".into(),
        ca: None,
    };
    let mut api = Api::new(access, Language::English).unwrap();
    api.pause = Duration::from_millis(1);
    (api, heard)
}

fn good(body: Value) -> Act {
    Act::Answer(200, "", body.to_string())
}

fn refused(status: u16, headers: &'static str, code: &str) -> Act {
    Act::Answer(status, headers, json!({ "title": "t", "detail": "d", "code": code }).to_string())
}

fn keys(heard: &Heard) -> Vec<String> {
    let of = |text: &String| {
        let after = text.split("idempotency-key: ").nth(1)?;
        after.lines().next().map(str::to_owned)
    };
    heard.lock().unwrap().iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_change_is_repeated_after_a_break_with_the_same_key() {
    let (api, heard) = server(vec![Act::Break, Act::BreakWithin, good(json!({ "id": "op_1" }))]).await;
    let answer = api.post(&["instances"], json!({ "name": "web" })).await.unwrap();
    assert_eq!(answer.text, r#"{"id":"op_1"}"#);
    let keys = keys(&heard);
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0] && key.len() == 36), "{keys:?}");
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|request| request.contains(r#"{"name":"web"}"#)), "{heard:?}");
    assert!(heard.iter().all(|request| request.contains("authorization: bearer jst_test")), "{heard:?}");
    assert!(heard[0].starts_with("post /api/v1/instances http/1.1"), "{heard:?}");
}

#[tokio::test]
async fn four_breaks_are_a_failure_that_says_what_is_unknown() {
    let (api, heard) = server(vec![Act::Break; 5]).await;
    let failure = api.post(&["instances"], json!({})).await.unwrap_err();
    assert_eq!(heard.lock().unwrap().len(), 4);
    let words = failure.in_words(Language::English);
    let server = api.server().to_string();
    assert!(matches!(failure, Failure::Network(_)) && words.contains(&server), "{words}");
    assert!(words.contains("4 times") && words.contains("may have been made"), "{words}");
}

#[tokio::test]
async fn the_first_try_may_still_be_at_work() {
    let acts = vec![Act::Break, refused(409, "", "idempotency-in-progress"), good(json!({}))];
    let (api, heard) = server(acts).await;
    api.post(&["instances"], json!({})).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    for status in [400, 401, 403, 404, 409, 422, 500, 503] {
        let (api, heard) = server(vec![refused(status, "", "some"), good(json!({}))]).await;
        let Failure::Api(problem) = api.post(&["instances"], json!({})).await.unwrap_err() else {
            panic!("{status}")
        };
        assert_eq!((problem.status, problem.code.as_str(), problem.repeated), (status, "some", false));
        assert_eq!(heard.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn one_waits_for_one_s_turn_at_most_three_times() {
    let busy = || refused(429, "retry-after: 0\r\n", "too-many");
    let (api, heard) = server(vec![busy(), busy(), busy(), good(json!({}))]).await;
    api.get(&["account"], &[]).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 4);
    let (api, heard) = server(vec![busy(), busy(), busy(), busy(), good(json!({}))]).await;
    let failure = api.get(&["account"], &[]).await.unwrap_err();
    assert!(matches!(&failure, Failure::Api(problem) if problem.status == 429), "{failure:?}");
    assert_eq!(heard.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn reading_needs_no_key() {
    let (api, heard) = server(vec![Act::Break, good(json!({}))]).await;
    api.get(&["account"], &[]).await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 2);
    assert!(keys(&heard).is_empty());
}

#[tokio::test]
async fn where_nobody_listens_one_is_told_at_once() {
    let (mut api, _) = server(Vec::new()).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    api.server = Server::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    api.pause = Duration::from_secs(3600);
    let words = api.post(&["instances"], json!({})).await.unwrap_err().in_words(Language::English);
    assert!(words.contains(&api.server().to_string()) && words.contains("cannot be reached"), "{words}");
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = Act::Answer(302, "location: https://elsewhere.example/\r\n", String::new());
    let (api, heard) = server(vec![elsewhere, good(json!({}))]).await;
    let words = api.get(&["account"], &[]).await.unwrap_err().in_words(Language::English);
    assert!(words.contains("https://elsewhere.example/"), "{words}");
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_of_several_parts_is_one_document() {
    let first = Act::Answer(200, "", r#"{"items":[{"n":1.50},{"n":2}],"next_cursor":"a&b"}"#.into());
    let second = Act::Answer(200, "", r#"{"items":[{"n":3}],"next_cursor":null}"#.into());
    let (api, heard) = server(vec![first.clone(), second]).await;
    let listing = api.list(&["instances"], &[], None).await.unwrap();
    assert_eq!(listing.text, r#"{"items":[{"n":1.50},{"n":2},{"n":3}],"next_cursor":null}"#);
    assert_eq!(listing.read::<Value>().unwrap().len(), 3);
    assert!(heard.lock().unwrap()[1].contains("?limit=100&cursor=a%26b "));
    // One part is printed as it came, and a limit is kept.
    let (api, heard) = server(vec![first]).await;
    let listing = api.list(&["instances"], &[], Some(2)).await.unwrap();
    assert_eq!(listing.text, r#"{"items":[{"n":1.50},{"n":2}],"next_cursor":"a&b"}"#);
    assert!(heard.lock().unwrap()[0].contains("?limit=2 "));
}
