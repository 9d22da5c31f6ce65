//! What the operator may choose.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nd_core::ports::ChallengeKind;
use nd_types::parse_duration;
use serde::{Deserialize, Deserializer, de};

use crate::KeyKind;

/// An authority that speaks ACME.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeSettings {
    /// The URL of its directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// Whom to trust when talking to it, as PEM; the public authorities without it.
    pub ca_file: Option<PathBuf>,
    /// Where it writes to when something is wrong with a certificate.
    pub email: Option<String>,
    /// An account at its other services, where it wants one (RFC 8555, section 7.3.4).
    pub eab: Option<Eab>,
    /// The kind of key of its certificates.
    pub key: KeyKind,
    /// The kind of certificate, of those it offers by name; an order's own one counts before it.
    pub profile: Option<String>,
    /// Of several chains the one whose last issuer has this common name; an order's own one counts before it.
    pub preferred_chain: Option<String>,
    /// How names are proven, of all that can be done here: the first of these that the authority offers. The usual order
    /// while it is empty: http-01, tls-alpn-01, dns-01.
    #[serde(deserialize_with = "challenges")]
    pub challenges: Vec<ChallengeKind>,
    /// Whether to look first if a name leads here, and if the authority may issue for it.
    pub check_dns: bool,
    /// The addresses at which the world reaches this machine, where its network cards do not have them.
    pub addresses: Vec<IpAddr>,
    /// How long an order may take, validation of its names included.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
}

/// An account at other services of an authority.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eab {
    /// Its key identifier.
    pub kid: String,
    /// Its key as base64url, as it is given out.
    pub hmac_key: String,
}

/// Whom to ask about names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSettings {
    /// These name servers; those of the system where there is none.
    pub servers: Vec<SocketAddr>,
}

/// A program that writes into the DNS.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecSettings {
    /// The program and its first arguments. `present` or `cleanup`, the name of the record and its value are added.
    pub command: Vec<String>,
    /// What it finds in its environment beside `PATH` and `HOME`: keys of a provider, mostly.
    pub env: BTreeMap<String, String>,
    /// How long one run may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long to wait until the record can be seen; not at all with `0s`.
    #[serde(deserialize_with = "duration")]
    pub propagation_timeout: Duration,
}

impl Default for AcmeSettings {
    /// No authority yet; five minutes for an order, as long as one may validate.
    fn default() -> Self {
        Self {
            directory: String::new(),
            ca_file: None,
            email: None,
            eab: None,
            key: KeyKind::default(),
            profile: None,
            preferred_chain: None,
            challenges: Vec::new(),
            check_dns: true,
            addresses: Vec::new(),
            timeout: Duration::from_secs(300),
        }
    }
}

impl AcmeSettings {
    /// Let's Encrypt, whose certificates every client trusts.
    #[must_use]
    pub fn lets_encrypt() -> Self {
        let directory = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
        Self { directory, ..Self::default() }
    }

    /// Let's Encrypt's other half, with wide limits and certificates that nobody trusts: for trying things out.
    #[must_use]
    pub fn lets_encrypt_staging() -> Self {
        let directory = "https://acme-staging-v02.api.letsencrypt.org/directory".to_owned();
        Self { directory, ..Self::default() }
    }

    /// ZeroSSL, which wants an account (`eab`).
    #[must_use]
    pub fn zero_ssl() -> Self {
        Self { directory: "https://acme.zerossl.com/v2/DV90".to_owned(), ..Self::default() }
    }
}

impl Default for ExecSettings {
    /// No program; a minute for a run, two for the record to be seen, as most providers keep within.
    fn default() -> Self {
        Self {
            command: Vec::new(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            propagation_timeout: Duration::from_secs(120),
        }
    }
}

/// The key stays out of it.
impl fmt::Debug for Eab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eab").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The values of the environment stay out of it.
impl fmt::Debug for ExecSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.keys().collect();
        f.debug_struct("ExecSettings")
            .field("command", &self.command)
            .field("env", &names)
            .finish_non_exhaustive()
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn challenges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ChallengeKind>, D::Error> {
    let known = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01];
    let read = |text: String| {
        let found = known.into_iter().find(|kind| kind.as_str() == text);
        let all = known.map(ChallengeKind::as_str).join(", ");
        found.ok_or_else(|| de::Error::custom(format!("`{text}` is not one of {all}")))
    };
    Vec::deserialize(deserializer)?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_named_as_authorities_name_them() {
        let read = |challenge: &str| {
            let text = format!(r#"{{"challenges": ["{challenge}"]}}"#);
            serde_json::from_str::<AcmeSettings>(&text).map(|settings| settings.challenges)
        };
        assert_eq!(read("tls-alpn-01").unwrap(), [ChallengeKind::TlsAlpn01]);
        let wrong = read("tls-01").unwrap_err().to_string();
        assert!(wrong.contains("`tls-01` is not one of http-01, tls-alpn-01, dns-01"), "{wrong}");
    }

    #[test]
    fn secrets_are_never_shown() {
        let text = r#"{"directory": "https://a.test/dir", "eab": {"kid": "me", "hmac_key": "c2VjcmV0"}, "timeout": "1m"}"#;
        let settings: AcmeSettings = serde_json::from_str(text).unwrap();
        assert!(settings.check_dns && settings.timeout == Duration::from_secs(60));
        assert!(!format!("{settings:?}").contains("c2VjcmV0"));
        let exec: ExecSettings =
            serde_json::from_str(r#"{"command": ["hook"], "env": {"TOKEN": "c2VjcmV0"}}"#).unwrap();
        assert!(!format!("{exec:?}").contains("c2VjcmV0"));
        assert!(serde_json::from_str::<AcmeSettings>(r#"{"directroy": "x"}"#).is_err());
    }
}
