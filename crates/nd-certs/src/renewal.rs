//! When a certificate is renewed: one pure function.

use std::time::Duration;

use nd_core::ports::{IssuedCert, Renewal};
use nd_types::Timestamp;

/// How often an authority is asked, and time left reckoned, at most (`Certificate renewal check` of the defaults).
pub const ASK_EVERY: Duration = Duration::from_secs(12 * 60 * 60);

/// How seldom at least, whatever the authority asks for (RFC 9773, section 4.3.2).
const ASK_AT_LEAST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often at most, so that no authority makes us its load test.
const ASK_AT_MOST: Duration = Duration::from_secs(60);

/// What an authority says about a certificate (RFC 9773, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when on.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Where it says why, for people.
    pub explanation: Option<String>,
}

/// When to renew: at a moment inside the window that the authority names, else when a third of the life is left.
///
/// The moment is drawn from the certificate's fingerprint: another one for each certificate, so that not all come at once, and
/// always the same one for the same, so that a restart changes nothing. It is never later than a tenth of the life before the
/// end, whatever the authority says.
#[must_use]
pub fn renewal(cert: &IssuedCert, window: Option<&Window>, now: Timestamp) -> Renewal {
    let life = cert.not_after.duration_since(cert.not_before);
    let third_left = earlier(cert.not_after, seconds(life) / 3);
    let ask_again = |after: Duration| now.saturating_add(after).unwrap_or(Timestamp::MAX);
    match window.filter(|window| window.start < window.end) {
        Some(window) => {
            let width = seconds(window.end.duration_since(window.start));
            let drawn = later(window.start, part(width, draw(cert)));
            let wait = window.retry_after.unwrap_or(ASK_EVERY).clamp(ASK_AT_MOST, ASK_AT_LEAST);
            let explained = window.explanation.as_deref().map(|url| format!(" ({url})")).unwrap_or_default();
            Renewal {
                due: drawn.min(earlier(cert.not_after, seconds(life) / 10)),
                ask_again: ask_again(wait),
                why: format!("the authority suggests {} to {}{explained}", window.start, window.end),
            }
        }
        None => {
            // Up to a fiftieth of the life earlier: a day and more for 90 days.
            let jitter = part(seconds(life) / 50, draw(cert));
            Renewal {
                due: earlier(third_left, jitter),
                ask_again: ask_again(ASK_EVERY),
                why: "a third of its life is left then".to_owned(),
            }
        }
    }
}

/// A number from 0 to 65535, by the certificate.
fn draw(cert: &IssuedCert) -> i64 {
    cert.fingerprint.get(..4).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// `draw` parts of 65536 of it, in seconds.
fn part(width: i64, draw: i64) -> i64 {
    width.saturating_mul(draw) / 65536
}

fn seconds(duration: jiff::SignedDuration) -> i64 {
    duration.as_secs().max(0)
}

fn earlier(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_sub(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_types::{Certificate, KeyPem};
    use std::sync::Arc;

    const DAY: i64 = 24 * 60 * 60;

    fn cert(days: i64, fingerprint: &str) -> IssuedCert {
        let not_before = Timestamp::from_second(1_000 * DAY).unwrap();
        IssuedCert {
            certificate: Arc::new(Certificate { names: vec![], chain: String::new(), key: KeyPem::new("") }),
            serial: String::new(),
            signed_by: String::new(),
            fingerprint: fingerprint.to_owned(),
            not_before,
            not_after: later(not_before, days * DAY),
        }
    }

    fn window(cert: &IssuedCert, from: i64, to: i64) -> Window {
        let at = |days| later(cert.not_before, days * DAY);
        Window { start: at(from), end: at(to), retry_after: None, explanation: None }
    }

    #[test]
    fn without_a_window_it_is_when_a_third_of_the_life_is_left() {
        for (days, left) in [(90, 30), (6, 2), (45, 15)] {
            let cert = cert(days, "0000");
            let due = renewal(&cert, None, cert.not_before).due;
            assert_eq!(cert.not_after.duration_since(due).as_secs(), left * DAY);
        }
    }

    #[test]
    fn certificates_of_one_day_do_not_all_come_at_once_and_each_keeps_its_time() {
        let (one, other) = (cert(90, "1000"), cert(90, "f000"));
        let due = |cert: &IssuedCert, now| renewal(cert, None, now).due;
        assert_ne!(due(&one, one.not_before), due(&other, one.not_before));
        assert_eq!(due(&one, one.not_before), due(&one, one.not_after));
        let apart = due(&one, one.not_before).duration_since(due(&other, one.not_before));
        assert!(apart.as_secs() > 0 && apart.as_secs() < 2 * DAY);
    }

    #[test]
    fn a_window_of_the_authority_counts_and_one_in_the_past_means_now() {
        let cert = cert(90, "8000");
        let now = later(cert.not_before, 10 * DAY);
        let due = renewal(&cert, Some(&window(&cert, 55, 57)), now).due;
        assert_eq!(due.duration_since(cert.not_before).as_secs(), 56 * DAY);
        assert!(renewal(&cert, Some(&window(&cert, 1, 2)), now).due < now);
    }

    #[test]
    fn a_window_after_the_end_or_of_no_width_leaves_nobody_without_a_certificate() {
        let cert = cert(90, "8000");
        let late = renewal(&cert, Some(&window(&cert, 100, 200)), cert.not_before);
        assert_eq!(cert.not_after.duration_since(late.due).as_secs(), 9 * DAY);
        let turned = renewal(&cert, Some(&window(&cert, 57, 55)), cert.not_before);
        assert!(turned.due < cert.not_after);
    }

    #[test]
    fn an_authority_cannot_make_us_ask_all_the_time_nor_never_again() {
        let cert = cert(90, "8000");
        for (asked, granted) in [(0, ASK_AT_MOST), (365 * 86_400, ASK_AT_LEAST)] {
            let mut window = window(&cert, 55, 57);
            window.retry_after = Some(Duration::from_secs(asked));
            let again = renewal(&cert, Some(&window), cert.not_before).ask_again;
            assert_eq!(Duration::try_from(again.duration_since(cert.not_before)).unwrap(), granted);
        }
    }
}
