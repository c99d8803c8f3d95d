//! The routes as the routers themselves know them.
//!
//! axum lists none, but a router prints itself: every path with the methods that it answers.  Nothing that is served can be
//! missing from that.

use std::collections::{BTreeMap, BTreeSet};

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "options"];

/// Method and path of everything that the router serves.  `ANY` stands for a service that answers every method.
pub fn routes(router: &axum::Router) -> BTreeSet<(String, String)> {
    let text = format!("{router:?}");
    let text = text.split_once("path_router: ").expect("a router prints its paths").1;
    let (endpoints, rest) = text.split_once("node: Node { paths: {").expect("a router prints its paths");
    let paths = paths(rest.split_once('}').map_or(rest, |_| rest));
    let mut found = BTreeSet::new();
    for endpoint in endpoints.split("RouteId(").skip(1) {
        let (id, what) = endpoint.split_once("): ").expect("an endpoint follows its number");
        let path = paths.get(id).unwrap_or_else(|| panic!("route {id} has no path"));
        // A service, or a handler of every method.
        if what.starts_with("Route(") || what.contains("allow_header: Skip") {
            found.insert(("ANY".to_owned(), path.clone()));
        }
        for method in METHODS {
            let answers =
                what.split_once(&format!("{method}: ")).is_some_and(|(_, is)| !is.starts_with("None"));
            if answers {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

/// `RouteId(3): "/path"`, as far as they go.
fn paths(text: &str) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    for part in text.split("RouteId(").skip(1) {
        let Some((id, rest)) = part.split_once("): \"") else { break };
        let Some((path, after)) = rest.split_once('"') else { break };
        paths.insert(id.to_owned(), path.to_owned());
        // The map ends here; what follows belongs to other routers.
        if after.starts_with('}') {
            break;
        }
    }
    paths
}

#[test]
fn a_router_lists_what_it_serves() {
    use axum::routing::{any_service, get, post};
    let inner = axum::Router::new().route("/b/{id}", post(|| async {}).delete(|| async {}));
    let router = axum::Router::new()
        .route("/a", get(|| async {}))
        .nest("/n", inner)
        .route("/s", any_service(get(|| async {})))
        .fallback(|| async {})
        .layer(axum::middleware::from_fn(|request, next: axum::middleware::Next| next.run(request)));
    let found: Vec<String> =
        routes(&router).into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(found, ["ANY /s", "DELETE /n/b/{id}", "GET /a", "POST /n/b/{id}"], "{router:?}");
}
