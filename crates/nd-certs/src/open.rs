//! From settings to adapters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nd_core::ports::{
    CertIssuer, CertStore, ChallengeSolver, IssuerName, PortError, PortErrorKind, PortResult,
};
use nd_supervise::Clock;
use nd_types::HostPattern;

use crate::settings::NOBODY;
use crate::{Acme, AcmeSettings, CertsOnDisk, Dns, ExecDns, InternalCa, OwnFiles, Settings, self_signed};

/// The issuer with an authority of our own.
pub const INTERNAL: &str = "internal";
/// The issuer that reads files.
pub const CUSTOM: &str = "custom";

/// Everything that has to do with certificates.
pub struct Adapters {
    /// Who issues them: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `internal`, `custom`, and those of the settings.
    pub issuers: Vec<Arc<dyn CertIssuer>>,
    /// Who issues for apps that name nobody.
    pub issuer: Option<IssuerName>,
    /// Who can prove names beside the data plane.
    pub solvers: Vec<Arc<dyn ChallengeSolver>>,
    /// Where they are kept.
    pub store: Arc<dyn CertStore>,
    /// The authority of our own, for its root.
    pub internal: Arc<InternalCa>,
    /// For names that have none: a certificate that nobody trusts.
    pub fallback: Arc<nd_types::Certificate>,
}

/// Makes every adapter; nobody is asked for anything, and nothing is written.
///
/// # Errors
/// When the settings cannot be meant.
pub fn open(settings: &Settings, certs_dir: &Path, clock: &Arc<dyn Clock>) -> PortResult<Adapters> {
    let dns = Dns::new(&settings.dns)?;
    let internal = Arc::new(InternalCa::new(name(INTERNAL)?, certs_dir, clock.clone()));
    let custom = Arc::new(OwnFiles::new(name(CUSTOM)?, clock.clone()));
    let mut issuers: Vec<Arc<dyn CertIssuer>> = vec![internal.clone(), custom];
    for (written, acme) in authorities(settings) {
        let name = name(&written)?;
        if issuers.iter().any(|issuer| *issuer.name() == name) {
            return Err(invalid(
                format!("[certs.acme.{name}]: `{name}` is an issuer of our own"),
                "choose another name",
            ));
        }
        issuers.push(Arc::new(Acme::new(name, acme, certs_dir, dns.clone(), clock.clone())?));
    }
    let issuer = match settings.issuer.as_str() {
        NOBODY => None,
        written => Some(name(written)?),
    };
    if let Some(unknown) = issuer.as_ref().filter(|name| !issuers.iter().any(|issuer| issuer.name() == *name))
    {
        let context = format!("[certs] issuer: nobody is called `{unknown}`");
        return Err(invalid(
            context,
            "name one of ours, or write `[certs.acme.NAME]` with the URL of its directory",
        ));
    }
    let hook = settings.dns_exec.clone().map(|hook| ExecDns::new(hook, dns)).transpose()?;
    let fallback =
        HostPattern::new("no-certificate.invalid").map_err(|error| invalid(error.to_string(), ""))?;
    Ok(Adapters {
        issuers,
        issuer,
        solvers: hook.into_iter().map(|hook| Arc::new(hook) as _).collect(),
        store: Arc::new(CertsOnDisk::new(certs_dir, clock.clone())),
        internal,
        fallback: self_signed(&[fallback], clock.wall())?.certificate,
    })
}

/// The authorities that everybody may ask, and those of the settings, which may say more about the former.
fn authorities(settings: &Settings) -> BTreeMap<String, AcmeSettings> {
    let known = [
        ("letsencrypt", AcmeSettings::lets_encrypt()),
        ("letsencrypt-staging", AcmeSettings::lets_encrypt_staging()),
        ("zerossl", AcmeSettings::zero_ssl()),
    ];
    let mut all: BTreeMap<String, AcmeSettings> =
        known.into_iter().map(|(name, acme)| (name.to_owned(), acme)).collect();
    for (name, written) in &settings.acme {
        let known = all.get(name).map(|known| known.directory.clone());
        let mut acme = written.clone();
        if acme.directory.is_empty() {
            acme.directory = known.unwrap_or_default();
        }
        all.insert(name.clone(), acme);
    }
    for acme in all.values_mut() {
        acme.email = acme.email.take().or_else(|| settings.email.clone());
        acme.check_dns &= settings.check_dns;
        if acme.addresses.is_empty() {
            acme.addresses.clone_from(&settings.addresses);
        }
    }
    all
}

fn name(text: &str) -> PortResult<IssuerName> {
    text.parse().map_err(|error: nd_core::ports::InvalidIssuer| {
        PortError::new(PortErrorKind::Invalid, "[certs]").with_source(error)
    })
}

fn invalid(context: String, fix: &str) -> PortError {
    PortError::new(PortErrorKind::Invalid, context).with_fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_supervise::SystemClock;

    fn opened(json: &str) -> Result<Adapters, String> {
        let settings: Settings = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let place = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opened = open(&settings, place.path(), &clock).map_err(|error| error.to_string());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is written");
        opened
    }

    fn names(adapters: &Adapters) -> Vec<&str> {
        adapters.issuers.iter().map(|issuer| issuer.name().as_str()).collect()
    }

    #[test]
    fn without_settings_there_are_the_usual_issuers() {
        let adapters = opened("{}").unwrap();
        assert_eq!(names(&adapters), ["internal", "custom", "letsencrypt", "letsencrypt-staging", "zerossl"]);
        assert_eq!(adapters.issuer.as_ref().map(IssuerName::as_str), Some("letsencrypt"));
        assert!(adapters.solvers.is_empty());
    }

    #[test]
    fn an_authority_of_ones_own_is_one_more() {
        let own =
            r#"{"issuer": "step", "acme": {"step": {"directory": "https://ca.internal/acme/directory"}}}"#;
        let adapters = opened(own).unwrap();
        assert!(names(&adapters).contains(&"step"));
        assert!(opened(r#"{"issuer": "none"}"#).unwrap().issuer.is_none());
    }

    #[test]
    fn what_is_said_for_all_holds_for_each_and_a_known_one_keeps_its_directory() {
        let written = r#"{"email": "a@b.test", "check_dns": false, "addresses": ["192.0.2.1"],
            "acme": {"zerossl": {"eab": {"kid": "k", "hmac_key": "aGVsbG8"}, "email": "c@d.test"}}}"#;
        let all = authorities(&serde_json::from_str(written).unwrap());
        let zero = &all["zerossl"];
        assert_eq!(zero.directory, AcmeSettings::zero_ssl().directory);
        assert_eq!((zero.email.as_deref(), zero.check_dns), (Some("c@d.test"), false));
        assert_eq!(all["letsencrypt"].email.as_deref(), Some("a@b.test"));
        assert_eq!(all["letsencrypt"].addresses.len(), 1);
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for (written, says) in [
            (r#"{"issuer": "lestencrypt"}"#, "nobody is called `lestencrypt`"),
            (r#"{"acme": {"step": {}}}"#, "is not the URL of an ACME directory"),
            (
                r#"{"acme": {"step": {"directory": "http://ca.internal"}}}"#,
                "is not the URL of an ACME directory",
            ),
            (r#"{"acme": {"internal": {"directory": "https://ca.internal"}}}"#, "an issuer of our own"),
            (r#"{"acme": {"zerossl": {"eab": {"kid": "k", "hmac_key": "!"}}}}"#, "is not base64url"),
            (r#"{"dns_exec": {}}"#, "none is named"),
        ] {
            let told = opened(written).err().unwrap_or_default();
            assert!(told.contains(says), "{written}: {told}");
        }
    }
}
