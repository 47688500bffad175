//! The table of routes: every path with its method, the scope that a request for it needs, and who answers it. The router, the gate before
//! each route and the paths named in hints are made of it, so that there is no route without a scope.
//! What every request passes besides is the parent's.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    Api, dead_letters, events, export, gate::only_who_may, health, kv, plugins, readers, replays, schemas, stream, surveys, workflows,
};
use crate::access::Scope::{self, Admin, Plugins, Publish, Read, Submit};

/// One method of one path.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "axum has its own copy; the document and the tests read this one"))]
    method: Method,
    path: &'static str,
    /// What a request must be allowed; `None`: whoever asks is answered.
    needs: Option<Scope>,
    answers: MethodRouter<Arc<Api>>,
}

/// All of them, in the order of the documents.
pub(super) fn table() -> Vec<Route> {
    vec![
        get("/v1/events", Read, events::list),
        post("/v1/events", Publish, events::publish),
        get("/v1/events/stream", Read, stream::sse::events),
        get("/v1/events/socket", Read, stream::websocket::events),
        get("/v1/events/export", Read, export::export),
        get("/v1/events/stats", Read, surveys::stats),
        get("/v1/events/durations", Read, surveys::durations),
        get("/v1/events/rates", Read, surveys::rates),
        get("/v1/events/{id}", Read, events::explain),
        get("/v1/readers", Read, readers::list),
        get("/v1/readers/{name}", Read, readers::show),
        put("/v1/readers/{name}", Read, readers::put),
        delete("/v1/readers/{name}", Read, readers::remove),
        post("/v1/readers/{name}/next", Read, readers::next),
        post("/v1/readers/{name}/settle", Read, readers::settle),
        get("/v1/readers/{name}/socket", Read, readers::socket::open),
        get("/v1/replays", Read, replays::list),
        post("/v1/replays", Admin, replays::begin),
        get("/v1/replays/{id}", Read, replays::show),
        delete("/v1/replays/{id}", Admin, replays::stop),
        get("/v1/workflows", Read, workflows::list),
        post("/v1/workflows", Submit, workflows::submit),
        get("/v1/workflows/{id}", Read, workflows::show),
        post("/v1/workflows/{id}/cancel", Submit, workflows::cancel),
        get("/v1/plugins", Read, plugins::list),
        put("/v1/plugins/{name}", Plugins, plugins::put),
        delete("/v1/plugins/{name}", Plugins, plugins::remove),
        post("/v1/plugins/{name}/reload", Plugins, plugins::reload),
        get("/v1/plugins/{name}/versions", Read, plugins::versions),
        // What a plugin keeps may hold what no event says.
        get("/v1/plugins/{name}/kv", Plugins, kv::list),
        post("/v1/plugins/{name}/rollback", Plugins, plugins::rollback),
        post("/v1/plugins/{name}/bypass", Plugins, plugins::bypass),
        post("/v1/plugins/{name}/forget", Plugins, plugins::forget),
        get("/v1/schemas", Read, schemas::list),
        get("/v1/schemas/{name}", Read, schemas::show),
        get("/v1/dead-letters", Read, dead_letters::list),
        get("/v1/dead-letters/{id}", Read, dead_letters::show),
        post("/v1/dead-letters/{id}/redrive", Admin, dead_letters::redrive),
        post("/v1/dead-letters/redrive", Admin, dead_letters::redrive_many),
        post("/v1/dead-letters/purge", Admin, dead_letters::purge),
        // Orchestrators ask without a token.
        open("/healthz", health::healthz),
        open("/readyz", health::readyz),
    ]
}

fn get<T: 'static>(path: &'static str, needs: Scope, answers: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: Method::GET, path, needs: Some(needs), answers: on(MethodFilter::GET, answers) }
}

fn post<T: 'static>(path: &'static str, needs: Scope, answers: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: Method::POST, path, needs: Some(needs), answers: on(MethodFilter::POST, answers) }
}

fn put<T: 'static>(path: &'static str, needs: Scope, answers: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: Method::PUT, path, needs: Some(needs), answers: on(MethodFilter::PUT, answers) }
}

fn delete<T: 'static>(path: &'static str, needs: Scope, answers: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: Method::DELETE, path, needs: Some(needs), answers: on(MethodFilter::DELETE, answers) }
}

fn open<T: 'static>(path: &'static str, answers: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: Method::GET, path, needs: None, answers: on(MethodFilter::GET, answers) }
}

/// Every route behind its gate.
pub(super) fn gated(api: &Arc<Api>) -> Router<Arc<Api>> {
    table().into_iter().fold(Router::new(), |router, Route { path, needs, answers, .. }| {
        let answers = match needs {
            Some(needs) => answers.route_layer(middleware::from_fn_with_state((api.clone(), needs), only_who_may)),
            None => answers,
        };
        router.route(path, answers)
    })
}

/// The paths that are whole as they stand, for the hint at a wrong one.
pub(super) fn plain_paths() -> Vec<&'static str> {
    let mut paths: Vec<&str> = table().iter().map(|route| route.path).filter(|path| !path.contains('{')).collect();
    // Methods of one path stand side by side.
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_there_once_and_only_health_is_open() {
        let table = table();
        for (place, route) in table.iter().enumerate() {
            let twin = table[..place].iter().find(|other| (&other.method, other.path) == (&route.method, route.path));
            assert!(twin.is_none(), "{} {} stands there twice", route.method, route.path);
            assert_eq!(route.needs.is_some(), route.path.starts_with("/v1/"), "{} {}", route.method, route.path);
        }
        // What changes something needs more than to read, but for durable readers: reading is what they are for.
        let reads = |route: &&Route| route.needs == Some(Read) && route.method != Method::GET;
        assert!(table.iter().filter(reads).all(|route| route.path.starts_with("/v1/readers/")));
    }

    #[test]
    fn the_document_has_the_table() {
        let document = include_str!("../../../../docs/listening.md");
        let rows = table().into_iter().map(|route| {
            let needs = route.needs.map_or_else(|| "none".to_owned(), |scope| format!("`{scope}`"));
            format!("| `{} {}` | {needs} |\n", route.method, route.path)
        });
        let rows: String = rows.collect();
        let heading = "| route | scope |\n|---|---|\n";
        assert!(document.ends_with(&format!("{heading}{rows}")), "docs/listening.md ends with the table of routes:\n{heading}{rows}");
    }
}
