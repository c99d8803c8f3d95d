//! What all commands share: the language, the kind of output, and how to reach the API.

use crate::api::{Answer, Api};
use crate::arguments::{Arguments, Waiting};
use crate::config::{Access, Config, Place, access};
use crate::error::{Failure, Result};
use crate::model::Operation;
use crate::output::{note, print, print_json};
use crate::wait;
use crate::words::{Language, Text, texts};
use std::path::PathBuf;
use std::time::Duration;

pub struct Context {
    pub language: Language,
    pub json: bool,
    pub server: Option<String>,
    pub ca: Option<PathBuf>,
}

impl Context {
    pub fn new(arguments: &Arguments, language: Language) -> Self {
        Self {
            language,
            json: arguments.json,
            // A variable that is set to nothing is as good as none.
            server: arguments.server.clone().filter(|server| !server.is_empty()),
            ca: arguments.ca.clone().filter(|file| !file.as_os_str().is_empty()),
        }
    }

    /// What was remembered at the login, if anything was.
    pub fn remembered(&self) -> Result<Option<Config>> {
        Place::from_environment()?.read(self.language)
    }

    /// Where to ask and as whom, which may be nobody.
    pub fn access(&self) -> Result<Access> {
        let token = token_from_environment();
        let remembered = match (&self.server, &token) {
            // With everything given nothing needs to be remembered: there may be no home at all.
            (Some(_), Some(_)) => self.remembered().unwrap_or(None),
            _ => self.remembered()?,
        };
        access(self.server.clone(), token, self.ca.clone(), remembered)
    }

    /// For what anybody may ask.
    pub fn open_api(&self) -> Result<Api> {
        Api::new(self.access()?, self.language)
    }

    /// For what needs a token.
    pub fn api(&self) -> Result<Api> {
        let access = self.access()?;
        if access.token.is_empty() {
            return Err(Failure::usage(texts::NO_TOKEN).with("server", &access.server));
        }
        Api::new(access, self.language)
    }

    pub fn text(&self, text: Text) -> &'static str {
        self.language.text(text)
    }

    pub fn fill(&self, text: Text, arguments: &[(&'static str, String)]) -> String {
        self.language.fill(text, arguments)
    }

    /// A line of result for people; programs that asked for JSON have theirs.
    pub fn say(&self, text: Text, arguments: &[(&'static str, String)]) {
        if !self.json {
            print(&format!("{}\n", self.fill(text, arguments)));
        }
    }

    /// A word beside the result.
    pub fn note(&self, text: Text, arguments: &[(&'static str, String)]) {
        note(&self.fill(text, arguments));
    }

    /// Follows an accepted change to its end, or reports that it is on its way.  True when it was done.
    pub async fn follow(&self, api: &Api, name: &str, answer: Answer, waiting: &Waiting) -> Result<bool> {
        let operation: Operation = answer.read()?;
        if waiting.no_wait {
            let done = self.conclude(name, &operation, &answer.text)?;
            if !done {
                self.say(texts::ACCEPTED, &wait::about(self.language, name, &operation));
            }
            return Ok(done);
        }
        self.wait(api, name, operation, answer.text, waiting.timeout.timeout).await
    }

    /// Waits for an operation and tells how it ended.  True when it was done.
    pub async fn wait(
        &self,
        api: &Api,
        name: &str,
        operation: Operation,
        text: String,
        limit: Duration,
    ) -> Result<bool> {
        let (operation, text) = wait::until_ended(api, self.language, name, operation, text, limit).await?;
        let done = self.conclude(name, &operation, &text)?;
        if operation.has_ended() {
            Ok(done)
        } else {
            Err(wait::timed_out(self.language, name, &operation, limit))
        }
    }

    /// Prints what came of an operation so far.  True when it was done.
    fn conclude(&self, name: &str, operation: &Operation, text: &str) -> Result<bool> {
        if self.json {
            print_json(text);
        }
        wait::outcome(self.language, name, operation)?;
        if !operation.has_ended() {
            return Ok(false);
        }
        let mut arguments = wait::about(self.language, name, operation);
        self.say(texts::DONE, &arguments);
        if !operation.restart_required.is_empty() {
            arguments.push(("fields", operation.restart_required.join(", ")));
            self.say(texts::RESTART_REQUIRED, &arguments);
        }
        Ok(true)
    }
}

pub fn token_from_environment() -> Option<String> {
    std::env::var("JST_TOKEN").ok().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
}
