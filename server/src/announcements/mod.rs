//! What the operator tells everybody: notices, planned maintenance and incidents.
//!
//! ```text
//!   planned ──starts_at──> on ──ends_at, or ended by hand──> over
//! ```
//!
//! The state is a matter of the clock alone and stands nowhere.  Texts are plain; both languages are
//! wanted, because a reader of either must learn of a failure.

pub mod db;
pub mod web;

use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::ids::AnnouncementId;
use crate::name::{self, Name};
use crate::state::App;
use crate::web::language::Language;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something to know, with nothing wrong.
    Notice,
    /// Work that was planned, during which something may not answer.
    Maintenance,
    /// Something does not work as it should.
    Incident,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Notice, Self::Maintenance, Self::Incident];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Maintenance => "maintenance",
            Self::Incident => "incident",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Planned,
    On,
    Over,
}

impl Stage {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::On => "on",
            Self::Over => "over",
        }
    }
}

/// What an administrator writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub kind: Kind,
    #[schema(example = "Maintenance of one host", max_length = 120)]
    pub title_en: String,
    #[schema(example = "一台宿主机维护", max_length = 120)]
    pub title_zh: String,
    /// Plain text; lines stay lines.
    #[schema(max_length = 4000)]
    pub text_en: String,
    #[schema(max_length = 4000)]
    pub text_zh: String,
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// Absent: until it is ended.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub ends_at: Option<OffsetDateTime>,
    /// Stands above every page while it is on, and not only on the status page.
    #[serde(default)]
    pub banner: bool,
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Announcement {
    pub id: AnnouncementId,
    #[serde(flatten)]
    pub input: Input,
}

impl Announcement {
    pub fn title(&self, language: Language) -> &str {
        match language {
            Language::English => &self.input.title_en,
            Language::Chinese => &self.input.title_zh,
        }
    }

    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::English => &self.input.text_en,
            Language::Chinese => &self.input.text_zh,
        }
    }

    pub fn stage(&self, now: OffsetDateTime) -> Stage {
        if now < self.input.starts_at {
            Stage::Planned
        } else if self.input.ends_at.is_some_and(|end| end <= now) {
            Stage::Over
        } else {
            Stage::On
        }
    }
}

const TITLE_CHARS: usize = 120;
const TEXT_CHARS: usize = 4000;

impl Input {
    /// The same without white space around its texts, or what is wrong with it.
    fn checked(&self) -> Result<Self> {
        let mut problems = Vec::new();
        let mut read = |result: Result<String, FieldError>| {
            result.unwrap_or_else(|problem| {
                problems.push(problem);
                String::new()
            })
        };
        let title = |field, text| Name::parse(field, text, TITLE_CHARS).map(Name::into_string);
        let input = Self {
            title_en: read(title("title_en", &self.title_en)),
            title_zh: read(title("title_zh", &self.title_zh)),
            text_en: read(checked_text("text_en", &self.text_en)),
            text_zh: read(checked_text("text_zh", &self.text_zh)),
            ..self.clone()
        };
        if input.ends_at.is_some_and(|end| end <= input.starts_at) {
            problems.push(FieldError::new("ends_at", "before-start"));
        }
        if problems.is_empty() { Ok(input) } else { Err(Error::Invalid(problems)) }
    }
}

/// A text of several lines, without white space around it.
fn checked_text(field: &'static str, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r');
    if text.chars().all(name::is_blank) {
        Err(FieldError::new(field, "required"))
    } else if text.chars().count() > TEXT_CHARS {
        Err(FieldError::new(field, "too-long").with("max", TEXT_CHARS))
    } else if text.chars().any(control) {
        Err(FieldError::new(field, "control-characters"))
    } else {
        Ok(text.to_owned())
    }
}

pub async fn create(app: &App, actor: &Actor, input: &Input) -> Result<Announcement> {
    let announcement = Announcement { id: AnnouncementId::new(), input: input.checked()? };
    let mut tx = app.db.begin_platform().await?;
    db::insert(&mut tx, &announcement).await?;
    record(&mut tx, actor, "announcement.created", announcement.id, document(&announcement.input)?).await?;
    tx.commit().await?;
    Ok(announcement)
}

pub async fn update(app: &App, actor: &Actor, id: AnnouncementId, input: &Input) -> Result<Announcement> {
    let announcement = Announcement { id, input: input.checked()? };
    let mut tx = app.db.begin_platform().await?;
    let before = db::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let changes = events::changes(&document(&before.input)?, &document(&announcement.input)?);
    if !changes.is_empty() {
        db::update(&mut tx, &announcement).await?;
        record(&mut tx, actor, "announcement.updated", id, changes.into()).await?;
        tx.commit().await?;
    }
    Ok(announcement)
}

/// Ends what is on, now; what has not begun or is over already stays as it is.
pub async fn end(app: &App, actor: &Actor, id: AnnouncementId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if db::end(&mut tx, id).await? {
        record(&mut tx, actor, "announcement.ended", id, json!({})).await?;
    }
    tx.commit().await?;
    Ok(())
}

pub async fn delete(app: &App, actor: &Actor, id: AnnouncementId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let announcement = db::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    db::delete(&mut tx, id).await?;
    record(&mut tx, actor, "announcement.deleted", id, document(&announcement.input)?).await?;
    tx.commit().await?;
    Ok(())
}

fn document(input: &Input) -> Result<Value> {
    Ok(serde_json::to_value(input).map_err(anyhow::Error::from)?)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: AnnouncementId,
    data: Value,
) -> Result<()> {
    let subject_id = id.to_string();
    let event = Event { tenant: None, action, subject_kind: "announcement", subject_id: &subject_id, data };
    Ok(events::record(tx, &actor.into(), event).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    fn input() -> Input {
        let text = |text: &str| text.to_owned();
        Input {
            kind: Kind::Maintenance,
            title_en: text(" Work "),
            title_zh: text("维护"),
            text_en: text("One\nTwo"),
            text_zh: text("一"),
            starts_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: Some(OffsetDateTime::UNIX_EPOCH + Duration::HOUR),
            banner: true,
        }
    }

    #[test]
    fn what_is_wrong_is_named_at_its_field() {
        assert_eq!(input().checked().unwrap().title_en, "Work");
        let bad = Input {
            title_en: "a\u{7}".to_owned(),
            title_zh: "维".repeat(121),
            text_zh: " \n".to_owned(),
            ends_at: Some(OffsetDateTime::UNIX_EPOCH),
            ..input()
        };
        let Err(Error::Invalid(problems)) = bad.checked() else { panic!("it was taken") };
        let found: Vec<_> = problems.iter().map(|p| (p.field.as_str(), p.code)).collect();
        let expected = [
            ("title_en", "control-characters"),
            ("title_zh", "too-long"),
            ("text_zh", "required"),
            ("ends_at", "before-start"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_stage_is_a_matter_of_the_clock() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let announcement = Announcement { id: AnnouncementId::new(), input: input() };
        assert_eq!(announcement.stage(start - Duration::SECOND), Stage::Planned);
        assert_eq!(announcement.stage(start), Stage::On);
        assert_eq!(announcement.stage(start + Duration::HOUR), Stage::Over);
        let open = Announcement { input: Input { ends_at: None, ..input() }, ..announcement };
        assert_eq!(open.stage(start + Duration::days(900)), Stage::On);
    }
}
