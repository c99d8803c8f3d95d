//! Images that the server fetches from elsewhere.
//!
//! ```text
//!   waiting ──leased──> running ──fetched, inspected, registered──> succeeded
//!      ^                   ├────refused, or three attempts────────> failed
//!      └──lease ran out────┘
//! ```
//!
//! What is fetched goes the way of an upload: counted against the same limit, hashed, unpacked, inspected, and named last.

pub mod db;

use super::register::{self, ImageInput, Upload};
use super::unpack;
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event, Source};
use crate::ids::ImageImportId;
use crate::outbound::{self, Guard};
use crate::state::App;
use crate::web::language::Language;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// More would fill the disk before anybody looked.
const MAX_OPEN: i64 = 10;
/// How often an import is begun: again after a replica died with it, or the other side did not answer.
const MAX_ATTEMPTS: i32 = 3;
/// Several times the distance of two notes about progress.
const LEASE_SECONDS: f64 = 30.0;
/// Nothing is noted while an image is unpacked and inspected.
const REGISTERING_SECONDS: f64 = unpack::LONGEST.as_secs() as f64 + 300.0;
const NOTE: Duration = Duration::from_secs(1);
/// So long may the other side say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// An image, and where it is fetched from.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// A public address, `http` or `https`.
    #[schema(
        example = "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2"
    )]
    pub url: String,
    /// What the file at the address must have, in hexadecimal, compressed as it is there. Absent: any
    /// content is taken.
    #[serde(default)]
    pub sha256: Option<String>,
    #[serde(flatten)]
    pub image: ImageInput,
}

/// Why an import failed, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub en: String,
    pub zh: String,
}

impl Failure {
    fn new(key: &str, detail: impl std::fmt::Display) -> Self {
        Self::with(key, &[("detail", detail.to_string())])
    }

    fn with(key: &str, arguments: &[(&'static str, String)]) -> Self {
        Self {
            en: Language::English.text_with(key, arguments),
            zh: Language::Chinese.text_with(key, arguments),
        }
    }

    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Chinese => &self.zh,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problems) if !problems.is_empty() => {
                Self::with(&format!("invalid-{}", problems[0].code), &problems[0].arguments)
            }
            other => {
                tracing::error!(?other, "an image could not be imported");
                Self::new("image-import-internal", "")
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Import {
    pub id: ImageImportId,
    pub url: String,
    pub sha256: Option<String>,
    pub image: ImageInput,
    /// `waiting`, `running`, `succeeded` or `failed`.
    pub state: String,
    pub received_bytes: i64,
    pub total_bytes: Option<i64>,
    pub failure: Option<Failure>,
    pub attempts: i32,
    pub created_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub source: Source,
}

impl Import {
    /// How much has arrived; absent while that is not known.
    pub fn percent(&self) -> Option<u8> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some((self.received_bytes.min(total) * 100 / total) as u8)
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "waiting" | "running")
    }
}

/// Books an import.  What can be refused is refused now, and the rest is told by the import's state.
pub async fn start(app: &App, actor: &Actor, new: &NewImport) -> Result<Import> {
    register::check(app, &new.image).await?;
    let mut problems = Vec::new();
    let url = new.url.trim();
    match url.parse::<Url>() {
        Ok(parsed) if url.len() <= 2000 => {
            if let Err(forbidden) = Guard::imports(&app.config).check(&parsed) {
                problems.push(FieldError::new("url", forbidden.code()));
            }
        }
        _ => problems.push(FieldError::new("url", "url")),
    }
    let sha256 = new.sha256.as_deref().map(|text| text.trim().to_ascii_lowercase());
    if sha256.as_ref().is_some_and(|text| text.len() != 64 || hex::decode(text).is_err()) {
        problems.push(FieldError::new("sha256", "sha256"));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let id = ImageImportId::new();
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx).await?;
    if db::open(&mut tx).await? >= MAX_OPEN {
        return Err(Error::conflict("image-imports-full"));
    }
    let source = Source::from(actor);
    db::insert(&mut tx, id, url, sha256.as_deref(), &new.image, &source).await?;
    let subject_id = id.to_string();
    let event = Event {
        tenant: None,
        action: "image.import_started",
        subject_kind: "image_import",
        subject_id: &subject_id,
        data: json!({ "slug": new.image.slug, "url": outbound::without_query(url) }),
    };
    events::record(&mut tx, &source, event).await?;
    tx.commit().await?;
    db::by_id(app.db.platform(), id).await?.ok_or(Error::NotFound)
}

/// Forgets an import; one that is running stops at its next note about progress.
pub async fn remove(app: &App, actor: &Actor, id: ImageImportId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if !db::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    let subject_id = id.to_string();
    let event = Event {
        tenant: None,
        action: "image.import_removed",
        subject_kind: "image_import",
        subject_id: &subject_id,
        data: json!({}),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

/// Fetches one image that waits; false where none does.
pub async fn work(app: &App) -> Result<bool> {
    let pool = app.db.platform();
    let Some(import) = db::lease(pool, LEASE_SECONDS).await? else { return Ok(false) };
    if import.attempts > MAX_ATTEMPTS {
        db::fail(pool, import.id, &Failure::new("image-import-attempts", MAX_ATTEMPTS)).await?;
        return Ok(true);
    }
    let fetched = tokio::time::timeout(LONGEST, fetch(app, &import)).await;
    match fetched.unwrap_or_else(|_| Err(Stopped::Failed(Failure::new("image-import-slow", "")))) {
        Ok(()) => db::succeed(pool, import.id).await?,
        Err(Stopped::Failed(failure)) => db::fail(pool, import.id, &failure).await?,
        Err(Stopped::Away(failure)) if import.attempts >= MAX_ATTEMPTS => {
            db::fail(pool, import.id, &failure).await?;
        }
        // The lease runs out, and then it is begun again.
        Err(Stopped::Away(_)) => {}
        Err(Stopped::Removed) => {}
    }
    Ok(true)
}

/// Why a fetch did not end in an image.
enum Stopped {
    /// Trying again would end in the same way.
    Failed(Failure),
    /// The other side was not there, for now.
    Away(Failure),
    /// Nobody wants it any more, or another replica has it.
    Removed,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(Failure::from(Error::from(error)))
    }
}

impl From<reqwest::Error> for Stopped {
    fn from(error: reqwest::Error) -> Self {
        match outbound::forbidden(&error) {
            Some(forbidden) => Self::Failed(Failure::with(&format!("invalid-{}", forbidden.code()), &[])),
            // The address stands beside it, and the chain of causes says what happened.
            None => Self::Away(Failure::new(
                "image-import-unreachable",
                format!("{:#}", anyhow::Error::from(error.without_url())),
            )),
        }
    }
}

async fn fetch(app: &App, import: &Import) -> Result<(), Stopped> {
    let guard = Guard::imports(&app.config);
    let mut response = guard.client()?.get(&import.url).timeout(LONGEST).send().await?;
    let status = response.status();
    if !status.is_success() {
        let failure = Failure::new("image-import-status", status.as_u16());
        return Err(if status.is_server_error() { Stopped::Away(failure) } else { Stopped::Failed(failure) });
    }
    let total = response.content_length();
    let mut upload = Upload::begin(app).await?;
    let mut noted = Instant::now();
    loop {
        let piece = tokio::time::timeout(SILENCE, response.chunk()).await;
        let piece =
            piece.map_err(|_| Stopped::Away(Failure::new("image-import-silent", SILENCE.as_secs())))?;
        let Some(piece) = piece? else { break };
        upload.write(&piece).await?;
        if noted.elapsed() >= NOTE {
            noted = Instant::now();
            if !db::progress(app.db.platform(), import, upload.bytes(), total, LEASE_SECONDS).await? {
                return Err(Stopped::Removed);
            }
        }
    }
    if let Some(expected) = &import.sha256 {
        let found = upload.sha256();
        if found != *expected {
            return Err(Stopped::Failed(Failure::new("image-import-digest", found)));
        }
    }
    if !db::progress(app.db.platform(), import, upload.bytes(), total, REGISTERING_SECONDS).await? {
        return Err(Stopped::Removed);
    }
    register::register(app, &import.source, &import.image, upload).await?;
    Ok(())
}
