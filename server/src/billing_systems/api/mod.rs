//! `/billing/v1`, with a description of its own: who writes a module needs nothing else.

mod catalogue;
mod schema;
mod services;

use crate::state::App;
use crate::web::api::{Problem, ProblemField, described};
use crate::web::query::only_described;
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

const DESCRIPTION: &str = "\
For an operator's own billing system, which sells the platform's instances: WHMCS, Paymenter, FOSSBilling, Blesta, or one \
that was made for the purpose.

**Authentication.** Send `Authorization: Bearer jstb_…` with a token that an administrator has made for the system. Its \
scopes are `read`, `provision`, `terminate` and `sso`. It opens nothing but this API, and nothing else opens this API.

**References.** A service is one instance, under a reference of yours. A reference may be used again once its service is \
terminated; then it names the new one. The `id` of a service never names another: send it as `service_id`, and a message \
that is late changes nothing but answers 409 `service-mismatch`.

**Order of messages.** Everything that decides what a service may do carries an `entitlement_version`, a number that \
grows with each of your decisions (the time in milliseconds will do). The highest wins, in whatever order messages \
arrive; one that is older changes nothing and is answered with what is in force. Of two with one number the milder wins.

**Answers.** 202 with an `operation` means that a host has something to do; 200 that nothing had to be done. The service \
tells its `state` whenever it is asked for.

**Repeating safely.** PUT may be repeated as it is. Send `Idempotency-Key` with POST: within 24 hours the same key and body \
have one effect and one answer.

**Errors** are problem documents (RFC 9457) with a stable `code`; `errors` names the fields. Fields and query parameters \
that this description does not name are refused, and so are empty entries of lists. Texts follow \
`Accept-Language` (en, zh-CN).";

#[derive(OpenApi)]
#[openapi(
    info(title = "Jinshitong VPS API for billing systems", version = "1", description = DESCRIPTION),
    components(schemas(Problem, ProblemField)),
    modifiers(&Bearer),
    security(("token" = [])),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("A token of a billing system: `jstb_…`".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

pub fn routes() -> Router<App> {
    let described_routes = OpenApiRouter::with_openapi(Description::openapi())
        .merge(catalogue::routes())
        .merge(services::routes());
    let (routes, document) = described_routes.split_for_parts();
    let routes = only_described(routes, &document);
    let document = Arc::new(described(document));
    routes.route("/billing/v1/openapi.json", get(move || async move { Json((*document).clone()) }))
}
