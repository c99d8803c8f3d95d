//! What every page has around its content.

use super::assets;
use super::language::Language;
use crate::auth::Actor;
use crate::auth::db::{Membership, Surroundings, surroundings};
use crate::error::FieldError;
use crate::ids::TenantId;
use crate::state::App;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::sync::Arc;
use time::OffsetDateTime;

/// The frame of a page: every page's template has it as `page`.
#[derive(Clone, Debug)]
pub struct Page {
    pub language: Language,
    pub path: String,
    pub user: Option<PageUser>,
    pub flash: Option<Flash>,
    pub announcement: Option<String>,
    pub theme: &'static str,
}

#[derive(Clone, Debug)]
pub struct PageUser {
    pub email: String,
    pub email_verified: bool,
    pub is_admin: bool,
    pub tenant_name: String,
    pub tenant_id: TenantId,
    /// All tenants of the person, this one too; the top bar switches between them.
    pub tenants: Vec<Membership>,
    pub may_operate: bool,
    pub may_own: bool,
    /// The tenant sees what it has, and changes nothing.
    pub suspended: bool,
    /// An administrator who looks at a customer's portal.
    pub acting: bool,
    /// Signed in by a billing system's link: what belongs to a person is closed.
    pub bound: bool,
}

/// A message that is shown once, after a redirect.
#[derive(Clone, Debug)]
pub struct Flash {
    pub kind: &'static str,
    pub text: String,
}

impl Page {
    pub fn t(&self, key: &str) -> String {
        self.language.text(key)
    }

    pub fn t1(&self, key: &str, name: &'static str, value: impl std::fmt::Display) -> String {
        self.language.text_with(key, &[(name, value.to_string())])
    }

    pub fn t2(
        &self,
        key: &str,
        name: &'static str,
        value: impl std::fmt::Display,
        name2: &'static str,
        value2: impl std::fmt::Display,
    ) -> String {
        self.language.text_with(key, &[(name, value.to_string()), (name2, value2.to_string())])
    }

    pub fn code(&self) -> &'static str {
        self.language.code()
    }

    pub fn asset(&self, path: &str) -> String {
        assets::url(path)
    }

    /// Whether the navigation entry leads to where the reader is.
    pub fn here(&self, prefix: &str) -> bool {
        self.path == prefix || self.path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Where the reader stands after switching to another tenant: lists are there too, but what they
    /// lead to belongs to one tenant.
    pub fn elsewhere(&self) -> &str {
        if self.path.matches('/').count() == 1 { &self.path } else { "/dashboard" }
    }

    /// The message for a field, if there is one.
    pub fn error(&self, errors: &[FieldError], field: &str) -> Option<String> {
        errors
            .iter()
            .find(|error| error.field == field)
            .map(|error| self.language.text_with(&format!("invalid-{}", error.code), &error.arguments))
    }

    /// RFC 3339 in UTC, for the `datetime` attribute.
    pub fn datetime(&self, at: &OffsetDateTime) -> String {
        at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
    }

    /// What is shown until the browser has put it into the reader's own zone.
    pub fn date(&self, at: &OffsetDateTime) -> String {
        let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        at.format(&format).unwrap_or_default()
    }

    /// `512 MiB`, `2 GiB`, `1.5 GiB`.
    pub fn mib(&self, mib: &u64) -> String {
        super::format::mib(*mib)
    }

    /// `100 Mbit/s`, `2.5 Gbit/s`.
    pub fn kbit(&self, kbit: &u64) -> String {
        super::format::kbit(*kbit)
    }
}

/// The reader's choice of `auto`, `light` and `dark` is kept under this name.
pub const THEME_COOKIE: &str = "jst_theme";
pub const THEMES: [&str; 3] = ["auto", "light", "dark"];

fn theme(headers: &HeaderMap) -> &'static str {
    let chosen = super::cookie(headers, THEME_COOKIE);
    THEMES.into_iter().find(|theme| chosen.as_deref() == Some(theme)).unwrap_or("auto")
}

impl FromRequestParts<App> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // Nobody signed in, or the database is away: the frame has no user, and the handler says why.
        let actor = Actor::from_request_parts(parts, app).await.ok();
        let surroundings = match parts.extensions.get::<Arc<Surroundings>>() {
            Some(surroundings) => Surroundings::clone(surroundings),
            // What cannot be read now is no reason to show no page.
            None => surroundings(app.db.platform(), None, None).await.unwrap_or_default(),
        };
        let language = parts.extensions.get::<Language>().copied().unwrap_or_default();
        let flash = super::flash::read(&parts.headers, language);
        Ok(Self {
            language,
            path: parts.uri.path().to_owned(),
            user: actor.map(|actor| PageUser {
                may_operate: actor.may_operate().is_ok(),
                may_own: actor.may_own().is_ok(),
                email: actor.email,
                email_verified: actor.email_verified,
                is_admin: actor.is_admin,
                tenant_name: actor.tenant_name,
                tenant_id: actor.tenant_id,
                tenants: surroundings.tenants,
                suspended: actor.suspended,
                acting: actor.acting,
                bound: actor.bound_to.is_some(),
            }),
            flash,
            announcement: surroundings.announcement.map(|(english, chinese)| match language {
                Language::English => english,
                Language::Chinese => chinese,
            }),
            theme: theme(&parts.headers),
        })
    }
}
