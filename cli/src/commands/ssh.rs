//! Logging in to an instance.
//!
//! This program becomes `ssh`, with a vector of arguments and no shell between.  Address and user come from the
//! server, and are checked to be what they should: `-oProxyCommand=…` is no address.

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::Instance;
use crate::resolve;
use crate::words::texts;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the image does not say whom to log in as.
const USER: &str = "root";

pub async fn ssh(context: &Context, name: &str, user: Option<String>, more: Vec<OsString>) -> Result<()> {
    let instance = resolve::instance(&context.api()?, name).await?;
    let vector = vector(&instance, user, more)?;
    // It returns only when it could not.
    let error = Command::new("ssh").args(vector).exec();
    Err(Failure::here(texts::NO_SSH).with("cause", error))
}

/// `-l USER ADDRESS …`: what follows the address is options to ssh, or the command to run there.
fn vector(instance: &Instance, user: Option<String>, more: Vec<OsString>) -> Result<Vec<OsString>> {
    let address = instance.addresses.iter().find_map(|text| address(text));
    let address = address.ok_or_else(|| Failure::here(texts::NO_ADDRESS).with("name", &instance.name))?;
    let known = Some(instance.login_user.clone()).filter(|user| !user.is_empty());
    let user = user.or(known).unwrap_or_else(|| USER.to_owned());
    if !is_user(&user) {
        return Err(Failure::usage(texts::BAD_USER).with("user", user));
    }
    let mut vector: Vec<OsString> = vec!["-l".into(), user.into(), address.to_string().into()];
    vector.extend(more);
    Ok(vector)
}

/// An address, where it may have the length of its network behind it.
fn address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

fn is_user(name: &str) -> bool {
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-' | b'$' | b'@' | b'\\');
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn instance(addresses: &[&str], user: &str) -> Instance {
        let body = json!({ "id": "vm_1", "name": "web", "addresses": addresses, "login_user": user });
        serde_json::from_value(body).unwrap()
    }

    fn words(vector: Result<Vec<OsString>>) -> Vec<String> {
        vector.unwrap().into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_arguments_are_a_vector() {
        let web = instance(&["203.0.113.7/32", "2001:db8::7"], "debian");
        assert_eq!(words(vector(&web, None, Vec::new())), ["-l", "debian", "203.0.113.7"]);
        let more = vec!["-L".into(), "8080:localhost:80; rm".into()];
        assert_eq!(
            words(vector(&web, Some("root".into()), more)),
            ["-l", "root", "203.0.113.7", "-L", "8080:localhost:80; rm"]
        );
        assert_eq!(words(vector(&instance(&["2001:db8::7"], ""), None, Vec::new()))[1], "root");
    }

    #[test]
    fn what_is_no_address_and_no_user_does_not_reach_ssh() {
        let none = vector(&instance(&["-oProxyCommand=id", "host.example"], "root"), None, Vec::new());
        assert!(none.unwrap_err().in_words(crate::words::Language::English).contains("no address"));
        for user in ["-oProxyCommand=id", "a b", "a;b", "ö"] {
            assert!(vector(&instance(&["203.0.113.7"], user), None, Vec::new()).is_err(), "{user}");
        }
    }
}
