//! A simulated guest's consoles: a serial port that gives back what is typed, and a screen in one colour.

use super::Sim;
use crate::hypervisor::{Fault, GuestEnd};
use jst_protocol::desired::ConsoleKind;
use jst_protocol::report::FailureCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use uuid::Uuid;

/// What a guest's kernel keeps of a serial port that nobody reads.
const BUFFER_BYTES: usize = 4096;
/// How soon a guest that ended takes its consoles along.
const LOOK: Duration = Duration::from_millis(200);

const GREETING: &[u8] = b"\r\nSimulated guest ttyS0\r\n\r\nlogin: ";

const WIDTH: u16 = 320;
const HEIGHT: u16 = 200;
/// Blue, green, red and nothing, as the pixels of the format below.
const COLOUR: [u8; 4] = [0x60, 0x40, 0x20, 0];

impl Sim {
    pub fn console(self: &Arc<Self>, id: Uuid, kind: ConsoleKind) -> Result<GuestEnd, Fault> {
        if !self.runs(id) {
            return Err(Fault::passing(FailureCode::HypervisorRefused, "the guest does not run"));
        }
        let (ours, guests) = tokio::io::duplex(BUFFER_BYTES);
        let sim = self.clone();
        tokio::spawn(async move {
            let ended = async {
                while sim.runs(id) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            let guest = async {
                match kind {
                    ConsoleKind::Vnc => screen(guests).await,
                    ConsoleKind::Serial | ConsoleKind::Unknown => echo(guests).await,
                }
            };
            tokio::select! {
                () = ended => {}
                // Whoever looked is gone.
                _ = guest => {}
            }
        });
        Ok(Box::new(ours))
    }

    fn runs(&self, id: Uuid) -> bool {
        self.lock().get(&id).is_some_and(|machine| super::live(&machine.observed).is_some())
    }
}

async fn echo(mut port: DuplexStream) -> std::io::Result<()> {
    port.write_all(GREETING).await?;
    let mut bytes = [0; 1024];
    loop {
        let length = port.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        for byte in &bytes[..length] {
            match byte {
                b'\r' => port.write_all(b"\r\n").await?,
                byte => port.write_all(&[*byte]).await?,
            }
        }
    }
}

/// As much of RFB 3.8 (RFC 6143) as a viewer needs to see something.
async fn screen(mut viewer: DuplexStream) -> std::io::Result<()> {
    viewer.write_all(b"RFB 003.008\n").await?;
    viewer.read_exact(&mut [0; 12]).await?;
    // One kind of security: none.
    viewer.write_all(&[1, 1]).await?;
    viewer.read_u8().await?;
    viewer.write_u32(0).await?;
    let _shared = viewer.read_u8().await?;
    viewer.write_u16(WIDTH).await?;
    viewer.write_u16(HEIGHT).await?;
    // 32 bits a pixel, 24 of them colour, little-endian, true colour: red 16, green 8, blue 0.
    viewer.write_all(&[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]).await?;
    viewer.write_u32(9).await?;
    viewer.write_all(b"simulated").await?;
    let mut drawn = false;
    loop {
        match viewer.read_u8().await? {
            0 => skip(&mut viewer, 19).await?,
            2 => {
                viewer.read_u8().await?;
                let encodings = viewer.read_u16().await?;
                skip(&mut viewer, usize::from(encodings) * 4).await?;
            }
            3 => {
                let incremental = viewer.read_u8().await? != 0;
                skip(&mut viewer, 8).await?;
                if !(incremental && drawn) {
                    draw(&mut viewer).await?;
                    drawn = true;
                }
            }
            4 => skip(&mut viewer, 7).await?,
            5 => skip(&mut viewer, 5).await?,
            6 => {
                skip(&mut viewer, 3).await?;
                let length = viewer.read_u32().await?;
                skip(&mut viewer, usize::try_from(length).unwrap_or(usize::MAX)).await?;
            }
            _ => return Ok(()),
        }
    }
}

async fn draw(viewer: &mut DuplexStream) -> std::io::Result<()> {
    // One rectangle, raw: the whole screen.
    viewer.write_all(&[0, 0, 0, 1, 0, 0, 0, 0]).await?;
    viewer.write_u16(WIDTH).await?;
    viewer.write_u16(HEIGHT).await?;
    viewer.write_u32(0).await?;
    viewer.write_all(&COLOUR.repeat(usize::from(WIDTH) * usize::from(HEIGHT))).await
}

async fn skip(viewer: &mut DuplexStream, bytes: usize) -> std::io::Result<()> {
    let mut rest = viewer.take(bytes as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
}
