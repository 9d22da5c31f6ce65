//! `proxy:`

mod answers;
mod passwords;

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{Access, HeaderChanges, Proxy, ProxyRateLimit, ProxyRoute};
use nd_types::{ByteSize, HostPattern, InvalidHost, LimitedBy, PathPrefix, Redirect, RedirectCode};

use super::app;
use crate::decode::{Decoder, Field};
use crate::report::Code;
use crate::suggest::closest;

/// A smaller limit refuses ordinary forms.
const LEAST_BODY: ByteSize = ByteSize(1 << 10);
/// As long as a WebSocket or a long poll may be silent.
const PATIENCE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Somebody waits for the answer.
const QUEUEING: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(300);
/// Slower than a modem is no limit but an outage.
const LEAST_BANDWIDTH: ByteSize = ByteSize(1 << 10);

pub(super) fn decode(field: &Field<'_>, d: &mut Decoder) -> Proxy {
    let Some(mut keys) = field.keys(d) else { return Proxy::default() };
    let proxy = Proxy {
        enabled: keys.get("enabled").and_then(|field| field.flag(d)),
        routes: keys.get("routes").map(|field| routes(&field, d)).unwrap_or_default(),
        redirects: keys.get("redirects").map(|field| redirects(&field, d)).unwrap_or_default(),
        headers: keys.get("headers").map(|field| headers(&field, d)).unwrap_or_default(),
        access: keys.get("access").map(|field| access(&field, d)).unwrap_or_default(),
        basic_auth: keys.get("basic_auth").map(|field| passwords::basic_auth(&field, d)).unwrap_or_default(),
        compression: keys.get("compression").and_then(|field| answers::compression(&field, d)),
        error_pages: keys.get("error_pages").and_then(|field| answers::error_pages(&field, d)),
        body_limit: keys.get("body_limit").and_then(|field| field.size(LEAST_BODY, d)),
        rate_limit: keys.get("rate_limit").map(|field| rate_limits(&field, d)).unwrap_or_default(),
        sticky: keys.get("sticky").and_then(|field| field.word(d)),
        max_requests: keys
            .get("max_requests")
            .and_then(|field| field.whole::<u32>(&(1..=1_000_000), d))
            .and_then(NonZeroU32::new),
        queue: keys.get("queue").and_then(|field| field.whole(&(0..=100_000), d)),
        queue_timeout: keys.get("queue_timeout").and_then(|field| field.duration(&QUEUEING, d)),
        bandwidth: keys.get("bandwidth").and_then(|field| field.size(LEAST_BANDWIDTH, d)),
    };
    if proxy.max_requests.is_none() {
        for key in ["queue", "queue_timeout"] {
            let Some(field) = keys.get(key).filter(|_| keys.get("max_requests").is_none()) else { continue };
            let message = format!("`{}` has no effect without `max_requests`", field.path.dotted);
            let mistake = field.mistake(Code::MissingKey, message).at(field.key_span.clone());
            d.say(mistake.help("write `max_requests: 200` beside it"));
        }
    }
    keys.finish(d);
    proxy
}

fn rate_limits(field: &Field<'_>, d: &mut Decoder) -> Vec<ProxyRateLimit> {
    field.items(d).iter().filter_map(|item| rate_limit(item, d)).collect()
}

fn rate_limit(item: &Field<'_>, d: &mut Decoder) -> Option<ProxyRateLimit> {
    let mut keys = item.keys(d)?;
    let (path_written, per, limit) = (keys.get("path"), keys.get("per"), keys.get("limit"));
    let (burst, status) = (keys.get("burst"), keys.get("status"));
    keys.finish(d);
    if limit.is_none() {
        let mistake = item.mistake(Code::MissingKey, format!("{} has no `limit`", item.path.last));
        d.say(mistake.help("write `{path: /login, limit: 10/m}`"));
    }
    let limit = limit.and_then(|field| field.parsed(d));
    Some(ProxyRateLimit {
        path: path_written.and_then(|field| path(&field, d)),
        per: per.and_then(|field| limited_by(&field, d)),
        burst: burst.and_then(|field| field.whole::<u32>(&(1..=1_000_000), d)).and_then(NonZeroU32::new),
        status: status.and_then(|field| field.whole(&(400..=599), d)),
        limit: limit?,
    })
}

fn limited_by(field: &Field<'_>, d: &mut Decoder) -> Option<LimitedBy> {
    let text = &field.scalar("a word", d)?.text;
    match text.as_str() {
        "ip" => return Some(LimitedBy::Ip),
        "app" => return Some(LimitedBy::App),
        _ => {}
    }
    let mistake = field.mistake(Code::BadValue, format!("`{text}` is not one of ip, app"));
    d.say(match closest(text, ["ip", "app"]) {
        Some(word) => mistake.help(format!("`{word}`")),
        None => mistake,
    });
    None
}

fn routes(field: &Field<'_>, d: &mut Decoder) -> Vec<ProxyRoute> {
    let mut routes: Vec<ProxyRoute> = Vec::new();
    for item in field.items(d) {
        let Some(route) = route(&item, d) else { continue };
        if routes.iter().any(|other| other.host == route.host && other.path == route.path) {
            let message = format!("{} has the host and path of another route", item.path.last);
            d.say(item.mistake(Code::Conflict, message).help("keep one of them"));
        } else {
            routes.push(route);
        }
    }
    routes
}

fn route(item: &Field<'_>, d: &mut Decoder) -> Option<ProxyRoute> {
    let mut keys = item.keys(d)?;
    let (written_host, written_path) = (keys.get("host"), keys.get("path"));
    let (written_strip, written_timeout) = (keys.get("strip"), keys.get("timeout"));
    let written_redirect = keys.get("redirect");
    if written_host.is_none() && written_path.is_none() {
        let mistake =
            item.mistake(Code::MissingKey, format!("{} has neither `host` nor `path`", item.path.last));
        d.say(mistake.help("write `{path: /api}` or `{host: www.example.com}`"));
    }
    let route = ProxyRoute {
        host: written_host.as_ref().and_then(|field| host_pattern(field, d)),
        path: written_path.as_ref().and_then(|field| path(field, d)),
        strip: written_strip.as_ref().and_then(|field| field.flag(d)),
        timeout: written_timeout.as_ref().and_then(|field| field.duration(&PATIENCE, d)),
        redirect: written_redirect.as_ref().and_then(|field| app::host(field, d)),
    };
    keys.finish(d);
    if let Some(field) = written_strip.as_ref().filter(|_| route.strip == Some(true))
        && route.path.as_ref().is_none_or(|path| *path == PathPrefix::root())
    {
        let mistake =
            field.mistake(Code::Conflict, "strip takes the path of the route away, and it has none");
        d.say(mistake.help("write `path: /api` beside it"));
    }
    let Some(redirect) = written_redirect else { return Some(route) };
    if written_host.is_none() {
        let mistake =
            redirect.mistake(Code::MissingKey, "a redirect to another host needs the `host` it is for");
        d.say(mistake.help("write `{host: www.example.com, redirect: app.example.com}`"));
    } else if route.redirect.is_some() && route.redirect == route.host {
        d.say(redirect.mistake(Code::Conflict, "the redirect leads to its own host"));
    }
    for field in [written_strip, written_timeout].into_iter().flatten() {
        let message = format!("{} has no effect on a redirect, which no app answers", field.path.last);
        d.say(field.mistake(Code::Conflict, message).also(redirect.node.span.clone(), "it is sent on here"));
    }
    Some(route)
}

/// A host name, or a pattern of them.
fn host_pattern(field: &Field<'_>, d: &mut Decoder) -> Option<HostPattern> {
    let text = &field.scalar("a host name", d)?.text;
    let error: InvalidHost = match HostPattern::pattern(text) {
        Ok(host) => return Some(host),
        Err(error) => error,
    };
    let mistake = field.mistake(Code::BadValue, error.to_string());
    d.say(if text.contains('*') {
        mistake.help("a `*` stands for the first labels: `*.example.com`")
    } else {
        mistake
    });
    None
}

fn path(field: &Field<'_>, d: &mut Decoder) -> Option<PathPrefix> {
    let text = field.text(d)?;
    if text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#' | '*')) {
        return Some(PathPrefix::new(&text));
    }
    let mistake = field.mistake(
        Code::BadValue,
        format!("{} must be a prefix such as `/api`, found {text}", field.path.last),
    );
    let meant = text.trim_end_matches(['*', '/']).trim_start_matches('/');
    let can_be_meant = !meant.is_empty() && !meant.contains(|c: char| c.is_whitespace() || "?#*".contains(c));
    d.say(if can_be_meant { mistake.help(format!("write `/{meant}`")) } else { mistake });
    None
}

fn paths(field: &Field<'_>, d: &mut Decoder) -> Vec<PathPrefix> {
    field.one_or_more(d).iter().filter_map(|item| path(item, d)).collect()
}

fn redirects(field: &Field<'_>, d: &mut Decoder) -> Vec<Redirect> {
    let mut redirects: Vec<Redirect> = Vec::new();
    for item in field.items(d) {
        let Some(mut keys) = item.keys(d) else { continue };
        let from = keys.required("from", "write `{from: /old/*, to: /new/$1}`", d);
        let to = keys.required("to", "write `{from: /old/*, to: /new/$1}`", d);
        let written = keys.get("code");
        keys.finish(d);
        let code = match &written {
            Some(field) => code(field, d),
            None => Some(RedirectCode::default()),
        };
        let (Some(from), Some(to), Some(code)) = (from, to, code) else { continue };
        let (Some(from_text), Some(to_text)) = (from.text(d), to.text(d)) else { continue };
        match Redirect::new(&from_text, &to_text, code) {
            Ok(redirect) if redirects.iter().any(|other| other.from() == redirect.from()) => {
                d.say(from.mistake(Code::Conflict, format!("`{from_text}` is redirected already")));
            }
            Ok(redirect) => redirects.push(redirect),
            Err(error) => {
                let place = if matches!(error, nd_types::InvalidRedirect::From(_)) { from } else { to };
                d.say(place.mistake(Code::BadValue, error.to_string()));
            }
        }
    }
    redirects
}

fn code(field: &Field<'_>, d: &mut Decoder) -> Option<RedirectCode> {
    let number = field.whole::<u16>(&(100..=599), d)?;
    RedirectCode::try_from(number)
        .map_err(|error| {
            let mistake = field.mistake(Code::BadValue, error.to_string());
            d.say(
                mistake
                    .help("308 keeps method and body, 307 does so for now; 301 and 302 turn POST into GET"),
            );
        })
        .ok()
}

fn headers(field: &Field<'_>, d: &mut Decoder) -> HeaderChanges {
    let Some(mut keys) = field.keys(d) else { return HeaderChanges::default() };
    let mut changes = HeaderChanges::default();
    let add = keys.get("add").map(|field| field.entries(d)).unwrap_or_default();
    for (entry, value) in add {
        let name: Result<nd_types::FieldName, _> = entry.key.parse();
        match name {
            Err(error) => {
                d.say(value.mistake(Code::BadValue, error.to_string()).at(entry.key_span.clone()));
            }
            Ok(name) => {
                let same = |other: &&nd_types::FieldName| other.as_str().eq_ignore_ascii_case(name.as_str());
                if let Some(other) = changes.add.keys().find(same) {
                    let message = format!("`{name}` and `{other}` are the same field");
                    d.say(value.mistake(Code::Conflict, message).at(entry.key_span.clone()));
                } else if let Some(value) = value.parsed(d) {
                    changes.add.insert(name, value);
                }
            }
        }
    }
    let remove = keys.get("remove").map(|field| field.one_or_more(d)).unwrap_or_default();
    changes.remove = remove.iter().filter_map(|item| item.parsed(d)).collect();
    keys.finish(d);
    changes
}

fn access(field: &Field<'_>, d: &mut Decoder) -> Access {
    let Some(mut keys) = field.keys(d) else { return Access::default() };
    let mut networks = |key| {
        let items = keys.get(key).map(|field| field.one_or_more(d)).unwrap_or_default();
        items.iter().filter_map(|item| item.parsed(d)).collect::<Vec<nd_types::Network>>()
    };
    let (allow, deny) = (networks("allow"), networks("deny"));
    let access =
        Access { allow, deny, paths: keys.get("paths").map(|field| paths(&field, d)).unwrap_or_default() };
    keys.finish(d);
    if access.allow.is_empty() && access.deny.is_empty() && !access.paths.is_empty() {
        let mistake = field.mistake(Code::MissingKey, "access has paths, and neither `allow` nor `deny`");
        d.say(mistake.at(field.key_span.clone()).help("write `allow: [203.0.113.0/24]`"));
    }
    access
}
