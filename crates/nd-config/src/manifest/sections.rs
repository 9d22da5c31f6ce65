//! `deployment.stop:`, `restart:` and `scale:`

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{RestartLimits, RestartPolicy, Scale, Stop};

use super::app::LEAST_MEMORY;
use crate::decode::{Decoder, Field, Keys};
use crate::node::Value;
use crate::report::Code;

pub(super) const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
pub(super) const UP_TO_HOUR: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
pub(super) const UP_TO_DAY: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// The range that Coolify has for the same setting.
const GRACE: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;

pub(super) fn stop(field: &Field<'_>, d: &mut Decoder) -> Stop {
    let Some(mut keys) = field.keys(d) else { return Stop::default() };
    let stop = Stop {
        signal: keys.get_any(&["signal", "stop_signal"], d).and_then(|field| field.word(d)),
        grace: keys.get_any(&["grace", "kill_timeout"], d).and_then(|field| field.duration(&GRACE, d)),
    };
    keys.finish(d);
    stop
}

/// How an instance is stopped, said at the top level: `stop:` is `deployment.stop:`, and its two keys may stand there
/// alone under the names that PM2 and Compose give them. Said twice it would be open which one holds.
pub(super) fn stop_at_top(keys: &mut Keys<'_>, stop_below: &mut Stop, d: &mut Decoder) {
    let (section, signal, timeout) = (keys.get("stop"), keys.get("stop_signal"), keys.get("kill_timeout"));
    if let Some(field) = section {
        if *stop_below != Stop::default() {
            twice(&field, "deployment.stop", d);
        }
        *stop_below = stop(&field, d);
    }
    if let Some(field) = signal {
        if stop_below.signal.is_some() {
            twice(&field, "stop.signal", d);
        }
        stop_below.signal = field.word(d);
    }
    if let Some(field) = timeout {
        if stop_below.grace.is_some() {
            twice(&field, "stop.grace", d);
        }
        stop_below.grace = field.duration(&GRACE, d);
    }
}

fn twice(field: &Field<'_>, other: &str, d: &mut Decoder) {
    let message = format!("`{}` and `{other}` say the same thing twice", field.path.last);
    d.say(field.mistake(Code::Conflict, message).at(field.key_span.clone()).help("keep one of them"));
}

pub(super) fn restart(field: &Field<'_>, d: &mut Decoder) -> RestartLimits {
    if let Value::Scalar(scalar) = &field.node.value {
        let mistake =
            field.mistake(Code::WrongType, format!("restart holds limits, found {}", field.node.describe()));
        d.say(match scalar.text.parse::<RestartPolicy>() {
            Ok(policy) => {
                mistake.help(format!("write the policy as `deployment.container.restart: {policy}`"))
            }
            Err(_) => mistake,
        });
        return RestartLimits::default();
    }
    let Some(mut keys) = field.keys(d) else { return RestartLimits::default() };
    let delays = ["delay", "restart_delay", "exponential_backoff_restart_delay", "exp_backoff_restart_delay"];
    let delay = keys.get_any(&delays, d);
    let max_delay = keys.get("max_delay");
    let limits = RestartLimits {
        max: keys.get_any(&["max", "max_restarts"], d).and_then(|field| field.parsed(d)),
        min_uptime: keys.get("min_uptime").and_then(|field| field.duration(&UP_TO_DAY, d)),
        delay: delay.as_ref().and_then(|field| field.duration(&UP_TO_HOUR, d)),
        backoff: keys.get("backoff").and_then(|field| field.parsed(d)),
        max_delay: max_delay.as_ref().and_then(|field| field.duration(&UP_TO_DAY, d)),
        crash_threshold: keys.get("crash_threshold").and_then(|field| field.whole(&(1..=1000), d)),
        crash_window: keys
            .get("crash_window")
            .and_then(|field| field.duration(&(Duration::from_secs(1)..=DAY), d)),
        max_memory: keys
            .get_any(&["max_memory", "max_memory_restart"], d)
            .and_then(|field| field.size(LEAST_MEMORY, d)),
        stop_exit_codes: keys.get("stop_exit_codes").map(|field| exit_codes(&field, d)).unwrap_or_default(),
        cron: keys.get_any(&["cron", "cron_restart"], d).and_then(|field| field.parsed(d)),
    };
    if let (Some(first), Some(longest), Some(delay), Some(max_delay)) =
        (limits.delay, limits.max_delay, delay, max_delay)
        && first > longest
    {
        let message = format!("restart.{} must not exceed max_delay", delay.path.last);
        d.say(delay.mistake(Code::Conflict, message).also(max_delay.node.span.clone(), "max_delay is here"));
    }
    keys.finish(d);
    limits
}

fn exit_codes(field: &Field<'_>, d: &mut Decoder) -> Vec<i32> {
    field.one_or_more(d).iter().filter_map(|item| item.whole(&(0..=255), d)).collect()
}

pub(super) fn scale(field: &Field<'_>, d: &mut Decoder) -> Scale {
    let Some(mut keys) = field.keys(d) else { return Scale::default() };
    let scale = Scale { instances: keys.get("instances").and_then(|field| field.parsed(d)) };
    keys.finish(d);
    scale
}
