//! Renders errors: a page for people, `application/problem+json` (RFC 9457) for programs.

use super::language::Language;
use super::page::Page;
use crate::error::{Error, ErrorToRender, FieldError};
use crate::state::App;
use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde_json::json;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    status: u16,
    title: String,
    detail: String,
    request_id: String,
}

/// The outermost layer but one: it alone knows the reader's language and what kind of answer is wanted.
pub async fn render(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let frame =
        (parts.method.clone(), parts.uri.clone(), super::client::request_id(&parts).unwrap_or_default());
    let api = parts.uri.path().starts_with("/api/")
        || parts.uri.path().starts_with(crate::auth::billing_system::PATH);
    // Only what the frame of an error page needs is kept; the body goes on to the handler.
    let mut shell = axum::http::Request::new(()).into_parts().0;
    shell.method = parts.method.clone();
    shell.uri = parts.uri.clone();
    shell.headers = parts.headers.clone();
    shell.extensions = parts.extensions.clone();
    let language = *parts.extensions.get::<Language>().unwrap_or(&Language::English);
    parts.extensions.insert(language);

    let response = next.run(Request::from_parts(parts, body)).await;
    let error = match response.extensions().get::<ErrorToRender>() {
        Some(error) => error.0.clone(),
        None => match plain_rejection(&response) {
            Some(error) => Arc::new(error),
            None => return response,
        },
    };
    let (method, uri, request_id) = frame;
    if let Error::Internal(cause) = &*error {
        tracing::error!(%method, path = uri.path(), request_id, error = format!("{cause:#}"), "request failed");
    }
    if api {
        return problem(&error, language, &request_id);
    }
    if matches!(*error, Error::Unauthenticated) {
        // A form that was posted after the session ended leads back to the page it stood on.
        let next = if method == Method::GET {
            uri.path_and_query().map_or("/", |p| p.as_str())
        } else {
            "/dashboard"
        };
        let query = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
        return Redirect::to(&format!("/sign-in?{query}")).into_response();
    }
    let Ok(page) = Page::from_request_parts(&mut shell, &app).await;
    let (title, detail) = words(&error, language);
    let status = error.status();
    let body = ErrorPage { page, status: status.as_u16(), title, detail, request_id }.render();
    let mut response = match body {
        Ok(body) => (status, Html(body)).into_response(),
        Err(_) => status.into_response(),
    };
    retry_after(&error, &mut response);
    response
}

/// Rejections by axum itself (unknown route, wrong method, body too large, malformed form) become
/// errors like all others.
pub fn plain_rejection(response: &Response) -> Option<Error> {
    let html_or_json = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/html") || kind.contains("json"));
    if html_or_json {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Error::NotFound),
        StatusCode::INTERNAL_SERVER_ERROR => {
            Some(Error::Internal(anyhow::anyhow!("a handler gave up without a cause")))
        }
        status if status.is_client_error() => {
            let code = match status {
                StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
                StatusCode::PAYLOAD_TOO_LARGE => "too-large",
                StatusCode::REQUEST_TIMEOUT => "timeout",
                StatusCode::FORBIDDEN => "cross-site",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
                _ => "malformed",
            };
            Some(Error::Refused { status, code, arguments: Vec::new() })
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some(Error::Refused { status: response.status(), code: "timeout", arguments: Vec::new() })
        }
        _ => None,
    }
}

/// Title and detail in the reader's language.
pub fn words(error: &Error, language: Language) -> (String, String) {
    let code = error.code();
    let detail = match error {
        Error::Refused { arguments, .. } => language.text_with(&format!("error-{code}"), arguments),
        Error::TooMany { retry_after } | Error::Busy { retry_after } => {
            language.text_with(&format!("error-{code}"), &[("seconds", retry_after.to_string())])
        }
        Error::Invalid(fields) => {
            fields.iter().map(|field| field_words(field, language)).collect::<Vec<_>>().join(" ")
        }
        _ => language.text(&format!("error-{code}")),
    };
    let title = language.text(match error.status() {
        StatusCode::NOT_FOUND => "error-title-not-found",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "error-title-forbidden",
        StatusCode::TOO_MANY_REQUESTS => "error-title-too-many",
        status if status.is_server_error() => "error-title-internal",
        _ => "error-title-refused",
    });
    (title, detail)
}

pub fn field_words(field: &FieldError, language: Language) -> String {
    language.text_with(&format!("invalid-{}", field.code), &field.arguments)
}

/// `application/problem+json`; agents get it too.
pub fn problem(error: &Error, language: Language, request_id: &str) -> Response {
    let (title, detail) = words(error, language);
    let status = error.status();
    let mut body = json!({
        "type": format!("/api/docs#problem-{}", error.code()),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": error.code(),
        "request_id": request_id,
    });
    if let Error::Refused { arguments, .. } = error
        && !arguments.is_empty()
    {
        body["figures"] = arguments.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    }
    if let Error::Invalid(fields) = error {
        body["errors"] = fields
            .iter()
            .map(|field| json!({ "field": field.field, "code": field.code, "detail": field_words(field, language) }))
            .collect();
    }
    let mut response = (status, axum::Json(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    retry_after(error, &mut response);
    response
}

fn retry_after(error: &Error, response: &mut Response) {
    if let Error::TooMany { retry_after } | Error::Busy { retry_after } = error {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*retry_after));
    }
}
