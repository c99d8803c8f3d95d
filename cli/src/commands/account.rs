//! Logging in and out, and who one is.

use crate::api::Api;
use crate::config::{Access, Config, Place, check_token};
use crate::context::{Context, token_from_environment};
use crate::error::{Failure, Result};
use crate::model::Account;
use crate::output::{Facts, note, print, print_json};
use crate::server::Server;
use crate::words::texts;
use std::io::{BufRead, IsTerminal, Read, Write};

/// More than any token has; who sends more has sent the wrong file.
const MAX_TOKEN: u64 = 4096;

/// Checks the token against the API before anything is stored: a token that does not work is told now, and not
/// by the next command.
pub async fn login(context: &Context, token_stdin: bool) -> Result<()> {
    // A damaged file is about to be replaced, and must not keep one from it.
    let remembered = context.remembered().unwrap_or(None);
    let server = match (&context.server, &remembered) {
        (Some(server), _) => Server::parse(server)?,
        (None, Some(config)) => Server::parse(&config.server)?,
        (None, None) => ask_server(context)?,
    };
    let ca = match &context.ca {
        // Later commands run in other directories.
        Some(file) => Some(std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        None => {
            let same = |config: &Config| Server::parse(&config.server).is_ok_and(|known| known == server);
            remembered.filter(same).and_then(|config| config.ca)
        }
    };
    let token = if token_stdin { token_from_stdin()? } else { ask_token(context, &server)? };
    check_token(&token)?;
    let access = Access { server: server.clone(), token: token.clone(), ca: ca.clone() };
    let answer = Api::new(access, context.language)?.get(&["account"], &[]).await?;
    let account: Account = answer.read()?;
    let place = Place::from_environment()?;
    place.write(&Config { server: server.to_string(), token, ca })?;
    if context.json {
        print_json(&answer.text);
    }
    let arguments = [
        ("server", server.to_string()),
        ("email", account.email),
        ("team", account.tenant.name),
        ("file", place.path().display().to_string()),
    ];
    context.say(texts::LOGGED_IN, &arguments);
    if token_from_environment().is_some() {
        context.note(texts::TOKEN_FROM_ENVIRONMENT, &[]);
    }
    Ok(())
}

fn ask_server(context: &Context) -> Result<Server> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::usage(texts::NO_TERMINAL_FOR_SERVER));
    }
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{}", context.text(texts::ASK_SERVER)).and_then(|()| error.flush());
    let mut typed = String::new();
    let _ = std::io::stdin().lock().read_line(&mut typed);
    Server::parse(&typed)
}

fn ask_token(context: &Context, server: &Server) -> Result<String> {
    let prompt = context.fill(texts::ASK_TOKEN, &[("server", server.to_string())]);
    let token = rpassword::prompt_password(prompt);
    token.map(|token| token.trim().to_owned()).map_err(|_| Failure::usage(texts::NO_TERMINAL_FOR_TOKEN))
}

fn token_from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|_| Failure::usage(texts::BAD_TOKEN))?;
    Ok(text.trim().to_owned())
}

pub fn logout(context: &Context) -> Result<()> {
    let forgotten = Place::from_environment()?.remove()?;
    note(context.text(if forgotten { texts::LOGGED_OUT } else { texts::NOT_LOGGED_IN }));
    if token_from_environment().is_some() {
        context.note(texts::TOKEN_FROM_ENVIRONMENT, &[]);
    }
    Ok(())
}

pub async fn show(context: &Context) -> Result<()> {
    let api = context.api()?;
    let answer = api.get(&["account"], &[]).await?;
    if context.json {
        print_json(&answer.text);
        return Ok(());
    }
    let account: Account = answer.read()?;
    let mut facts = Facts::new();
    facts.add(context.text(texts::SERVER), api.server().to_string());
    facts.add(context.text(texts::EMAIL), account.email);
    facts.add(context.text(texts::TEAM), account.tenant.name);
    facts.add(context.text(texts::ROLE), account.tenant.role);
    print(&facts.render());
    Ok(())
}
