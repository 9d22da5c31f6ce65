//! The contract of [`CertIssuer`], and of the [`ChallengeSolver`]s it is given: what was shown is taken away again.

use std::sync::Arc;

use jiff::Timestamp;
use nd_core::ports::{CertIssuer, CertOrder, ChallengeSolver, IssuedCert, PortError, PortErrorKind};
use nd_types::HostPattern;

use super::ContractResult;
use crate::fake::FakeSolver;

/// An issuer, and what it needs.
pub struct Subject {
    /// The issuer.
    pub issuer: Arc<dyn CertIssuer>,
    /// What it can issue for.
    pub order: CertOrder,
    /// Who can prove those names to it.
    pub solver: Arc<dyn ChallengeSolver>,
    /// Whether it wants anything proven.
    pub proves: bool,
}

/// Runs the whole contract.
///
/// # Errors
/// The first error of the issuer.
///
/// # Panics
/// When the issuer breaks the contract.
pub async fn run(subject: &Subject) -> ContractResult {
    assert_eq!(subject.proves, !subject.issuer.challenges().is_empty(), "who asks for proofs says which");
    a_certificate_is_for_the_names_of_its_order_and_valid_now(subject).await?;
    each_order_gets_a_certificate_and_a_key_of_its_own(subject).await?;
    a_certificate_is_renewed_before_it_ends_and_always_at_the_same_time(subject).await?;
    what_was_shown_is_taken_away_again(subject).await?;
    an_order_for_no_name_is_refused(subject).await;
    if subject.proves {
        what_nobody_can_prove_is_not_issued(subject).await;
        what_could_not_be_shown_is_not_issued_and_taken_away(subject).await;
    }
    Ok(())
}

async fn issue(subject: &Subject) -> Result<IssuedCert, PortError> {
    subject.issuer.issue(&subject.order, std::slice::from_ref(&subject.solver)).await
}

async fn a_certificate_is_for_the_names_of_its_order_and_valid_now(subject: &Subject) -> ContractResult {
    let cert = issue(subject).await?;
    let sorted = |names: &[HostPattern]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    assert_eq!(sorted(&cert.certificate.names), sorted(&subject.order.names));
    let now = Timestamp::now();
    assert!(cert.not_before <= now && now <= cert.not_after, "{} to {}", cert.not_before, cert.not_after);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(!cert.serial.is_empty() && is_hex(&cert.serial), "{}", cert.serial);
    assert!(cert.fingerprint.len() == 64 && is_hex(&cert.fingerprint), "{}", cert.fingerprint);
    assert!(!cert.signed_by.is_empty());
    assert!(cert.certificate.chain.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(cert.certificate.key.expose().contains("PRIVATE KEY-----"));
    Ok(())
}

async fn each_order_gets_a_certificate_and_a_key_of_its_own(subject: &Subject) -> ContractResult {
    let (one, other) = (issue(subject).await?, issue(subject).await?);
    assert_ne!(one.serial, other.serial);
    assert_ne!(one.fingerprint, other.fingerprint);
    assert!(one.certificate.key != other.certificate.key, "two certificates share a key");
    Ok(())
}

async fn a_certificate_is_renewed_before_it_ends_and_always_at_the_same_time(
    subject: &Subject,
) -> ContractResult {
    let cert = issue(subject).await?;
    let ask = || subject.issuer.renewal(&cert, &subject.order);
    let (one, other) = (ask().await?, ask().await?);
    assert!(one.due < cert.not_after, "{one:?} of a certificate until {}", cert.not_after);
    assert_eq!(one.due, other.due);
    assert!(one.ask_again > Timestamp::now(), "{one:?}");
    assert!(!one.why.is_empty());
    Ok(())
}

async fn what_was_shown_is_taken_away_again(subject: &Subject) -> ContractResult {
    let watched = Arc::new(FakeSolver::before(&subject.solver));
    subject.issuer.issue(&subject.order, &[watched.clone() as Arc<dyn ChallengeSolver>]).await?;
    assert_eq!(watched.shown(), [], "still shown after the certificate was issued");
    Ok(())
}

async fn an_order_for_no_name_is_refused(subject: &Subject) {
    let order = CertOrder { names: Vec::new(), ..subject.order.clone() };
    let refused = subject.issuer.issue(&order, std::slice::from_ref(&subject.solver)).await;
    assert_eq!(refused.map_err(|error| error.kind), Err(PortErrorKind::Invalid));
}

async fn what_nobody_can_prove_is_not_issued(subject: &Subject) {
    let refused = subject.issuer.issue(&subject.order, &[]).await;
    assert_eq!(refused.map_err(|error| error.kind), Err(PortErrorKind::Invalid));
}

async fn what_could_not_be_shown_is_not_issued_and_taken_away(subject: &Subject) {
    // Other names, lest the issuer remembers that these were proven.
    let name = HostPattern::new("not-proven-before.example.com");
    let order = CertOrder { names: name.into_iter().collect(), ..subject.order.clone() };
    let broken = Arc::new(FakeSolver::before(&subject.solver));
    broken.break_down();
    let failed = subject.issuer.issue(&order, &[broken.clone() as Arc<dyn ChallengeSolver>]).await;
    assert_eq!(failed.map_err(|error| error.kind), Err(PortErrorKind::Transient));
    assert_eq!(broken.shown(), []);
    assert!(broken.cleanups() > 0, "what may have been shown in part was not taken away");
}
