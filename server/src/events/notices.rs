//! Postgres notifications, fanned out to whoever waits in this replica.
//!
//! A notice only says "look again": it may come late, twice, or (after the listening connection
//! broke) as [`Notice::Everything`].  Whoever waits must therefore also look on a timer.

use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The desired state of this host changed.
    Host(Uuid),
    /// Something that this tenant sees changed.
    Tenant(Uuid),
    /// Notices may have been missed.
    Everything,
    /// The server stops: whoever waits for ever should not.
    Stopping,
}

#[derive(Clone)]
pub struct Notices {
    sender: broadcast::Sender<Notice>,
}

impl Default for Notices {
    fn default() -> Self {
        // A receiver that falls further behind than this is told so and looks at everything again.
        Self { sender: broadcast::channel(1024).0 }
    }
}

impl Notices {
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.sender.subscribe()
    }

    /// Listens until told to stop; connects again whenever the connection breaks.
    pub async fn listen(self, pool: PgPool, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                result = self.listen_once(&pool) => {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the listening connection broke; connecting again");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
        let _ = self.sender.send(Notice::Stopping);
    }

    async fn listen_once(&self, pool: &PgPool) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all(["jst_host", "jst_tenant"]).await?;
        // What happened while nobody listened is not known.
        let _ = self.sender.send(Notice::Everything);
        loop {
            // None: the connection broke and was made again; notices may have been lost.
            let notice = match listener.try_recv().await? {
                None => Notice::Everything,
                Some(notification) => match notification.payload().parse() {
                    Err(_) => continue,
                    Ok(id) if notification.channel() == "jst_host" => Notice::Host(id),
                    Ok(id) => Notice::Tenant(id),
                },
            };
            // No receiver is no error: nobody waits at the moment.
            let _ = self.sender.send(notice);
        }
    }
}
