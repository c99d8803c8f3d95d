//! From what people write to one thing: a name or an id.
//!
//! Where a name may mean several things nothing is chosen: a guess would one day delete the wrong one.

use crate::api::Api;
use crate::error::{Failure, Result};
use crate::model::{Instance, Key};
use crate::words::{Text, texts};
use unicode_normalization::UnicodeNormalization;

/// `vm_` and 32 hexadecimal digits.
pub fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// The instance of this name or id, as it is now.
///
/// An id is asked for directly.  It is never used twice, so that an instance that somebody has named like the
/// id of another one cannot be meant by it.
pub async fn instance(api: &Api, wanted: &str) -> Result<Instance> {
    find(api, wanted, false).await
}

/// The same for what only a deleted instance can be asked.
pub async fn deleted_instance(api: &Api, wanted: &str) -> Result<Instance> {
    find(api, wanted, true).await
}

async fn find(api: &Api, wanted: &str, deleted: bool) -> Result<Instance> {
    if is_id(wanted, "vm") {
        return api.get(&["instances", wanted], &[]).await?.read();
    }
    let all = api.list(&["instances"], &[], None).await?.read::<Instance>()?;
    let all = preferred(all, wanted, deleted);
    one_of(all, wanted, texts::NO_SUCH_INSTANCE, |instance| (&instance.id, &instance.name))
}

/// Deletion frees a name, and another instance may have it: what is meant is then the living or the deleted one.
fn preferred(all: Vec<Instance>, wanted: &str, deleted: bool) -> Vec<Instance> {
    let fits = |instance: &Instance| (instance.state == DELETING) == deleted;
    let any = all.iter().any(|instance| fits(instance) && is_named(&instance.name, wanted));
    all.into_iter().filter(|instance| !any || fits(instance)).collect()
}

const DELETING: &str = "deleting";

fn is_named(name: &str, wanted: &str) -> bool {
    folded(name) == folded(wanted)
}

/// Whether two spellings are one name: accents apart or joined, wide letters or plain ones.
pub fn same_name(left: &str, right: &str) -> bool {
    plain(left) == plain(right)
}

fn plain(name: &str) -> String {
    name.nfkc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn folded(name: &str) -> String {
    plain(name).to_lowercase()
}

/// The keys of these names, ids or fingerprints, in their order.
pub async fn keys(api: &Api, wanted: &[String]) -> Result<Vec<Key>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let all = api.list(&["ssh-keys"], &[], None).await?.read::<Key>()?;
    wanted.iter().map(|wanted| key_of(&all, wanted)).collect()
}

fn key_of(all: &[Key], wanted: &str) -> Result<Key> {
    match all.iter().find(|key| key.id == wanted || key.fingerprint == wanted) {
        Some(key) => Ok(key.clone()),
        None => one_of(all.to_vec(), wanted, texts::NO_SUCH_KEY, |key| (&key.id, &key.name)),
    }
}

/// The only one of this name.  Letters' case counts only where it tells two apart.
fn one_of<T>(
    all: Vec<T>,
    wanted: &str,
    missing: Text,
    id_and_name: impl Fn(&T) -> (&String, &String),
) -> Result<T> {
    let (exact, others): (Vec<T>, Vec<T>) = all.into_iter().partition(|thing| {
        let (id, name) = id_and_name(thing);
        id == wanted || same_name(name, wanted)
    });
    let mut found: Vec<T> = if exact.is_empty() {
        others.into_iter().filter(|thing| is_named(id_and_name(thing).1, wanted)).collect()
    } else {
        exact
    };
    match found.len() {
        0 => Err(Failure::here(missing).with("name", wanted)),
        1 => Ok(found.remove(0)),
        _ => {
            let candidates: Vec<String> = found
                .iter()
                .map(|thing| {
                    let (id, name) = id_and_name(thing);
                    format!("{name} ({id})")
                })
                .collect();
            let candidates = candidates.join(", ");
            Err(Failure::here(texts::AMBIGUOUS).with("name", wanted).with("candidates", candidates))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Language;

    type Thing = (String, String);

    fn pick(all: &[(&str, &str)], wanted: &str) -> Result<Thing> {
        let all = all.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
        one_of(all, wanted, texts::NO_SUCH_INSTANCE, |thing: &Thing| (&thing.0, &thing.1))
    }

    #[test]
    fn a_name_means_one_thing_or_nothing() {
        let all = [("vm_1", "web"), ("vm_2", "Datenbank"), ("vm_3", "网站")];
        assert_eq!(pick(&all, "web").unwrap().0, "vm_1");
        assert_eq!(pick(&all, "datenbank").unwrap().0, "vm_2");
        assert_eq!(pick(&all, "网站").unwrap().0, "vm_3");
        assert_eq!(pick(&all, "vm_2").unwrap().0, "vm_2");
        assert_eq!(pick(&[("vm_1", "caf\u{e9}")], "cafe\u{301}").unwrap().0, "vm_1");
        assert_eq!(pick(&all, "ｗｅｂ").unwrap().0, "vm_1");
        let words = pick(&all, "we").unwrap_err().in_words(Language::English);
        assert!(words.contains("no instance named we") && words.contains("jst ls"), "{words}");
    }

    #[test]
    fn an_ambiguous_name_is_refused_with_the_candidates() {
        let all = [("vm_1", "web"), ("vm_2", "WEB"), ("vm_3", "vm_1")];
        assert_eq!(pick(&all, "web").unwrap().0, "vm_1", "it is written just so");
        for wanted in ["Web", "vm_1"] {
            let failure = pick(&all, wanted).unwrap_err();
            let words = failure.in_words(Language::English);
            assert!(words.contains("vm_1") && words.contains("Use the id"), "{words}");
        }
    }

    #[test]
    fn a_deleted_instance_does_not_keep_its_name() {
        let instance = |id: &str, state: &str| -> Instance {
            serde_json::from_value(serde_json::json!({ "id": id, "name": "web", "state": state })).unwrap()
        };
        let pick = |all: &[&Instance], deleted| {
            let all = all.iter().map(|one| (*one).clone()).collect();
            one_of(preferred(all, "web", deleted), "web", texts::NO_SUCH_INSTANCE, |one| (&one.id, &one.name))
                .map(|one| one.id)
                .ok()
        };
        let (old, older, new) =
            (instance("vm_1", "deleting"), instance("vm_0", "deleting"), instance("vm_2", "running"));
        assert_eq!(pick(&[&old, &new], false).as_deref(), Some("vm_2"));
        assert_eq!(pick(&[&old, &new], true).as_deref(), Some("vm_1"));
        assert_eq!(pick(&[&old], false).as_deref(), Some("vm_1"));
        assert_eq!(pick(&[&new], true).as_deref(), Some("vm_2"), "the server says that it is not deleted");
        assert_eq!(pick(&[&old, &older, &new], true), None);
    }

    #[test]
    fn an_id_has_its_form() {
        assert!(is_id("vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f50", "vm"));
        for other in
            ["vm_", "op_0199b0c4a7d27c6e8f3a5b1c2d3e4f50", "vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f5/", "web"]
        {
            assert!(!is_id(other, "vm"), "{other}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_fingerprint_too() {
        let key = |id: &str, name: &str, fingerprint: &str| Key {
            id: id.into(),
            name: name.into(),
            fingerprint: fingerprint.into(),
            created_at: String::new(),
        };
        let all = [key("key_1", "laptop", "SHA256:a"), key("key_2", "laptop", "SHA256:b")];
        assert_eq!(key_of(&all, "SHA256:b").unwrap().id, "key_2");
        assert_eq!(key_of(&all, "key_1").unwrap().id, "key_1");
        assert!(key_of(&all, "laptop").unwrap_err().in_words(Language::English).contains("key_2"));
    }
}
