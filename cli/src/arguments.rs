//! The command line.  What stands here as comments is what `--help` says.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The command-line client of Jinshitong VPS
///
/// Log in once with an API token from the portal (jst login), then: jst plans, jst create, jst ls, jst ssh NAME.
/// Exit codes: 0 done, 1 failed or refused, 2 wrong arguments.  JST_LANG=zh speaks Chinese.
/// JST_TOKEN is used instead of the token that was stored by jst login.
#[derive(Parser)]
#[command(name = "jst", version)]
pub struct Arguments {
    /// The server, such as https://portal.example.com
    #[arg(long, global = true, env = "JST_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// A file with the certificate of a private authority, in PEM form
    #[arg(long, global = true, env = "JST_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Print what the API answered, as JSON, and nothing else on standard output
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Check an API token and store it for this user
    Login {
        /// Read the token from standard input instead of the terminal
        #[arg(long)]
        token_stdin: bool,
    },
    /// Forget the stored token
    Logout,
    /// Show who the token belongs to
    Account,
    /// List instances
    #[command(visible_alias = "ls")]
    Instances,
    /// Show one instance
    Show {
        #[command(flatten)]
        instance: Name,
    },
    /// Create an instance
    Create(Create),
    /// Start an instance
    Start(Change),
    /// Ask the guest to shut down; one that does not follow is ended after a while
    Shutdown(Change),
    /// End the guest without asking it, as pulling the plug
    PowerOff(Change),
    /// Ask the guest to restart; one that does not follow is reset
    Reboot(Change),
    /// Move an instance to another plan
    Resize {
        #[command(flatten)]
        change: Change,
        /// Slug or id of the new plan; see jst plans
        #[arg(long)]
        plan: String,
        /// Grow the disk to the plan's size, which is final; without it the instance keeps its disk
        #[arg(long)]
        grow_disk: bool,
    },
    /// Destroy what is on the disk and start from an image; asks first
    Rebuild(Rebuild),
    /// Give an instance another name
    Rename {
        #[command(flatten)]
        change: Change,
        /// The new name
        new_name: String,
        /// The new host name, with its domain or without, which reaches the guest with the next rebuild
        #[arg(long)]
        hostname: Option<String>,
    },
    /// Delete an instance; asks first
    Delete {
        #[command(flatten)]
        change: Change,
        /// Remove everything at once, without a way back
        #[arg(long)]
        now: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Undo a deletion while its grace period runs; the instance is then stopped
    Undelete(Change),
    /// Try again to make an instance whose creation failed
    Retry(Change),
    /// Protect an instance from being deleted
    Protect {
        #[command(flatten)]
        instance: Name,
    },
    /// Lift the protection from being deleted
    Unprotect {
        #[command(flatten)]
        instance: Name,
    },
    /// Show the firewall of an instance, or replace its rules
    Firewall(FirewallChange),
    /// Show the latest counters of an instance
    Usage {
        #[command(flatten)]
        instance: Name,
    },
    /// Show what an instance used over time
    Metrics {
        #[command(flatten)]
        instance: Name,
        /// How far back
        #[arg(long, value_enum, default_value_t = Range::Hour)]
        range: Range,
    },
    /// List the plans on offer
    Plans,
    /// List the images on offer
    Images,
    /// List, add or remove SSH keys
    Keys {
        #[command(subcommand)]
        action: Option<KeyAction>,
    },
    /// List operations, the newest first, or show one
    Operations {
        /// The id of one operation
        id: Option<String>,
        /// Only those of this instance, by its name or id
        #[arg(long, value_name = "NAME", conflicts_with = "id")]
        instance: Option<String>,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 25)]
        limit: usize,
    },
    /// Wait for an operation to end
    Wait {
        /// The id of the operation
        id: String,
        #[command(flatten)]
        timeout: Timeout,
    },
    /// Log in to an instance with ssh
    Ssh {
        #[command(flatten)]
        instance: Name,
        /// Whom to log in as; the image tells when absent
        #[arg(long, short = 'l')]
        user: Option<String>,
        /// What ssh gets behind the address: options of its own, or a command to run
        #[arg(last = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
    /// The serial port of a running instance, in this terminal; Ctrl-] leaves
    Console {
        #[command(flatten)]
        instance: Name,
    },
    /// Print a script that completes commands: source <(jst completions bash)
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Args)]
pub struct Name {
    /// Name or id of the instance
    #[arg(id = "instance_name", value_name = "NAME")]
    pub name: String,
}

/// A change of an instance, and whether to wait for it.
#[derive(Args)]
pub struct Change {
    #[command(flatten)]
    pub instance: Name,
    #[command(flatten)]
    pub waiting: Waiting,
}

#[derive(Args)]
pub struct Waiting {
    /// Return as soon as the change is accepted
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
    /// Wait until the change is done; so it is without this, too
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    #[command(flatten)]
    pub timeout: Timeout,
}

#[derive(Args)]
pub struct Timeout {
    /// How long to wait at most: 90, 90s, 15m or 2h
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub timeout: Duration,
}

#[derive(Args)]
pub struct Create {
    /// Its name: 1 to 63 characters
    #[arg(long)]
    pub name: String,
    /// Slug or id of a plan; see jst plans
    #[arg(long)]
    pub plan: String,
    /// Slug or id of an image; see jst images
    #[arg(long)]
    pub image: String,
    /// Name, id or fingerprint of an SSH key; may be repeated
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// With its domain or without; made from the name when absent
    #[arg(long)]
    pub hostname: Option<String>,
    /// File for the first boot: #cloud-config, a script, gzip or base64 of them; - is standard input
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// As a free trial
    #[arg(long, conflicts_with = "no_trial")]
    pub trial: bool,
    /// As a bought instance, even where the plan offers a trial
    #[arg(long)]
    pub no_trial: bool,
    #[command(flatten)]
    pub waiting: Waiting,
}

#[derive(Args)]
pub struct Rebuild {
    #[command(flatten)]
    pub change: Change,
    /// Slug or id of an image; the present one when absent
    #[arg(long)]
    pub image: Option<String>,
    /// Name, id or fingerprint of an SSH key; may be repeated.  Without it the keys of the last build stay
    #[arg(long = "key", value_name = "KEY", conflicts_with = "no_keys")]
    pub keys: Vec<String>,
    /// Put no keys in
    #[arg(long)]
    pub no_keys: bool,
    /// A new host name, with its domain or without
    #[arg(long)]
    pub hostname: Option<String>,
    /// File for the first boot, as for create; without it that of the last build stays
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// A direction that is not named stays as it is.
#[derive(Args)]
pub struct FirewallChange {
    #[command(flatten)]
    pub change: Change,
    /// Let this in, and nothing else: PROTOCOL[:PORTS][@PEERS]; may be repeated
    #[arg(long = "in", value_name = "RULE", conflicts_with_all = ["in_open", "in_closed"])]
    pub inbound: Vec<String>,
    /// Let everything in
    #[arg(long, conflicts_with = "in_closed")]
    pub in_open: bool,
    /// Let nothing in
    #[arg(long)]
    pub in_closed: bool,
    /// Let this out, and nothing else; may be repeated
    #[arg(long = "out", value_name = "RULE", conflicts_with_all = ["out_open", "out_closed"])]
    pub outbound: Vec<String>,
    /// Let everything out
    #[arg(long, conflicts_with = "out_closed")]
    pub out_open: bool,
    /// Let nothing out
    #[arg(long)]
    pub out_closed: bool,
}

#[derive(Subcommand)]
pub enum KeyAction {
    /// List SSH keys
    List,
    /// Add a public key
    Add {
        /// The file with the public key, such as ~/.ssh/id_ed25519.pub; - is standard input
        file: PathBuf,
        /// The comment in the key when absent
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a key; asks first.  Instances that have it keep it
    Remove {
        /// Name, id or fingerprint
        key: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Range {
    Hour,
    Day,
    Week,
    Month,
}

impl Range {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `90`, `90s`, `15m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "write it like 90, 90s, 15m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "m", "-1", "1d", "1.5h", "99999999999999999999", "9999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_follows_two_dashes_is_ssh_s() {
        let arguments =
            Arguments::try_parse_from(["jst", "ssh", "web", "--", "-L", "8080:localhost:80"]).unwrap();
        let Command::Ssh { instance, arguments, .. } = arguments.command else { panic!("it is ssh") };
        assert_eq!((instance.name.as_str(), arguments.len()), ("web", 2));
        let wrong = Arguments::try_parse_from(["jst", "firewall", "web", "--in", "tcp:22", "--in-open"]);
        assert!(wrong.is_err_and(|error| error.exit_code() == 2));
        let last_wins = Arguments::try_parse_from(["jst", "start", "web", "--no-wait", "--wait"]).unwrap();
        let Command::Start(change) = last_wins.command else { panic!("it is start") };
        assert!(!change.waiting.no_wait);
    }
}
