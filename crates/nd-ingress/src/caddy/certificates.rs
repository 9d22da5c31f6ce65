//! Our certificates in Caddy's configuration: loaded with tags of ours, and chosen by them.

use std::hash::{DefaultHasher, Hash, Hasher};

use nd_types::{Certificate, HostPattern};
use serde_json::{Map, Value, json};

use super::config::MARKER;

/// Where Caddy has certificates that it is given.
const LOADED: &str = "/apps/tls/certificates/load_pem";

/// Puts them beside what the user has loaded.
pub(super) fn load(config: &mut Value, certificates: &[&Certificate]) {
    let ours = certificates.iter().map(|certificate| {
        json!({
            "certificate": certificate.chain,
            "key": certificate.key.expose(),
            "tags": [MARKER, tag(certificate)]
        })
    });
    let parent = ["apps", "tls", "certificates"].into_iter().try_fold(&mut *config, |parent, key| {
        let parent = parent.as_object_mut()?.entry(key).or_insert_with(|| json!({}));
        if parent.is_null() {
            *parent = json!({});
        }
        Some(parent)
    });
    let loaded = parent.and_then(Value::as_object_mut);
    let Some(loaded) = loaded.map(|parent| parent.entry("load_pem").or_insert_with(|| json!([]))) else {
        return;
    };
    if let Value::Array(loaded) = loaded {
        loaded.extend(ours);
    }
}

/// Takes them out, and what was there for their sake alone.
pub(super) fn unload(config: &mut Value) {
    let Some(Value::Array(loaded)) = config.pointer_mut(LOADED) else { return };
    let before = loaded.len();
    loaded.retain(|one| {
        let tags = one.get("tags").and_then(Value::as_array).into_iter().flatten();
        !tags.into_iter().any(|tag| tag == MARKER)
    });
    if loaded.len() == before || !loaded.is_empty() {
        return;
    }
    for (parent, key) in
        [("/apps/tls/certificates", "load_pem"), ("/apps/tls", "certificates"), ("/apps", "tls")]
    {
        let Some(parent) = config.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
        if !parent.get(key).is_some_and(is_empty) {
            return;
        }
        parent.remove(key);
    }
}

/// Which certificate is shown for which name: a Caddy that has had another one for it before would go on with that.
pub(super) fn policies<'c>(shown: impl Iterator<Item = (&'c HostPattern, &'c Certificate)>) -> Vec<Value> {
    let mut policies: Vec<Value> = shown
        .map(|(host, certificate)| {
            json!({
                "match": {"sni": [host.as_str()]},
                "certificate_selection": {"any_tag": [tag(certificate)]}
            })
        })
        .collect();
    policies.push(Value::Object(Map::new()));
    policies
}

/// What no other certificate has.
fn tag(certificate: &Certificate) -> String {
    let mut number = DefaultHasher::new();
    certificate.chain.hash(&mut number);
    format!("{MARKER}-{:016x}", number.finish())
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use nd_types::KeyPem;

    use super::*;

    fn certificate(chain: &str) -> Certificate {
        let names = vec![HostPattern::pattern("a.test").unwrap()];
        Certificate { names, chain: chain.to_owned(), key: KeyPem::new("key") }
    }

    #[test]
    fn what_the_user_has_loaded_stays() {
        let users = json!({"certificate": "c", "key": "k", "tags": ["mine"]});
        let alone = json!({"apps": {"http": {}}});
        let with = json!({"apps": {"tls": {"certificates": {"load_pem": [users]}}}});
        let empty = json!({"apps": {"tls": {"certificates": {"load_pem": []}}}});
        for before in [alone, with, empty.clone()] {
            let mut config = before.clone();
            load(&mut config, &[&certificate("one"), &certificate("two")]);
            let loaded = config.pointer(LOADED).unwrap().as_array().unwrap();
            assert_eq!(loaded.last().unwrap()["certificate"], "two");
            unload(&mut config);
            let is_same = config == before || (before == empty && config == json!({"apps": {}}));
            assert!(is_same, "{config}");
        }
    }

    #[test]
    fn another_certificate_has_another_tag() {
        assert_ne!(tag(&certificate("one")), tag(&certificate("two")));
    }
}
