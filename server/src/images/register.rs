//! Putting an image into the catalogue.
//!
//! The bytes go to a file of their own beside the images, are hashed on the way, unpacked where they are
//! compressed, inspected, brought to disk, and only then get the name that agents fetch them by; the row
//! is committed last.  A stated checksum is of what arrives, an image's own of what is kept.  A
//! crash at any point leaves at most a file that no row names, and never a row without its file.

use super::contents::{Contents, Packing};
use super::{Image, db, inspect, unpack};
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::ImageId;
use crate::name::Name;
use crate::settings;
use crate::state::App;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What an administrator says about an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// Names the image in addresses and in the API: lower-case letters, digits, dots and hyphens.
    #[schema(example = "debian-13", max_length = 40)]
    pub slug: String,
    #[schema(example = "Debian 13", max_length = 100)]
    pub name: String,
    /// `linux`, `bsd`, `windows` or `other`.
    #[serde(default = "linux")]
    #[schema(example = "linux")]
    pub os_family: String,
    /// `qcow2` or `raw`: the disk image's, also where it arrives compressed.  Stated, checked, and never guessed.
    #[schema(example = "qcow2")]
    pub format: String,
    /// Plans with less memory are not offered for this image.
    #[serde(default = "least_memory")]
    pub min_memory_mib: i64,
    /// Whom to log in as.
    #[serde(default = "root")]
    #[schema(example = "root")]
    pub login_user: String,
    /// Offered to everybody.
    #[serde(default = "yes")]
    pub public: bool,
    /// Lower numbers stand first in the catalogue.
    #[serde(default)]
    pub sort_order: i32,
}

fn linux() -> String {
    "linux".into()
}
fn root() -> String {
    "root".into()
}
const fn least_memory() -> i64 {
    64
}
const fn yes() -> bool {
    true
}

pub const OS_FAMILIES: [&str; 4] = ["linux", "bsd", "windows", "other"];
pub const FORMATS: [&str; 2] = ["qcow2", "raw"];
const MAX_NAME: usize = 100;
const MAX_SORT_ORDER: i32 = 1_000_000;

impl ImageInput {
    pub fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        let mut add = |problem: FieldError| problems.push(problem);
        let slug_fits = self.slug.len() <= 40
            && self.slug.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && self
                .slug
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
        if self.slug.is_empty() {
            add(FieldError::new("slug", "required"));
        } else if !slug_fits {
            add(FieldError::new("slug", "slug").with("max", 40));
        }
        if let Err(problem) = Name::parse("name", &self.name, MAX_NAME) {
            add(problem);
        }
        if !OS_FAMILIES.contains(&self.os_family.as_str()) {
            add(FieldError::new("os_family", "choice"));
        }
        if !FORMATS.contains(&self.format.as_str()) {
            add(FieldError::new("format", "choice"));
        }
        if !(64..=1_048_576).contains(&self.min_memory_mib) {
            add(FieldError::new("min_memory_mib", "range").with("min", 64).with("max", 1_048_576));
        }
        let login_fits = (1..=32).contains(&self.login_user.len())
            && self.login_user.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && self.login_user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !login_fits {
            add(FieldError::new("login_user", "login-user"));
        }
        if !(-MAX_SORT_ORDER..=MAX_SORT_ORDER).contains(&self.sort_order) {
            add(FieldError::new("sort_order", "range")
                .with("min", -MAX_SORT_ORDER)
                .with("max", MAX_SORT_ORDER));
        }
        problems
    }

    /// The same with its name in its form; what is no name stays as it is, for [`Self::problems`] to tell.
    fn normal(&self) -> Self {
        match Name::parse("name", &self.name, MAX_NAME) {
            Ok(name) => Self { name: name.into_string(), ..self.clone() },
            Err(_) => self.clone(),
        }
    }
}

/// A file that is being received; it disappears with this value unless it becomes an image.
pub struct Upload {
    part: Part,
    file: tokio::fs::File,
    hash: Sha256,
    bytes: u64,
    most: u64,
}

impl Upload {
    pub async fn begin(app: &App) -> Result<Self> {
        let most = settings::get(app.db.platform()).await?.image_max_gib.unsigned_abs() << 30;
        let directory = app.config.data_dir.join("images");
        tokio::fs::create_dir_all(&directory).await.context("the directory of images")?;
        sweep(&directory).await;
        let (part, file) = Part::create(&directory)?;
        Ok(Self { part, file: tokio::fs::File::from_std(file), hash: Sha256::new(), bytes: 0, most })
    }

    pub async fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.most {
            return Err(too_large(self.most));
        }
        self.hash.update(piece);
        self.file.write_all(piece).await.map_err(storage_full)?;
        Ok(())
    }

    /// What has arrived.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Of what has arrived, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// The disk image in what has arrived: unpacked where it is compressed.
    async fn complete(mut self, app: &App) -> Result<Complete> {
        if self.bytes == 0 {
            return Err(Error::invalid("file", "image-empty"));
        }
        self.file.flush().await.map_err(storage_full)?;
        let Contents::Packed(packing) = inspect::contents_of(&self.part.0).await? else {
            self.file.sync_all().await.map_err(storage_full)?;
            let sha256 = self.sha256();
            return Ok(Complete { part: self.part, bytes: self.bytes, sha256, packed: None });
        };
        let (part, file) = Part::create(&app.config.data_dir.join("images"))?;
        let unpacked = unpack::unpack(packing, &self.part.0, file, self.most).await;
        let unpacked = unpacked.map_err(|fault| refuse_packed(packing, self.most, fault))?;
        let packed = Some(Packed { packing, bytes: self.bytes, sha256: self.sha256() });
        Ok(Complete { part, bytes: unpacked.bytes, sha256: unpacked.sha256, packed })
    }
}

/// A whole disk image on its way to its name.
struct Complete {
    part: Part,
    bytes: u64,
    /// Of the disk image, which is what agents fetch.
    sha256: String,
    packed: Option<Packed>,
}

/// What arrived instead of the disk image, for whoever compares checksums.
struct Packed {
    packing: Packing,
    bytes: u64,
    sha256: String,
}

fn refuse_packed(packing: Packing, most: u64, fault: unpack::Fault) -> Error {
    let with = |code| Error::Invalid(vec![FieldError::new("file", code).with("found", packing.name())]);
    match fault {
        unpack::Fault::TooLarge => too_large(most),
        unpack::Fault::TooSlow => with("image-unpack-slow"),
        unpack::Fault::TooMuchMemory => with("image-unpack-memory"),
        unpack::Fault::Damaged(error) => {
            tracing::info!(%error, packing = packing.name(), "an image could not be unpacked");
            with("image-unpack-damaged")
        }
        unpack::Fault::Storage(error) => storage_full(error),
    }
}

fn too_large(most: u64) -> Error {
    let most = crate::web::format::mib(most >> 20);
    Error::Invalid(vec![FieldError::new("file", "file-too-large").with("max", most)])
}

/// A file without a name of its own yet.
struct Part(PathBuf);

impl Part {
    fn create(directory: &Path) -> Result<(Self, std::fs::File)> {
        let path = directory.join(format!("{PARTIAL}{}", uuid::Uuid::new_v4()));
        let file = std::fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .context("a file for the upload")?;
        Ok((Self(path), file))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already where it became an image.
        let _ = std::fs::remove_file(&self.0);
    }
}

const PARTIAL: &str = ".upload-";

/// Removes what interrupted uploads of an earlier process left.  A day is longer than any upload.
async fn sweep(directory: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(directory).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let old = entry.metadata().await.and_then(|metadata| metadata.modified()).is_ok_and(|modified| {
            SystemTime::now().duration_since(modified).is_ok_and(|age| age > Duration::from_secs(86_400))
        });
        if old && entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let _ = tokio::fs::remove_file(entry.path()).await;
        }
    }
}

/// Takes a file from the import directory on the server itself, for images too large to upload.
pub async fn import(app: &App, path: &str) -> Result<Upload> {
    let relative = Path::new(path);
    let plain = !path.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(Error::invalid("path", "import-path"));
    }
    let directory = app.config.data_dir.join("import");
    let absent = || Error::invalid("path", "import-absent");
    // Symbolic links are followed before it is looked where they lead.
    let root = tokio::fs::canonicalize(&directory).await.map_err(|_| absent())?;
    let source = tokio::fs::canonicalize(directory.join(relative)).await.map_err(|_| absent())?;
    if !source.starts_with(&root) {
        return Err(Error::invalid("path", "import-path"));
    }
    if !tokio::fs::metadata(&source).await.is_ok_and(|metadata| metadata.is_file()) {
        return Err(absent());
    }
    let mut file = tokio::fs::File::open(&source).await.map_err(|_| absent())?;
    let mut upload = Upload::begin(app).await?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).await.context("the file to import")? {
            0 => return Ok(upload),
            length => upload.write(&piece[..length]).await?,
        }
    }
}

/// Refuses input that cannot work before gigabytes are sent for it.
pub async fn check(app: &App, input: &ImageInput) -> Result<()> {
    let mut problems = input.problems();
    if problems.is_empty() && db::by_slug(app.db.platform(), &input.slug).await?.is_some() {
        problems.push(FieldError::new("slug", "slug-taken"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

/// Makes an image of a complete upload.
pub async fn register(app: &App, source: &Source, input: &ImageInput, upload: Upload) -> Result<Image> {
    let input = &input.normal();
    check(app, input).await?;
    let complete = upload.complete(app).await?;
    let sha256 = &complete.sha256;
    let virtual_bytes = inspect::inspect(&complete.part.0, &input.format).await?;
    let column = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (file_bytes, virtual_bytes) = (column(complete.bytes), column(virtual_bytes));

    let id = ImageId::new();
    let mut tx = app.db.begin_platform().await?;
    db::insert(&mut tx, id, input, sha256, file_bytes, virtual_bytes).await.map_err(|error| {
        match violated_constraint(&error) {
            Some("images_slug_key") => Error::invalid("slug", "slug-taken"),
            _ => error.into(),
        }
    })?;
    let subject_id = id.to_string();
    let mut data =
        json!({ "slug": input.slug, "sha256": sha256, "format": input.format, "file_bytes": file_bytes });
    if let Some(packed) = &complete.packed {
        data["packed"] =
            json!({ "with": packed.packing.name(), "sha256": packed.sha256, "bytes": packed.bytes });
    }
    let event = Event {
        tenant: None,
        action: "image.registered",
        subject_kind: "image",
        subject_id: &subject_id,
        data,
    };
    events::record(&mut tx, source, event).await?;
    let image = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    // The same content may be there already, under the same name: then it is replaced by itself.
    let path = super::file(app, sha256);
    tokio::fs::rename(&complete.part.0, &path).await.context("an image could not get its name")?;
    let directory = app.config.data_dir.join("images");
    let synced = tokio::task::spawn_blocking(move || std::fs::File::open(directory)?.sync_all()).await;
    synced.context("bringing an image to disk")?.context("bringing an image to disk")?;
    tx.commit().await?;
    Ok(image)
}

/// Changes what is said about an image; its content never changes.
pub async fn update(app: &App, actor: &Actor, id: ImageId, input: &ImageInput) -> Result<Image> {
    let input = &input.normal();
    let problems = input.problems();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?;
    let image = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if input.format != image.format {
        return Err(Error::invalid("format", "image-format-fixed"));
    }
    let document = |input: &ImageInput| serde_json::to_value(input).map_err(anyhow::Error::from);
    let changes = events::changes(&document(&ImageInput::from(&image))?, &document(input)?);
    if changes.is_empty() {
        return Ok(image);
    }
    db::update(&mut tx, id, input).await.map_err(|error| match violated_constraint(&error) {
        Some("images_slug_key") => Error::invalid("slug", "slug-taken"),
        _ => error.into(),
    })?;
    let subject_id = id.to_string();
    let event = Event {
        tenant: None,
        action: "image.updated",
        subject_kind: "image",
        subject_id: &subject_id,
        data: changes.into(),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    let image = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(image)
}

/// Takes an image off the shelf, or puts it back.  Its file stays for the instances made from it.
pub async fn set_retired(app: &App, actor: &Actor, id: ImageId, retired: bool) -> Result<Image> {
    let mut tx = app.db.begin_platform().await?;
    if db::set_retired(&mut tx, id, retired).await? {
        let subject_id = id.to_string();
        let event = Event {
            tenant: None,
            action: if retired { "image.retired" } else { "image.restored" },
            subject_kind: "image",
            subject_id: &subject_id,
            data: json!({}),
        };
        events::record(&mut tx, &actor.into(), event).await?;
    }
    let image = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(image)
}

impl From<&Image> for ImageInput {
    fn from(image: &Image) -> Self {
        Self {
            slug: image.slug.clone(),
            name: image.name.clone(),
            os_family: image.os_family.clone(),
            format: image.format.clone(),
            min_memory_mib: image.min_memory_mib,
            login_user: image.login_user.clone(),
            public: image.public,
            sort_order: image.sort_order,
        }
    }
}

/// A full disk is the operator's to mend, and the operator is who uploads.
fn storage_full(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::invalid("file", "storage-full")
        }
        _ => anyhow::Error::from(error).context("writing an image").into(),
    }
}
