//! The guest's end of a console: the Unix socket of its screen, or the pseudo-terminal of its first serial port.
//!
//! libvirt tells both paths.  The terminal is opened here and not through a stream of libvirt's, because such a
//! stream cannot be closed while it is being read; what the guest writes goes into its log file all the same, which QEMU
//! writes.

use super::Libvirt;
use crate::hypervisor::{Fault, GuestEnd};
use jst_protocol::desired::ConsoleKind;
use jst_protocol::report::FailureCode;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use uuid::Uuid;

impl Libvirt {
    /// Of a guest of this host's that runs.
    pub async fn console(&self, id: Uuid, kind: ConsoleKind) -> Result<GuestEnd, Fault> {
        let refused = |detail: String| Fault::passing(FailureCode::HypervisorRefused, detail);
        let found = self.find(id).await?.ok_or_else(|| refused("there is no such guest".into()))?;
        let missing = || refused("the guest does not run, or has no such console".into());
        match kind {
            ConsoleKind::Vnc => {
                let path = found.facts.vnc_socket.ok_or_else(missing)?;
                let socket = UnixStream::connect(path).await;
                Ok(Box::new(socket.map_err(|error| refused(format!("the guest's screen: {error}")))?))
            }
            ConsoleKind::Serial => {
                let path = found.facts.pty.ok_or_else(missing)?;
                terminal(Path::new(&path))
                    .map_err(|error| refused(format!("the guest's serial port: {error}")))
            }
            ConsoleKind::Unknown => Err(refused("this agent does not know such a console".into())),
        }
    }
}

/// A pseudo-terminal that passes bytes as they are.
fn terminal(path: &Path) -> io::Result<GuestEnd> {
    // It must not become the agent's own terminal, and must not block a thread.
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
    let mut modes = tcgetattr(&file)?;
    modes.make_raw();
    tcsetattr(&file, OptionalActions::Now, &modes)?;
    // To the runtime a terminal is as good as two pipes.
    let from = Receiver::from_file_unchecked(file.try_clone()?)?;
    Ok(Box::new(tokio::io::join(from, Sender::from_file_unchecked(file)?)))
}
