//! A real server in this process, on a database of its own.

use crate::client::{Api, Client};
use crate::postgres;
use clap::Parser;
use jst_server::config::Config;
use jst_server::server::{Running, start};
use jst_server::state::App;
use std::sync::Once;
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub const PASSWORD: &str = "correct horse battery";

pub struct Platform {
    running: Running,
    /// Made once: making an administrator again ends what they had before.
    admin: OnceCell<String>,
    pub directory: TempDir,
    pub url: String,
}

fn once_per_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    });
}

impl Platform {
    /// A server on a fresh database, with a free port for people and one for agents.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with more arguments for the server's command line.
    pub async fn start_with(arguments: &[&str]) -> Self {
        once_per_process();
        let directory = tempfile::Builder::new().prefix("jst-test-server-").tempdir().expect("a directory");
        let database = postgres::new_database().await;
        let data = directory.path().join("server");
        let mut all = vec![
            "--data-dir",
            data.to_str().expect("a plain path"),
            "--database-url",
            &database,
            "--listen",
            "127.0.0.1:0",
            "--agent-listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--allow-simulated",
        ];
        // One is enough for everything, and shows who waits for a second: `JST_TEST_DATABASE_CONNECTIONS=1`.
        let connections = std::env::var("JST_TEST_DATABASE_CONNECTIONS").unwrap_or_else(|_| "8".to_owned());
        if !arguments.contains(&"--database-connections") {
            all.extend(["--database-connections", &connections]);
        }
        if !arguments.contains(&"--page-requests-per-second") {
            // Tests ask faster than people do.
            all.extend(["--page-requests-per-second", "1000"]);
        }
        all.extend(arguments);
        let config = Config::try_parse_from(std::iter::once("jst-server").chain(all));
        let running = Box::pin(start(config.expect("the server knows its arguments")))
            .await
            .expect("the server starts");
        let url = format!("http://{}", running.address);
        Self { running, admin: OnceCell::new(), directory, url }
    }

    pub fn app(&self) -> &App {
        &self.running.app
    }

    /// Where agents connect: `https://127.0.0.1:port`.
    pub fn agent_url(&self) -> String {
        format!("https://{}", self.running.agent_address)
    }

    /// Where a monitoring system reads figures.
    pub fn metrics_url(&self) -> String {
        format!("http://{}", self.running.metrics_address.expect("it was asked for"))
    }

    /// A browser that has never been here.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// A program with an API token.
    pub fn api(&self, token: &str) -> Api {
        Api::new(&self.url, token)
    }

    /// The administrator's API token.
    pub async fn admin_token(&self) -> String {
        let make = || async {
            jst_server::accounts::create_admin(self.app(), "admin@example.com", PASSWORD)
                .await
                .expect("an administrator can be made")
        };
        self.admin.get_or_init(make).await.clone()
    }

    /// A browser in which the administrator is signed in.
    pub async fn admin(&self) -> Client {
        self.admin_token().await;
        let client = self.client();
        client.sign_in("admin@example.com", PASSWORD).await;
        client
    }

    /// A new customer, verified and signed in, in a browser of their own.
    pub async fn customer(&self, email: &str) -> Client {
        let client = self.client();
        let answer = client.post("/sign-up", &[("email", email), ("password", PASSWORD)]).await;
        assert!(answer.status < 400, "sign-up failed: {answer:?}");
        let token = self.token_in_mail(email, "/verify?token=").await;
        let answer = client.post("/verify", &[("token", &token)]).await;
        assert!(answer.status < 400, "verification failed: {answer:?}");
        client.sign_in(email, PASSWORD).await;
        client
    }

    /// All mails to this address as their recipient reads them, the newest first.
    pub async fn mails_to(&self, email: &str) -> Vec<jst_server::mail::Letter> {
        let app = self.app();
        jst_server::mail::newest(app.db.platform(), &app.sealer, Some(email), 100).await.expect("mails open")
    }

    /// The bodies of all mails of a kind, the newest last.
    pub async fn mails_of_kind(&self, kind: &str) -> Vec<String> {
        let app = self.app();
        let rows: Vec<(uuid::Uuid, Vec<u8>)> =
            sqlx::query_as("SELECT id, body_sealed FROM mail_outbox WHERE kind = $1 ORDER BY id")
                .bind(kind)
                .fetch_all(app.db.platform())
                .await
                .expect("the outbox can be read");
        let open = |(id, sealed): &(uuid::Uuid, Vec<u8>)| {
            jst_server::mail::open_body(&app.sealer, (*id).into(), sealed).expect("a mail opens")
        };
        rows.iter().map(open).collect()
    }

    /// What follows `marker` in the newest mail to this address.
    pub async fn token_in_mail(&self, email: &str, marker: &str) -> String {
        let mails = self.mails_to(email).await;
        let body = &mails.first().expect("there is a mail").body;
        let after = body.split(marker).nth(1).unwrap_or_else(|| panic!("no {marker} in: {body}"));
        after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect()
    }

    pub async fn stop(self) {
        self.running.shut_down().await;
    }
}

impl Client {
    /// An API token of whoever is signed in here with [`PASSWORD`], for the team in which they are.
    pub async fn make_token(&self, scopes: &[&str]) -> String {
        let mut form = vec![("name", "test"), ("valid_days", "1"), ("current_password", PASSWORD)];
        form.extend(scopes.iter().map(|scope| ("scopes", *scope)));
        let page = self.post("/api-tokens", &form).await.expect(200);
        page.body.split("data-copy=\"").nth(1).expect("a token").split('"').next().unwrap_or("").to_owned()
    }
}
