//! [`CertIssuer`] at an authority that speaks ACME (RFC 8555), through instant-acme.

mod account;
mod chains;
mod directory;
mod http;
mod order;
mod problem;
mod renewal_info;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use instant_acme::{RevocationReason as AcmeReason, RevocationRequest};
use nd_core::ports::{
    CertIssuer, CertOrder, ChallengeKind, ChallengeSolver, IssuedCert, IssuerName, PortError, PortErrorKind,
    PortResult, Renewal, RevocationReason,
};
use nd_supervise::Clock;
use nd_types::KeyPem;

use self::account::Holder;
use crate::{AcmeSettings, Dns, x509};

/// How often something is tried again that failed for a reason which says nothing about it.
const MORE_TRIES: u32 = 4;

/// An authority on the net. Each order, look or revocation opens its account anew, so that two at once share nothing but
/// the files.
pub struct Acme {
    name: IssuerName,
    settings: AcmeSettings,
    /// Where its accounts are kept.
    accounts: PathBuf,
    /// Two orders at once open one account.
    opening: tokio::sync::Mutex<()>,
    connector: http::Connector,
    dns: Dns,
    clock: Arc<dyn Clock>,
}

impl Acme {
    /// The authority of these settings, with its account in `certs_dir/accounts`. Nobody is asked yet.
    ///
    /// # Errors
    /// When the settings cannot be meant: no https URL, no readable CA file, a damaged `hmac_key`.
    pub fn new(
        name: IssuerName,
        settings: AcmeSettings,
        certs_dir: &Path,
        dns: Dns,
        clock: Arc<dyn Clock>,
    ) -> PortResult<Self> {
        let connector = http::Connector::new(&settings, clock.clone())?;
        if let Some(eab) = &settings.eab {
            account::external(eab)?;
        }
        let accounts = account::place(certs_dir, &settings);
        Ok(Self { name, settings, accounts, opening: Default::default(), connector, dns, clock })
    }

    /// The addresses at which the world reaches this machine, where the settings say so.
    pub(crate) fn told_addresses(&self) -> &[IpAddr] {
        &self.settings.addresses
    }

    /// The names by which CAA records mean the authority (RFC 8555, section 9.7.6).
    pub(crate) async fn identities(&self) -> PortResult<Vec<String>> {
        let directory = directory::fetch(&self.connector.session(), &self.settings.directory).await?;
        Ok(directory.meta.caa_identities)
    }

    /// Gives each account another key (RFC 8555, section 7.3.5). One that is lost between the answer of the authority and
    /// the disk is replaced by a new account at the next order.
    ///
    /// # Errors
    /// As the orders.
    pub async fn roll_over(&self) -> PortResult<()> {
        for holder in account::kept(self).await? {
            let mut session = self.session(&holder).await?;
            let _one_at_a_time = self.opening.lock().await;
            account::roll_over(&holder, &mut session).await?;
        }
        Ok(())
    }

    /// A talk with the authority, as the holder of an account.
    async fn session(&self, holder: &Holder) -> PortResult<Session> {
        let http = self.connector.session();
        let directory = directory::fetch(&http, &self.settings.directory).await?;
        let account = account::open(self, holder, &http, &directory).await?;
        Ok(Session { http, directory, account })
    }
}

/// What one talk with an authority needs.
struct Session {
    http: http::Session,
    directory: directory::Directory,
    account: instant_acme::Account,
}

impl Session {
    /// An error of the library as the port tells it.
    fn failed(&self, tried: &str, error: instant_acme::Error) -> PortError {
        problem::at_port(tried, error, &self.http)
    }
}

#[async_trait]
impl CertIssuer for Acme {
    fn name(&self) -> &IssuerName {
        &self.name
    }

    fn challenges(&self) -> &[ChallengeKind] {
        let usual = &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01];
        if self.settings.challenges.is_empty() { usual } else { &self.settings.challenges }
    }

    async fn issue(&self, order: &CertOrder, solvers: &[Arc<dyn ChallengeSolver>]) -> PortResult<IssuedCert> {
        order::check(order, solvers, &self.settings.challenges)?;
        let holder = Holder::of(self, order);
        for _ in 0..MORE_TRIES {
            match self.order(&holder, order, solvers).await {
                // The authority has forgotten it, or its key: another one is as good.
                Err(error) if problem::says_account_is_gone(&error) => {
                    account::set_aside(self, &holder).await?;
                }
                Err(error) if problem::says_bad_nonce(&error) => {}
                issued => return issued,
            }
        }
        self.order(&holder, order, solvers).await
    }

    async fn revoke(&self, cert: &IssuedCert, reason: RevocationReason) -> PortResult<()> {
        let mut holders = account::kept(self).await?.into_iter().peekable();
        let mut tries = 0;
        while let Some(holder) = holders.peek() {
            match self.withdraw(holder, cert, reason).await {
                Err(error) if problem::says_bad_nonce(&error) && tries < MORE_TRIES => tries += 1,
                // Which one ordered it is not kept.
                Err(error) if problem::says_unauthorized(&error) && holders.len() > 1 => drop(holders.next()),
                revoked => return revoked,
            }
        }
        Ok(())
    }

    async fn renewal(&self, cert: &IssuedCert, _: &CertOrder) -> PortResult<Renewal> {
        let http = self.connector.session();
        let window = match renewal_info::ask(&http, &self.settings.directory, cert).await {
            Ok(window) => window,
            Err(error) => {
                tracing::debug!(issuer = %self.name, %error, "the authority does not say when to renew");
                None
            }
        };
        Ok(crate::renewal(cert, window.as_ref(), self.clock.wall()))
    }
}

impl Acme {
    async fn order(
        &self,
        holder: &Holder,
        order: &CertOrder,
        solvers: &[Arc<dyn ChallengeSolver>],
    ) -> PortResult<IssuedCert> {
        let session = self.session(holder).await?;
        order::look_first(self, &session, order, solvers).await?;
        let made = order::place(self, &session, order, solvers).await?;
        let context = format!("read the certificate of {}", self.settings.directory);
        let cert =
            x509::read(&made.chain, &KeyPem::new(made.key)).map_err(|error| error.at_port(&context))?;
        x509::check_names(&cert, &order.names).map_err(|error| error.at_port(&context))?;
        match x509::check_time(&cert, self.clock.wall()) {
            Ok(()) => Ok(cert),
            Err(error) => Err(problem::with_clock(error.at_port(&context), &session.http)),
        }
    }

    async fn withdraw(&self, holder: &Holder, cert: &IssuedCert, reason: RevocationReason) -> PortResult<()> {
        let tried = format!("revoke certificate {}", cert.serial);
        let ders = x509::certificates(&cert.certificate.chain).map_err(|error| error.at_port(&tried))?;
        let first = ders.first().ok_or_else(|| PortError::new(PortErrorKind::Invalid, &*tried))?;
        let session = self.session(holder).await?;
        let reason = match reason {
            RevocationReason::Unspecified => AcmeReason::Unspecified,
            RevocationReason::KeyCompromise => AcmeReason::KeyCompromise,
            RevocationReason::Superseded => AcmeReason::Superseded,
            RevocationReason::CessationOfOperation => AcmeReason::CessationOfOperation,
        };
        match session.account.revoke(&RevocationRequest { certificate: first, reason: Some(reason) }).await {
            Err(error) if !problem::says_already_revoked(&error) => Err(session.failed(&tried, error)),
            _ => Ok(()),
        }
    }
}
