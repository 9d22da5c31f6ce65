//! Flat paths whose part of the product does not exist yet: they say so, in the envelope.

use axum::routing::any;
use http::StatusCode;

use super::Routes;
use crate::refusal::Refusal;

const PATHS: [&str; 3] = ["/secrets/sync", "/ws/metrics", "/ws/events"];

pub(super) fn routes(router: Routes) -> Routes {
    PATHS.iter().fold(router, |router, path| router.route(path, any(|| async { refusal() })))
}

fn refusal() -> Refusal {
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "ND1012", "this path is not supported yet by this version")
}
