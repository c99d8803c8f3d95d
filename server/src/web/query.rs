//! The query of a call of the API: only what the API's description names.
//!
//! A misspelt filter would otherwise answer with everything, and a misspelt `dry_run` would do it.

use crate::error::{Error, FieldError, Result};
use crate::state::App;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// How a page of a list is asked for.  A list that comes whole takes them as well: clients page through any list alike.
const PAGING: [&str; 2] = ["limit", "after"];

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "PATCH"];

/// The names that each call takes, by path, as the document writes it, and method.
type Known = HashMap<(String, &'static str), Vec<String>>;

/// The routes, which refuse what the document does not name.
pub fn only_described(routes: Router<App>, document: &OpenApi) -> Router<App> {
    routes.route_layer(from_fn_with_state(Arc::new(known(document)), check))
}

fn known(document: &OpenApi) -> Known {
    let mut known = Known::new();
    for (path, item) in &document.paths.paths {
        let operations = [&item.get, &item.put, &item.post, &item.delete, &item.patch];
        for (method, operation) in METHODS.into_iter().zip(operations) {
            if let Some(operation) = operation {
                // As it is published: the library keeps the parts of a parameter to itself.
                let parameters = serde_json::json!(operation.parameters);
                known.insert((path.clone(), method), names(&parameters));
            }
        }
    }
    known
}

fn names(parameters: &Value) -> Vec<String> {
    let parameters = parameters.as_array().into_iter().flatten();
    parameters
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
        .collect()
}

async fn check(State(known): State<Arc<Known>>, path: MatchedPath, request: Request, next: Next) -> Response {
    match unknown(&known, path.as_str(), &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn unknown(known: &Known, path: &str, request: &Request) -> Result<()> {
    let method = METHODS.into_iter().find(|method| *method == request.method().as_str());
    // What the document does not describe is none of its calls.
    let Some(names) = method.and_then(|method| known.get(&(path.to_owned(), method))) else { return Ok(()) };
    let query = request.uri().query().unwrap_or("");
    let sent: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let unknown: Vec<FieldError> = sent
        .into_iter()
        .filter(|(name, _)| !names.contains(name) && !PAGING.contains(&name.as_str()))
        .map(|(name, _)| FieldError::new(name.chars().take(60).collect::<String>(), "query-unknown"))
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Error::Invalid(unknown)) }
}
