//! Making an instance.

use crate::arguments::Create;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::{Instance, Operation};
use crate::resolve;
use crate::words::texts;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// The server takes 16 KiB once it is decoded; what is far larger is the wrong file.
const MAX_USER_DATA: u64 = 48 * 1024;

pub async fn create(context: &Context, new: Create) -> Result<()> {
    let user_data = new.user_data.as_deref().map(read_user_data).transpose()?;
    let api = context.api()?;
    let keys = resolve::keys(&api, &new.keys).await?;
    if keys.is_empty() && user_data.is_none() {
        context.note(texts::NO_KEY_GIVEN, &[]);
    }
    let trial = match (new.trial, new.no_trial) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let body = json!({
        "name": new.name,
        "plan": new.plan,
        "image": new.image,
        "ssh_keys": keys.iter().map(|key| &key.id).collect::<Vec<_>>(),
        "hostname": new.hostname,
        "user_data": user_data,
        "trial": trial,
    });
    let answer = api.post(&["instances"], without_nothing(body)).await?;
    let id = answer.read::<Operation>()?.instance_id;
    let done = context.follow(&api, &new.name, answer, &new.waiting).await?;
    if done && !context.json {
        // What one wants to know next; the instance is there, whether or not this answer comes.
        let instance: Instance = api.get(&["instances", &id], &[]).await?.read()?;
        let addresses = instance.addresses.join(" ");
        context.say(texts::CREATED, &[("name", instance.name), ("addresses", addresses)]);
    }
    Ok(())
}

/// Leaves out what was not said: there the server decides.
pub fn without_nothing(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

/// The user data in a file: its text, or base64 of what is no text, such as gzip.
pub fn read_user_data(file: &Path) -> Result<String> {
    let bytes = read(file, MAX_USER_DATA)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| BASE64_STANDARD.encode(error.into_bytes())))
}

/// The text of a file; `-` is standard input.
pub fn read_text(file: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(file, limit)?).map_err(|error| unreadable(file, &error.utf8_error()))
}

fn read(file: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        let open = std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
        open.take(limit + 1).read_to_end(&mut bytes)
    };
    let length = read.map_err(|error| unreadable(file, &error))?;
    if length as u64 > limit {
        return Err(Failure::usage(texts::TOO_LARGE).with("file", file.display()).with("limit", limit));
    }
    Ok(bytes)
}

fn unreadable(file: &Path, cause: &dyn std::error::Error) -> Failure {
    Failure::usage(texts::CANNOT_READ).with("file", file.display()).with("cause", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_not_sent() {
        let body = without_nothing(json!({ "name": "web", "trial": null, "ssh_keys": [] }));
        assert_eq!(body, json!({ "name": "web", "ssh_keys": [] }));
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("user-data");
        std::fs::write(&file, "#cloud-config\n").unwrap();
        assert_eq!(read_text(&file, 14).unwrap(), "#cloud-config\n");
        assert!(
            matches!(read_text(&file, 13), Err(Failure::Usage(message)) if message.text == texts::TOO_LARGE)
        );
        // What is no text is handed on all the same, for the server to judge.
        std::fs::write(&file, b"\x1f\x8b\x08\xff").unwrap();
        assert_eq!(read_user_data(&file).unwrap(), "H4sI/w==");
        assert!(read_text(&file, 13).is_err());
        let Err(missing) = read_text(&directory.path().join("no"), 13) else { panic!("there is none") };
        assert!(missing.in_words(crate::words::Language::English).contains("/no cannot be read"));
    }
}
