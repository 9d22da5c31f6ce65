//! Who may ask: peers of the unix socket, holders of the token, and with `--dev` programs of this host.

mod token;

use std::net::SocketAddr;

use http::{HeaderMap, Method, StatusCode, Uri, header};

pub use token::{Token, TokenError};

use crate::identity::Caller;
use crate::refusal::Refusal;

/// How requests of one listener prove who sends them.
#[derive(Clone, Debug)]
pub enum Access {
    /// The kernel says who is at the other end.
    Peer,
    /// `Authorization: Bearer ndt_…` (RFC 6750, section 2.1).
    Token,
    /// Programs of this host are trusted; the others need the token.
    Loopback,
}

/// Paths that anybody may ask for, so that a load balancer needs no token.
const OPEN: [&str; 2] = ["/health", "/healthz"];

/// What is known about a request before it is read.
pub(crate) struct Asked<'r> {
    pub(crate) access: &'r Access,
    /// The peer of the unix socket.
    pub(crate) peer: Option<&'r Caller>,
    /// The other end of a TCP connection.
    pub(crate) remote: Option<SocketAddr>,
    /// Where the listener is bound.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) method: &'r Method,
    pub(crate) target: &'r Uri,
    pub(crate) headers: &'r HeaderMap,
}

/// Finds out who sends a request.
pub(crate) fn identify(asked: &Asked<'_>, token: &Token, socket: &str) -> Result<Caller, Refusal> {
    if let (Access::Peer, Some(peer)) = (asked.access, asked.peer) {
        return Ok(peer.clone());
    }
    let local = asked.remote.is_some_and(|remote| remote.ip().to_canonical().is_loopback());
    if matches!(asked.access, Access::Loopback) && local {
        same_site(asked)?;
        return Ok(Caller::Dev);
    }
    if OPEN.contains(&asked.target.path()) {
        return Ok(Caller::Anonymous);
    }
    match bearer(asked.headers) {
        Some(given) if token.is(given) => Ok(Caller::Token),
        given => Err(unauthorized(given.is_some(), asked, socket)),
    }
}

/// A page of another site must not reach a trusted port through the user's browser: neither by a name that resolves to
/// this host (`Host`) nor directly (`Origin`, RFC 6454, section 7).
fn same_site(asked: &Asked<'_>) -> Result<(), Refusal> {
    let port = asked.local.map_or(0, |local| local.port());
    let own = |host: &str| {
        let names = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
        names.iter().any(|name| name.eq_ignore_ascii_case(host))
    };
    let host = asked.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !own(host) {
        let title = format!("host `{host}` is not this daemon; ask for http://127.0.0.1:{port}");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "ND1006", title));
    }
    let Some(origin) = asked.headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    if origin.strip_prefix("http://").is_some_and(own) {
        return Ok(());
    }
    let title = format!("origin `{origin}` may not ask this daemon");
    Err(Refusal::new(StatusCode::FORBIDDEN, "ND1006", title))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(given: bool, asked: &Asked<'_>, socket: &str) -> Refusal {
    let target = asked.target.path_and_query().map_or("/", |target| target.as_str());
    let (socket, url) = (word(socket), word(&format!("http://localhost{target}")));
    let method = if asked.method == Method::GET { String::new() } else { format!(" -X {}", asked.method) };
    let command = format!("curl --unix-socket {socket}{method} {url}");
    let what = if given { "this token is not the daemon's" } else { "a token is needed" };
    let title = format!("{what}: send `Authorization: Bearer ndt_…`, or ask on the unix socket: {command}");
    Refusal::new(StatusCode::UNAUTHORIZED, "ND1009", title).fix(command)
}

/// A text as one word of a POSIX shell: the command is there to be typed, and whoever asks chooses the path.
fn word(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/:._-".contains(&byte)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn ask(access: &Access, remote: &str, headers: &HeaderMap) -> Result<Caller, StatusCode> {
        let asked = Asked {
            access,
            peer: None,
            remote: remote.parse().ok(),
            local: "127.0.0.1:8371".parse().ok(),
            method: &Method::GET,
            target: &Uri::from_static("/status"),
            headers,
        };
        let token = Token::from_text("ndt_right").unwrap();
        identify(&asked, &token, "/run/nd.sock").map_err(|refusal| refusal.status)
    }

    #[test]
    fn tcp_needs_the_token_on_loopback_too() {
        let tcp = |pairs: &[_]| ask(&Access::Token, "127.0.0.1:50000", &headers(pairs));
        assert_eq!(tcp(&[]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(tcp(&[("authorization", "Bearer ndt_wrong")]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(tcp(&[("authorization", "bearer ndt_right")]), Ok(Caller::Token));
    }

    #[test]
    fn dev_trusts_this_host_under_its_own_names_only() {
        let dev = |pairs: &[_]| ask(&Access::Loopback, "127.0.0.1:50000", &headers(pairs));
        assert_eq!(dev(&[("host", "127.0.0.1:8371")]), Ok(Caller::Dev));
        assert_eq!(dev(&[("host", "localhost:8371")]), Ok(Caller::Dev));
        for bad in ["evil.example:8371", "127.0.0.1", "127.0.0.1:80", ""] {
            assert_eq!(dev(&[("host", bad)]), Err(StatusCode::FORBIDDEN), "{bad}");
        }
        let origin = |origin| dev(&[("host", "localhost:8371"), ("origin", origin)]);
        assert_eq!(origin("http://localhost:8371"), Ok(Caller::Dev));
        for bad in ["http://evil.example", "null", "https://localhost:8371", "http://localhost:83710"] {
            assert_eq!(origin(bad), Err(StatusCode::FORBIDDEN), "{bad}");
        }
    }

    #[test]
    fn the_command_that_needs_no_token_can_be_typed_as_it_is() {
        let headers = HeaderMap::new();
        let command = |method: Method, target: &'static str| {
            let target = Uri::from_static(target);
            let access = Access::Token;
            let asked = Asked {
                access: &access,
                peer: None,
                remote: None,
                local: None,
                method: &method,
                target: &target,
                headers: &headers,
            };
            unauthorized(false, &asked, "/run/my socket").fix.pop().unwrap_or_default()
        };
        let curl = "curl --unix-socket '/run/my socket'";
        assert_eq!(command(Method::GET, "/status"), format!("{curl} http://localhost/status"));
        assert_eq!(
            command(Method::POST, "/stop?app=a&x=1"),
            format!("{curl} -X POST 'http://localhost/stop?app=a&x=1'")
        );
        assert_eq!(
            command(Method::GET, "/$(reboot)';reboot"),
            format!(r"{curl} 'http://localhost/$(reboot)'\'';reboot'")
        );
    }

    #[test]
    fn dev_asks_others_for_the_token() {
        let other = ask(&Access::Loopback, "192.0.2.7:50000", &headers(&[("host", "127.0.0.1:8371")]));
        assert_eq!(other, Err(StatusCode::UNAUTHORIZED));
    }
}
