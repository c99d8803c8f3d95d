//! When a request is sent again.
//!
//! After a broken connection nobody knows whether the request was carried out.  Every change carries a key by
//! which the server knows it again, so that repeating is safe; but only such a break is repeated, never a
//! refusal.  Who is told to wait for their turn waits as long as they are told.

use std::time::Duration;

/// Pauses after a broken connection, in units; as many as there are repetitions.
const PAUSES: [u32; 3] = [1, 2, 4];
/// How often one waits for one's turn.
const TURNS: usize = 3;
/// Nobody waits longer than this without having been asked.
const LONGEST_TURN: u64 = 120;

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The connection broke after it was made.
    Broken,
    Answer {
        status: u16,
        /// Of the problem, where it is one.
        code: &'a str,
        /// Seconds.
        retry_after: Option<u64>,
    },
}

/// Counts the tries of one request.
pub struct Tries {
    unit: Duration,
    breaks: usize,
    turns: usize,
}

impl Tries {
    pub fn new(unit: Duration) -> Self {
        Self { unit, breaks: 0, turns: 0 }
    }

    /// How long to pause before the request is sent again; nothing when this outcome stands.
    pub fn pause(&mut self, outcome: Outcome<'_>) -> Option<Duration> {
        match outcome {
            Outcome::Broken => self.after_break(),
            // The server is still at work on what we sent before the connection broke.
            Outcome::Answer { status: 409, code: "idempotency-in-progress", .. } if self.breaks > 0 => {
                self.after_break()
            }
            Outcome::Answer { status: 429, retry_after: Some(seconds), .. } => {
                let again = self.turns < TURNS && seconds <= LONGEST_TURN;
                self.turns += usize::from(again);
                again.then(|| Duration::from_secs(seconds))
            }
            Outcome::Answer { .. } => None,
        }
    }

    fn after_break(&mut self) -> Option<Duration> {
        let pause = PAUSES.get(self.breaks).map(|units| self.unit * *units);
        self.breaks += 1;
        pause
    }

    /// How often the request was sent without a whole answer.
    pub fn breaks(&self) -> usize {
        self.breaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Duration = Duration::from_secs(1);

    fn answer(status: u16, code: &str, retry_after: Option<u64>) -> Outcome<'_> {
        Outcome::Answer { status, code, retry_after }
    }

    #[test]
    fn a_break_is_repeated_three_times_with_growing_pauses() {
        let mut tries = Tries::new(UNIT);
        let pauses: Vec<_> = (0..4).map(|_| tries.pause(Outcome::Broken)).collect();
        assert_eq!(pauses, [Some(UNIT), Some(UNIT * 2), Some(UNIT * 4), None]);
        assert_eq!(tries.breaks(), 4);
    }

    #[test]
    fn a_refusal_stands() {
        let mut tries = Tries::new(UNIT);
        for (status, code) in
            [(200, ""), (409, "idempotency-in-progress"), (422, "invalid"), (500, "internal")]
        {
            assert_eq!(tries.pause(answer(status, code, None)), None, "{status}");
        }
        // After a break of ours the server may still be busy with the first try.
        assert!(tries.pause(Outcome::Broken).is_some());
        assert!(tries.pause(answer(409, "idempotency-in-progress", None)).is_some());
        assert_eq!(tries.pause(answer(409, "instance-running", None)), None);
    }

    #[test]
    fn one_waits_for_one_s_turn_three_times_and_not_for_hours() {
        let mut tries = Tries::new(UNIT);
        assert_eq!(tries.pause(answer(429, "too-many", None)), None, "it is not a matter of time");
        assert_eq!(tries.pause(answer(429, "too-many", Some(3600))), None);
        for _ in 0..3 {
            assert_eq!(tries.pause(answer(429, "too-many", Some(7))), Some(UNIT * 7));
        }
        assert_eq!(tries.pause(answer(429, "too-many", Some(7))), None);
    }
}
