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
    /// Where exactly what is missing can be added; "" for nowhere.
    pub pay: String,
    pub status: StatusCode,
}

/// The page on which what an order misses can be added.
fn pay(error: &Error) -> String {
    let Error::Refused { code, arguments, .. } = error else { return String::new() };
    let missing = arguments.iter().find(|(name, _)| *name == "missing_minor");
    match (missing.and_then(|(_, minor)| minor.parse().ok()), *code) {
        (Some(minor), _) => format!("/billing/payments?amount={}", crate::web::format::money("", minor)),
        (None, "may-not-buy" | "account-overdue") => "/billing/payments".to_owned(),
        (None, _) => String::new(),
    }
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
                let (appeal, pay) = (trials::may_be_appealed(&error), pay(&error));
                Ok(Self { message, appeal, pay, status, ..Self::default() })
            }
            other => Err(other),
        }
    }
}
