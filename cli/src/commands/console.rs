//! The serial port of an instance, in this terminal.
//!
//! What is typed goes to the guest as it is, Ctrl-C included, and what the guest prints comes as it is; so one key has
//! to be ours: Ctrl-] leaves, as it does in telnet and virsh.

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::resolve;
use crate::words::{Text, texts};
use futures::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde::Deserialize;
use serde_json::json;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Ctrl-]
const LEAVE: u8 = 0x1d;
/// What is typed while the network is slow: more is not read from the terminal meanwhile.
const PIECES: usize = 16;

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

/// What the server says before bytes pass.
#[derive(Deserialize)]
struct State {
    state: String,
}

pub async fn console(context: &Context, name: &str) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, name).await?;
    let path = ["instances", instance.id.as_str(), "console"];
    let Ticket { ticket } = api.post(&path, json!({ "kind": "serial" })).await?.read()?;
    let upgraded = api.socket("console").await?;
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let broken = |error: tokio_tungstenite::tungstenite::Error| {
        Failure::network(texts::CONSOLE_BROKE).with("cause", error)
    };
    // Not in the address, because addresses are written into logs.
    socket.send(Message::text(ticket)).await.map_err(broken)?;

    let mut terminal = None;
    let mut typed = None;
    loop {
        tokio::select! {
            piece = next(&mut typed) => {
                let piece = piece.unwrap_or_else(|| vec![LEAVE]);
                let end = piece.iter().position(|byte| *byte == LEAVE);
                let bytes = piece[..end.unwrap_or(piece.len())].to_vec();
                if !bytes.is_empty() {
                    socket.send(Message::binary(bytes)).await.map_err(broken)?;
                }
                if end.is_some() {
                    drop(terminal.take());
                    let _ = socket.close(None).await;
                    context.note(texts::CONSOLE_LEFT, &[("name", instance.name.clone())]);
                    return Ok(());
                }
            }
            heard = socket.next() => match heard {
                Some(Ok(Message::Binary(bytes))) => print(&bytes)?,
                Some(Ok(Message::Text(text))) => {
                    let state = serde_json::from_str::<State>(&text).map(|state| state.state).unwrap_or_default();
                    if state == "connected" && typed.is_none() {
                        context.note(texts::CONSOLE_OPEN, &[("name", instance.name.clone())]);
                        terminal = Raw::of_stdin();
                        typed = Some(read_keys());
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    drop(terminal.take());
                    let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                    return Err(ended(&instance.name, &reason));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(ended(&instance.name, "")),
            },
        }
    }
}

/// The next piece that was typed; nothing as long as nobody reads the keys.  None: the input has ended.
async fn next(typed: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// On a thread of its own that nobody waits for: a read from a terminal cannot be taken back.
fn read_keys() -> mpsc::Receiver<Vec<u8>> {
    let (sender, typed) = mpsc::channel(PIECES);
    std::thread::spawn(move || {
        let mut piece = [0; 1024];
        while let Ok(length @ 1..) = stdin().lock().read(&mut piece) {
            if sender.blocking_send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    typed
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| Failure::here(texts::CONSOLE_BROKE).with("cause", error))
}

/// Why the other side closed it.
fn ended(name: &str, reason: &str) -> Failure {
    let text: Text = match reason {
        "stopped" => texts::CONSOLE_STOPPED,
        "rebuilt" => texts::CONSOLE_REBUILT,
        "taken-over" => texts::CONSOLE_TAKEN_OVER,
        "idle" | "too-long" => texts::CONSOLE_TOO_LONG,
        "rights-lost" | "suspended" => texts::CONSOLE_RIGHTS,
        "host-silent" => texts::CONSOLE_HOST_SILENT,
        "too-slow" | "guest-deaf" => texts::CONSOLE_TOO_SLOW,
        _ => texts::CONSOLE_ENDED,
    };
    Failure::here(text).with("name", name).with("reason", reason)
}

/// The terminal hands every key on at once and shows nothing itself; dropped, it is as it was.
struct Raw(Termios);

impl Raw {
    /// None where the input is no terminal.
    fn of_stdin() -> Option<Self> {
        if !stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Language;

    #[test]
    fn why_it_ended_is_said_in_words() {
        let said = |reason| ended("web", reason).in_words(Language::English);
        assert!(said("stopped").contains("does not run"), "{}", said("stopped"));
        assert!(said("taken-over").contains("Somebody else"), "{}", said("taken-over"));
        assert!(said("of-a-later-release").contains("of-a-later-release"));
    }
}
