//! The frame of the API: its description, what errors look like, and the page on which people read it.

use crate::state::App;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

const DESCRIPTION: &str = "\
Everything that the portal and the administration do, they do through the use cases that stand behind this API.

**Authentication.** Send `Authorization: Bearer jst_…` with a token from the API tokens page. A token has the scopes \
`read` or `write`, at most what its owner's role allows at the time of the request; owners may add `members` (manage members \
and invitations, never owners), and administrators `admin`. What a token makes ends with it. What belongs to another team, and the \
administration for everybody else, answers 404.

**Changes are asynchronous.** A change of an instance answers 202 with an operation; ask for the operation until its \
state is `succeeded` or `failed`.

**Repeating safely.** Send `Idempotency-Key` with POST: within 24 hours the same key and body have one effect and one answer, \
which is given to nobody with fewer rights.

**Lists** hold the newest first. `next_cursor` of an answer, sent as `cursor`, continues the list.

**Errors** are problem documents (RFC 9457) with a stable `code`; `errors` names the fields. \
Fields and query parameters that this description does not name are refused, and so are empty entries of lists. \
Texts follow `Accept-Language` (en, zh-CN).

**Units.** Memory and disk in MiB (2^20 bytes), CPU in thousandths of a core, network in kbit/s (1,000 bit), disk throughput in \
bytes a second, prices in minor units of the currency. Times are RFC 3339 in UTC.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Jinshitong VPS API", version = "1", description = DESCRIPTION),
    components(schemas(Problem, ProblemField)),
    modifiers(&Bearer),
    security(("token" = [])),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("A token from the API tokens page: `jst_…`".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// Leads to the description of the code.
    #[schema(example = "/api/docs#problem-invalid")]
    r#type: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    /// In the reader's language.
    detail: String,
    /// Stable; what programs decide by.
    #[schema(example = "invalid")]
    code: String,
    /// Name it when you ask us about this answer.
    request_id: String,
    /// What the text of `detail` is made of, such as the amount that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "missing": "$1.20", "missing_minor": "120", "currency": "USD" }))]
    figures: Option<std::collections::BTreeMap<String, String>>,
    /// Present when fields of the request are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ProblemField>>,
}

/// One field that is wrong.
#[derive(Serialize, ToSchema)]
pub struct ProblemField {
    /// The name in the query, or the path in the JSON body.
    #[schema(example = "policy.memory.reservation")]
    field: String,
    #[schema(example = "required")]
    code: String,
    detail: String,
}

/// The refusals that most endpoints share; name it among `responses(…)`.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub enum Refusals {
    /// The token's scopes or its owner's role do not allow this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing, or it is another tenant's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The input is wrong; `errors` tells which field.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// Beside [`Refusals`], for what contradicts the present state of things.
#[derive(IntoResponses)]
#[allow(dead_code)]
pub enum Conflicts {
    /// It contradicts the present state of things; `code` tells how.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

pub fn base() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
}

pub fn with_description(routes: Router<App>, document: utoipa::openapi::OpenApi) -> Router<App> {
    let routes = super::query::only_described(routes, &document);
    let document = Arc::new(described(document));
    let pages = super::api_docs::routes(document.clone());
    routes.merge(pages).route("/api/v1/openapi.json", get(move || async move { Json((*document).clone()) }))
}

/// The document with what all calls have in common.
pub fn described(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            describe_problems(operation);
        }
    }
    document
}

/// `get_instances_id` for `GET /api/v1/instances/{id}`.  Handlers of several capabilities share a
/// name; programs that are made from the document need one name a call.
fn operation_id(method: &str, path: &str) -> String {
    let parts = path.trim_start_matches("/api/v1").split(['/', '{', '}', '-']);
    let parts = parts.filter(|part| !part.is_empty());
    std::iter::once(method).chain(parts).collect::<Vec<_>>().join("_")
}

/// Every call may end in one of these; an endpoint that says more about one keeps its own words.
fn describe_problems(operation: &mut Operation) {
    // `security(())` marks what needs no token.
    let open = operation.security.is_some();
    let mut answers = vec![
        ("429", "Too many requests; `Retry-After` tells for how many seconds to wait."),
        ("default", "A problem document."),
    ];
    if !open {
        answers.push(("401", "No valid token."));
    }
    for (status, description) in answers {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
            ResponseBuilder::new()
                .description(description)
                .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build()
                .into()
        });
    }
}
