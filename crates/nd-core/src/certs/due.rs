//! When something is to be done about a certificate: pure decisions.

use std::time::Duration;

use nd_types::{HostPattern, Timestamp};

use super::wish::CertWish;
use crate::ports::{IssuedCert, KeptCert, PortError, Renewal};
use crate::records::CertRecord;

/// The pause after the first failure; it doubles with each further one …
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// … up to this: authorities count failures by the hour.
const LAST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// What will not pass by itself is looked at so often all the same: somebody may have changed the DNS.
const SLOW_PAUSE: Duration = Duration::from_secs(12 * 3600);

/// What is to be done about one certificate now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Order it.
    Order(Why),
    /// Ask its issuer when to renew it.
    AskRenewal,
    /// Nothing before that time.
    Wait(Timestamp),
    /// Nothing.
    Rest,
}

/// Why a certificate is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is none that will do.
    Missing,
    /// Its time has come.
    Renewal,
}

/// What is to be done about a wish, given what is kept under its first name.
pub(super) fn step(
    wish: &CertWish,
    kept: Option<&KeptCert>,
    renewal: Option<&Renewal>,
    record: Option<&CertRecord>,
    now: Timestamp,
) -> Step {
    let held_until = record.and_then(|record| held_until(wish, record)).filter(|until| *until > now);
    let order = |why| held_until.map_or(Step::Order(why), Step::Wait);
    let Some(kept) = kept.filter(|kept| suits(wish, kept, now)) else { return order(Why::Missing) };
    if kept.issuer.is_none() || !wish.auto_renew {
        return Step::Rest;
    }
    match renewal {
        Some(renewal) if renewal.due <= now => order(Why::Renewal),
        Some(renewal) if renewal.ask_again > now => Step::Wait(renewal.due.min(renewal.ask_again)),
        Some(_) | None => Step::AskRenewal,
    }
}

/// Whether a kept certificate is what is wanted. One that somebody brought is, from whomever it comes, until it expires.
fn suits(wish: &CertWish, kept: &KeptCert, now: Timestamp) -> bool {
    let is_theirs = match &kept.issuer {
        Some(issuer) => *issuer == wish.issuer,
        None => kept.cert.not_after > now,
    };
    is_theirs && covers(&kept.cert, &wish.names)
}

/// Whether a certificate is for all of these names.
pub(crate) fn covers(cert: &IssuedCert, names: &[HostPattern]) -> bool {
    let own = &cert.certificate.names;
    let is_below = |name: &HostPattern, own: &HostPattern| {
        let rest = name.as_str().split_once('.').map(|(_, rest)| rest);
        name.parent().is_none() && own.parent().is_some_and(|parent| rest == Some(parent))
    };
    names.iter().all(|name| own.iter().any(|own| own == name || is_below(name, own)))
}

/// Until when nothing is ordered: a wish that has changed need not wait, unless the authority itself has asked for it.
fn held_until(wish: &CertWish, record: &CertRecord) -> Option<Timestamp> {
    let counts = record.asked_to_wait || record.wish == wish.digest();
    record.retry_at.filter(|_| counts)
}

/// When to try again after a failure, `failures` in a row. `jitter` is between 0 and 1.
pub(super) fn retry_at(error: &PortError, failures: u32, jitter: f64, now: Timestamp) -> Timestamp {
    let pause = match error.retry_after {
        Some(asked) => asked,
        None if error.kind.may_pass() => {
            FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LAST_PAUSE)
        }
        None => SLOW_PAUSE,
    };
    // Never sooner than asked: all who were told the same time would come together.
    let pause = pause.mul_f64(1.0 + 0.2 * jitter);
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nd_types::{Certificate, KeyPem};

    use super::*;
    use crate::ports::PortErrorKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn wish(names: &[&str]) -> CertWish {
        CertWish {
            names: names.iter().map(|name| HostPattern::pattern(name).unwrap()).collect(),
            issuer: "letsencrypt".parse().unwrap(),
            auto_renew: true,
            files: None,
            dns_provider: None,
            email: None,
            release: "aaaaaa".parse().unwrap(),
            ingress: nd_types::IngressKind::Embedded,
        }
    }

    fn kept(issuer: Option<&str>, names: &[&str]) -> KeptCert {
        let names = names.iter().map(|name| HostPattern::pattern(name).unwrap()).collect();
        let certificate = Certificate { names, chain: String::new(), key: KeyPem::new("") };
        let cert = IssuedCert {
            certificate: Arc::new(certificate),
            serial: "01".to_owned(),
            signed_by: "ca".to_owned(),
            fingerprint: String::new(),
            not_before: at(0),
            not_after: at(90),
        };
        KeptCert { issuer: issuer.map(|issuer| issuer.parse().unwrap()), cert }
    }

    fn renewal(due: i64, ask_again: i64) -> Renewal {
        Renewal { due: at(due), ask_again: at(ask_again), why: String::new() }
    }

    #[test]
    fn what_is_missing_or_of_others_is_ordered() {
        let wish = wish(&["a.test"]);
        let missing = Step::Order(Why::Missing);
        assert_eq!(step(&wish, None, None, None, at(0)), missing);
        assert_eq!(step(&wish, Some(&kept(Some("internal"), &["a.test"])), None, None, at(0)), missing);
        assert_eq!(step(&wish, Some(&kept(Some("letsencrypt"), &["b.test"])), None, None, at(0)), missing);
    }

    #[test]
    fn what_somebody_brought_is_left_alone() {
        let of = |now| step(&wish(&["a.test"]), Some(&kept(None, &["*.test"])), None, None, at(now));
        assert_eq!((of(89), of(91)), (Step::Rest, Step::Order(Why::Missing)), "until it expires");
        assert!(!covers(&kept(None, &["*.test"]).cert, &wish(&["a.b.test"]).names));
    }

    #[test]
    fn a_certificate_is_renewed_when_its_issuer_says_so() {
        let (wish, kept) = (wish(&["a.test"]), kept(Some("letsencrypt"), &["a.test"]));
        let of = |renewal: Option<Renewal>, now| step(&wish, Some(&kept), renewal.as_ref(), None, at(now));
        assert_eq!(of(None, 0), Step::AskRenewal);
        assert_eq!(of(Some(renewal(60, 10)), 5), Step::Wait(at(10)));
        assert_eq!(of(Some(renewal(60, 10)), 10), Step::AskRenewal);
        assert_eq!(of(Some(renewal(60, 100)), 60), Step::Order(Why::Renewal));
        let once = CertWish { auto_renew: false, ..wish.clone() };
        assert_eq!(step(&once, Some(&kept), Some(&renewal(60, 100)), None, at(60)), Step::Rest);
    }

    #[test]
    fn after_a_failure_it_waits_unless_something_changed() {
        let wish = wish(&["a.test"]);
        let mut record = CertRecord::new(wish.names[0].clone());
        (record.retry_at, record.wish) = (Some(at(100)), wish.digest());
        let of = |wish: &CertWish, record: &CertRecord, now| step(wish, None, None, Some(record), at(now));
        assert_eq!(of(&wish, &record, 50), Step::Wait(at(100)));
        assert_eq!(of(&wish, &record, 100), Step::Order(Why::Missing));
        let changed = CertWish { release: "bbbbbb".parse().unwrap(), ..wish };
        assert_eq!(of(&changed, &record, 50), Step::Order(Why::Missing));
        record.asked_to_wait = true;
        assert_eq!(of(&changed, &record, 50), Step::Wait(at(100)));
    }

    #[test]
    fn pauses_grow_up_to_hours_and_are_never_shorter_than_asked() {
        let pause = |kind, failures, jitter| {
            let error = PortError::new(kind, "");
            retry_at(&error, failures, jitter, at(0)).duration_since(at(0)).as_secs()
        };
        assert_eq!([1, 2, 4].map(|failures| pause(PortErrorKind::Transient, failures, 0.0)), [60, 120, 480]);
        assert_eq!(pause(PortErrorKind::Transient, 40, 1.0), 6 * 3600 * 12 / 10);
        assert_eq!(pause(PortErrorKind::Invalid, 1, 0.0), 12 * 3600);
        let limited =
            PortError::new(PortErrorKind::Exhausted, "").with_retry_after(Duration::from_secs(1000));
        assert!(retry_at(&limited, 1, 0.5, at(0)) >= at(1000));
    }
}
