//! Who can be written to: each service with what it wants to know.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dns_update::providers::route53::Route53Config;
use dns_update::{DnsUpdater, Error, TsigAlgorithm};

/// A service, or a protocol, by which records are written.
pub(super) struct Service {
    /// Its name in `type`.
    pub(super) name: &'static str,
    /// What it wants to know.
    pub(super) keys: &'static [Key],
    /// For how many seconds others may keep a record: hardly at all, as far as it allows that.
    pub(super) ttl: u32,
    pub(super) open: fn(&Values) -> Result<DnsUpdater, Error>,
}

/// One thing that it wants to know.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Whether it may stand in a file of its own, and nowhere else.
    pub(super) is_secret: bool,
    pub(super) is_needed: bool,
    pub(super) form: Form,
}

/// What a value looks like.
pub(super) enum Form {
    Text,
    /// An address with or without a port.
    Server,
    Base64,
    OneOf(&'static [&'static str]),
}

/// What was written, secrets included.
pub(super) struct Values {
    pub(super) texts: BTreeMap<&'static str, String>,
    /// For one request.
    pub(super) timeout: Duration,
}

/// The port of name servers (RFC 1035, section 4.2).
const DNS: u16 = 53;
/// Those of RFC 8945, section 6, that are not deprecated and that the library can do.
const ALGORITHMS: [&str; 3] = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];
const OVH: [&str; 3] = ["ovh-eu", "ovh-ca", "ovh-us"];

const TOKEN: &[Key] = &[secret("token")];

/// All of them by name.
pub(super) static SERVICES: [Service; 20] = [
    by_token("bunny", 60, |with| DnsUpdater::new_bunny(with.token(), with.limit())),
    by_token("cloudflare", 60, |with| DnsUpdater::new_cloudflare(with.token(), with.limit())),
    by_token("desec", 3600, |with| DnsUpdater::new_desec(with.token(), with.limit())),
    by_token("digitalocean", 60, |with| DnsUpdater::new_digitalocean(with.token(), with.limit())),
    Service {
        name: "dnsimple",
        keys: &[secret("token"), needed("account")],
        ttl: 60,
        open: |with| DnsUpdater::new_dnsimple(with.token(), with.text("account"), with.limit()),
    },
    by_token("gandi", 300, |with| DnsUpdater::new_gandiv5(with.token(), with.limit())),
    by_token("gcore", 120, |with| DnsUpdater::new_gcore(with.token(), with.limit())),
    by_token("hetzner", 60, |with| DnsUpdater::new_hetzner(with.token(), with.limit())),
    by_token("infomaniak", 300, |with| DnsUpdater::new_infomaniak(with.token(), with.limit())),
    by_token("ionos", 300, |with| DnsUpdater::new_ionos(with.token(), with.limit())),
    by_token("linode", 300, |with| DnsUpdater::new_linode(with.token(), with.limit())),
    by_token("netlify", 300, |with| DnsUpdater::new_netlify(with.token(), with.limit())),
    by_token("ns1", 60, |with| DnsUpdater::new_ns1(with.token(), with.limit())),
    Service {
        name: "ovh",
        keys: &[
            needed("application_key"),
            secret("application_secret"),
            secret("consumer_key"),
            Key { form: Form::OneOf(&OVH), ..optional("endpoint") },
        ],
        ttl: 60,
        open: |with| {
            let [key, secret, consumer] =
                ["application_key", "application_secret", "consumer_key"].map(|name| with.text(name));
            let endpoint = with.get("endpoint").unwrap_or("ovh-eu").parse()?;
            DnsUpdater::new_ovh(key, secret, consumer, endpoint, with.limit())
        },
    },
    Service {
        name: "porkbun",
        keys: &[needed("api_key"), secret("secret_key")],
        ttl: 600,
        open: |with| DnsUpdater::new_porkbun(with.text("api_key"), with.text("secret_key"), with.limit()),
    },
    Service {
        name: "powerdns",
        keys: &[needed("url"), secret("api_key"), optional("server_id")],
        ttl: 60,
        open: |with| {
            let (key, url) = (with.text("api_key"), with.get("url"));
            DnsUpdater::new_pdns(key, url, with.get("server_id"), with.limit())
        },
    },
    Service {
        name: "rfc2136",
        keys: &[
            Key { form: Form::Server, ..needed("server") },
            needed("key_name"),
            Key { form: Form::Base64, ..secret("key") },
            Key { form: Form::OneOf(&ALGORITHMS), ..optional("algorithm") },
        ],
        ttl: 60,
        open: rfc2136,
    },
    Service {
        name: "route53",
        keys: &[
            needed("access_key_id"),
            secret("secret_access_key"),
            optional("region"),
            optional("hosted_zone_id"),
        ],
        ttl: 60,
        open: |with| {
            DnsUpdater::new_route53(Route53Config {
                access_key_id: with.text("access_key_id").to_owned(),
                secret_access_key: with.text("secret_access_key").to_owned(),
                session_token: None,
                region: with.get("region").map(str::to_owned),
                hosted_zone_id: with.get("hosted_zone_id").map(str::to_owned),
                private_zone_only: None,
                endpoint: None,
            })
        },
    },
    by_token("scaleway", 60, |with| DnsUpdater::new_scaleway(with.token(), with.limit())),
    by_token("vultr", 120, |with| DnsUpdater::new_vultr(with.token(), with.limit())),
];

/// A dynamic update (RFC 2136), signed with a key that the server knows (RFC 8945). By TCP, as section 2.1 asks of those who
/// rely on the answer.
fn rfc2136(with: &Values) -> Result<DnsUpdater, Error> {
    let algorithm = match with.get("algorithm") {
        Some("hmac-sha384") => TsigAlgorithm::HmacSha384,
        Some("hmac-sha512") => TsigAlgorithm::HmacSha512,
        _ => TsigAlgorithm::HmacSha256,
    };
    let server = server(with.text("server")).ok_or_else(|| Error::Parse("`server`".to_owned()))?;
    let key = base64(with.text("key")).ok_or_else(|| Error::Parse("`key` is not base64".to_owned()))?;
    DnsUpdater::new_rfc2136_tsig(format!("tcp://{server}"), with.text("key_name"), key, algorithm)
}

impl Values {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// One that is needed, and so is there.
    fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    fn token(&self) -> &str {
        self.text("token")
    }

    #[allow(clippy::unnecessary_wraps, reason = "as the library wants it")]
    fn limit(&self) -> Option<Duration> {
        Some(self.timeout)
    }
}

impl Form {
    /// What a value should be, where it is not.
    pub(super) fn refuses(&self, value: &str) -> Option<String> {
        match self {
            Self::Text if value.is_empty() => Some("something".to_owned()),
            Self::Server if server(value).is_none() => {
                Some("the address of a server, as `192.0.2.53:53`".to_owned())
            }
            Self::Base64 if base64(value).is_none() => {
                Some("base64, as the server's own key file has it".to_owned())
            }
            Self::OneOf(words) if !words.contains(&value) => Some(format!("one of {}", words.join(", "))),
            _ => None,
        }
    }
}

/// The address of a name server, whose port may be left out.
pub(super) fn server(text: &str) -> Option<SocketAddr> {
    let whole = text.parse().ok();
    whole.or_else(|| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse::<IpAddr>().ok()?, DNS)))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok().filter(|key| !key.is_empty())
}

const fn by_token(name: &'static str, ttl: u32, open: fn(&Values) -> Result<DnsUpdater, Error>) -> Service {
    Service { name, keys: TOKEN, ttl, open }
}

const fn needed(name: &'static str) -> Key {
    Key { name, is_secret: false, is_needed: true, form: Form::Text }
}

const fn secret(name: &'static str) -> Key {
    Key { is_secret: true, ..needed(name) }
}

const fn optional(name: &'static str) -> Key {
    Key { is_needed: false, ..needed(name) }
}
