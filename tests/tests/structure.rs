//! The rules that ARCHITECTURE.md states, read off the tree.  A rule that is not checked is a wish.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file with this ending below a folder of the workspace, as (path from the root, text).
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|have| have == ending) {
                let text = std::fs::read_to_string(&path).expect("sources are text");
                found.push((path.strip_prefix(root()).expect("below the root").display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// The code of a file: comments and what follows `#[cfg(test)]` are left out.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or("");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Fails with all offenders at once.
fn none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn files_stay_small_enough_to_read() {
    let offenders = ["policy", "protocol", "server", "agent", "cli", "tests"]
        .into_iter()
        .flat_map(|crate_| files(crate_, "rs"))
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    none("split by concern at 600 lines", offenders);
}

#[test]
fn crates_link_only_what_they_may() {
    let forbidden = [
        ("policy/Cargo.toml", &["tokio", "sqlx", "axum", "reqwest", "virt", "jst-protocol"][..]),
        ("protocol/Cargo.toml", &["tokio", "sqlx", "axum", "reqwest", "virt"]),
        ("server/Cargo.toml", &["virt", "virt-sys", "jst-agent"]),
        ("agent/Cargo.toml", &["sqlx", "jst-server"]),
        // It speaks the public API, as everybody else's programs do.
        (
            "cli/Cargo.toml",
            &["sqlx", "axum", "virt", "jst-server", "jst-agent", "jst-protocol", "jst-policy"],
        ),
    ];
    let mut offenders = Vec::new();
    for (manifest, crates) in forbidden {
        let text = std::fs::read_to_string(root().join(manifest)).expect("a manifest");
        let dependencies = text.split("[dev-dependencies]").next().unwrap_or("");
        for name in crates {
            let used = dependencies
                .lines()
                .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '='])));
            if used {
                offenders.push(format!("{manifest}: {name}"));
            }
        }
    }
    none("a crate depends on what it must not know", offenders);
}

#[test]
fn sql_stands_in_db_files_only() {
    let allowed = |path: &str| {
        path.ends_with("/db.rs")
            || path.contains("/db/")
            // The support that every statement stands on.
            || ["server/src/db.rs", "server/src/events/mod.rs", "server/src/events/notices.rs",
                "server/src/embedded_postgres.rs", "server/src/web/session_store.rs", "server/src/web/health.rs",
                "server/src/auth/limits.rs"].contains(&path)
    };
    let offenders = files("server/src", "rs")
        .into_iter()
        .filter(|(path, _)| !allowed(path))
        .filter(|(_, text)| code(text).contains("sqlx::query"))
        .map(|(path, _)| path)
        .collect();
    none("SQL outside db.rs", offenders);
}

#[test]
fn axum_stands_at_the_edge_only() {
    let allowed = |path: &str| {
        ["web.rs", "api.rs"].iter().any(|name| path.ends_with(&format!("/{name}")))
            || ["/web/", "/api/", "/auth/", "/agent_api/", "/admin/", "/metrics/"]
                .iter()
                .any(|part| path.contains(part))
            || ["server/src/error.rs", "server/src/router.rs", "server/src/server.rs"].contains(&path)
    };
    let offenders = files("server/src", "rs")
        .into_iter()
        .filter(|(path, _)| !allowed(path))
        .filter(|(_, text)| code(text).contains("axum::"))
        .map(|(path, _)| path)
        .collect();
    none("HTTP beyond the edge", offenders);
}

#[test]
fn lower_floors_do_not_know_the_upper_ones() {
    let floors: &[(&str, &[&str])] = &[
        (
            "web",
            &[
                "accounts",
                "billing",
                "instances",
                "trials",
                "hosts",
                "plans",
                "images",
                "networks",
                "announcements",
                "admin",
                "agent_api",
                "worker",
                "search",
            ],
        ),
        (
            "auth",
            &[
                "accounts",
                "billing",
                "instances",
                "trials",
                "hosts",
                "plans",
                "images",
                "networks",
                "announcements",
                "admin",
                "agent_api",
                "worker",
                "search",
            ],
        ),
        (
            "events",
            &[
                "accounts",
                "billing",
                "instances",
                "trials",
                "hosts",
                "plans",
                "images",
                "networks",
                "announcements",
                "admin",
                "agent_api",
                "worker",
                "search",
            ],
        ),
        (
            "mail",
            &[
                "accounts",
                "billing",
                "instances",
                "trials",
                "hosts",
                "plans",
                "images",
                "networks",
                "announcements",
                "admin",
                "agent_api",
                "worker",
                "search",
            ],
        ),
        ("accounts", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("plans", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("images", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("announcements", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("networks", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("hosts", &["billing", "instances", "trials", "admin", "agent_api", "worker"]),
        ("instances", &["billing", "consoles", "admin", "agent_api", "worker"]),
        ("trials", &["billing", "admin", "agent_api", "worker"]),
        ("billing", &["consoles", "admin", "agent_api", "worker", "search"]),
        ("consoles", &["billing", "admin", "agent_api", "worker"]),
        (
            "webhooks",
            &[
                "accounts",
                "billing",
                "consoles",
                "instances",
                "trials",
                "hosts",
                "admin",
                "agent_api",
                "worker",
            ],
        ),
        ("billing_systems", &["consoles", "admin", "agent_api", "worker", "search"]),
    ];
    let mut offenders = Vec::new();
    for (floor, above) in floors {
        for (path, text) in files(&format!("server/src/{floor}"), "rs") {
            for upper in *above {
                if code(&text).contains(&format!("crate::{upper}")) {
                    offenders.push(format!("{path} knows {upper}"));
                }
            }
        }
    }
    none("imports go down only", offenders);
}

#[test]
fn programs_run_with_argument_vectors() {
    let offenders = ["server/src", "agent/src", "cli/src"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .filter(|(_, text)| {
            let code = code(text);
            [
                "Command::new(\"sh\")",
                "Command::new(\"bash\")",
                "Command::new(\"/bin/sh\")",
                "\"-c\".to_string()",
            ]
            .iter()
            .any(|shell| code.contains(shell))
        })
        .map(|(path, _)| path)
        .collect();
    none("a program runs through a shell", offenders);
}

#[test]
fn unsafe_says_why_it_is_safe() {
    let mut offenders = Vec::new();
    for (path, text) in ["server/src", "agent/src", "cli/src", "policy/src", "protocol/src"]
        .iter()
        .flat_map(|f| files(f, "rs"))
    {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let unsafe_code = line.contains("unsafe {") || line.contains("unsafe impl");
            if unsafe_code && !line.trim_start().starts_with("//") {
                let above = &lines[index.saturating_sub(8)..=index];
                if !above.iter().any(|line| line.contains("SAFETY")) {
                    offenders.push(format!("{path}:{}", index + 1));
                }
            }
        }
    }
    none("unsafe without a reason", offenders);
}

/// `key = text` of one language, by file.
fn messages(language: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (path, text) in files(&format!("server/locales/{language}"), "ftl") {
        for line in text.lines() {
            if let Some((key, value)) = line.split_once(" =")
                && key.starts_with(|c: char| c.is_ascii_lowercase())
                && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            {
                let before = all.insert(key.to_owned(), value.to_owned());
                assert!(before.is_none(), "{path}: {key} stands twice in {language}");
            }
        }
    }
    all
}

/// `$name` of a message.
fn arguments(text: &str) -> BTreeSet<String> {
    text.split('$')
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn both_languages_say_everything() {
    let (english, chinese) = (messages("en"), messages("zh-CN"));
    let mut offenders: Vec<String> = Vec::new();
    for key in english.keys().filter(|key| !chinese.contains_key(*key)) {
        offenders.push(format!("{key} is missing in zh-CN"));
    }
    for key in chinese.keys().filter(|key| !english.contains_key(*key)) {
        offenders.push(format!("{key} is missing in en"));
    }
    for (key, text) in &english {
        if let Some(translated) = chinese.get(key)
            && arguments(text) != arguments(translated)
        {
            offenders.push(format!("{key} has other arguments in zh-CN"));
        }
    }
    none("the languages differ", offenders);
}

/// Keys written out in templates and code.
fn keys_used() -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    let mut note = |key: &str, path: &str| {
        if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') && !key.is_empty() {
            used.insert(key.to_owned(), path.to_owned());
        }
    };
    let quoted = |text: &str, before: &str, note: &mut dyn FnMut(&str)| {
        for rest in text.split(before).skip(1) {
            if let Some(key) = rest.split('"').next() {
                note(key);
            }
        }
    };
    for (path, text) in files("templates", "html").into_iter().chain(files("templates", "txt")) {
        for call in [".t(\"", ".t1(\"", ".t2(\""] {
            quoted(&text, call, &mut |key| note(key, &path));
        }
    }
    for (path, text) in files("server/src", "rs") {
        for call in [".t(\"", ".t1(\"", ".t2(\"", ".text(\"", ".text_with(\""] {
            quoted(&text, call, &mut |key| note(key, &path));
        }
        // Errors and flash messages name the end of their key.
        for (call, prefix) in [("Error::conflict(\"", "error-"), ("Error::refused(\"", "error-")] {
            quoted(&text, call, &mut |key| note(&format!("{prefix}{key}"), &path));
        }
    }
    used
}

#[test]
fn every_message_that_is_used_exists() {
    let english = messages("en");
    let offenders = keys_used()
        .into_iter()
        .filter(|(key, _)| !english.contains_key(key))
        .map(|(key, path)| format!("{key}, used in {path}"))
        .collect();
    none("a message is missing", offenders);
}

#[test]
fn every_message_is_used() {
    // A key counts as used when it, or the part before its last dash followed by a made-up end,
    // stands anywhere in the code: `format!("state-{name}")`.
    let mut sources: String = files("server/src", "rs").into_iter().map(|(_, text)| text).collect();
    sources.extend(files("templates", "html").into_iter().map(|(_, text)| text));
    sources.extend(files("templates", "txt").into_iter().map(|(_, text)| text));
    let made_up = |key: &str| {
        key.match_indices('-').any(|(at, _)| {
            let start = &key[..=at];
            sources.contains(&format!("\"{start}{{")) || sources.contains(&format!("\"{start}\""))
        })
    };
    let coded = |key: &str| {
        ["error-", "invalid-", "flash-"].iter().any(|prefix| {
            key.strip_prefix(prefix).is_some_and(|rest| sources.contains(&format!("\"{rest}\"")))
        })
    };
    let offenders = messages("en")
        .into_keys()
        .filter(|key| !sources.contains(&format!("\"{key}\"")) && !coded(key) && !made_up(key))
        .collect();
    none("a message that nobody uses", offenders);
}

#[test]
fn lock_files_name_no_registry_of_npm() {
    let offenders =
        ["static/package-lock.json", "tests/browser/package-lock.json", "tests/interop/package-lock.json"]
            .into_iter()
            .filter(|path| {
                std::fs::read_to_string(root().join(path)).is_ok_and(|text| text.contains("\"resolved\""))
            })
            .map(str::to_owned)
            .collect();
    none("set omit-lockfile-registry-resolved", offenders);
}

#[test]
fn findings_name_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("tests/FINDINGS.md")).expect("the findings");
    let sources: String = ["policy", "protocol", "server", "agent", "cli", "tests"]
        .into_iter()
        .flat_map(|crate_| files(crate_, "rs"))
        .map(|(_, text)| text)
        .collect();
    let known = |name: &str| ["fn", "mod"].iter().any(|item| sources.contains(&format!("{item} {name}")));
    let named: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|path| path.rsplit_once("::"))
        .map(|(_, name)| name)
        .collect();
    assert!(named.len() > 150, "the list is read: {}", named.len());
    let offenders = named.into_iter().filter(|name| !known(name)).map(str::to_owned).collect();
    none("a finding whose test is gone", offenders);
}
