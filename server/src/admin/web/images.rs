//! Images: the list, the upload, and what is said about each.

use super::form::{Sent, field_errors, switch, unprocessable};
use super::word;
use crate::admin::upload::{self, Refused};
use crate::auth::Admin;
use crate::error::{Error, FieldError, Result};
use crate::images::imports::{self, Import, NewImport};
use crate::images::register::{self, FORMATS, ImageInput, OS_FAMILIES};
use crate::images::{Image, db};
use crate::settings;
use crate::state::App;
use crate::web::page::Page;
use crate::web::{flash, format};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Multipart, Path, State};
use axum::response::Response;
use axum::routing::{get, post};

pub fn routes() -> Router<App> {
    Router::new()
        // An upload has a limit of its own, counted as the bytes arrive.
        .route("/admin/images", get(list).post(create).layer(DefaultBodyLimit::disable()))
        .route("/admin/images/new", get(new))
        .route("/admin/images/import", post(import))
        .route("/admin/images/fetch", post(fetch))
        .route("/admin/images/fetch/{id}/remove", post(remove_import))
        .route("/admin/images/{id}", get(show).post(update))
        .route("/admin/images/{id}/retire", post(retire))
        .route("/admin/images/{id}/restore", post(restore))
}

struct Row {
    image: Image,
    file: String,
    disk: String,
    instances: i64,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/images.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
    imports: Vec<ImportRow>,
    /// Some import is under way: the page looks again by itself.
    busy: bool,
}

/// An image that is fetched from elsewhere.
struct ImportRow {
    import: Import,
    look: &'static str,
    state: String,
    /// How far it is, or why it failed.
    text: String,
}

impl ImportRow {
    fn of(page: &Page, import: Import) -> Self {
        let text = match (&import.failure, import.total_bytes) {
            (Some(failure), _) => failure.text(page.language).to_owned(),
            (None, Some(total)) => {
                page.t2("admin-of", "part", bytes(import.received_bytes), "whole", bytes(total))
            }
            (None, None) => bytes(import.received_bytes),
        };
        let (look, state) = match import.state.as_str() {
            "waiting" => ("stopped", "image-import-waiting"),
            "running" => ("working", "image-import-running"),
            "succeeded" => ("running", "image-import-succeeded"),
            _ => ("failed", "image-import-failed"),
        };
        Self { look, state: page.t(state), text, import }
    }
}

fn bytes(bytes: i64) -> String {
    match bytes.unsigned_abs() {
        small @ 0..1_048_576 => format!("{} KiB", small.div_ceil(1024)),
        large => format::mib(large >> 20),
    }
}

async fn list(State(app): State<App>, _: Admin, page: Page) -> Result<ListPage> {
    let counts = db::instance_counts(app.db.platform()).await?;
    let images = db::list_all(app.db.platform()).await?;
    let rows = images
        .into_iter()
        .map(|image| Row {
            file: bytes(image.file_bytes),
            disk: bytes(image.virtual_bytes),
            instances: counts.iter().find(|(id, _)| *id == image.id).map_or(0, |(_, count)| *count),
            image,
        })
        .collect();
    let imports = imports::db::recent(app.db.platform()).await?;
    let busy = imports.iter().any(Import::is_open);
    let imports = imports.into_iter().map(|import| ImportRow::of(&page, import)).collect();
    Ok(ListPage { rows, imports, busy, page })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/image.html")]
struct EditPage {
    page: Page,
    /// Absent while the image is new.
    image: Option<Image>,
    form: Sent,
    errors: Vec<FieldError>,
    max: String,
}

impl EditPage {
    fn families(&self) -> Vec<(&'static str, String)> {
        OS_FAMILIES.into_iter().map(|family| (family, word(&self.page, "os", family))).collect()
    }

    fn formats(&self) -> [&'static str; 2] {
        FORMATS
    }

    async fn new(
        app: &App,
        page: Page,
        image: Option<Image>,
        form: Sent,
        errors: Vec<FieldError>,
    ) -> Result<Self> {
        let max = settings::get(app.db.platform()).await?.image_max_gib.unsigned_abs();
        Ok(Self { page, image, form, errors, max: format::mib(max << 10) })
    }
}

fn image_form(input: &ImageInput) -> Sent {
    let entries = [
        ("slug", input.slug.clone()),
        ("name", input.name.clone()),
        ("os_family", input.os_family.clone()),
        ("format", input.format.clone()),
        ("min_memory_mib", input.min_memory_mib.to_string()),
        ("login_user", input.login_user.clone()),
        ("public", switch(input.public)),
        ("sort_order", input.sort_order.to_string()),
    ];
    Sent::from(entries)
}

async fn new(State(app): State<App>, _: Admin, page: Page) -> Result<EditPage> {
    let first = ImageInput {
        slug: String::new(),
        name: String::new(),
        os_family: "linux".into(),
        format: "qcow2".into(),
        min_memory_mib: 512,
        login_user: "root".into(),
        public: true,
        sort_order: 0,
    };
    EditPage::new(&app, page, None, image_form(&first), Vec::new()).await
}

async fn find(app: &App, id: &str) -> Result<Image> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<EditPage> {
    let image = find(&app, &id).await?;
    let form = image_form(&ImageInput::from(&image));
    EditPage::new(&app, page, Some(image), form, Vec::new()).await
}

async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    form: Multipart,
) -> Result<Response> {
    match upload::receive(&app, &actor, form).await {
        Ok(image) => Ok(flash::redirect_with("/admin/images", "image-registered", &image.slug)),
        Err(Refused { error, fields }) => refused(&app, page, None, fields.into(), error).await,
    }
}

/// A file that lies in the import directory of the server already.
async fn import(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let imported = async {
        let input = upload::input(&form)?;
        register::check(&app, &input).await?;
        let file = register::import(&app, form.trimmed("path")).await?;
        register::register(&app, &(&actor).into(), &input, file).await
    };
    match imported.await {
        Ok(image) => Ok(flash::redirect_with("/admin/images", "image-registered", &image.slug)),
        Err(error) => refused(&app, page, None, form, error).await,
    }
}

/// A file that the server fetches from elsewhere.
async fn fetch(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let started = async {
        // An empty field asks for no comparison; a program that sends an empty checksum has lost it.
        let sha256 = Some(form.trimmed("sha256").to_owned()).filter(|text| !text.is_empty());
        let new = NewImport { url: form.trimmed("url").to_owned(), sha256, image: upload::input(&form)? };
        imports::start(&app, &actor, &new).await
    };
    match started.await {
        Ok(import) => Ok(flash::redirect_with("/admin/images", "image-import-started", &import.image.slug)),
        Err(error) => refused(&app, page, None, form, error).await,
    }
}

async fn remove_import(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Response> {
    imports::remove(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/admin/images", "image-import-removed"))
}

async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let image = find(&app, &id).await?;
    let changed = match upload::input(&form) {
        // The format is not in the form: it never changes.
        Ok(input) => {
            let input = ImageInput { format: image.format.clone(), ..input };
            register::update(&app, &actor, image.id, &input).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(image) => Ok(flash::redirect_with("/admin/images", "image-saved", &image.slug)),
        Err(error) => refused(&app, page, Some(image), form, error).await,
    }
}

async fn refused(app: &App, page: Page, image: Option<Image>, form: Sent, error: Error) -> Result<Response> {
    let page = EditPage::new(app, page, image, form, field_errors(error)?).await?;
    Ok(unprocessable(page))
}

async fn retire(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    let image = register::set_retired(&app, &actor, id.parse()?, true).await?;
    Ok(flash::redirect_with("/admin/images", "image-retired", &image.slug))
}

async fn restore(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    let image = register::set_retired(&app, &actor, id.parse()?, false).await?;
    Ok(flash::redirect_with("/admin/images", "image-restored", &image.slug))
}
