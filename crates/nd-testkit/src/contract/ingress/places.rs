//! The part of the contract that is about hosts and paths.

use std::sync::Arc;

use nd_core::ports::Ingress;
use nd_types::{EdgeState, Generation, HostPattern, PathPrefix, Route, RouteOptions};

use super::http::{Client, get};
use super::upstream::Upstream;
use super::{app, service};
use crate::contract::ContractResult;

pub(super) async fn the_longest_path_of_the_closest_host_counts(ingress: &dyn Ingress) -> ContractResult {
    let apps = [app("one")?, app("two")?, app("three")?];
    let mut services = Vec::new();
    let mut upstreams = Vec::new();
    for (app, slot) in apps.iter().zip(1..) {
        let upstream = Upstream::start(app, slot).await?;
        services.push(service(app, vec![upstream.backend.clone()])?);
        upstreams.push(upstream);
    }
    let [one, two, three] = apps;
    let route = |host: &str, path: &str, app: &nd_types::AppName, strip: bool| {
        let host = HostPattern::pattern(host).ok()?;
        let options = RouteOptions { strip, ..RouteOptions::default() };
        Some(Route { host, path: PathPrefix::new(path), app: app.clone(), options })
    };
    let routes = [
        route("*.example.com", "/", &one, false),
        route("www.example.com", "/", &two, false),
        route("www.example.com", "/api", &three, true),
        route("api.example.com", "/v1.0", &three, false),
    ];
    let state = EdgeState {
        generation: Generation(1),
        services,
        routes: routes.into_iter().flatten().collect(),
        ..EdgeState::default()
    };
    ingress.apply(Arc::new(state)).await?;
    for (host, path, expected) in [
        ("deep.below.example.com", "/api", "1 /api"),
        ("a.example.com", "/x?y=/api", "1 /x?y=/api"),
        ("WWW.example.com", "/", "2 /"),
        ("www.example.com", "/apis", "2 /apis"),
        ("www.example.com", "/API/x", "2 /API/x"),
        ("www.example.com", "/api/x%2Fy", "3 /x%2Fy"),
        ("www.example.com", "/api", "3 /"),
        ("api.example.com", "/v1.0/x", "3 /v1.0/x"),
    ] {
        let answer = Client::connect(ingress.http_addr()).await?.get_path(host, path).await?;
        let expected = expected.split_once(' ').ok_or("no path")?;
        assert_eq!((answer.body.as_str(), answer.path.as_str()), expected, "{host}{path}");
    }
    for nowhere in ["api.example.com", "example.com"] {
        let status = get(ingress.http_addr(), nowhere).await?.status;
        assert!(matches!(status, 404 | 421), "{nowhere} got {status}");
    }
    Ok(())
}
