//! `deployment.rollout:`

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::{AbortIf, Canary, Rollout};
use nd_types::{Percent, StrategyName};

use super::sections::{UP_TO_DAY, UP_TO_HOUR};
use crate::decode::{Decoder, Field};
use crate::report::Code;
use crate::suggest::closest;

/// The strategies as they are written.
const STRATEGIES: [(&str, StrategyName); 4] = [
    ("bluegreen", StrategyName::BlueGreen),
    ("rolling", StrategyName::Rolling),
    ("recreate", StrategyName::Recreate),
    ("canary", StrategyName::Canary),
];

/// More steps than these are a typing error.
const MOST_STEPS: usize = 20;

/// A shorter step shows nothing.
const PAUSE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// A p95 beyond these is a typing error.
const P95: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(30);

pub(super) fn decode(field: &Field<'_>, d: &mut Decoder) -> Rollout {
    let Some(mut keys) = field.keys(d) else { return Rollout::default() };
    let rollout = Rollout {
        strategy: keys.get("strategy").and_then(|field| strategy(&field, d)),
        keep: keys.get("keep").and_then(|field| field.whole(&(1..=100), d)),
        drain: keys.get("drain").and_then(|field| field.duration(&UP_TO_HOUR, d)),
        bake: keys.get("bake").and_then(|field| field.duration(&UP_TO_DAY, d)),
        canary: keys.get("canary").map(|field| canary(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    rollout
}

fn strategy(field: &Field<'_>, d: &mut Decoder) -> Option<StrategyName> {
    let text = &field.scalar("a word", d)?.text;
    let known = STRATEGIES.iter().find(|(word, _)| word == text);
    if known.is_none() {
        let message = format!("`{text}` is not one of bluegreen, rolling, recreate, canary");
        let mistake = field.mistake(Code::BadValue, message);
        d.say(match closest(text, STRATEGIES.map(|(word, _)| word)) {
            Some(word) => mistake.help(format!("`{word}`")),
            None => mistake,
        });
    }
    known.map(|(_, name)| *name)
}

fn canary(field: &Field<'_>, d: &mut Decoder) -> Canary {
    let Some(mut keys) = field.keys(d) else { return Canary::default() };
    let canary = Canary {
        steps: keys.get("steps").map(|field| steps(&field, d)).unwrap_or_default(),
        pause: keys.get("pause").and_then(|field| field.duration(&PAUSE, d)),
        abort_if: keys.get("abort_if").map(|field| abort_if(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    canary
}

fn steps(field: &Field<'_>, d: &mut Decoder) -> Vec<u8> {
    let items = field.one_or_more(d);
    if items.is_empty() || items.len() > MOST_STEPS {
        let message = format!("steps must be 1–{MOST_STEPS} shares of the clients, found {}", items.len());
        d.say(field.mistake(Code::BadValue, message).help("write `[5, 25, 50]`"));
        return Vec::new();
    }
    let mut steps: Vec<u8> = Vec::new();
    for item in &items {
        let Some(share) = item.parsed::<Percent>(d) else { continue };
        let Some(step) = share.as_whole().filter(|percent| *percent > 0) else {
            let message = format!("a step must be a whole percent, 1–100, found {share}");
            d.say(item.mistake(Code::BadValue, message));
            continue;
        };
        if let Some(before) = steps.last().filter(|before| **before >= step) {
            let message = format!("steps must rise, and {step}% comes after {before}%");
            d.say(item.mistake(Code::BadValue, message).help("write `[5, 25, 50]`"));
        }
        steps.push(step);
    }
    steps
}

fn abort_if(field: &Field<'_>, d: &mut Decoder) -> AbortIf {
    let Some(mut keys) = field.keys(d) else { return AbortIf::default() };
    let rules = AbortIf {
        error_rate: keys.get("error_rate").and_then(|field| field.parsed(d)),
        p95: keys.get("p95").and_then(|field| field.duration(&P95, d)),
    };
    keys.finish(d);
    rules
}
