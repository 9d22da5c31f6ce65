//! `ssl_config:`, where files of the original tool say once more what `ssl:` says.

use nd_api::manifest::Ssl;

use super::{app, ssl};
use crate::decode::{Decoder, Field};
use crate::report::Code;

/// Takes over what it says and `ssl:` does not; two that contradict each other are a mistake.
pub(super) fn merge(field: &Field<'_>, into: &mut Ssl, d: &mut Decoder) {
    let Some(mut keys) = field.keys(d) else { return };
    settle(&mut into.email, keys.get("email"), ssl::email, d);
    settle(&mut into.staging, keys.get("staging"), Field::flag, d);
    settle(&mut into.wildcard, keys.get("wildcard"), Field::flag, d);
    settle(&mut into.dns_provider, keys.get("dns_provider"), ssl::dns_provider, d);
    if let Some(mut keys) = keys.get("ssl").and_then(|field| field.keys(d)) {
        settle(&mut into.enabled, keys.get("enabled"), Field::flag, d);
        settle(&mut into.provider, keys.get("provider"), ssl::provider, d);
        settle(&mut into.email, keys.get("email"), ssl::email, d);
        settle(&mut into.auto_renew, keys.get("auto_renew"), Field::flag, d);
        keys.finish(d);
    }
    if let Some(domain) = keys.get("domain").and_then(|field| app::host(&field, d))
        && !into.domains.contains(&domain)
    {
        into.domains.push(domain);
    }
    keys.finish(d);
}

fn settle<'f, T: PartialEq>(
    said: &mut Option<T>,
    field: Option<Field<'f>>,
    read: impl FnOnce(&Field<'f>, &mut Decoder) -> Option<T>,
    d: &mut Decoder,
) {
    let Some(field) = field else { return };
    let Some(value) = read(&field, d) else { return };
    if said.as_ref().is_some_and(|said| *said != value) {
        let message = format!("`{}` contradicts what is said before", field.path.dotted);
        let help = format!("keep one of them: `ssl.{}`", field.path.last);
        d.say(field.mistake(Code::Conflict, message).help(help));
        return;
    }
    *said = Some(value);
}
