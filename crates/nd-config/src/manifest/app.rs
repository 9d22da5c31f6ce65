//! `app:`

use nd_api::manifest::{App, Resources};
use nd_types::{ByteSize, HostPattern, InvalidHost};

use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::Code;

/// The least memory an engine accepts as a limit.
pub(super) const LEAST_MEMORY: ByteSize = ByteSize(6 << 20);
/// More processes than the kernel can number.
const MOST_PIDS: i64 = 4_194_304;

pub(super) fn decode(field: &Field<'_>, d: &mut Decoder) -> Option<App> {
    let mut keys = field.keys(d)?;
    let name = keys.required("name", "write `name: shop`", d).and_then(|field| field.parsed(d));
    let port = keys.get("port").and_then(|field| field.parsed(d));
    let protocol = keys.get("protocol").and_then(|field| field.word(d));
    let domain = keys.get("domain").and_then(|field| domain(&field, d));
    let proxy_type = keys.get("proxy_type").and_then(|field| field.word(d));
    let environment = keys.get("environment").and_then(|field| field.word(d));
    let deletion_protection = keys.get("deletion_protection").and_then(|field| field.flag(d));
    let resources = keys.get("resources").map(|field| resources(&field, d)).unwrap_or_default();
    keys.finish(d);
    Some(App { name: name?, port, protocol, domain, proxy_type, environment, deletion_protection, resources })
}

/// A host name, or the original tool's block with its `name`.
fn domain(field: &Field<'_>, d: &mut Decoder) -> Option<HostPattern> {
    if matches!(field.node.value, Value::Map(_)) {
        let mut keys = field.keys(d)?;
        let name = keys.required("name", "write `name: app.example.com`", d);
        let host = name.and_then(|name| host(&name, d));
        keys.finish(d);
        return host;
    }
    host(field, d)
}

/// A host name.
pub(super) fn host(field: &Field<'_>, d: &mut Decoder) -> Option<HostPattern> {
    let text = &field.scalar("a host name", d)?.text;
    HostPattern::new(text)
        .map_err(|error: InvalidHost| d.say(field.mistake(Code::BadValue, error.to_string())))
        .ok()
}

fn resources(field: &Field<'_>, d: &mut Decoder) -> Resources {
    let Some(mut keys) = field.keys(d) else { return Resources::default() };
    let (max, high) = (keys.get("memory_max"), keys.get("memory_high"));
    let resources = Resources {
        cpu_quota: keys.get("cpu_quota").and_then(|field| field.parsed(d)),
        memory_max: max.as_ref().and_then(|field| field.size(LEAST_MEMORY, d)),
        memory_high: high.as_ref().and_then(|field| field.size(LEAST_MEMORY, d)),
        pids: keys.get("pids").and_then(|field| field.whole(&(1..=MOST_PIDS), d)),
    };
    if let (Some(most), Some(reclaim), Some(max), Some(high)) =
        (resources.memory_max, resources.memory_high, max, high)
        && reclaim > most
    {
        let message = format!("resources.memory_high ({reclaim}) must not exceed memory_max ({most})");
        d.say(high.mistake(Code::Conflict, message).also(max.node.span.clone(), "memory_max is here"));
    }
    keys.finish(d);
    resources
}
