//! The program itself, against a server of a few lines: what goes to which stream, and how it ends.  The real
//! server is asked in `tests/tests/server/cli.rs`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const TOKEN: &str = "jst_0123456789";
const WEB: &str =
    r#"{"id":"vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f50","name":"网站\u001b[2J","state":"running","big":1.50}"#;

struct Shell {
    home: TempDir,
    url: String,
}

impl Shell {
    /// A home, and a server that goes on until the test ends.
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
        Self { home: tempfile::tempdir().unwrap(), url }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jst"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.command(arguments).output().unwrap())
    }

    fn log_in(&self, token: &str) -> (i32, String, String) {
        let mut command = self.command(&["login", "--server", &self.url, "--token-stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        ended(child.wait_with_output().unwrap())
    }

    fn config(&self) -> PathBuf {
        self.home.path().join(".config/jst/config.toml")
    }
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Answers one request, and hangs up.
fn serve(mut stream: TcpStream) {
    let mut bytes = [0; 8192];
    let count = stream.read(&mut bytes).unwrap_or(0);
    let request = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let line = request.lines().next().unwrap_or("");
    let (status, body) = if !request.contains(TOKEN) {
        (401, r#"{"title":"No","detail":"Sign in.","code":"unauthenticated"}"#.to_owned())
    } else if line.contains("/api/v1/account") {
        (200, r#"{"email":"a@example.com","tenant":{"name":"A","role":"owner"}}"#.to_owned())
    } else if line.starts_with("GET /api/v1/instances?") {
        (200, format!(r#"{{"items":[{WEB}],"next_cursor":null}}"#))
    } else if line.starts_with("GET /api/v1/instances/vm_") {
        (200, WEB.to_owned())
    } else {
        (404, r#"{"title":"Nothing","detail":"There is nothing.","code":"not-found"}"#.to_owned())
    };
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

#[test]
fn a_login_is_checked_stored_and_forgotten() {
    let shell = Shell::new();
    let (code, out, err) = shell.run(&["ls"]);
    assert!(code == 2 && out.is_empty() && err.contains("jst login"), "{code} {out} {err}");
    let (code, _, err) = shell.log_in("jst_wrong\n");
    assert!(code == 1 && err.contains("not valid") && !shell.config().exists(), "{code} {err}");
    let (code, out, err) = shell.log_in(&format!("{TOKEN}\n"));
    assert!(code == 0 && out.contains("a@example.com") && !out.contains(TOKEN), "{code} {out} {err}");
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    let folder = shell.config().parent().unwrap().to_owned();
    assert_eq!((mode(shell.config()), mode(folder)), (0o600, 0o700));
    assert_eq!(shell.run(&["account"]).0, 0);
    assert_eq!(shell.run(&["account", "--server", "http://192.0.2.1"]).0, 2);
    assert_eq!(shell.run(&["logout"]).0, 0);
    assert!(!shell.config().exists());
}

#[test]
fn programs_get_the_answer_and_people_a_table() {
    let shell = Shell::new();
    shell.log_in(TOKEN);
    let (code, out, err) = shell.run(&["show", "网站\u{1b}[2J", "--json"]);
    assert_eq!((code, out, err), (0, format!("{WEB}\n"), String::new()));
    let (code, out, _) = shell.run(&["ls"]);
    assert!(code == 0 && out.contains("网站\\u{1b}[2J  running") && !out.contains('\u{1b}'), "{out}");
    let chinese = ended(shell.command(&["ls"]).env("LANG", "zh_CN.UTF-8").output().unwrap());
    assert!(chinese.1.contains("名称") && chinese.1.contains("运行中"), "{chinese:?}");
    let (code, out, err) = shell.run(&["show", "db", "--json"]);
    assert!(code == 1 && out.is_empty() && err.contains("no instance named db"), "{out} {err}");
    let (code, out, err) = shell.run(&["operations", "--json"]);
    assert!(code == 1 && out.contains("not-found") && err.contains("There is nothing."), "{out} {err}");
}

#[test]
fn a_script_that_forgot_yes_loses_nothing() {
    let shell = Shell::new();
    shell.log_in(TOKEN);
    for command in [&["delete"][..], &["delete", "--now"], &["rebuild"]] {
        let (code, _, err) = shell.run(&[command, &["vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f50"]].concat());
        assert!(code == 2 && err.contains("--yes"), "{code} {err}");
    }
    assert_eq!(shell.run(&["frobnicate"]).0, 2);
    assert_eq!(shell.run(&["--help"]).0, 0);
}
