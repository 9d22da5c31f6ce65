//! `deployment:` with its container and health check.

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{
    Container, Deployment, Healthcheck, InvalidVolume, Port, PortMapping, TcpProbe, VolumeMount, format_exact,
};

use super::sections::{HOUR, rollout, stop};
use super::whole::command_line;
use crate::decode::{Decoder, Field};
use crate::report::Code;

/// What a probe's timing may be.
const PROBE: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;

pub(super) fn deployment(field: &Field<'_>, d: &mut Decoder) -> Deployment {
    let Some(mut keys) = field.keys(d) else { return Deployment::default() };
    let deployment = Deployment {
        container: keys.get("container").map(|field| container(&field, d)).unwrap_or_default(),
        rollout: keys.get("rollout").map(|field| rollout(&field, d)).unwrap_or_default(),
        stop: keys.get("stop").map(|field| stop(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    deployment
}

fn container(field: &Field<'_>, d: &mut Decoder) -> Container {
    let Some(mut keys) = field.keys(d) else { return Container::default() };
    let container = Container {
        name: keys.get("name").and_then(|field| field.text(d)),
        restart: keys.get("restart").and_then(|field| field.word(d)),
        env_file: keys.get("env_file").map(|field| texts(&field, d)).unwrap_or_default(),
        volumes: keys.get("volumes").map(|field| volumes(&field, d)).unwrap_or_default(),
        ports: keys.get("ports").map(|field| ports(&field, d)).unwrap_or_default(),
        healthcheck: keys.get("healthcheck").map(|field| healthcheck(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    container
}

fn texts(field: &Field<'_>, d: &mut Decoder) -> Vec<String> {
    field.one_or_more(d).iter().filter_map(|item| item.text(d)).collect()
}

fn volumes(field: &Field<'_>, d: &mut Decoder) -> Vec<VolumeMount> {
    let mut volumes: Vec<VolumeMount> = Vec::new();
    for item in field.items(d) {
        let Some(text) = item.scalar("\"SOURCE:TARGET\"", d).map(|scalar| &scalar.text) else { continue };
        match text.parse::<VolumeMount>() {
            Ok(volume) if volumes.iter().any(|known| known.target == volume.target) => {
                d.say(
                    item.mistake(Code::Conflict, format!("two volumes are mounted at `{}`", volume.target)),
                );
            }
            Ok(volume) => volumes.push(volume),
            Err(error) => {
                let refused = matches!(
                    error,
                    InvalidVolume::Root | InvalidVolume::EngineSocket(_) | InvalidVolume::Outside(_)
                );
                let code = if refused { Code::Refused } else { Code::BadValue };
                d.say(item.mistake(code, error.to_string()));
            }
        }
    }
    volumes
}

fn ports(field: &Field<'_>, d: &mut Decoder) -> Vec<PortMapping> {
    let mut ports: Vec<PortMapping> = Vec::new();
    for item in field.items(d) {
        let Some(scalar) = item.scalar("\"HOST:CONTAINER\"", d) else { continue };
        if scalar.text.parse::<u64>().is_ok() {
            let message = format!("{} must be \"HOST:CONTAINER\", found {}", item.path.last, scalar.text);
            let help = "drop it, the proxy reaches `app.port` without a published port";
            d.say(item.mistake(Code::BadValue, message).help(help));
            continue;
        }
        match scalar.text.parse::<PortMapping>() {
            Ok(mapping) if ports.iter().any(|known| known.bind() == mapping.bind()) => {
                d.say(
                    item.mistake(Code::Conflict, format!("host port {} is published twice", mapping.bind())),
                );
            }
            Ok(mapping) => ports.push(mapping),
            Err(error) => d.say(item.mistake(Code::BadValue, format!("{}: {error}", item.path.last))),
        }
    }
    ports
}

fn healthcheck(field: &Field<'_>, d: &mut Decoder) -> Healthcheck {
    let Some(mut keys) = field.keys(d) else { return Healthcheck::default() };
    let kinds: Vec<Field<'_>> =
        ["path", "tcp", "cmd"].into_iter().filter_map(|kind| keys.get(kind)).collect();
    if let [first, second, ..] = kinds.as_slice() {
        let message =
            format!("a health check has one way to look: `{}` or `{}`", first.path.last, second.path.last);
        let mistake = second.mistake(Code::Conflict, message).at(second.key_span.clone());
        d.say(mistake.also(first.key_span.clone(), "one is here").help("keep one of them"));
    }
    let (interval, timeout) = (keys.get("interval"), keys.get("timeout"));
    let check = Healthcheck {
        path: keys.get("path").and_then(|field| path(&field, d)),
        tcp: keys.get("tcp").and_then(|field| tcp(&field, d)),
        cmd: keys.get("cmd").and_then(|field| command_line(&field, d)),
        port: keys.get("port").and_then(|field| field.parsed(d)),
        status: keys.get("status").and_then(|field| field.parsed(d)),
        interval: interval.as_ref().and_then(|field| field.duration(&PROBE, d)),
        timeout: timeout.as_ref().and_then(|field| field.duration(&PROBE, d)),
        retries: keys.get("retries").and_then(|field| field.whole(&(1..=100), d)),
        start_period: keys.get("start_period").and_then(|field| field.duration(&(Duration::ZERO..=HOUR), d)),
    };
    if let Some(field) = keys.get("headers") {
        headers(&field, d);
    }
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

/// Headers are checked and not sent yet, which the table of keys says.
fn headers(field: &Field<'_>, d: &mut Decoder) {
    for (entry, value) in field.entries(d) {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if entry.key.is_empty() || !entry.key.chars().all(token) {
            let message = format!("`{}` is no name of a header (RFC 9110, section 5.1)", entry.key);
            d.say(value.mistake(Code::BadValue, message).at(entry.key_span.clone()));
        }
        let Some(scalar) = value.scalar("a text", d) else { continue };
        if scalar.text.chars().any(|c| c.is_control() && c != '\t') {
            let message = format!("the header `{}` must be one line", entry.key);
            d.say(value.mistake(Code::BadValue, message));
        }
    }
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
