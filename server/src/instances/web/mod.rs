//! Pages of instances: the dashboard, the list, and everything about one instance.

mod dashboard;
pub mod graphs;
pub mod head;
mod list;
mod networking;
mod new;
mod resize;
mod resources;
mod settings;
mod show;
mod spark;
pub mod words;

use crate::error::{Error, FieldError, Result};
use crate::state::App;
use crate::trials;
use crate::web::errors;
use crate::web::page::Page;
use axum::Router;
use axum::http::StatusCode;

pub fn routes() -> Router<App> {
    Router::new()
        .merge(dashboard::routes())
        .merge(list::routes())
        .merge(new::routes())
        .merge(show::routes())
        .merge(graphs::routes())
        .merge(spark::routes())
        .merge(networking::routes())
        .merge(settings::routes())
        .merge(resize::routes())
}

/// What a form shows of a request that was refused.
#[derive(Default)]
pub struct Refusal {
    pub errors: Vec<FieldError>,
    /// About the whole and no field; "" for none.
    pub message: String,
    /// A person may be asked to look at it.
    pub appeal: bool,
    pub status: StatusCode,
}

impl Refusal {
    /// Mistakes in the input and refusals that the reader can do something about; others have a page
    /// of their own.
    pub fn of(error: Error, page: &Page) -> Result<Self> {
        let status = error.status();
        match error {
            Error::Invalid(errors) => Ok(Self { errors, status, ..Self::default() }),
            Error::Refused { .. } => {
                let (_, message) = errors::words(&error, page.language);
                Ok(Self { message, appeal: trials::may_be_appealed(&error), status, ..Self::default() })
            }
            other => Err(other),
        }
    }
}
