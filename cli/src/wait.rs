//! Waiting for an operation to end, and showing how far it is.
//!
//! The API has no stream of events for tokens, so it is asked again and again: often at first, because most
//! changes take a second, and then every two seconds.  A server that does not answer for a while is waited for:
//! the operation goes on without it.

use crate::api::Api;
use crate::error::{Failure, Message, Result};
use crate::model::Operation;
use crate::output::note;
use crate::words::{Language, Text, texts};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So long a server may be silent while its operation is waited for: a restart takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until the operation has ended, or the limit has passed.  Gives it as it is then, and as the API wrote it.
pub async fn until_ended(
    api: &Api,
    language: Language,
    name: &str,
    operation: Operation,
    text: String,
    limit: Duration,
) -> Result<(Operation, String)> {
    let about = Message { text: texts::INTERRUPTED, arguments: about(language, name, &operation) };
    tokio::select! {
        ended = ask(api, language, name, operation, text, limit) => ended,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted(about)),
    }
}

async fn ask(
    api: &Api,
    language: Language,
    name: &str,
    mut operation: Operation,
    mut text: String,
    limit: Duration,
) -> Result<(Operation, String)> {
    let started = Instant::now();
    let mut progress = Progress::new();
    let mut pause = FIRST_PAUSE;
    let mut silent_since: Option<Instant> = None;
    let id = operation.id.clone();
    while !operation.has_ended() {
        if silent_since.is_none() {
            progress.show(&line(language, name, &operation), operation.percent);
        }
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        match api.get(&["operations", &id], &[]).await {
            Ok(answer) => {
                silent_since = None;
                operation = answer.read()?;
                text = answer.text;
            }
            Err(failure) if failure.is_passing() => {
                if silent_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(failure);
                }
                let server = [("server", api.server().to_string())];
                progress.show(&language.fill(texts::NO_ANSWER_YET, &server), 0);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((operation, text))
}

/// It goes on, and whoever waited has waited long enough.
pub fn timed_out(language: Language, name: &str, operation: &Operation, limit: Duration) -> Failure {
    let message = Message { text: texts::TIMED_OUT, arguments: about(language, name, operation) };
    Failure::Here(message).with("seconds", limit.as_secs())
}

/// Whether the operation did what was asked for, as far as it is known.
pub fn outcome(language: Language, name: &str, operation: &Operation) -> Result<()> {
    let failed = |text| Message { text, arguments: about(language, name, operation) };
    match operation.state.as_str() {
        "succeeded" | "pending" | "running" => Ok(()),
        "cancelled" => Err(Failure::Here(failed(texts::CANCELLED))),
        _ => Err(Failure::Here(failed(texts::FAILED))
            .with("code", operation.failure_code.as_deref().unwrap_or(&operation.state))
            .with("detail", operation.failure_detail.as_deref().unwrap_or(""))),
    }
}

pub fn about(language: Language, name: &str, operation: &Operation) -> Vec<(&'static str, String)> {
    let kind = word(language, texts::kind(&operation.kind), &operation.kind);
    vec![("name", name.to_owned()), ("kind", kind), ("id", operation.id.clone())]
}

/// The word for a name of the API; what this release does not know is shown as it came.
pub fn word(language: Language, known: Option<Text>, name: &str) -> String {
    known.map_or_else(|| name.to_owned(), |text| language.text(text).to_owned())
}

fn line(language: Language, name: &str, operation: &Operation) -> String {
    let mut arguments = about(language, name, operation);
    arguments.push(("step", word(language, texts::step(&operation.step), &operation.step)));
    // While an operation runs, this is why the host tries again.
    match operation.failure_detail.as_ref().or(operation.failure_code.as_ref()) {
        Some(cause) => {
            arguments.push(("cause", cause.clone()));
            language.fill(texts::PROGRESS_RETRY, &arguments)
        }
        None => language.fill(texts::PROGRESS, &arguments),
    }
}

/// A bar on a terminal; a line for each step elsewhere, so that a log says what happened.
enum Progress {
    Bar(ProgressBar),
    Lines { last: String },
}

impl Progress {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: String::new() };
        }
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    /// `line` is escaped already.
    fn show(&mut self, line: &str, percent: i64) {
        match self {
            Self::Lines { last } if last == line => {}
            Self::Lines { last } => {
                note(line);
                line.clone_into(last);
            }
            Self::Bar(bar) => {
                // A step that cannot tell how far it is has no bar.
                let template = match percent {
                    ..=0 => "{spinner} {wide_msg} {elapsed}",
                    _ => "{spinner} {msg} [{bar:24}] {percent}% {elapsed}",
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_message(line.to_owned());
                bar.set_position(percent.clamp(0, 100).unsigned_abs());
            }
        }
    }
}

/// However the waiting ends, the terminal is left clean.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Language::{Chinese, English};

    fn operation(state: &str) -> Operation {
        serde_json::from_value(serde_json::json!({ "id": "op_1", "kind": "resize", "state": state })).unwrap()
    }

    #[test]
    fn only_success_is_success() {
        assert!(outcome(English, "web", &operation("succeeded")).is_ok());
        let words = outcome(English, "web", &operation("cancelled")).unwrap_err().in_words(English);
        assert!(words.contains("web: resize gave way"), "{words}");
        let mut failed = operation("failed");
        failed.failure_code = Some("storage_full".into());
        failed.failure_detail = Some("no room\u{1b}[2J".into());
        let failure = outcome(English, "web", &failed).unwrap_err();
        assert_eq!(failure.code(), 1);
        let words = failure.in_words(English);
        assert!(words.contains("no room\\u{1b}[2J (storage_full)"), "{words}");
        assert!(operation("vanished").has_ended(), "nobody waits for what is not known");
        assert!(outcome(English, "web", &operation("vanished")).is_err());
    }

    #[test]
    fn a_line_says_what_and_how_far() {
        let mut running = operation("running");
        running.step = "creating_volume".into();
        assert_eq!(line(English, "web", &running), "web: resize, making the disk");
        assert_eq!(line(Chinese, "网站", &running), "网站：变更套餐，创建磁盘");
        running.step = "dancing".into();
        running.failure_code = Some("storage_full".into());
        assert_eq!(line(English, "web", &running), "web: resize, dancing (trying again: storage_full)");
    }
}
