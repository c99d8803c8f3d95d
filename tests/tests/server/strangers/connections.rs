//! Connections that say nothing, or say it slowly.

use super::*;
use jst_tests::agent::AgentClient;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

fn address_of(url: &str) -> SocketAddr {
    url.split("://").nth(1).unwrap().parse().unwrap()
}

/// A connection from 127.0.0.2, where a stranger is.
async fn strange_connection(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the other side has closed it, or does within this time.
async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    let mut bytes = [0; 1024];
    let all = async { while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(within, all).await.is_ok()
}

/// Those of so many connections that the server keeps.
async fn held(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(strange_connection(to).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut open = Vec::new();
    for mut stream in all {
        if !is_closed(&mut stream, Duration::from_millis(1)).await {
            open.push(stream);
        }
    }
    open
}

#[tokio::test]
async fn one_network_holds_a_share_of_the_connections() {
    let platform = Platform::start_with(&["--connections-per-network", "20"]).await;
    let portal = address_of(&platform.url);
    let open = held(portal, 60).await;
    assert!((20..=25).contains(&open.len()), "{}", open.len());
    platform.client().get("/healthz").await.expect(200);
    drop(open);
    jst_tests::eventually("places are free again", Duration::from_secs(5), || async {
        (held(portal, 1).await.len() == 1).then_some(())
    })
    .await;
    platform.stop().await;
}

#[tokio::test]
async fn strangers_take_no_places_of_hosts() {
    let platform = Platform::start().await;
    let agents = address_of(&platform.agent_url());
    let host = AgentClient::enrolled(&platform, "host-1").await;
    let open = held(agents, 300).await;
    assert!((128..=140).contains(&open.len()), "{}", open.len());
    AgentClient::enrolled(&platform, "host-2").await;
    assert!(host.get("/desired?after=-1").await.status < 500);
    platform.stop().await;
}

#[tokio::test]
async fn what_does_not_arrive_is_not_waited_for() {
    let platform = Platform::start().await;
    let (portal, agents) = (address_of(&platform.url), address_of(&platform.agent_url()));
    let slow = async |to, beginning: &str, seconds| {
        let mut stream = strange_connection(to).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let begun = Instant::now();
        assert!(is_closed(&mut stream, Duration::from_secs(seconds)).await, "{beginning:?}");
        assert!(begun.elapsed() > Duration::from_secs(5), "{beginning:?} had some time");
    };
    let form = "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 1000\r\n\r\nemail=";
    tokio::join!(
        slow(portal, "", 25),
        slow(portal, "GET / HTTP/1.1\r\nhost: x\r\nx-slow", 25),
        slow(portal, form, 60),
        slow(agents, "", 15),
        slow(agents, "\u{16}\u{3}\u{1}", 15),
    );
    platform.stop().await;
}
