//! What the operator writes about one provider.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nd_types::parse_duration;

use super::services::{self, Key, SERVICES, Service, Values};

/// A provider of DNS, and what it wants to know before it takes records.
#[derive(Clone)]
pub struct DnsProviderSettings {
    pub(super) service: &'static Service,
    given: BTreeMap<&'static str, Given>,
    /// The zone that is written to; it is looked for where none is written.
    pub(super) zone: Option<String>,
    /// How long one change may take.
    pub(super) timeout: Duration,
    /// How long to wait until a record can be seen; not at all with none.
    pub(super) propagation_timeout: Duration,
}

#[derive(Clone)]
enum Given {
    Here(String),
    /// Read anew for each change, so that it may be replaced at any time.
    In(PathBuf),
}

/// What is wrong with the settings of a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsProviderError {
    /// Nobody has that name.
    #[error("`{name}` is not one of {}", known())]
    UnknownService {
        /// The name that was written, as `type` or as that of the table.
        name: String,
    },
    /// A key that this provider has no use for.
    #[error("unknown key `{key}`; known are {known}")]
    UnknownKey {
        /// It.
        key: String,
        /// Those that it has.
        known: String,
    },
    /// A key that this provider cannot do without.
    #[error("`{key}` is missing")]
    Missing {
        /// It, with its other name where it has one.
        key: String,
    },
    /// A secret that stands in two places.
    #[error("`{0}` and `{0}_file` say the same thing twice: keep one of them")]
    Twice(&'static str),
    /// A value that cannot be meant.
    #[error("`{key}` must be {wanted}")]
    BadValue {
        /// Its key.
        key: String,
        /// What it should be.
        wanted: String,
    },
}

/// Why what was written cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("read `{key}` in {path}: {error}")]
    File { key: &'static str, path: String, error: std::io::Error },
    #[error("what is in {path} must be {wanted}")]
    Content { path: String, wanted: String },
}

impl DnsProviderSettings {
    /// The settings in the table of that name, which is the service's own where no `type` says another one. What is secret
    /// may stand in a file: `token_file` instead of `token`.
    ///
    /// # Errors
    /// [`DnsProviderError`] says what cannot be meant; no value is in it.
    pub fn read(name: &str, written: &BTreeMap<String, String>) -> Result<Self, DnsProviderError> {
        let name = written.get("type").map_or(name, String::as_str);
        let service = SERVICES.iter().find(|service| service.name == name);
        let service = service.ok_or_else(|| DnsProviderError::UnknownService { name: name.to_owned() })?;
        let mut settings = Self {
            service,
            given: BTreeMap::new(),
            zone: None,
            timeout: Duration::from_secs(60),
            propagation_timeout: Duration::from_secs(120),
        };
        for (key, value) in written {
            match key.as_str() {
                "type" => {}
                "zone" => settings.zone = Some(value.trim_matches('.').to_ascii_lowercase()),
                "timeout" => settings.timeout = duration(key, value)?,
                "propagation_timeout" => settings.propagation_timeout = duration(key, value)?,
                _ => settings.take(key, value)?,
            }
        }
        let is_there = |key: &&Key| !key.is_needed || settings.given.contains_key(key.name);
        match service.keys.iter().find(|key| !is_there(key)) {
            None => Ok(settings),
            Some(key) if key.is_secret => {
                Err(DnsProviderError::Missing { key: format!("{0}` or `{0}_file", key.name) })
            }
            Some(key) => Err(DnsProviderError::Missing { key: key.name.to_owned() }),
        }
    }

    fn take(&mut self, written: &str, value: &str) -> Result<(), DnsProviderError> {
        let bad = |wanted: String| DnsProviderError::BadValue { key: written.to_owned(), wanted };
        let in_file = written.strip_suffix("_file");
        let found = self.service.keys.iter().find_map(|key| match in_file {
            _ if key.name == written => Some((key, Given::Here(value.to_owned()))),
            Some(name) if key.is_secret && key.name == name => Some((key, Given::In(value.into()))),
            _ => None,
        });
        let Some((key, given)) = found else {
            let own = self.service.keys.iter().map(|key| key.name);
            let all: Vec<&str> = own.chain(["type", "zone", "timeout", "propagation_timeout"]).collect();
            return Err(DnsProviderError::UnknownKey { key: written.to_owned(), known: all.join(", ") });
        };
        match &given {
            Given::Here(text) => key.form.refuses(text).map_or(Ok(()), |wanted| Err(bad(wanted)))?,
            Given::In(path) if !path.is_absolute() => return Err(bad("an absolute path".to_owned())),
            Given::In(_) => {}
        }
        match self.given.insert(key.name, given) {
            None => Ok(()),
            Some(_) => Err(DnsProviderError::Twice(key.name)),
        }
    }

    /// The name server that takes changes, where it is one.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        match self.given.get("server") {
            Some(Given::Here(text)) => services::server(text),
            _ => None,
        }
    }

    /// Everything it wants to know, from files too; this may block.
    pub(super) fn values(&self) -> Result<Values, Unreadable> {
        let mut values = Values { texts: BTreeMap::new(), timeout: self.timeout };
        for key in self.service.keys {
            let text = match self.given.get(key.name) {
                None => continue,
                Some(Given::Here(text)) => text.clone(),
                Some(Given::In(path)) => {
                    let name = path.display().to_string();
                    let text = fs::read_to_string(path).map_err(|error| Unreadable::File {
                        key: key.name,
                        path: name.clone(),
                        error,
                    })?;
                    let text = text.trim().to_owned();
                    if let Some(wanted) = key.form.refuses(&text) {
                        return Err(Unreadable::Content { path: name, wanted });
                    }
                    text
                }
            };
            values.texts.insert(key.name, text);
        }
        Ok(values)
    }
}

/// What was given stays out of it.
impl fmt::Debug for DnsProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<_> = self.given.keys().collect();
        f.debug_struct("DnsProviderSettings")
            .field("service", &self.service.name)
            .field("zone", &self.zone)
            .field("given", &given)
            .finish_non_exhaustive()
    }
}

fn duration(key: &str, value: &str) -> Result<Duration, DnsProviderError> {
    parse_duration(value).map_err(|_| DnsProviderError::BadValue {
        key: key.to_owned(),
        wanted: "a duration such as `1m`".to_owned(),
    })
}

fn known() -> String {
    SERVICES.iter().map(|service| service.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, pairs: &[(&str, &str)]) -> Result<DnsProviderSettings, String> {
        let written = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        DnsProviderSettings::read(name, &written).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_what_its_table_is_called_unless_it_says_otherwise() {
        assert_eq!(read("cloudflare", &[("token", "t")]).unwrap().service.name, "cloudflare");
        let second =
            read("second", &[("type", "hetzner"), ("token", "t"), ("zone", "Example.com.")]).unwrap();
        assert_eq!((second.service.name, second.zone.as_deref()), ("hetzner", Some("example.com")));
        let error = read("second", &[("token", "t")]).unwrap_err();
        assert!(error.starts_with("`second` is not one of bunny, cloudflare, desec"), "{error}");
    }

    #[test]
    fn what_is_missing_unknown_or_cannot_be_meant_is_named() {
        let told = |name, pairs: &[(&str, &str)]| read(name, pairs).unwrap_err();
        assert_eq!(told("cloudflare", &[]), "`token` or `token_file` is missing");
        let unknown = told("cloudflare", &[("tokn", "t")]);
        assert_eq!(unknown, "unknown key `tokn`; known are token, type, zone, timeout, propagation_timeout");
        let twice = told("cloudflare", &[("token", "t"), ("token_file", "/t")]);
        assert_eq!(twice, "`token` and `token_file` say the same thing twice: keep one of them");
        let lab = [("key_name", "k"), ("key", "c2VjcmV0"), ("server", "192.0.2.53")];
        assert_eq!(read("rfc2136", &lab).unwrap().server(), "192.0.2.53:53".parse().ok());
        let wrong = told("rfc2136", &[lab[0], lab[1], ("server", "ns.example.com")]);
        assert_eq!(wrong, "`server` must be the address of a server, as `192.0.2.53:53`");
        let wrong = told("rfc2136", &[lab[0], lab[2], ("key", "c2VjcmV0=!")]);
        assert!(wrong.starts_with("`key` must be base64") && !wrong.contains("c2VjcmV0"), "{wrong}");
        let wrong = told("rfc2136", &[lab[0], lab[1], lab[2], ("algorithm", "hmac-md5")]);
        assert_eq!(wrong, "`algorithm` must be one of hmac-sha256, hmac-sha384, hmac-sha512");
        assert_eq!(
            told("cloudflare", &[("token", "t"), ("timeout", "9")]),
            "`timeout` must be a duration such as `1m`"
        );
    }

    #[test]
    fn every_provider_opens_with_what_it_asks_for_and_shows_none_of_it() {
        for service in &SERVICES {
            let value = |key: &Key| match key.form {
                services::Form::Server => "192.0.2.53:53",
                services::Form::OneOf(words) => words.last().unwrap(),
                services::Form::Text if key.name == "region" => "eu-central-1",
                services::Form::Base64 | services::Form::Text => "c2VjcmV0c2VjcmV0",
            };
            let pairs: Vec<_> = service.keys.iter().map(|key| (key.name, value(key))).collect();
            let settings = read(service.name, &pairs).unwrap();
            assert!(!format!("{settings:?}").contains("c2VjcmV0"), "{settings:?}");
            let opened = (service.open)(&settings.values().unwrap());
            assert!(opened.is_ok(), "{}: {:?}", service.name, opened.err());
        }
    }

    #[test]
    fn a_secret_in_a_file_is_read_when_it_is_used() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        let settings = read("cloudflare", &[("token_file", path.to_str().unwrap())]).unwrap();
        let error = settings.values().err().unwrap().to_string();
        assert!(error.starts_with(&format!("read `token` in {}", path.display())), "{error}");
        fs::write(&path, "first\n").unwrap();
        assert_eq!(settings.values().unwrap().get("token"), Some("first"));
        fs::write(&path, "second").unwrap();
        assert_eq!(settings.values().unwrap().get("token"), Some("second"));
    }
}
