//! Lists in pages: the newest first, and a cursor that names the last row seen.
//!
//! A cursor is the identifier of a row, not a number of rows to skip: what is added or deleted
//! between two requests neither repeats nor hides anything.

use crate::error::{Error, FieldError, Result};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

pub const DEFAULT_LIMIT: u32 = 25;
pub const MAX_LIMIT: u32 = 100;

/// The query of every list, as the API's description shows it.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Rows in the answer: 1 to 100; 25 when absent.
    pub limit: Option<String>,
    /// `next_cursor` of the answer before; absent for the newest rows.
    pub cursor: Option<String>,
}

/// Which part of a list is wanted.  `C` is what the list is ordered by, such as an identifier.
#[derive(Clone, Copy, Debug)]
pub struct Paging<C> {
    pub limit: u32,
    /// Rows older than this one.
    pub after: Option<C>,
}

impl<C> Default for Paging<C> {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, after: None }
    }
}

impl<C> Paging<C> {
    /// How many rows to ask the database for: one more than is shown tells whether others follow.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

impl<C: FromStr> Paging<C> {
    pub fn from_params(params: &PageParams) -> Result<Self> {
        let mut errors = Vec::new();
        let limit = match params.limit.as_deref().map(str::parse) {
            None => DEFAULT_LIMIT,
            Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
            Some(_) => {
                errors.push(FieldError::new("limit", "page-limit").with("max", MAX_LIMIT));
                DEFAULT_LIMIT
            }
        };
        let after = match params.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(str::parse) {
            None => None,
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => {
                errors.push(FieldError::new("cursor", "page-cursor"));
                None
            }
        };
        if errors.is_empty() { Ok(Self { limit, after }) } else { Err(Error::Invalid(errors)) }
    }
}

impl<C: FromStr, S: Send + Sync> FromRequestParts<S> for Paging<C> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let Query(params) = Query::<PageParams>::try_from_uri(&parts.uri)
            .map_err(|_| Error::invalid("cursor", "page-cursor"))?;
        Self::from_params(&params)
    }
}

/// One part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// Where the next part begins; absent on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// From the rows of a query that was limited by [`Paging::fetch`]; `cursor` names a row.
    pub fn new<C>(mut rows: Vec<T>, paging: &Paging<C>, cursor: impl Fn(&T) -> String) -> Self {
        let limit = paging.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next_cursor }
    }

    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Listed<U> {
        Listed { items: self.items.into_iter().map(shape).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(limit: &str, cursor: &str) -> PageParams {
        PageParams { limit: Some(limit.to_owned()), cursor: Some(cursor.to_owned()) }
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        for limit in ["0", "101", "-1", "many", "99999999999"] {
            let error = Paging::<i64>::from_params(&params(limit, "5")).unwrap_err();
            assert!(matches!(error, Error::Invalid(fields) if fields[0].field == "limit"), "{limit}");
        }
        let error = Paging::<i64>::from_params(&params("10", "x")).unwrap_err();
        assert!(matches!(error, Error::Invalid(fields) if fields[0].field == "cursor"));
        let paging = Paging::<i64>::from_params(&params("100", "7")).unwrap();
        assert_eq!((paging.limit, paging.after), (100, Some(7)));
    }

    #[test]
    fn the_row_too_many_becomes_a_cursor() {
        let paging = Paging::<i64> { limit: 2, after: None };
        let listed = Listed::new(vec![9, 8, 7], &paging, i32::to_string);
        assert_eq!((listed.items, listed.next_cursor), (vec![9, 8], Some("8".to_owned())));
        let last = Listed::new(vec![7, 6], &paging, i32::to_string);
        assert_eq!((last.items, last.next_cursor), (vec![7, 6], None));
    }
}
