//! A certificate as the API shows it: everything but its key.

use nd_api::v1::{
    CertOrderView, CertState, CertView, RenewalView, RevocationReason as Reason, ServedCertView,
};
use nd_core::certs::CertStatus;
use nd_core::ports::RevocationReason;
use nd_core::records::{CertOrderEnd, CertOrderRecord};
use nd_types::Timestamp;

/// One certificate with its orders.
pub(crate) fn view(status: &CertStatus, now: Timestamp) -> CertView {
    CertView { orders: status.orders.iter().map(order).collect(), ..listed(status, now) }
}

/// One of many.
pub(crate) fn listed(status: &CertStatus, now: Timestamp) -> CertView {
    let served = status.cert.as_ref().map(|cert| ServedCertView {
        serial: cert.serial.clone(),
        signed_by: cert.signed_by.clone(),
        fingerprint: cert.fingerprint.clone(),
        not_before: cert.not_before,
        not_after: cert.not_after,
    });
    CertView {
        name: status.names.first().map(ToString::to_string).unwrap_or_default(),
        state: state(status, now),
        names: status.names.clone(),
        app: status.app.clone(),
        issuer: status.issuer.as_ref().map(ToString::to_string),
        served,
        renewal: status
            .renewal
            .as_ref()
            .map(|renewal| RenewalView { due: renewal.due, why: renewal.why.clone() }),
        ordering: status.is_ordered,
        error: status.error.clone(),
        retry_at: status.retry_at,
        orders: Vec::new(),
    }
}

/// The reason of a revocation as issuers are told it.
pub(crate) const fn reason(reason: Reason) -> RevocationReason {
    match reason {
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
    }
}

/// How it stands.
pub(crate) fn state(status: &CertStatus, now: Timestamp) -> CertState {
    match &status.cert {
        Some(cert) if cert.not_after < now => CertState::Expired,
        Some(_) if status.renewal.as_ref().is_some_and(|renewal| renewal.due <= now) => CertState::Due,
        Some(_) => CertState::Valid,
        None if status.is_ordered => CertState::Ordering,
        None if status.error.is_some() => CertState::Failed,
        None => CertState::Missing,
    }
}

fn order(record: &CertOrderRecord) -> CertOrderView {
    let (serial, error) = match &record.end {
        CertOrderEnd::Issued { serial, .. } => (Some(serial.clone()), None),
        CertOrderEnd::Failed { error } => (None, Some(error.clone())),
    };
    CertOrderView { at: record.at, issuer: record.issuer.clone(), serial, error }
}
