//! The answers of the proxy itself: which app, why, and the request's id; never an address, a unit or another app.

use std::borrow::Cow;

use nd_types::{ErrorPages, HeaderRules};

use crate::http1::forward::put;
use crate::http1::reply::{connection_line, put_added};
use crate::http1::request::Refused;
use crate::limiter::Exceeded;

/// Why a request is answered by the proxy instead of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request itself cannot be accepted.
    Malformed(Refused),
    /// No app serves this host and path.
    Nobody,
    /// The app does not admit the client's address.
    Forbidden,
    /// The app asks for a name and a password, and has got none, or wrong ones.
    Unauthorized,
    /// Too many are trying passwords.
    PasswordsBusy,
    /// The path has moved.
    Moved {
        status: u16,
        /// Where to; ASCII without blanks.
        location: String,
    },
    /// It is no refusal: what a certificate authority wants to see (RFC 8555, section 8.3).
    Proof {
        answer: String,
    },
    /// It came over a connection to another name.
    Misdirected,
    /// The app lets in only clients with a certificate.
    Unverified,
    /// Plain HTTP where TLS is spoken.
    PlainHttp,
    /// The body is larger than the app allows.
    TooLarge {
        limit: u64,
    },
    /// The client has asked too often.
    Limited(Exceeded),
    /// The client paused for too long within a request.
    ClientSlow,
    /// The user has put it under maintenance.
    Maintenance {
        retry_after_s: u32,
    },
    Stopped,
    Failed {
        reason: String,
    },
    /// No instance became ready within the time a request is held.
    NotReady,
    /// Too many requests are waiting already.
    Crowded,
    /// It was asleep and is being woken, which takes a while.
    Waking,
    /// The app has as many requests as it may have at once.
    Busy,
    /// The instance broke off before it answered.
    BrokeOff,
    /// The instance answered with something that is no HTTP.
    BadAnswer,
    /// The instance did not answer in time.
    Slow,
    /// The instance is being replaced and the request could not finish in time.
    Replaced,
    /// More connections than allowed.
    TooManyConnections,
}

/// Who gets the answer, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressee<'a> {
    pub(crate) app: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) wants_html: bool,
    pub(crate) is_head: bool,
    pub(crate) is_http10: bool,
    pub(crate) keep_alive: bool,
    /// What the app adds to its answers.
    pub(crate) headers: Option<&'a HeaderRules>,
    /// The app's own pages.
    pub(crate) pages: Option<&'a ErrorPages>,
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Malformed(refused) => refused.status,
            Self::Nobody => 404,
            Self::Unauthorized => 401,
            Self::PasswordsBusy => 503,
            Self::Forbidden | Self::Unverified => 403,
            Self::Proof { .. } => 200,
            Self::Misdirected => 421,
            Self::PlainHttp => 400,
            Self::Moved { status, .. } => *status,
            Self::TooLarge { .. } => 413,
            Self::Limited(exceeded) => exceeded.status,
            Self::ClientSlow => 408,
            Self::BrokeOff | Self::BadAnswer => 502,
            Self::Maintenance { .. }
            | Self::Stopped
            | Self::Failed { .. }
            | Self::NotReady
            | Self::Crowded
            | Self::Waking
            | Self::Busy => 503,
            Self::Replaced | Self::TooManyConnections => 503,
            Self::Slow => 504,
        }
    }

    fn explanation(&self) -> Cow<'_, str> {
        match self {
            Self::Malformed(refused) => refused.reason.into(),
            Self::Nobody => "no app serves this address".into(),
            Self::Forbidden => "requests from your address are not accepted".into(),
            Self::Proof { .. } => "a proof for a certificate authority".into(),
            Self::Misdirected => "this connection was opened for another name".into(),
            Self::Unverified => "a certificate is needed that the app's authorities have issued".into(),
            Self::PlainHttp => "TLS is spoken here; write https:// in front of the address".into(),
            Self::Unauthorized => "a name and a password are needed".into(),
            Self::PasswordsBusy => "too many passwords are being tried; please try again".into(),
            Self::Moved { location, .. } => format!("it is at {location}").into(),
            Self::TooLarge { limit } => format!("the request body is larger than {limit} bytes").into(),
            Self::Limited(exceeded) => {
                format!("too many requests; the next one is accepted in {} s", exceeded.seconds()).into()
            }
            Self::ClientSlow => "the request did not arrive in time".into(),
            Self::Maintenance { .. } => "under maintenance; please come back later".into(),
            Self::Stopped => "the app is stopped".into(),
            Self::Failed { reason } => reason.as_str().into(),
            Self::NotReady => "no instance of the app is ready".into(),
            Self::Crowded => "too many requests are waiting for an instance".into(),
            Self::Waking => "it is being woken; this page asks again by itself".into(),
            Self::Busy => "the app has too many requests at once".into(),
            Self::BrokeOff => "the app closed the connection without an answer".into(),
            Self::BadAnswer => "the app sent an invalid answer".into(),
            Self::Slow => "the app did not answer in time".into(),
            Self::Replaced => "the app is being replaced".into(),
            Self::TooManyConnections => "too many connections".into(),
        }
    }

    /// Seconds after which asking again makes sense.
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Maintenance { retry_after_s } => Some(*retry_after_s),
            Self::Failed { .. } | Self::Stopped => Some(30),
            Self::Limited(exceeded) => Some(exceeded.seconds()),
            Self::NotReady | Self::Crowded => Some(5),
            Self::Waking => Some(2),
            Self::Busy | Self::Replaced | Self::TooManyConnections | Self::PasswordsBusy => Some(1),
            _ => None,
        }
    }
}

/// Writes a whole answer, head and body; returns the bytes of the body.
pub(crate) fn write(out: &mut Vec<u8>, refusal: &Refusal, to: Addressee<'_>) -> u64 {
    let status = refusal.status();
    let title = title(status);
    let (kind, body) = if let Refusal::Proof { answer } = refusal {
        ("application/octet-stream", answer.clone())
    } else if to.wants_html {
        let own = to.pages.and_then(|pages| pages.find(status));
        let page = match own {
            Some(page) => fill(page, status, title, refusal, to),
            None => html(status, title, refusal, to),
        };
        ("text/html; charset=utf-8", page)
    } else {
        let app = to.app.map(|app| format!("{app}: ")).unwrap_or_default();
        let text = format!("{status} {title}: {app}{} (request {})\n", refusal.explanation(), to.request_id);
        ("text/plain; charset=utf-8", text)
    };
    put(out, &["HTTP/1.1 ", &status.to_string(), " ", title, "\r\nContent-Type: ", kind]);
    put(out, &["\r\nContent-Length: ", &body.len().to_string(), "\r\n"]);
    match refusal {
        Refusal::Moved { location, .. } => put(out, &["Location: ", location, "\r\n"]),
        _ => put(out, &["Cache-Control: no-store\r\n"]),
    }
    put_added(out, to.headers);
    if let Some(seconds) = refusal.retry_after() {
        put(out, &["Retry-After: ", &seconds.to_string(), "\r\n"]);
    }
    if let Refusal::Limited(exceeded) = refusal {
        put(out, &[&exceeded.fields()]);
    }
    if *refusal == Refusal::Unauthorized {
        let realm = to.app.unwrap_or("app");
        put(out, &["WWW-Authenticate: Basic realm=\"", realm, "\", charset=\"UTF-8\"\r\n"]);
    }
    if status == 405 {
        put(out, &["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"]);
    }
    put(
        out,
        &["X-Request-Id: ", to.request_id, "\r\n", connection_line(to.keep_alive, to.is_http10), "\r\n"],
    );
    if to.is_head {
        return 0;
    }
    put(out, &[&body]);
    body.len() as u64
}

fn html(status: u16, title: &str, refusal: &Refusal, to: Addressee<'_>) -> String {
    let explanation = escape(&refusal.explanation());
    let app = to.app.map(|app| format!("<b>{}</b>: ", escape(app))).unwrap_or_default();
    let id = escape(to.request_id);
    let again = if *refusal == Refusal::Waking { "<meta http-equiv=\"refresh\" content=\"2\">" } else { "" };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\">{again}<title>{status} {title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;\
         max-width:34em;margin:15vh auto;padding:0 1em;color:#222;background:#fff}}h1{{font-size:1.4em}}\
         small{{color:#777}}@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#161616}}}}</style>\
         <h1>{status} {title}</h1><p>{app}{explanation}</p><p><small>request {id}</small></p></html>\n"
    )
}

/// The app's own page, with what it wants to know put in.
fn fill(page: &str, status: u16, title: &str, refusal: &Refusal, to: Addressee<'_>) -> String {
    let mut filled = String::with_capacity(page.len() + 128);
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, behind) = after.split_once("}}").unwrap_or(("", ""));
        let value = match name.trim() {
            "status" => status.to_string(),
            "title" => title.to_owned(),
            "message" => escape(&refusal.explanation()),
            "app" => escape(to.app.unwrap_or_default()),
            "request_id" => escape(to.request_id),
            _ => {
                filled.push_str("{{");
                rest = after;
                continue;
            }
        };
        filled.push_str(&value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn title(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(refusal: &Refusal, wants_html: bool, is_head: bool) -> String {
        let mut out = Vec::new();
        let to = Addressee {
            app: Some("shop"),
            request_id: "r1",
            wants_html,
            is_head,
            is_http10: false,
            keep_alive: true,
            headers: None,
            pages: None,
        };
        write(&mut out, refusal, to);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_gets_one_line_with_app_cause_and_id() {
        let page = page(&Refusal::NotReady, false, false);
        assert!(page.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{page}");
        assert!(page.contains("Retry-After: 5\r\n"), "{page}");
        assert!(page.ends_with(
            "\r\n\r\n503 Service Unavailable: shop: no instance of the app is ready (request r1)\n"
        ));
    }

    #[test]
    fn a_browser_gets_a_page_in_which_nothing_is_markup_by_accident() {
        let page = page(&Refusal::Failed { reason: "exit <1> & \"done\"".into() }, true, false);
        assert!(
            page.contains("text/html") && page.contains("exit &lt;1&gt; &amp; &quot;done&quot;"),
            "{page}"
        );
    }

    #[test]
    fn an_apps_own_page_is_told_what_it_wants_to_know() {
        let to = Addressee {
            app: Some("shop"),
            request_id: "<r1>",
            wants_html: true,
            is_head: false,
            is_http10: false,
            keep_alive: true,
            headers: None,
            pages: None,
        };
        let page = "<h1>{{ status }} {{title}}</h1>{{request_id}} {{app}}: {{message}} {{other}} {{ {{status";
        assert_eq!(
            fill(page, 503, "Service Unavailable", &Refusal::NotReady, to),
            "<h1>503 Service Unavailable</h1>&lt;r1&gt; shop: no instance of the app is ready {{other}} {{ {{status"
        );
    }

    #[test]
    fn a_head_request_gets_no_body() {
        assert!(page(&Refusal::Slow, false, true).ends_with("\r\n\r\n"));
    }
}
