//! The file that remembers the server and the token: `$XDG_CONFIG_HOME/jst/config.toml`.
//!
//! It is readable by its owner alone, and replaced as a whole: a full disk or a lost battery leaves the
//! file of before.

use crate::error::{Failure, Result};
use crate::output::note;
use crate::server::Server;
use crate::words::{Language, texts};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is remembered.  It has no `Debug`, so that no message can show the token by accident.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: String,
    pub token: String,
    /// The certificate of a private authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Where the file is.
pub struct Place(PathBuf);

impl Place {
    pub fn from_environment() -> Result<Self> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // A relative path in XDG_CONFIG_HOME counts as none; the specification wants it so.
        let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        base.map(|base| Self(base.join("jst/config.toml"))).ok_or_else(|| Failure::here(texts::NO_HOME))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    /// What is remembered, if anything is.
    pub fn read(&self, language: Language) -> Result<Option<Config>> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(texts::CANNOT_READ, &error)),
        };
        if fs::metadata(&self.0).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
            note(&language.fill(texts::CONFIG_IS_OPEN, &[("file", self.0.display().to_string())]));
        }
        // Only the first line of the parser's words: the others quote the file, and with it the token.
        let cause = |error: toml::de::Error| error.message().lines().next().unwrap_or("").to_owned();
        toml::from_str(&text).map(Some).map_err(|error| self.failed(texts::BAD_CONFIG, cause(error)))
    }

    /// Remembers, in place of what was there.
    pub fn write(&self, config: &Config) -> Result<()> {
        let text = toml::to_string(config).map_err(|error| self.failed(texts::CANNOT_WRITE, error))?;
        self.replace(&text).map_err(|error| self.failed(texts::CANNOT_WRITE, error))
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let folder = self.folder();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // One that was there before may be open to others.
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        // Such a file is made with the mode 0600, and is beside its target, so that the renaming is atomic.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        Ok(())
    }

    /// Forgets; tells whether there was something to forget.
    pub fn remove(&self) -> Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(texts::CANNOT_WRITE, error)),
        }
    }

    fn failed(&self, text: crate::words::Text, cause: impl ToString) -> Failure {
        Failure::here(text).with("file", self.0.display()).with("cause", cause)
    }
}

/// Which server is asked, and with which token.
pub struct Access {
    pub server: Server,
    /// Empty: there is none.
    pub token: String,
    pub ca: Option<PathBuf>,
}

/// What the command and its environment say goes before what is remembered.  But the remembered token is for
/// the server that it was given to: whoever names another one must not make us hand it over.
pub fn access(
    server: Option<String>,
    token: Option<String>,
    ca: Option<PathBuf>,
    remembered: Option<Config>,
) -> Result<Access> {
    let given = server.map(|text| Server::parse(&text)).transpose()?;
    let known = match remembered {
        Some(config) => Some((Server::parse(&config.server)?, config)),
        None => None,
    };
    let server = match (given, &known) {
        (Some(server), _) => server,
        (None, Some((server, _))) => server.clone(),
        (None, None) => return Err(Failure::usage(texts::NO_SERVER)),
    };
    let config = known.filter(|(remembered, _)| *remembered == server).map(|(_, config)| config);
    let (known_token, known_ca) = config.map_or((None, None), |config| (Some(config.token), config.ca));
    let token = token.or(known_token).unwrap_or_default();
    if !token.is_empty() {
        check_token(&token)?;
    }
    Ok(Access { server, token, ca: ca.or(known_ca) })
}

/// Finds out early what was pasted by mistake, and what no header may hold.
pub fn check_token(token: &str) -> Result<()> {
    let body = token.strip_prefix("jst_").unwrap_or("");
    let good = !body.is_empty() && body.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    if good { Ok(()) } else { Err(Failure::usage(texts::BAD_TOKEN)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "https://home.example";

    fn config() -> Config {
        Config { server: HOME.into(), token: "jst_abc".into(), ca: Some("/etc/ca.pem".into()) }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_file_is_its_owner_s_alone_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place(directory.path().join("deep/jst/config.toml"));
        assert!(place.read(Language::English).unwrap().is_none());
        place.write(&config()).unwrap();
        assert_eq!((mode(place.path()), mode(place.folder())), (0o600, 0o700));
        // Also where both were open before.
        fs::set_permissions(place.path(), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(place.folder(), Permissions::from_mode(0o755)).unwrap();
        place.write(&config()).unwrap();
        assert_eq!((mode(place.path()), mode(place.folder())), (0o600, 0o700));
        assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 1);
        let read = place.read(Language::English).unwrap().unwrap();
        assert_eq!((read.server, read.token, read.ca), (HOME.into(), "jst_abc".into(), config().ca));
        assert!(place.remove().unwrap());
        assert!(!place.remove().unwrap());
    }

    #[test]
    fn a_damaged_file_does_not_show_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place(directory.path().join("jst/config.toml"));
        place.replace("server = \"https://x\"\ntoken = \"jst_secret\nca = 5").unwrap();
        let Err(failure) = place.read(Language::English) else { panic!("it is damaged") };
        let words = failure.in_words(Language::English);
        assert!(words.contains("config.toml") && !words.contains("secret"), "{words}");
    }

    #[test]
    fn a_remembered_token_is_for_its_own_server() {
        let at = |server: Option<&str>, token: Option<&str>| {
            access(server.map(str::to_owned), token.map(str::to_owned), None, Some(config())).unwrap()
        };
        assert_eq!((at(None, None).token, at(None, None).ca), ("jst_abc".into(), config().ca));
        assert_eq!(at(Some("home.example/"), None).token, "jst_abc");
        let other = at(Some("https://other.example"), None);
        assert_eq!((other.token.as_str(), other.ca), ("", None));
        assert_eq!(at(Some("https://other.example"), Some("jst_other")).token, "jst_other");
        assert_eq!(at(None, Some("jst_other")).server.to_string(), HOME);
        assert!(access(None, Some("jst_x".into()), None, None).is_err(), "no server is known");
        assert!(access(None, Some("jst_x\r\ny: z".into()), None, Some(config())).is_err());
    }
}
