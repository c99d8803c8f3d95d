//! The program itself: its command line, and that it may die at any moment.

use crate::server::Server;
use crate::{delete, instance};
use jst_policy::lifecycle::Power;
use jst_protocol::report::Observed;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uuid::Uuid;

fn agent(arguments: &[&str], data_dir: &Path, server: &Server) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jst-agent"));
    command.args(arguments).arg("--data-dir").arg(data_dir).args(["--server", &server.address]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(data_dir: &Path, server: &Server) -> Child {
    agent(&["run", "--hypervisor", "sim"], data_dir, server).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_still_gets_there() {
    let server = Server::start().await;
    let data_dir = std::env::temp_dir().join(format!("jst-agent-test-{}", Uuid::new_v4().simple()));
    let token = server.token.reveal();
    let enroll = |token: &str| {
        tokio::task::block_in_place(|| {
            agent(&["enroll", "--token", token], &data_dir, &server).status().unwrap().success()
        })
    };
    let foreign = format!("jst-join.{}.{}", "ab".repeat(32), "cd".repeat(32));
    assert!(!enroll(&foreign), "a server with another CA must not be trusted");
    assert!(enroll(&token));
    assert!(!enroll(&token), "an identity is not overwritten");

    let ids: Vec<Uuid> = (0..20)
        .map(|_| {
            let wanted = instance(Power::Running);
            server.set(wanted.clone());
            wanted.id
        })
        .collect();
    for round in 0..8 {
        let mut child = run(&data_dir, &server);
        tokio::time::sleep(Duration::from_millis(60 + 70 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = run(&data_dir, &server);
    for id in &ids {
        assert_eq!(server.until_applied(*id, 1, 60).await.observed, Observed::Running);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let generations: Vec<i64> = ids.iter().map(|id| server.change(*id, delete)).collect();
    let mut child = run(&data_dir, &server);
    for (id, generation) in ids.iter().zip(generations) {
        assert_eq!(server.until_applied(*id, generation, 60).await.observed, Observed::Absent);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = std::fs::read_dir(data_dir.join("sim"))
        .unwrap()
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"));
    assert_eq!(left.count(), 0);
    std::fs::remove_dir_all(data_dir).unwrap();
}
