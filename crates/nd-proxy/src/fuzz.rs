//! Doors for `nd-fuzz`: bytes as a client or an app may send them. Each panics where a promise is broken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use nd_types::{
    Availability, EdgeState, Gate, HostPattern, PathPrefix, Route, RouteOptions, Service, ServiceLimits,
};

use crate::http1::chunked;
use crate::http1::forward::{Hop, PeerText, write_request};
use crate::http1::host::Host;
use crate::http1::reply::{Coding, Reply, write_response};
use crate::http1::request::{MAX_FIELDS, RequestHead, field_space};
use crate::http1::response::{ResponseBody, ResponseHead};
use crate::http1::scan::HeadScan;
use crate::introduction::{self, Introduction};
use crate::routes::RouteTable;
use crate::trust::Trust;
use crate::worker::frames::FrameReader;

const ID: &str = "0123456789abcdef";

/// A request head that is let through reaches the app as one head that means the same to a strict reader.
pub fn request_head(bytes: &[u8]) {
    let Ok(Some(end)) = HeadScan::default().find_end(bytes) else { return };
    let mut in_pieces = HeadScan::default();
    let found = (1..=end).find_map(|length| in_pieces.find_end(bytes.get(..length)?).ok().flatten());
    assert_eq!(found, Some(end), "a head that arrives byte by byte ends elsewhere");

    let mut space = field_space();
    let head = bytes.get(..end).unwrap_or_default();
    let Ok(head) = RequestHead::parse(head, &mut space) else { return };
    let peer = PeerText::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
    for trust in [Trust::No, Trust::Cloudflare, Trust::Full] {
        let mut out = Vec::new();
        let hop = Hop {
            peer: &peer,
            trust,
            client: None,
            client_field: None,
            request_id: ID,
            fallback_host: "fallback",
            prefix: None,
            scheme: "http",
            hides_authorization: false,
        };
        write_request(&mut out, &head, hop);
        assert_eq!(
            HeadScan::default().find_end(&out),
            Ok(Some(out.len())),
            "what is written is not one head"
        );
        let mut space = field_space();
        match RequestHead::parse(&out, &mut space) {
            Ok(again) => {
                assert_eq!((again.method, again.target, again.body), (head.method, head.target, head.body));
                let host = head.host.map_or("fallback", |host| host.value);
                assert_eq!(again.host.map(|host| host.value), Some(host), "the app sees another host");
                assert!(!again.has_nominated, "a field of this hop travels on");
            }
            // Fields of our own may be the ones too many.
            Err(refused) => assert_eq!(refused.status, 431, "what is written is refused: {}", refused.reason),
        }
    }
}

/// A response head that is let through reaches the client as one head with the same status and the same body.
pub fn response_head(bytes: &[u8]) {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let (answers_head, is_http10) = (flags & 1 != 0, flags & 2 != 0);
    let mut space = field_space();
    let Ok(Some(head)) = ResponseHead::parse(bytes, &mut space, answers_head) else { return };
    assert!(head.length <= bytes.len(), "a head ends behind its bytes");
    if head.status < 200 {
        return;
    }
    let coding = Coding::choose(head.body, is_http10);
    let mut out = Vec::new();
    let keep_alive = flags & 4 != 0;
    write_response(
        &mut out,
        &head,
        Reply {
            keep_alive,
            is_http10,
            coding,
            request_id: ID,
            headers: None,
            added: [""; 4],
            recoding: crate::compress::Recoding::Nothing,
        },
    );
    let mut space = field_space();
    match ResponseHead::parse(&out, &mut space, answers_head) {
        Ok(Some(again)) => {
            assert_eq!((again.status, again.length), (head.status, out.len()));
            let expected = match coding {
                Coding::Same => head.body,
                Coding::Chunked => ResponseBody::Chunked,
                Coding::Bare => ResponseBody::UntilClose,
            };
            assert_eq!(again.body, expected, "the client reads another body");
        }
        other => assert!(head.fields.len() + 4 > MAX_FIELDS, "{other:?}"),
    }
}

/// A table finds the route that its state defines. The first line is a request (`host path`), the others are routes
/// (`pattern path app`), of which some lead nowhere.
pub fn routes(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let Some((host, path)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let Some(host) = Host::parse(host) else { return };
    let served = ["a", "b", "c"].into_iter().filter_map(service);
    let state = EdgeState {
        services: served.collect(),
        routes: lines.filter_map(route).collect(),
        ..EdgeState::default()
    };
    let found = RouteTable::new(&state).find(Some(host), path);
    let found = found.and_then(|found| state.services.get(found.service)).map(|service| &service.app);
    let defined = host.with_lower_case(|name| state.route(name, path).map(|route| &route.app));
    assert_eq!(found, defined, "another app is found than the one defined");
}

fn route(line: &str) -> Option<Route> {
    let mut words = line.split(' ');
    let host = HostPattern::pattern(words.next()?).ok()?;
    let (path, app) = (PathPrefix::new(words.next()?), words.next()?.parse().ok()?);
    Some(Route { host, path, app, options: RouteOptions::default() })
}

fn service(app: &str) -> Option<Service> {
    Some(Service {
        app: app.parse().ok()?,
        release: "aaaaaa".parse().ok()?,
        backends: Vec::new(),
        availability: Availability::Serving,
        limits: ServiceLimits::default(),
        rules: Arc::default(),
        gate: Gate::Open,
        split: None,
        tls: Arc::default(),
    })
}

/// A chunked body is read the same however its bytes arrive.
pub fn chunked(bytes: &[u8]) {
    let Some((piece, body)) = bytes.split_first() else { return };
    let piece = usize::from(*piece).max(1);
    let whole = chunked::read(body, body.len().max(1));
    assert_eq!(chunked::read(body, piece), whole, "in pieces of {piece}");
}

/// A client is introduced the same however the bytes arrive.
pub fn introduction(bytes: &[u8]) {
    let whole = introduction::read(bytes);
    if let Introduction::Of(length, _) = whole {
        assert!(length <= bytes.len(), "a header ends behind its bytes");
    }
    for length in 0..bytes.len() {
        let part = introduction::read(bytes.get(..length).unwrap_or_default());
        assert!(part == Introduction::Open || part == whole, "{part:?}, then {whole:?}");
    }
}

/// WebSocket frames are followed the same however their bytes arrive.
pub fn frames(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else { return };
    let follow = |piece: usize| {
        let mut reader = FrameReader::default();
        for mut rest in stream.chunks(piece) {
            while !rest.is_empty() {
                let taken = reader.advance(rest);
                assert!(taken > 0 && taken <= rest.len(), "{taken} of {} bytes", rest.len());
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
        (reader.is_at_boundary(), reader.close_seen())
    };
    assert_eq!(follow(usize::from(*piece).max(1)), follow(stream.len().max(1)));
}
