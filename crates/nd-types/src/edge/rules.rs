//! What the data plane does with an app's requests and answers beside passing them on.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{BasicAuth, Compression, ErrorPages, FieldName, FieldValue, Network, PathPrefix, Redirect};

/// The rules of one app. In the order of a request: access, redirects, passwords, the fields of the answer and its coding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficRules {
    /// Who may ask.
    #[serde(skip_serializing_if = "AccessRules::is_empty")]
    pub access: AccessRules,
    /// Who may ask, by name and password.
    #[serde(skip_serializing_if = "BasicAuth::is_empty")]
    pub basic_auth: BasicAuth,
    /// Paths that have moved; the first one that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// What is added to answers and taken from them.
    #[serde(skip_serializing_if = "HeaderRules::is_empty")]
    pub headers: HeaderRules,
    /// How its answers are compressed.
    #[serde(skip_serializing_if = "Compression::is_default")]
    pub compression: Compression,
    /// Its pages for what the data plane answers in its place.
    #[serde(skip_serializing_if = "ErrorPages::is_empty")]
    pub error_pages: ErrorPages,
}

impl TrafficRules {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may ask, by the address of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessRules {
    /// Nobody else; everybody where it is empty.
    pub allow: Vec<Network>,
    /// Not these, not even when they are allowed.
    pub deny: Vec<Network>,
    /// Only under these paths; everywhere where it is empty.
    pub paths: Vec<PathPrefix>,
}

impl AccessRules {
    /// Whether everybody may ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether this client may ask, under a path that the rules are about.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        let among = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
        !among(&self.deny) && (self.allow.is_empty() || among(&self.allow))
    }
}

/// What is added to every answer of an app, those of the proxy in its place included, and taken from its own ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderRules {
    /// Set in this order. One of the same name from the app gives way, where a name may stand only once.
    pub add: Vec<(FieldName, FieldValue)>,
    /// Not passed on.
    pub remove: Vec<FieldName>,
}

impl HeaderRules {
    /// Whether nothing is added or taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Whether the app's own field of this name is passed on.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        let same = |rule: &FieldName| rule.as_str().eq_ignore_ascii_case(name);
        !self.remove.iter().any(same) && !self.add.iter().any(|(rule, _)| same(rule) && !rule.may_repeat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_is_denied_even_where_it_is_allowed() {
        let rules = AccessRules {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.1.0.0/16".parse().unwrap()],
            paths: vec![],
        };
        let admits = |client: &str| rules.admits(client.parse().unwrap());
        assert!(admits("10.2.0.1") && !admits("10.1.0.1") && !admits("192.0.2.1"));
        assert!(AccessRules::default().admits("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_field_that_is_set_replaces_the_apps_own() {
        let rules = HeaderRules {
            add: vec![
                ("X-Frame-Options".parse().unwrap(), "DENY".parse().unwrap()),
                ("Vary".parse().unwrap(), "Cookie".parse().unwrap()),
            ],
            remove: vec!["Server".parse().unwrap()],
        };
        assert!(!rules.keeps("x-frame-options") && !rules.keeps("SERVER"));
        assert!(rules.keeps("vary") && rules.keeps("Content-Type"));
    }
}
