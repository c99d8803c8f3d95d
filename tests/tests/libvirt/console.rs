//! Consoles of real guests: what is typed reaches them, and what they show comes back.

use super::Lab;
use jst_tests::console::Socket;
use jst_tests::customer::Instance;
use serde_json::json;
use std::time::Duration;

const PASSWORD: &str = "only-for-this-guest";
const SOON: Duration = Duration::from_secs(20);

async fn open(lab: &Lab, instance: &Instance, kind: &str) -> Socket {
    let path = format!("/api/v1/instances/{}/console", instance.id);
    let answer = lab.customer.post(&path, json!({ "kind": kind })).await.expect(201).json();
    let ticket = answer["ticket"].as_str().expect("a ticket");
    let mut socket = Socket::with_ticket(&lab.stack.url, ticket).await;
    socket.connected().await;
    socket
}

/// Types like a person who looks at what comes: again, when nothing does.
async fn type_until(serial: &mut Socket, text: &str, wanted: &str) -> String {
    for _ in 0..5 {
        serial.send(text.as_bytes()).await;
        let mut all = String::new();
        while let Some(heard) = serial.hear_within(Duration::from_secs(4)).await {
            let jst_tests::console::Heard::Bytes(bytes) = heard else { panic!("{heard:?}") };
            all.push_str(&String::from_utf8_lossy(&bytes));
            if all.contains(wanted) {
                return all;
            }
        }
    }
    panic!("{wanted:?} never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_types_into_a_guest_and_sees_its_screen() {
    let lab = Lab::open("console@example.com").await;
    let body = json!({
        "name": "web", "plan": "small", "image": "test",
        "user_data": format!("#cloud-config\npassword: {PASSWORD}\n"),
    });
    let operation = lab.customer.post("/api/v1/instances", body).await.expect(202).json();
    let id = operation["instance_id"].as_str().expect("an id").to_owned();
    lab.stack.wait_for_state(&lab.customer, &id, "running").await;
    let instance = Instance { id, address: String::new() };

    let mut serial = open(&lab, &instance, "serial").await;
    type_until(&mut serial, "\r", "login:").await;
    type_until(&mut serial, "root\r", "assword:").await;
    type_until(&mut serial, &format!("{PASSWORD}\r"), "# ").await;
    // The sum is the guest's: what was typed alone does not hold it.
    serial.send(b"echo $((6111 * 7)) > /run/typed; cat /run/typed\r").await;
    serial.read_until("42777", SOON).await;
    // Much at once comes whole.
    serial.send(b"head -c 200000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo the-end | tr a-z A-Z\r").await;
    let much = serial.read_until("THE-END", Duration::from_secs(90)).await;
    assert_eq!(much.matches('x').count() - much.matches("'x'").count(), 200_000);

    // Another one takes it over, in the same session of the guest.
    let mut second = open(&lab, &instance, "serial").await;
    assert_eq!(serial.end().await, "taken-over");
    type_until(&mut second, "cat /run/typed\r", "42777").await;

    // The file that is kept of the serial port has all of it, too.
    let uuid =
        instance.id.trim_start_matches("vm_").parse::<uuid::Uuid>().expect("an instance id holds a UUID");
    let log = lab.stack.directory.path().join(format!("agent/volumes/{uuid}/console.log"));
    let log = String::from_utf8_lossy(&std::fs::read(&log).expect("the log")).into_owned();
    assert!(log.contains("42777") && log.contains("THE-END"), "{} bytes of log", log.len());

    let mut screen = open(&lab, &instance, "vnc").await;
    let mut rest = Vec::new();
    assert_eq!(screen.read_exact(&mut rest, 12).await, b"RFB 003.008\n");
    screen.send(b"RFB 003.008\n").await;
    let kinds = screen.read_exact(&mut rest, 1).await[0];
    assert!(screen.read_exact(&mut rest, kinds.into()).await.contains(&1), "no password of its own");
    screen.send(&[1]).await;
    assert_eq!(screen.read_exact(&mut rest, 4).await, [0; 4]);
    screen.send(&[1]).await;
    let start = screen.read_exact(&mut rest, 24).await;
    let (width, height) =
        (u16::from_be_bytes([start[0], start[1]]), u16::from_be_bytes([start[2], start[3]]));
    let name = u32::from_be_bytes([start[20], start[21], start[22], start[23]]);
    screen.read_exact(&mut rest, name as usize).await;
    assert!(width >= 320 && height >= 200, "{width} x {height}");
    // Raw encoding, and then the whole screen.
    screen.send(&[2, 0, 0, 1, 0, 0, 0, 0]).await;
    let mut request = vec![3, 0, 0, 0, 0, 0];
    request.extend(width.to_be_bytes());
    request.extend(height.to_be_bytes());
    screen.send(&request).await;
    let head = screen.read_exact(&mut rest, 4).await;
    assert_eq!(head[0], 0, "a framebuffer update");
    let mut pixels = Vec::new();
    for _ in 0..u16::from_be_bytes([head[2], head[3]]) {
        let part = screen.read_exact(&mut rest, 12).await;
        let number = |at: usize| usize::from(u16::from_be_bytes([part[at], part[at + 1]]));
        pixels.extend(screen.read_exact(&mut rest, number(4) * number(6) * 4).await);
    }
    assert!(pixels.len() >= usize::from(width) * usize::from(height) * 4, "{} bytes", pixels.len());
    assert!(
        pixels.iter().any(|byte| *byte != 0),
        "the screen is not black: firmware and boot loader wrote on it"
    );

    // The kernel's own terminal on the screen takes what is typed there.
    second.send(b"read line </dev/tty1; echo \"<$line>\" | tr a-z A-Z\r").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for symbol in "typed there\r".chars() {
        let symbol = if symbol == '\r' { 0xff0d } else { u32::from(symbol) };
        for down in [1, 0] {
            let mut key = vec![4, down, 0, 0];
            key.extend(symbol.to_be_bytes());
            screen.send(&key).await;
        }
    }
    second.read_until("<TYPED THERE>", SOON).await;

    lab.act(&instance, "power-off", json!({})).await;
    for socket in [&mut second, &mut screen] {
        let reason = socket.end().await;
        assert!(["guest-gone", "stopped"].contains(&reason.as_str()), "{reason}");
    }
    lab.stack.delete_now(&lab.customer, &instance.id).await;
    lab.stack.stop().await;
}
