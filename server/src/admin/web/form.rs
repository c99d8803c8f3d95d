//! A form of the administration: as it stands in a page, and as it was sent.

use crate::error::{Error, FieldError, Result};
use crate::typed;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

/// Names and values.  They come back into the form when it is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Sent(HashMap<String, String>);

impl Sent {
    /// As it was sent, for the field; "" where it was not.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What is meant: without white space around it.
    pub fn trimmed(&self, name: &str) -> &str {
        self.value(name).trim()
    }

    /// Browsers send a checkbox only when it is on.
    pub fn on(&self, name: &str) -> bool {
        matches!(self.trimmed(name), "on" | "true")
    }

    /// These values, under those that were sent.
    pub fn with(mut self, sent: Self) -> Self {
        self.0.extend(sent.0);
        self
    }

    /// A whole number, or an error at the field.
    pub fn number(&self, name: &'static str, problems: &mut Vec<FieldError>) -> i64 {
        match self.trimmed(name) {
            "" => {
                problems.push(FieldError::new(name, "required"));
                0
            }
            text => typed::figure(text, 0).parse().unwrap_or_else(|_| {
                problems.push(FieldError::new(name, "number"));
                0
            }),
        }
    }
}

/// How a checkbox stands in a form.
pub fn switch(on: bool) -> String {
    if on { "on" } else { "" }.to_owned()
}

impl<const N: usize> From<[(&str, String); N]> for Sent {
    fn from(fields: [(&str, String); N]) -> Self {
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl FromIterator<(String, String)> for Sent {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl From<HashMap<String, String>> for Sent {
    fn from(fields: HashMap<String, String>) -> Self {
        Self(fields)
    }
}

impl Deref for Sent {
    type Target = HashMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Sent {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Errors at fields are shown in the form again; everything else has a page of its own.
pub fn field_errors(error: Error) -> Result<Vec<FieldError>> {
    match error {
        Error::Invalid(errors) => Ok(errors),
        other => Err(other),
    }
}

/// The page with its form again, and what is wrong with it.
pub fn again<P: IntoResponse>(error: Error, page: impl FnOnce(Vec<FieldError>) -> P) -> Result<Response> {
    Ok(unprocessable(page(field_errors(error)?)))
}

/// The same for a page that is made already.
pub fn unprocessable(page: impl IntoResponse) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}
