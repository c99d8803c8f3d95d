//! What can go wrong, and how it is told: what happened, which field, and what to do next.

use crate::output::{note, plain, print_json};
use crate::words::{Arguments, Language, Text, texts};
use serde::Deserialize;
use std::collections::BTreeMap;

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A message that waits for its language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub text: Text,
    pub arguments: Arguments,
}

#[derive(Debug)]
pub enum Failure {
    /// The command cannot be meant like this.
    Usage(Message),
    /// Something that this program found out by itself.
    Here(Message),
    /// There was no whole answer.
    Network(Message),
    /// The API refused.
    Api(Box<Problem>),
    /// Ctrl-C while waiting.
    Interrupted(Message),
}

impl Failure {
    pub fn usage(text: Text) -> Self {
        Self::Usage(Message { text, arguments: Vec::new() })
    }

    pub fn here(text: Text) -> Self {
        Self::Here(Message { text, arguments: Vec::new() })
    }

    pub fn network(text: Text) -> Self {
        Self::Network(Message { text, arguments: Vec::new() })
    }

    /// Gives the message one more value.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        match &mut self {
            Self::Usage(message)
            | Self::Here(message)
            | Self::Network(message)
            | Self::Interrupted(message) => message.arguments.push((name, value.to_string())),
            Self::Api(_) => {}
        }
        self
    }

    /// The exit code: 2 as clap gives it for wrong arguments, 130 as shells have it for Ctrl-C.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Here(_) | Self::Network(_) | Self::Api(_) => 1,
            Self::Interrupted(_) => 130,
        }
    }

    /// Whether asking again some time later may help, without a change of anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Network(_) => true,
            Self::Api(problem) => problem.status >= 500,
            Self::Usage(_) | Self::Here(_) | Self::Interrupted(_) => false,
        }
    }

    /// Tells people on standard error, and with `--json` programs on standard output what the API said.
    pub fn tell(&self, language: Language, json: bool) {
        if let Self::Api(problem) = self
            && json
            && problem.is_ours()
        {
            print_json(&problem.text);
        }
        note(&self.in_words(language));
    }

    pub fn in_words(&self, language: Language) -> String {
        match self {
            Self::Api(problem) => problem.in_words(language),
            // Whoever stopped waiting knows that nothing went wrong.
            Self::Interrupted(message) => language.fill(message.text, &message.arguments),
            Self::Usage(message) | Self::Here(message) | Self::Network(message) => {
                line(language, &language.fill(message.text, &message.arguments))
            }
        }
    }
}

/// `what` is escaped already.
fn line(language: Language, what: &str) -> String {
    format!("{}{what}", language.text(texts::ERROR))
}

/// A problem document (RFC 9457) as the API sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub title: String,
    pub detail: String,
    pub code: String,
    pub request_id: String,
    pub errors: Vec<FieldProblem>,
    /// What `detail` is made of, by name.
    pub figures: BTreeMap<String, String>,
    #[serde(skip)]
    pub status: u16,
    /// The body as it came.
    #[serde(skip)]
    pub text: String,
    #[serde(skip)]
    pub server: String,
    /// Seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// The request was sent more than once, because the connection broke: what is refused now may have been
    /// done before.
    #[serde(skip)]
    pub repeated: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FieldProblem {
    pub field: String,
    pub detail: String,
}

impl Problem {
    /// Reads an answer that is no success.  A body of another kind leaves all fields empty.
    pub fn read(status: u16, text: String) -> Self {
        let problem: Self = serde_json::from_str(&text).unwrap_or_default();
        Self { status, text, ..problem }
    }

    /// Whether the API itself refused, and not something before it.
    pub fn is_ours(&self) -> bool {
        !self.code.is_empty()
    }

    pub fn in_words(&self, language: Language) -> String {
        if !self.is_ours() {
            let arguments = [("server", self.server.clone()), ("status", self.status.to_string())];
            return line(language, &language.fill(texts::NOT_OURS, &arguments));
        }
        // The detail of wrong input is the sum of what stands at its fields.
        let what = match (self.errors.is_empty(), self.detail.is_empty()) {
            (true, false) => format!("{}: {}", self.title, self.detail),
            _ => self.title.clone(),
        };
        let mut lines = vec![line(language, &plain(&what))];
        for error in &self.errors {
            lines.push(format!("  {}: {}", plain(&error.field), plain(&error.detail)));
        }
        if let Some(next) = self.next_step() {
            let seconds = self.retry_after.unwrap_or(0).to_string();
            let amount = self.missing().unwrap_or_default();
            let arguments = [("server", self.server.clone()), ("seconds", seconds), ("amount", amount)];
            lines.push(language.fill(next, &arguments));
        }
        if self.status >= 500 && !self.request_id.is_empty() {
            lines.push(language.fill(texts::REQUEST_ID, &[("id", self.request_id.clone())]));
        }
        lines.join("\n")
    }

    /// What an order misses, as the page for payments takes it: `12.50`.
    fn missing(&self) -> Option<String> {
        let minor: u64 = self.figures.get("missing_minor")?.parse().ok()?;
        Some(format!("{}.{:02}", minor / 100, minor % 100))
    }

    fn next_step(&self) -> Option<Text> {
        let about = |field: &str| self.errors.iter().any(|error| error.field.starts_with(field));
        Some(match self.status {
            401 => texts::NEXT_LOG_IN,
            // Other codes say themselves what is missing: a confirmed address, a quota.
            403 if self.code == "forbidden" => texts::NEXT_RIGHTS,
            403 if self.missing().is_some() => texts::NEXT_ADD_MONEY,
            403 if matches!(self.code.as_str(), "may-not-buy" | "account-overdue") => texts::NEXT_BILLING,
            404 => texts::NEXT_LOOK,
            409 => texts::NEXT_STATE,
            422 if about("plan") => texts::NEXT_PLANS,
            422 if about("image") => texts::NEXT_IMAGES,
            422 if about("ssh_keys") => texts::NEXT_KEYS,
            422 => texts::NEXT_CORRECT,
            429 if self.retry_after.is_some() => texts::NEXT_WAIT,
            status if status >= 500 => texts::NEXT_LATER,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, body: serde_json::Value) -> Problem {
        Problem { server: "https://portal.example".into(), ..Problem::read(status, body.to_string()) }
    }

    #[test]
    fn wrong_fields_are_named_with_what_to_do() {
        let problem = problem(
            422,
            serde_json::json!({
                "title": "This could not be done", "detail": "Choose one of the plans.", "code": "invalid",
                "request_id": "r-1",
                "errors": [{ "field": "plan", "code": "choice", "detail": "Choose one of the plans." }],
            }),
        );
        assert_eq!(
            problem.in_words(Language::English),
            "Error: This could not be done\n  plan: Choose one of the plans.\nSee what can be chosen with: jst plans"
        );
    }

    #[test]
    fn an_order_that_misses_money_says_where_to_add_it() {
        let mut body = serde_json::json!({
            "title": "Refused", "detail": "$0.47 is missing.", "code": "funds-missing",
            "figures": { "missing": "$0.47", "missing_minor": "47" },
        });
        let words = problem(403, body.clone()).in_words(Language::English);
        assert!(words.contains("https://portal.example/billing/payments?amount=0.47"), "{words}");
        body["figures"] = serde_json::json!({ "missing_minor": "\u{1b}[2J" });
        let words = problem(403, body).in_words(Language::Chinese);
        assert!(!words.contains('\u{1b}') && !words.contains("amount="), "{words}");
    }

    #[test]
    fn a_conflict_has_its_detail_and_what_the_server_says_is_escaped() {
        let body = serde_json::json!({ "title": "No", "detail": "It is\u{1b}[2J running.", "code": "instance-running" });
        let words = problem(409, body).in_words(Language::English);
        assert!(words.starts_with("Error: No: It is\\u{1b}[2J running.\n"), "{words}");
        assert!(words.contains("jst show NAME"), "{words}");
    }

    #[test]
    fn who_is_not_known_is_told_how_to_log_in() {
        let body =
            serde_json::json!({ "title": "您没有权限", "detail": "请先登录。", "code": "unauthenticated" });
        let words = problem(401, body).in_words(Language::Chinese);
        assert!(words.contains("jst login --server https://portal.example"), "{words}");
    }

    #[test]
    fn a_failure_of_the_server_names_the_request() {
        let body =
            serde_json::json!({ "title": "x", "detail": "y", "code": "internal", "request_id": "r-7" });
        let words = problem(500, body).in_words(Language::English);
        assert!(words.contains("r-7") && words.contains("later"), "{words}");
    }

    #[test]
    fn an_answer_from_something_else_is_told_as_such() {
        let foreign = Problem { server: "https://x".into(), ..Problem::read(502, "<html>".into()) };
        let words = foreign.in_words(Language::English);
        assert!(words.contains("502") && words.contains("https://x"), "{words}");
        assert!(Failure::Api(Box::new(foreign)).is_passing());
    }
}
