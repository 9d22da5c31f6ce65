//! `deployment.container.healthcheck:`

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{Healthcheck, Port, StatusRange, Statuses, TcpProbe, format_exact};

use super::sections::HOUR;
use super::whole::command_line;
use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::Code;

/// What a probe's timing may be.
const PROBE: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;

pub(super) fn healthcheck(field: &Field<'_>, d: &mut Decoder) -> Healthcheck {
    let Some(mut keys) = field.keys(d) else { return Healthcheck::default() };
    let kinds: Vec<Field<'_>> =
        ["path", "tcp", "cmd"].into_iter().filter_map(|kind| keys.get(kind)).collect();
    if let [first, second, ..] = kinds.as_slice() {
        let message =
            format!("a health check has one way to look: `{}` or `{}`", first.path.last, second.path.last);
        let mistake = second.mistake(Code::Conflict, message).at(second.key_span.clone());
        d.say(mistake.also(first.key_span.clone(), "one is here").help("keep one of them"));
    }
    let (status, asked_with) = (keys.get("status"), keys.get("headers"));
    only_of_http(kinds.first(), [status.as_ref(), asked_with.as_ref()], d);
    let (interval, timeout) = (keys.get("interval"), keys.get("timeout"));
    let check = Healthcheck {
        path: keys.get("path").and_then(|field| path(&field, d)),
        tcp: keys.get("tcp").and_then(|field| tcp(&field, d)),
        cmd: keys.get("cmd").and_then(|field| command_line(&field, d)),
        port: keys.get("port").and_then(|field| field.parsed(d)),
        status: status.and_then(|field| statuses(&field, d)),
        headers: asked_with.map(|field| headers(&field, d)).unwrap_or_default(),
        interval: interval.as_ref().and_then(|field| field.duration(&PROBE, d)),
        timeout: timeout.as_ref().and_then(|field| field.duration(&PROBE, d)),
        retries: keys.get("retries").and_then(|field| field.whole(&(1..=100), d)),
        start_period: keys.get("start_period").and_then(|field| field.duration(&(Duration::ZERO..=HOUR), d)),
    };
    if let (Some(every), Some(within), Some(interval), Some(timeout)) =
        (check.interval, check.timeout, interval, timeout)
        && within > every
    {
        let (within, every) = (format_exact(within), format_exact(every));
        let message = format!("healthcheck.timeout ({within}) must not exceed interval ({every})");
        d.say(
            timeout.mistake(Code::Conflict, message).also(interval.node.span.clone(), "the interval is here"),
        );
    }
    keys.finish(d);
    check
}

/// What belongs to a question over HTTP has no place beside another way to look.
fn only_of_http(kind: Option<&Field<'_>>, more: [Option<&Field<'_>>; 2], d: &mut Decoder) {
    let Some(kind) = kind.filter(|kind| kind.path.last != "path") else { return };
    for field in more.into_iter().flatten() {
        let message = format!(
            "`{}` belongs to a check over HTTP, and `{}` is another",
            field.path.last, kind.path.last
        );
        let mistake = field.mistake(Code::Conflict, message).at(field.key_span.clone());
        d.say(mistake.also(kind.key_span.clone(), "it is here").help("write `path: /…` in its place"));
    }
}

/// `200-299`, `204`, both with a comma between, or a list of them.
fn statuses(field: &Field<'_>, d: &mut Decoder) -> Option<Statuses> {
    if !matches!(field.node.value, Value::List(_)) {
        return field.parsed(d);
    }
    let items = field.items(d);
    if items.is_empty() {
        d.say(field.mistake(Code::BadValue, "status must name a status").at(field.key_span.clone()));
    }
    // Each of them is read, so that everything wrong is told.
    let ranges: Vec<Option<StatusRange>> = items.iter().map(|item| item.parsed(d)).collect();
    Statuses::of(ranges.into_iter().collect::<Option<Vec<_>>>()?)
}

/// Names and values of headers (RFC 9110, sections 5.1 and 5.5), apart from those that frame the message.
fn headers(field: &Field<'_>, d: &mut Decoder) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (entry, value) in field.entries(d) {
        let name = &entry.key;
        if let Some((code, message)) = refused(name, &headers) {
            d.say(value.mistake(code, message).at(entry.key_span.clone()));
            continue;
        }
        let Some(scalar) = value.scalar("a text", d) else { continue };
        let text = scalar.text.trim_matches([' ', '\t']);
        if text.chars().any(|c| !(' '..='~').contains(&c) && c != '\t') {
            let message = format!("the header `{name}` must be one line of ASCII");
            d.say(value.mistake(Code::BadValue, message));
            continue;
        }
        headers.insert(name.clone(), text.to_owned());
    }
    headers
}

/// Why a header of this name cannot be sent.
fn refused(name: &str, known: &BTreeMap<String, String>) -> Option<(Code, String)> {
    const FRAMING: [&str; 7] =
        ["connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"];
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        let message = format!("`{name}` is no name of a header (RFC 9110, section 5.1)");
        return Some((Code::BadValue, message));
    }
    if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        return Some((Code::BadValue, format!("the probe sets the header `{name}` itself")));
    }
    let twice = known.keys().find(|known| name.eq_ignore_ascii_case(known));
    twice.map(|other| (Code::Conflict, format!("the header `{name}` is written twice, also as `{other}`")))
}

fn path(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let path = field.text(d)?;
    if path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some(path);
    }
    let mistake =
        field.mistake(Code::BadValue, format!("healthcheck.path must begin with `/`, found {path}"));
    d.say(mistake.help(format!("write `/{}`", path.trim_start_matches('/'))));
    None
}

/// `true`, or a port of its own.
fn tcp(field: &Field<'_>, d: &mut Decoder) -> Option<TcpProbe> {
    let text = &field.scalar("`true` or a port", d)?.text;
    if text == "true" {
        return Some(TcpProbe::AppPort);
    }
    match text.parse::<Port>() {
        Ok(port) => Some(TcpProbe::Port(port)),
        Err(_) => {
            d.say(field.mistake(Code::BadValue, format!("tcp must be `true` or a port, found {text}")));
            None
        }
    }
}
