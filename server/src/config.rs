//! Configuration, from the command line or the environment; no file is needed to start.

use clap::Parser;
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

#[derive(Clone, Debug, Parser)]
#[command(name = "jst-server", version, about = "The Jinshitong VPS platform: portal, API and control plane")]
pub struct Config {
    /// Where the server keeps its keys, images and, without DATABASE_URL, its own Postgres.
    #[arg(long, env = "JST_DATA_DIR", default_value = "/var/lib/jinshitong/server")]
    pub data_dir: PathBuf,

    /// A Postgres of yours.  Without it the server runs a private one in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Portal, admin dashboard and API (HTTP; put TLS in front of it).
    #[arg(long, env = "JST_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Agents (mutual TLS).
    #[arg(long, env = "JST_AGENT_LISTEN", default_value = "0.0.0.0:8443")]
    pub agent_listen: SocketAddr,

    /// Names and addresses by which agents reach this server, for its certificate.
    #[arg(long, env = "JST_AGENT_NAMES", value_delimiter = ',', default_value = "localhost,127.0.0.1")]
    pub agent_names: Vec<String>,

    /// How agents reach this very replica, as https://HOST:PORT, where several replicas share one address for
    /// agents: a console is open in the replica that its browser has reached.
    #[arg(long, env = "JST_REPLICA_AGENT_URL")]
    pub replica_agent_url: Option<String>,

    /// How customers reach the portal: the origin of links in mails.  With https, cookies are Secure.
    #[arg(long, env = "JST_PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    pub public_url: String,

    /// Number of trusted reverse proxies in front, whose X-Forwarded-For entries are believed.
    #[arg(long, env = "JST_TRUSTED_PROXIES", default_value_t = 0)]
    pub trusted_proxies: usize,

    /// smtp://user:password@host:port or smtps://…  Without it mails stay in the outbox, where `jst-server mails` reads them.
    #[arg(long, env = "JST_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,

    #[arg(long, env = "JST_MAIL_FROM", default_value = "Jinshitong VPS <no-reply@localhost>")]
    pub mail_from: String,

    /// Connections in each of the two pools.
    #[arg(long, env = "JST_DATABASE_CONNECTIONS", default_value_t = 16)]
    pub database_connections: u32,

    /// Requests a second that one API token may send for long; three seconds' worth at once.
    #[arg(long, env = "JST_API_REQUESTS_PER_SECOND", default_value = "20")]
    pub api_requests_per_second: NonZeroU32,

    /// Requests a second for pages that one network of strangers, or one browser in which somebody has signed in, may
    /// send for long; ten seconds' worth at once.
    #[arg(long, env = "JST_PAGE_REQUESTS_PER_SECOND", default_value = "50")]
    pub page_requests_per_second: NonZeroU32,

    /// Connections to the portal that one network (an IPv4 address, an IPv6 /64) may hold.  Behind reverse proxies
    /// (JST_TRUSTED_PROXIES) there is no such limit, because all connections are theirs.
    #[arg(long, env = "JST_CONNECTIONS_PER_NETWORK", default_value_t = 512)]
    pub connections_per_network: usize,

    /// Figures for a monitoring system, at http://ADDRESS/metrics.  Whoever reaches this address reads them: keep it
    /// on loopback or in a network of your own, such as 127.0.0.1:9464.  Without it there are none.
    #[arg(long, env = "JST_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,

    /// Networks of your own from which administrators may import images although they are not public, such as 10.1.0.0/16.
    #[arg(long, env = "JST_IMPORT_ALLOW", value_delimiter = ',')]
    pub import_allow: Vec<IpNet>,

    /// Networks of your own to which your own webhooks (administration, Webhooks) may be sent although they are not
    /// public.  Customers' webhooks never go there.
    #[arg(long, env = "JST_WEBHOOK_ALLOW", value_delimiter = ',')]
    pub webhook_allow: Vec<IpNet>,

    /// Networks in which payment providers may be asked although they are not public: for a stand-in of theirs.
    #[arg(long, env = "JST_PAYMENT_ALLOW", value_delimiter = ',')]
    pub payment_allow: Vec<IpNet>,

    /// DANGEROUS, for tests and development only: networks that customers' webhooks may reach although they are not
    /// public.  Customers read what answers there.  The administration shows a warning.
    #[arg(long, env = "JST_DANGER_CUSTOMER_WEBHOOK_ALLOW", value_delimiter = ',')]
    pub danger_customer_webhook_allow: Vec<IpNet>,

    /// Lets simulated hosts take instances: for tests and rehearsals only.
    #[arg(long, env = "JST_ALLOW_SIMULATED", default_value_t = false)]
    pub allow_simulated: bool,

    /// json or text.
    #[arg(long, env = "JST_LOG_FORMAT", default_value = "text")]
    pub log_format: String,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Runs the server (the default).
    Run,
    /// Creates an administrator, or gives an existing account the rights and a new password, which
    /// is read from standard input.  Prints an API token.
    CreateAdmin {
        #[arg(long)]
        email: String,
    },
    /// Prints mails of the outbox with their links, the newest first: for an operator on this machine who runs without
    /// a mail server. Pages and API never show these links.
    Mails {
        /// Only those to this address.
        #[arg(long)]
        to: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u16,
    },
}

impl Config {
    pub fn secure_cookies(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
