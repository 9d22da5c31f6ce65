//! When to say that a certificate is about to expire.

use nd_types::Timestamp;

use crate::ports::IssuedCert;

/// Days before the end at which it is said.
const DAYS: [u16; 3] = [21, 7, 1];
const DAY: i64 = 24 * 3600;

/// The lowest number of days that has been reached and not been said, `said` being the last one of this certificate. Of one
/// that nobody renews it is said at once.
///
/// What is renewed in the last third of a short life is no reason for an alarm before that.
pub(super) fn reached(cert: &IssuedCert, is_renewed: bool, said: Option<u16>, now: Timestamp) -> Option<u16> {
    let life = cert.not_after.as_second() - cert.not_before.as_second();
    let left = cert.not_after.as_second() - now.as_second();
    if !is_renewed && said.is_none() {
        return Some(u16::try_from(left / DAY).unwrap_or(if left < 0 { 0 } else { u16::MAX }));
    }
    let counts = |days: &&u16| {
        let days = i64::from(**days) * DAY;
        days * 3 < life && left <= days
    };
    let reached = DAYS.iter().filter(counts).min().copied()?;
    Some(reached).filter(|days| said.is_none_or(|said| *days < said))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nd_types::{Certificate, KeyPem};

    use super::*;

    fn cert(days: i64) -> IssuedCert {
        let certificate = Certificate { names: Vec::new(), chain: String::new(), key: KeyPem::new("") };
        IssuedCert {
            certificate: Arc::new(certificate),
            serial: String::new(),
            signed_by: String::new(),
            fingerprint: String::new(),
            not_before: Timestamp::from_second(0).unwrap(),
            not_after: Timestamp::from_second(days * DAY).unwrap(),
        }
    }

    fn on(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY).unwrap()
    }

    #[test]
    fn it_is_said_three_times_and_once_each() {
        let cert = cert(90);
        assert_eq!(reached(&cert, true, None, on(68)), None);
        assert_eq!(reached(&cert, true, None, on(69)), Some(21));
        assert_eq!(reached(&cert, true, Some(21), on(70)), None);
        assert_eq!(reached(&cert, true, Some(21), on(84)), Some(7));
        assert_eq!(reached(&cert, true, Some(7), on(95)), Some(1));
        assert_eq!(reached(&cert, true, Some(1), on(99)), None);
    }

    #[test]
    fn a_short_life_is_no_reason_for_an_alarm() {
        assert_eq!(reached(&cert(6), true, None, on(3)), None);
        assert_eq!(reached(&cert(6), true, None, on(5)), Some(1));
    }

    #[test]
    fn of_one_that_nobody_renews_it_is_said_at_once_and_again_before_its_end() {
        let cert = cert(90);
        assert_eq!(reached(&cert, false, None, on(0)), Some(90));
        assert_eq!(reached(&cert, false, Some(90), on(1)), None);
        assert_eq!(reached(&cert, false, Some(90), on(69)), Some(21));
    }
}
