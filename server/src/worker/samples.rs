//! The store of samples: partitions ahead of time, roll-ups, and an end to what is old.
//!
//! Every replica does it.  A step is rolled up by whoever has the lock on its row, and the others go on; partitions
//! are made and dropped one replica at a time.

use crate::error::Result;
use crate::instances::db::samples;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);

/// A step in seconds, and for how many days its rows are kept.  Each is longer than the ranges that are read
/// from it, so that nothing vanishes at the edge of a graph: a day, a week, a month.
const STEPS: [(i32, i32); 3] = [(60, 2), (600, 9), (7200, 62)];

/// Steps that a pass makes at most, of each length.  After a standstill the next passes go on.
const MOST_STEPS: usize = 300;

/// Not a reconciler: nothing that customers do makes it due sooner.
pub async fn run(app: App, stop: CancellationToken) {
    loop {
        if let Err(error) = pass(&app).await {
            tracing::warn!(error = ?error, "samples were not kept in order; the next pass comes");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

pub async fn pass(app: &App) -> Result<()> {
    let pool = app.db.platform();
    let mut failed = Ok(());
    for (step, keep_days) in STEPS {
        let partitions = match samples::keep_partitions(pool, step, keep_days).await {
            Ok(partitions) => partitions,
            // Without a partition of one step the others are kept in order all the same.
            Err(error) => {
                failed = Err(error.into());
                continue;
            }
        };
        if partitions.made + partitions.dropped > 0 {
            let samples::Partitions { made, dropped } = partitions;
            tracing::info!(step, made, dropped, "partitions of samples");
        }
    }
    for [(source, keep_days), (step, _)] in [[STEPS[0], STEPS[1]], [STEPS[1], STEPS[2]]] {
        for _ in 0..MOST_STEPS {
            match samples::roll_up(pool, step, source, keep_days).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed = Err(error.into());
                    break;
                }
            }
        }
    }
    failed
}
