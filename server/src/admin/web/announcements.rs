//! What is told to everybody.

use super::form::{Sent, again, switch};
use super::next_href;
use crate::announcements::web::{kind_key, kind_look};
use crate::announcements::{self, Announcement, Input, Kind, Stage, db};
use crate::auth::{Actor, Admin};
use crate::error::{Error, FieldError, Result};
use crate::ids::AnnouncementId;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/announcements", get(list).post(create))
        .route("/admin/announcements/new", get(new))
        .route("/admin/announcements/{id}", get(show).post(update))
        .route("/admin/announcements/{id}/end", post(end))
        .route("/admin/announcements/{id}/delete", post(delete))
}

/// As browsers send `datetime-local`; the form says that it is UTC.
const LOCAL: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]");

struct Row {
    announcement: Announcement,
    title: String,
    look: &'static str,
    word: String,
    stage: Stage,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/announcements.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
    next: String,
}

impl ListPage {
    fn stage(&self, row: &Row) -> String {
        super::word(&self.page, "announcement", row.stage.name())
    }
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    paging: Paging<AnnouncementId>,
) -> Result<ListPage> {
    let found = db::list(app.db.platform(), paging.after, paging.fetch()).await?;
    let listed = Listed::new(found, &paging, |announcement| announcement.id.to_string());
    let next = next_href("/admin/announcements", &[], &listed);
    let now = OffsetDateTime::now_utc();
    let rows = listed.items.into_iter().map(|announcement| Row {
        title: announcement.title(page.language).to_owned(),
        look: kind_look(announcement.input.kind),
        word: page.t(kind_key(announcement.input.kind)),
        stage: announcement.stage(now),
        announcement,
    });
    let rows = rows.collect();
    Ok(ListPage { page, rows, next })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/announcement.html")]
struct EditPage {
    page: Page,
    /// Absent while it is new.
    announcement: Option<Announcement>,
    kinds: Vec<(&'static str, String)>,
    form: Sent,
    errors: Vec<FieldError>,
}

impl EditPage {
    fn new(page: Page, announcement: Option<Announcement>, form: Sent, errors: Vec<FieldError>) -> Self {
        let kinds = Kind::ALL.into_iter().map(|kind| (kind.name(), page.t(kind_key(kind)))).collect();
        Self { page, announcement, kinds, form, errors }
    }

    fn can_end(&self) -> bool {
        let now = OffsetDateTime::now_utc();
        self.announcement.as_ref().is_some_and(|one| one.stage(now) == Stage::On)
    }
}

fn local(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(LOCAL).unwrap_or_default()
}

fn form_of(input: &Input) -> Sent {
    let entries = [
        ("kind", input.kind.name().to_owned()),
        ("title_en", input.title_en.clone()),
        ("title_zh", input.title_zh.clone()),
        ("text_en", input.text_en.clone()),
        ("text_zh", input.text_zh.clone()),
        ("starts_at", local(input.starts_at)),
        ("ends_at", input.ends_at.map(local).unwrap_or_default()),
        ("banner", switch(input.banner)),
    ];
    Sent::from(entries)
}

fn read(form: &Sent) -> Result<Input> {
    let time = |name: &'static str| match form.trimmed(name) {
        "" => Ok(None),
        text => PrimitiveDateTime::parse(text, LOCAL)
            .map(|at| Some(at.assume_utc()))
            .map_err(|_| Error::invalid(name, "time")),
    };
    Ok(Input {
        kind: Kind::parse(form.trimmed("kind")).ok_or_else(|| Error::invalid("kind", "choice"))?,
        title_en: form.trimmed("title_en").to_owned(),
        title_zh: form.trimmed("title_zh").to_owned(),
        text_en: form.trimmed("text_en").to_owned(),
        text_zh: form.trimmed("text_zh").to_owned(),
        starts_at: time("starts_at")?.ok_or_else(|| Error::invalid("starts_at", "required"))?,
        ends_at: time("ends_at")?,
        banner: form.on("banner"),
    })
}

async fn new(_: Admin, page: Page) -> EditPage {
    let form = Sent::from([
        ("kind", Kind::Maintenance.name().to_owned()),
        ("starts_at", local(OffsetDateTime::now_utc())),
        ("banner", "on".to_owned()),
    ]);
    EditPage::new(page, None, form, Vec::new())
}

async fn find(app: &App, id: &str) -> Result<Announcement> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<EditPage> {
    let announcement = find(&app, &id).await?;
    let form = form_of(&announcement.input);
    Ok(EditPage::new(page, Some(announcement), form, Vec::new()))
}

async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    match save(&app, &actor, None, &form).await {
        Ok(_) => Ok(flash::redirect("/admin/announcements", "announcement-created")),
        Err(error) => refused(page, None, form, error),
    }
}

async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let announcement = find(&app, &id).await?;
    match save(&app, &actor, Some(announcement.id), &form).await {
        Ok(_) => Ok(flash::redirect("/admin/announcements", "announcement-saved")),
        Err(error) => refused(page, Some(announcement), form, error),
    }
}

async fn save(app: &App, actor: &Actor, id: Option<AnnouncementId>, form: &Sent) -> Result<Announcement> {
    let input = read(form)?;
    match id {
        Some(id) => announcements::update(app, actor, id, &input).await,
        None => announcements::create(app, actor, &input).await,
    }
}

fn refused(page: Page, announcement: Option<Announcement>, form: Sent, error: Error) -> Result<Response> {
    again(error, |errors| EditPage::new(page, announcement, form, errors))
}

async fn end(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    announcements::end(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/admin/announcements", "announcement-ended"))
}

async fn delete(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    announcements::delete(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/admin/announcements", "announcement-deleted"))
}
