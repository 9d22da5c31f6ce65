//! `mirror:`

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::manifest::Mirror;

use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::Code;

/// Below a second nothing cools down.
const COOLDOWN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// `true`, `false`, or what there is to say about it.
pub(super) fn decode(field: &Field<'_>, d: &mut Decoder) -> Option<Mirror> {
    if let Value::Scalar(_) = &field.node.value {
        return field.flag(d)?.then(Mirror::default);
    }
    let mut keys = field.keys(d)?;
    let mirror = Mirror {
        cooldown: keys.get("cooldown").and_then(|field| field.duration(&COOLDOWN, d)),
        sync: keys.get("sync").map(|field| paths(&field, d)).unwrap_or_default(),
        sticky: keys.get("sticky").and_then(|field| field.word(d)),
    };
    keys.finish(d);
    Some(mirror)
}

fn paths(field: &Field<'_>, d: &mut Decoder) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for item in field.one_or_more(d) {
        let Some(path) = item.text(d) else { continue };
        let plain = path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == "..");
        if !plain || path.contains(':') {
            let message = format!("`{path}` is no directory to share");
            d.say(
                item.mistake(Code::BadValue, message).help("write an absolute path, as in `/app/sessions`"),
            );
        } else if paths.contains(&path) {
            d.say(item.mistake(Code::Conflict, format!("`{path}` is written twice")));
        } else {
            paths.push(path);
        }
    }
    paths
}
