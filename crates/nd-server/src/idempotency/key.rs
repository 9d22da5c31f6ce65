//! The key of a request, and what the request asks for.

use std::fmt;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use nd_core::records::DeploymentRecord;
use nd_types::Timestamp;
use sha2::{Digest, Sha256};

use super::{Hash, KEPT, used_otherwise};
use crate::identity::Caller;
use crate::refusal::Refusal;

/// The header of a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key.
const LONGEST: usize = 255;

/// A request that must not be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// Who sends it, under which key.
    pub(super) id: Hash,
    /// What it asks for.
    pub(super) wish: Hash,
}

impl Keyed {
    /// The key of a request's head, if it has one that counts.
    pub(crate) fn key_of(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        if method != Method::POST {
            return Ok(None);
        }
        let mut keys = headers.get_all(KEY).iter();
        match (keys.next(), keys.next()) {
            (None, _) => Ok(None),
            (Some(key), None) => parse(key).map(Some),
            (Some(_), Some(_)) => Err(Refusal::invalid("there is more than one Idempotency-Key")),
        }
    }

    pub(crate) fn new(key: &str, caller: &Caller, head: &Parts, body: &[u8]) -> Self {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            id: hash(&[caller.actor().as_bytes(), key.as_bytes()]),
            wish: hash(&[head.method.as_str().as_bytes(), target.as_bytes(), body]),
        }
    }

    /// The deployment that this request has begun, maybe of an earlier daemon.
    ///
    /// # Errors
    /// When the key was used for another one.
    pub(crate) fn begun(
        self,
        deployments: impl IntoIterator<Item = DeploymentRecord>,
        now: Timestamp,
    ) -> Result<Option<DeploymentRecord>, Refusal> {
        let (own, id) = (self.to_string(), hex(&self.id));
        let used = deployments.into_iter().find(|deployment| {
            let recent = now.duration_since(deployment.created_at).unsigned_abs() < KEPT;
            recent && deployment.request.as_ref().is_some_and(|request| request.starts_with(&id))
        });
        match used {
            Some(deployment) if deployment.request.as_ref() != Some(&own) => Err(used_otherwise()),
            found => Ok(found),
        }
    }
}

/// As a deployment keeps it.
impl fmt::Display for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", hex(&self.id), hex(&self.wish))
    }
}

/// A key as a string of structured fields (RFC 9651, section 3.3.3), or bare as most clients write it.
fn parse(value: &HeaderValue) -> Result<String, Refusal> {
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').map_or(Some(text), |rest| rest.strip_suffix('"')).unwrap_or_default();
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if key.is_empty() || key.len() > LONGEST || !plain {
        let reason = format!("Idempotency-Key must be 1 to {LONGEST} visible characters, as in a UUID");
        return Err(Refusal::invalid(reason));
    }
    Ok(key.to_owned())
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of all parts, each with its length, so that no two lists of parts are the same text.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_quoted_and_must_be_plain() {
        let parsed = |text: &str| HeaderValue::from_str(text).ok().and_then(|value| parse(&value).ok());
        assert_eq!(parsed("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(parsed("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        for bad in ["", "\"", "\"\"", "\"a", "a b", "a\\b", &"x".repeat(256)] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
