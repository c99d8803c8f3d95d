//! What happened in a tenant, in sentences.

use super::db::activity::{self, EventRow};
use super::email;
use crate::auth::Actor;
use crate::error::Result;
use crate::state::App;
use crate::web::language::Language;
use crate::web::paging::{Listed, Paging};
use serde_json::Value;

pub async fn list(app: &App, actor: &Actor, paging: &Paging<i64>) -> Result<Listed<EventRow>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = activity::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |row| row.id.to_string()).map(|row| told_to(actor, row)))
}

/// The latest events about one thing.
pub async fn of_subject(app: &App, actor: &Actor, kind: &str, id: &str) -> Result<Vec<EventRow>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = activity::of_subject(&mut tx, actor.tenant_id, kind, id).await?;
    Ok(rows.into_iter().map(|row| told_to(actor, row)).collect())
}

/// An event as this reader is told it: without addresses that they do not see, whoever stands there under whatever name,
/// and without the IP address of who did it.
fn told_to(actor: &Actor, row: EventRow) -> EventRow {
    let by = row.actor.filter(|label| actor.sees(label) || email::parse("actor", label).is_err());
    EventRow {
        ip: row.ip.filter(|_| by.is_some()),
        actor: by,
        data: without_addresses(actor, row.data),
        ..row
    }
}

fn without_addresses(actor: &Actor, data: Value) -> Value {
    match data {
        Value::String(text) if !actor.sees(&text) && email::parse("data", &text).is_ok() => Value::Null,
        Value::Array(list) => list.into_iter().map(|value| without_addresses(actor, value)).collect(),
        Value::Object(fields) => {
            let told = |(name, value)| (name, without_addresses(actor, value));
            Value::Object(fields.into_iter().map(told).collect())
        }
        other => other,
    }
}

/// The key of the sentence for an action: `ssh_key.created` is told by `activity-ssh-key-created`.
/// A capability adds its sentences to its own messages.
pub fn sentence_key(action: &str) -> String {
    format!("activity-{}", action.replace(['.', '_'], "-"))
}

/// One event as a sentence.  Its facts are the placeables: `$actor`, `$subject`, and of the data
/// `$name`, `$email`, `$role`, `$plan`, `$reason`, `$count`, `$failure` (why the host could not do it), and `$from` and
/// `$to` of a change.
pub fn sentence(event: &EventRow, language: Language) -> String {
    let key = sentence_key(&event.action);
    let key = if language.has(&key) { key } else { "activity-other".to_owned() };
    // An address is null where the reader is not told it.
    let fact_of = |value: Option<&Value>, name: &str| match value {
        Some(Value::Null) if name == "email" => language.text("team-colleague"),
        value => value.map(text).unwrap_or_default(),
    };
    let fact = |name: &str| fact_of(event.data.get(name), name);
    let changed =
        event.data.as_object().and_then(|data| data.iter().find(|(_, value)| value.get("to").is_some()));
    let side = |side: &str| changed.map_or(String::new(), |(name, value)| fact_of(value.get(side), name));
    let name = match fact("name") {
        name if name.is_empty() => event.subject_id.clone(),
        name => name,
    };
    let failure = match format!("failure-{}", fact("code")) {
        key if language.has(&key) => language.text(&key),
        _ => String::new(),
    };
    let arguments = [
        ("failure", failure),
        ("actor", by(event, language)),
        ("subject", event.subject_id.clone()),
        ("action", event.action.clone()),
        ("name", name),
        ("email", fact("email")),
        ("role", fact("role")),
        ("plan", fact("plan")),
        ("reason", fact("reason")),
        ("count", fact("count")),
        ("from", side("from")),
        ("to", side("to")),
    ];
    language.text_with(&key, &arguments)
}

/// Who did it, or what stands there for readers who are not told the address.
pub fn by(event: &EventRow, language: Language) -> String {
    event.actor.clone().unwrap_or_else(|| language.text("team-colleague"))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(change) if change.contains_key("to") => text(&change["to"]),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The subjects of events that a tenant sees.
    const SUBJECTS: [&str; 14] = [
        "account",
        "api_token",
        "billing",
        "instance",
        "invoice",
        "payment",
        "service",
        "session",
        "ssh_key",
        "team",
        "tenant",
        "trial",
        "voucher",
        "webhook",
    ];

    fn sources(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.ends_with("webhooks/types.rs") {
                // The names under which webhooks are told, which are no actions.
            } else if path.extension().is_some_and(|have| have == "rs") {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    /// Every `"subject.verb"` of the server's sources is an action, and has its sentence.
    #[test]
    fn every_action_has_a_sentence_in_every_language() {
        let mut texts = Vec::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
        let is_word =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let mut seen = 0;
        for literal in texts.iter().flat_map(|text| text.split('"')) {
            let Some((subject, verb)) = literal.split_once('.') else { continue };
            if !SUBJECTS.contains(&subject) || !is_word(verb) {
                continue;
            }
            seen += 1;
            for language in Language::ALL {
                let key = sentence_key(literal);
                assert!(language.has(&key), "{} has no {key}", language.code());
            }
        }
        assert!(seen > 30, "the actions are found: {seen}");
    }

    #[test]
    fn a_sentence_names_what_changed() {
        let event = EventRow {
            id: 1,
            at: time::OffsetDateTime::UNIX_EPOCH,
            actor_kind: "user".to_owned(),
            actor: Some("lin@example.com".to_owned()),
            ip: None,
            action: "tenant.renamed".to_owned(),
            subject_kind: "tenant".to_owned(),
            subject_id: "ten_1".to_owned(),
            data: serde_json::json!({ "name": { "from": "A", "to": "B" } }),
        };
        assert_eq!(sentence(&event, Language::English), "The team was renamed from A to B");
        let unknown = EventRow { action: "thing.happened".to_owned(), data: Value::Null, ..event };
        assert_eq!(sentence(&unknown, Language::English), "thing.happened: ten_1");
    }
}
