//! Making an instance.

use crate::arguments::Create;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::{Instance, Operation};
use crate::resolve;
use crate::words::texts;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// The server takes 16 KiB; what is far larger is the wrong file.
const MAX_USER_DATA: u64 = 64 * 1024;

pub async fn create(context: &Context, new: Create) -> Result<()> {
    let user_data = new.user_data.as_deref().map(|file| read_text(file, MAX_USER_DATA)).transpose()?;
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

/// The text of a file; `-` is standard input.
pub fn read_text(file: &Path, limit: u64) -> Result<String> {
    let failed = |cause: &dyn ToString| {
        Failure::usage(texts::CANNOT_READ).with("file", file.display()).with("cause", cause.to_string())
    };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        let open = std::fs::File::open(file).map_err(|error| failed(&error))?;
        open.take(limit + 1).read_to_string(&mut text)
    };
    let length = read.map_err(|error| failed(&error))?;
    if length as u64 > limit {
        return Err(Failure::usage(texts::TOO_LARGE).with("file", file.display()).with("limit", limit));
    }
    Ok(text)
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
        let Err(missing) = read_text(&directory.path().join("no"), 13) else { panic!("there is none") };
        assert!(missing.in_words(crate::words::Language::English).contains("/no cannot be read"));
    }
}
