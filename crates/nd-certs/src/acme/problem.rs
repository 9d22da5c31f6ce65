//! What an authority's refusal means to a user: its kind, and what to do about it (RFC 8555, section 6.7).

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use instant_acme::{Error, Problem};
use jiff::SignedDuration;
use nd_core::ports::{PortError, PortErrorKind};
use rustls::CertificateError;

use super::http::{HttpError, Session};

/// How long a limit lasts where the authority does not say: the shortest that Let's Encrypt has.
const LIMIT_LASTS: Duration = Duration::from_secs(60 * 60);

/// A clock that differs by more is worth a word.
const CLOCK_MATTERS: SignedDuration = SignedDuration::from_mins(10);

/// A refusal: what the authority says, and the type of the problem without the name space.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
struct Refused {
    kind: String,
    said: String,
}

/// An error of the library as the port tells it.
pub(super) fn at_port(tried: &str, error: Error, http: &Session) -> PortError {
    let failed = match error {
        Error::Api(problem) => of_problem(tried, &problem, http.retry_after()),
        Error::Timeout(next) => {
            let context = format!("{tried}: the authority did not finish in time");
            let wait = next.map(|next| next.saturating_duration_since(std::time::Instant::now()));
            let mut failed = PortError::new(PortErrorKind::Timeout, context)
                .with_fix("nothing to do here: it is tried again; the authority's status page may know more");
            failed.retry_after = wait;
            failed
        }
        Error::Unsupported(what) => {
            PortError::new(PortErrorKind::Invalid, format!("{tried}: the authority does not offer {what}"))
                .with_fix("take that setting out, or choose another issuer")
        }
        Error::Json(error) => {
            let context = format!("{tried}: the answer is not of ACME");
            PortError::new(PortErrorKind::Unavailable, context)
                .with_fix(
                    "check the URL of its directory, and what stands between: a proxy or a captive portal",
                )
                .with_source(error)
        }
        Error::Other(error) => of_connection(tried, &*error),
        error => PortError::new(PortErrorKind::Unavailable, tried).with_source(error),
    };
    with_clock(failed, http)
}

/// Adds that this machine's clock is wrong, where it is.
pub(super) fn with_clock(mut failed: PortError, http: &Session) -> PortError {
    if let Some(ahead) = http.clock_ahead().filter(|ahead| ahead.abs() > CLOCK_MATTERS) {
        let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
        let by = shown(ahead);
        failed.fix = Some(format!(
            "set this machine's clock, which is {by} {direction} the authority's: `timedatectl set-ntp true`"
        ));
    }
    failed
}

/// Whether it is the account that is not known (any more).
pub(super) fn says_account_is_gone(error: &PortError) -> bool {
    is_refused_as(error, "accountDoesNotExist")
}

/// Whether even the third nonce was refused, which says nothing about the order.
pub(super) fn says_bad_nonce(error: &PortError) -> bool {
    is_refused_as(error, "badNonce")
}

/// Whether another account may do what this one may not.
pub(super) fn says_unauthorized(error: &PortError) -> bool {
    is_refused_as(error, "unauthorized")
}

/// A refusal to open an account.
pub(super) fn of_account(tried: &str, error: Error, http: &Session) -> PortError {
    let mut failed = at_port(tried, error, http);
    if ["unauthorized", "malformed"].into_iter().any(|kind| is_refused_as(&failed, kind)) {
        failed.kind = PortErrorKind::Denied;
        failed.fix =
            Some("check the key of the account at its other services (`eab`), and `email`".to_owned());
    }
    failed
}

fn is_refused_as(error: &PortError, kind: &str) -> bool {
    let source = error.source.as_ref().and_then(|source| source.downcast_ref::<Refused>());
    source.is_some_and(|refused| refused.kind == kind)
}

pub(super) fn says_already_revoked(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "alreadyRevoked")
}

/// Whether the order was refused because it names a certificate that another order follows already, or that is not known
/// (RFC 9773, section 5).
pub(super) fn dislikes_replaces(error: &Error) -> bool {
    matches!(error, Error::Api(problem)
        if kind(problem) == "alreadyReplaced" || problem.detail.as_deref().is_some_and(|text| text.contains("replace")))
}

/// What of a refusal concerns a challenge, by the name it was for.
pub(super) fn of_challenge(name: &str, how: &str, problem: &Problem) -> PortError {
    of_problem(&format!("prove {name} by {how}"), problem, None)
}

fn of_problem(tried: &str, problem: &Problem, retry_after: Option<Duration>) -> PortError {
    let (kind, fix) = meaning(problem);
    let refused = Refused { kind: self::kind(problem).to_owned(), said: said(problem) };
    let mut failed = PortError::new(kind, tried).with_fix(fix).with_source(refused);
    let limited = self::kind(problem) == "rateLimited" || problem.status == Some(429);
    failed.retry_after = if limited { Some(retry_after.unwrap_or(LIMIT_LASTS)) } else { retry_after };
    failed
}

/// What kind of failure it is, and what to do about it.
fn meaning(problem: &Problem) -> (PortErrorKind, &'static str) {
    use PortErrorKind::{Denied, Internal, Invalid, Transient, Unavailable};
    match kind(problem) {
        "rateLimited" => (
            Transient,
            "wait: it is tried again when the limit has passed; try things out with `staging: true`",
        ),
        "caa" => (
            Denied,
            "let the authority issue for it by a CAA record where the domain is managed, or choose another issuer",
        ),
        "dns" => (
            Transient,
            "create an A or AAAA record that leads to this machine; `dig NAME` shows what others see",
        ),
        "connection" => (
            Transient,
            "let the world reach ports 80 and 443 of this machine: look at its firewall, at the provider's, and at what NAT forwards",
        ),
        "incorrectResponse" | "unauthorized" => (
            Transient,
            "another server answers for that name: look at its A and AAAA records, and at a proxy in front",
        ),
        "tls" => {
            (Transient, "let port 443 of that name lead here without another server that ends TLS before")
        }
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            (Invalid, "choose another name, or another issuer for it")
        }
        "externalAccountRequired" => {
            (Invalid, "take a key from its dashboard: `eab = { kid = \"…\", hmac_key = \"…\" }`")
        }
        "invalidContact" | "unsupportedContact" => {
            (Invalid, "give an e-mail address of yours: `email = \"…\"`")
        }
        "accountDoesNotExist" => (Denied, "remove the kept account: another one is opened"),
        "userActionRequired" => (Denied, "agree to its terms of service where it says"),
        "invalidProfile" => (Invalid, "choose a profile that the authority offers, or none"),
        "badCSR" | "badPublicKey" | "badSignatureAlgorithm" => {
            (Invalid, "choose another kind of key: `key = \"ecdsa-p256\"`")
        }
        "malformed" => (Invalid, "check the names and the account's settings (`eab`, `email`)"),
        "alreadyRevoked" | "badRevocationReason" => {
            (Invalid, "give another reason for the revocation, or none")
        }
        "badNonce" | "serverInternal" | "orderNotReady" | "compound" => {
            (Transient, "nothing to do here: it is tried again")
        }
        _ => match problem.status {
            Some(429) => (Transient, "wait: it is tried again when the limit has passed"),
            Some(500..) => (
                Unavailable,
                "nothing to do here: it is tried again; the authority's status page may know more",
            ),
            _ => (Internal, "ask the authority's documentation"),
        },
    }
}

fn of_connection(tried: &str, error: &(dyn StdError + 'static)) -> PortError {
    let (kind, fix) = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => (
            PortErrorKind::Unavailable,
            "set this machine's clock, which makes the server's certificate look expired: `timedatectl set-ntp true`; if the clock is right, it is the server's to renew it",
        ),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => (
            PortErrorKind::Unavailable,
            "set this machine's clock, which is before the beginning of the server's certificate: `timedatectl set-ntp true`",
        ),
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => (
            PortErrorKind::Denied,
            "give the root of the ACME server's own certificate: `ca_file = \"/path/root.pem\"`",
        ),
        Some(_) => (
            PortErrorKind::Unavailable,
            "check the URL of its directory: what answers there does not speak TLS as it should",
        ),
        None if timed_out(error) => (
            PortErrorKind::Timeout,
            "let this machine reach the authority: look at its firewall and at the name servers",
        ),
        None => (
            PortErrorKind::Unavailable,
            "let this machine reach the authority: look at its firewall and at the name servers; it is tried again",
        ),
    };
    PortError::new(kind, format!("{tried}: {}", innermost(error))).with_fix(fix)
}

/// The type of a problem without the name space; empty where it has none.
fn kind(problem: &Problem) -> &str {
    problem
        .r#type
        .as_deref()
        .and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:"))
        .unwrap_or_default()
}

/// What the authority says, about each name where it says so.
fn said(problem: &Problem) -> String {
    let mut said = problem.detail.clone().unwrap_or_else(|| "the authority gives no reason".to_owned());
    for sub in &problem.subproblems {
        let name = sub.identifier.as_ref().map(|name| name.authorized(false).to_string());
        let detail = sub.detail.as_deref().unwrap_or_default();
        said = format!("{said}; {}: {detail}", name.unwrap_or_default());
    }
    said
}

fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())
}

fn timed_out(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| {
        matches!(error.downcast_ref(), Some(HttpError::Timeout))
            || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    })
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and those beneath; of an [`io::Error`] that wraps another one that, which its `source` leaves out.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'e (dyn StdError + 'static)| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

/// A span as people say it.
fn shown(span: SignedDuration) -> String {
    let minutes = span.abs().as_secs() / 60;
    match (minutes / (24 * 60), minutes / 60) {
        (0, 0) => format!("{minutes} minutes"),
        (0, hours) => format!("{hours} hours"),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, status: u16, retry_after: Option<u64>) -> PortError {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "because", "status": status,
            "subproblems": [{"type": "x", "detail": "not this one", "identifier": {"type": "dns", "value": "a.test"}}],
        }))
        .unwrap();
        of_problem("order a.test", &problem, retry_after.map(Duration::from_secs))
    }

    #[test]
    fn a_limit_is_waited_for_as_long_as_the_authority_says_and_else_an_hour() {
        let limited = told("rateLimited", 429, Some(77));
        assert_eq!(
            (limited.kind, limited.retry_after),
            (PortErrorKind::Transient, Some(Duration::from_secs(77)))
        );
        assert_eq!(told("rateLimited", 429, None).retry_after, Some(LIMIT_LASTS));
        assert_eq!(limited.to_string(), "order a.test: because; a.test: not this one");
    }

    #[test]
    fn what_only_somebody_can_change_is_not_told_as_something_that_passes() {
        for kind in ["caa", "rejectedIdentifier", "externalAccountRequired", "userActionRequired", "badCSR"] {
            assert!(!told(kind, 403, None).kind.may_pass(), "{kind}");
        }
        for kind in ["dns", "connection", "unauthorized", "badNonce", "serverInternal"] {
            let told = told(kind, 400, None);
            assert!(told.kind.may_pass() && told.fix.is_some(), "{kind}");
        }
        assert_eq!(told("unheard-of", 503, None).kind, PortErrorKind::Unavailable);
    }

    #[test]
    fn an_error_of_tls_is_found_under_those_that_wrap_it() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::NotValidYet);
        let wrapped = io::Error::other(io::Error::other(tls));
        let failed = of_connection("ask", &wrapped);
        assert!(failed.fix.is_some_and(|fix| fix.contains("this machine's clock")));
    }
}
