//! SSH keys.

use super::create::read_text;
use crate::arguments::KeyAction;
use crate::confirm;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::Key;
use crate::output::{Table, note, print, print_json, time};
use crate::resolve;
use crate::words::texts;
use serde_json::json;
use std::path::Path;

/// The longest keys in use have some 3 KiB.
const MAX_KEY: u64 = 16 * 1024;

pub async fn run(context: &Context, action: Option<KeyAction>) -> Result<()> {
    match action {
        None | Some(KeyAction::List) => list(context).await,
        Some(KeyAction::Add { file, name }) => add(context, &file, name).await,
        Some(KeyAction::Remove { key, yes }) => remove(context, key, yes).await,
    }
}

async fn list(context: &Context) -> Result<()> {
    let listing = context.api()?.list(&["ssh-keys"], &[], None).await?;
    if context.json {
        print_json(&listing.text);
        return Ok(());
    }
    let keys: Vec<Key> = listing.read()?;
    if keys.is_empty() {
        note(context.text(texts::NOTHING_HERE));
        return Ok(());
    }
    let heads = [texts::NAME, texts::FINGERPRINT, texts::CREATED_AT, texts::ID];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    for key in keys {
        table.row(vec![key.name, key.fingerprint, time(&key.created_at), key.id]);
    }
    print(&table.render());
    Ok(())
}

async fn add(context: &Context, file: &Path, name: Option<String>) -> Result<()> {
    let text = read_text(file, MAX_KEY)?;
    if is_private(&text) {
        return Err(Failure::usage(texts::PRIVATE_KEY).with("file", file.display()));
    }
    let body = json!({ "name": name.unwrap_or_default(), "public_key": text.trim() });
    let answer = context.api()?.post(&["ssh-keys"], body).await?;
    if context.json {
        print_json(&answer.text);
    }
    let key: Key = answer.read()?;
    context.say(texts::KEY_ADDED, &[("name", key.name), ("fingerprint", key.fingerprint)]);
    Ok(())
}

/// The file beside the public key differs by its ending only, and must never leave this machine.
/// Whether it may be a private key: with its frame, as PuTTY saves it, or without its first line.
fn is_private(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    ["PRIVATE KEY-----", "PRIVATE KEY ----"].iter().any(|frame| upper.contains(frame))
        || text.contains("PuTTY-User-Key-File")
        || text.trim_start_matches('\u{feff}').trim_start().starts_with("b3BlbnNzaC1rZXktdjE")
}

async fn remove(context: &Context, wanted: String, yes: bool) -> Result<()> {
    let api = context.api()?;
    let Some(key) = resolve::keys(&api, &[wanted]).await?.pop() else { return Ok(()) };
    let name = [("name", key.name.clone())];
    confirm::by_name(context.language, texts::WARN_REMOVE_KEY, &name, (&key.id, &key.name), yes)?;
    match api.delete(&["ssh-keys", &key.id], &[]).await {
        Ok(answer) if context.json => print_json(&answer.text),
        Ok(_) => {}
        // The first try, whose answer was lost, has removed it.
        Err(Failure::Api(problem)) if problem.repeated && problem.status == 404 => {}
        Err(failure) => return Err(failure),
    }
    context.say(texts::KEY_REMOVED, &name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_known() {
        assert!(is_private("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"));
        assert!(is_private("-----BEGIN RSA PRIVATE KEY-----"));
        assert!(is_private("\u{feff}---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"));
        assert!(is_private("\nPuTTY-User-Key-File-3: ssh-ed25519"));
        assert!(is_private(" b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"));
        assert!(!is_private("ssh-ed25519 AAAAC3 me@here"));
        assert!(!is_private("---- BEGIN SSH2 PUBLIC KEY ----\nComment: no private key"));
    }
}
