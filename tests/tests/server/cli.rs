//! `jst`, the command-line client, as a process of its own against a real server.

use super::instances::desk::{Customer, Desk, obeyed, text};
use jst_protocol::report::{FailureCode, Outcome};
use jst_tests::stack::programs;
use jst_tests::{Guests, Stack};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};

/// A person at a shell, with a home of their own and no terminal.
struct Shell {
    home: TempDir,
    url: String,
}

#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The one document on standard output.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Shell {
    fn new(desk: &Desk) -> Self {
        Self { home: tempfile::tempdir().unwrap(), url: desk.platform.url.clone() }
    }

    /// Of a customer who is logged in.
    async fn of(desk: &Desk, customer: &Customer) -> Self {
        let shell = Self::new(desk);
        shell.log_in(&customer.token).await.expect(0);
        shell
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().join("jst"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("JST_LANG", "en");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn config(&self) -> PathBuf {
        self.home.path().join(".config/jst/config.toml")
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).spawn().expect("jst is built; tests/run does so")).await
    }

    async fn log_in(&self, token: &str) -> Ended {
        let mut command = self.command(&["login", "--server", &self.url, "--token-stdin"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("jst is built; tests/run does so");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        drop(stdin);
        ended(child).await
    }

    /// Runs a command while the host does what it is told.
    async fn run_obeyed(&self, desk: &Desk, arguments: &[&str]) -> Ended {
        let mut run = std::pin::pin!(self.run(arguments));
        loop {
            tokio::select! {
                ended = &mut run => return ended,
                () = tokio::time::sleep(Duration::from_millis(100)) => desk.obey().await,
            }
        }
    }

    /// Runs a command while the host reports this of every instance.
    async fn run_reported(&self, desk: &Desk, arguments: &[&str], id: &str, outcome: Outcome) -> Ended {
        let before = desk.told(id).await.map(|told| told.generation);
        let mut run = std::pin::pin!(self.run(arguments));
        loop {
            tokio::select! {
                ended = &mut run => return ended,
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    // Nothing is reported before the command has changed something.
                    if let Some(told) = desk.told(id).await.filter(|told| Some(told.generation) != before) {
                        let mut report = obeyed(&told);
                        report.outcome = outcome.clone();
                        desk.report(&[report]).await;
                    }
                }
            }
        }
    }
}

async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("jst ends").expect("jst can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn a_login_is_checked_and_kept_for_its_owner_alone() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let shell = Shell::new(&desk);

    let nobody = shell.run(&["ls"]).await.expect(2);
    assert!(nobody.err.contains("jst login"), "{nobody:?}");
    // A token that the API does not know is not kept.
    let unknown = jst_server::auth::token::generate();
    let refused = shell.log_in(&unknown).await.expect(1);
    assert!(refused.err.contains("not valid") && refused.out.is_empty(), "{refused:?}");
    shell.log_in("not a token").await.expect(2);
    assert!(!shell.config().exists());

    let welcome = shell.log_in(&customer.token).await.expect(0);
    assert!(welcome.out.contains("a@example.com"), "{welcome:?}");
    assert!(!welcome.out.contains(&customer.token) && !welcome.err.contains(&customer.token), "{welcome:?}");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&shell.config()), mode(shell.config().parent().unwrap())), (0o600, 0o700));
    let account = shell.run(&["account", "--json"]).await.expect(0);
    assert_eq!(account.out.trim_end(), customer.api.get("/api/v1/account").await.expect(200).body);

    // A token in the environment goes first, and a refusal is a document for programs too.
    let mut command = shell.command(&["account", "--json"]);
    let bad = ended(command.env("JST_TOKEN", &unknown).spawn().unwrap()).await.expect(1);
    assert_eq!(bad.json()["code"], "unauthenticated", "{bad:?}");
    assert!(bad.err.contains("jst login --server"), "{bad:?}");
    // The stored token is for its own server only, and no token travels unencrypted.
    let elsewhere = shell.run(&["account", "--server", "https://elsewhere.invalid"]).await.expect(2);
    assert!(elsewhere.err.contains("not logged in"), "{elsewhere:?}");
    let plain = shell.run(&["account", "--server", "http://192.0.2.1"]).await.expect(2);
    assert!(plain.err.contains("not encrypted"), "{plain:?}");

    shell.run(&["logout"]).await.expect(0);
    assert!(!shell.config().exists());
    shell.run(&["account"]).await.expect(2);
    desk.platform.stop().await;
}

#[tokio::test]
async fn an_instance_is_made_shown_and_resized() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let shell = Shell::of(&desk, &customer).await;

    // What is misspelt is named, and where to look.
    let wrong = shell.run(&["create", "--name", "web", "--plan", "tiny", "--image", "test"]).await.expect(1);
    assert!(wrong.err.contains("plan: ") && wrong.err.contains("jst plans"), "{wrong:?}");
    let create = ["create", "--name", "Web 1", "--plan", "small", "--image", "test"];
    let made = shell.run_obeyed(&desk, &create).await.expect(0);
    assert!(made.out.contains("creation is done") && made.out.contains("198.51.100.1"), "{made:?}");
    assert!(made.err.contains("Web 1: creation, "), "each step has a line: {made:?}");

    let list = shell.run(&["ls"]).await.expect(0);
    assert!(list.out.contains("Web 1") && list.out.contains("running"), "{list:?}");
    let shown = shell.run(&["show", "web 1", "--json"]).await.expect(0);
    let id = text(&shown.json()["id"]).to_owned();
    let path = format!("/api/v1/instances/{id}");
    assert_eq!(shown.out.trim_end(), customer.api.get(&path).await.expect(200).body);
    assert_eq!(shell.run(&["show", &id, "--json"]).await.expect(0).out, shown.out);
    let all = shell.run(&["ls", "--json"]).await.expect(0);
    assert_eq!(all.json()["items"][0]["id"], id);
    let unknown = shell.run(&["show", "Web 2", "--json"]).await.expect(1);
    assert!(unknown.err.contains("no instance named Web 2") && unknown.out.is_empty(), "{unknown:?}");

    let outcome = Outcome::RestartRequired { fields: vec!["cpu.vcpus".into()] };
    let resize = ["resize", "Web 1", "--plan", "large"];
    let resized = shell.run_reported(&desk, &resize, &id, outcome).await.expect(0);
    assert!(resized.out.contains("resize is done") && resized.out.contains("cpu.vcpus"), "{resized:?}");
    assert_eq!(customer.instance(&id).await["plan"]["slug"], "large");
    desk.books_agree().await;

    // Without waiting, the answer is the operation on its way, which can be waited for later.
    let accepted = shell.run(&["shutdown", "Web 1", "--no-wait", "--json"]).await.expect(0);
    assert_eq!(accepted.json()["state"], "pending", "{accepted:?}");
    let operation = text(&accepted.json()["id"]).to_owned();
    let late = shell.run(&["wait", &operation, "--timeout", "1"]).await.expect(1);
    assert!(late.err.contains("goes on") && late.err.contains(&operation), "{late:?}");
    let done = shell.run_obeyed(&desk, &["wait", &operation, "--json"]).await.expect(0);
    let done = done.json();
    assert_eq!((text(&done["state"]), text(&done["id"])), ("succeeded", operation.as_str()));
    let again = shell.run(&["shutdown", "Web 1", "--json"]).await.expect(1);
    assert_eq!(again.json()["code"], "instance-stopped", "{again:?}");
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_fails_is_told_and_what_destroys_is_asked_for() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let shell = Shell::of(&desk, &customer).await;
    let id = desk.running(&customer, "web", "small").await;

    let full = Outcome::Failed {
        code: FailureCode::StorageFull,
        detail: "no room\u{1b}[2J".into(),
        permanent: true,
    };
    let rebuild = ["rebuild", "web", "--yes", "--json"];
    let failed = shell.run_reported(&desk, &rebuild, &id, full).await.expect(1);
    assert_eq!(failed.json()["state"], "failed", "{failed:?}");
    assert!(failed.err.contains("rebuild failed") && !failed.err.contains('\u{1b}'), "{failed:?}");

    let before = customer.instance(&id).await;
    for command in [&["delete", "web"][..], &["delete", "web", "--now"], &["rebuild", "web"]] {
        let asked = shell.run(command).await.expect(2);
        assert!(asked.err.contains("--yes"), "{asked:?}");
    }
    assert_eq!(customer.instance(&id).await, before);
    shell.run(&["protect", "web"]).await.expect(0);
    let protected = shell.run(&["delete", "web", "--yes", "--json"]).await.expect(1);
    assert_eq!(protected.json()["code"], "delete-protected", "{protected:?}");
    shell.run(&["unprotect", "web"]).await.expect(0);
    let deleted = shell.run_obeyed(&desk, &["delete", "web", "--yes"]).await.expect(0);
    assert!(deleted.out.contains("jst undelete web"), "{deleted:?}");
    shell.run_obeyed(&desk, &["undelete", "web"]).await.expect(0);
    assert_eq!(customer.instance(&id).await["state"], "stopped");

    let rules = ["firewall", "web", "--in", "tcp:22@203.0.113.0/24", "--out-closed"];
    shell.run_obeyed(&desk, &rules).await.expect(0);
    let shown = shell.run(&["firewall", "web"]).await.expect(0);
    assert!(shown.out.contains("tcp:22@203.0.113.0/24") && shown.out.contains("nothing passes"), "{shown:?}");
    shell.run(&["frobnicate"]).await.expect(2);
    desk.platform.stop().await;
}

#[tokio::test]
async fn keys_and_the_catalogue_are_listed_in_the_reader_s_language() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let shell = Shell::of(&desk, &customer).await;
    let file = shell.home.path().join("id.pub");
    std::fs::write(
        &file,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lin@example.com\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    shell.run(&["keys", "add", file, "--name", "笔记本"]).await.expect(0);
    let create = ["create", "--name", "网站", "--plan", "small", "--image", "test", "--key", "笔记本"];
    shell.run_obeyed(&desk, &create).await.expect(0);
    let mut command = shell.command(&["ls"]);
    let list = ended(command.env("JST_LANG", "zh").spawn().unwrap()).await.expect(0);
    assert!(
        list.out.contains("名称") && list.out.contains("网站") && list.out.contains("运行中"),
        "{list:?}"
    );
    let mut command = shell.command(&["show", "无"]);
    let unknown = ended(command.env("JST_LANG", "zh").spawn().unwrap()).await.expect(1);
    assert!(unknown.err.contains("没有名为"), "{unknown:?}");
    shell.run(&["keys", "remove", "笔记本"]).await.expect(2);
    shell.run(&["keys", "remove", "笔记本", "--yes"]).await.expect(0);
    assert!(shell.run(&["keys"]).await.expect(0).out.is_empty());
    let plans = shell.run(&["plans"]).await.expect(0);
    assert!(plans.out.contains("small") && plans.out.contains("256 MiB"), "{plans:?}");
    let bash = shell.run(&["completions", "bash"]).await.expect(0);
    assert!(bash.out.contains("power-off"), "{bash:?}");
    desk.platform.stop().await;
}

#[tokio::test]
async fn the_serial_port_is_in_the_terminal() {
    let stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let customer = stack.customer("cli@example.com").await;
    stack.let_buy("cli@example.com").await;
    let instance = stack.create_instance(&customer, "web", "small", &[]).await;
    stack.wait_for_state(&customer, &instance.id, "running").await;
    let shell = Shell { home: tempfile::tempdir().unwrap(), url: stack.url.clone() };
    let mut command = shell.command(&["--server", &stack.url, "console", "web"]);
    command.env("JST_TOKEN", customer.token()).stdin(Stdio::piped());
    let mut child = command.spawn().expect("jst is built; tests/run does so");
    let (mut typed, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    read_until(&mut shown, "login: ").await;
    typed.write_all(b"hello\r").await.unwrap();
    read_until(&mut shown, "hello\r\n").await;
    // Ctrl-], and what stands behind it is not sent.
    typed.write_all(b"\x1dmore").await.unwrap();
    let left = ended(child).await.expect(0);
    assert!(left.err.contains("Ctrl-] leaves") && left.err.contains("You left web"), "{left:?}");

    stack.act(&customer, &instance.id, "power-off", json!({})).await;
    let mut refused = shell.command(&["--server", &stack.url, "console", "web"]);
    let refused = ended(refused.env("JST_TOKEN", customer.token()).spawn().unwrap()).await;
    assert!(refused.expect(1).err.contains("run"), "it says that the instance does not run");
    stack.stop().await;
}

async fn read_until(shown: &mut ChildStdout, wanted: &str) {
    let mut seen = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(wanted) {
            let mut piece = [0; 1024];
            let length = shown.read(&mut piece).await.unwrap();
            assert!(length > 0, "it ended after {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..length]);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap_or_else(|_| panic!("no {wanted:?}"));
}
