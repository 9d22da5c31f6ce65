//! Paths that have moved: patterns without regular expressions, and where they lead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A rule that answers a request with the place it has moved to (RFC 9110, section 15.4).
///
/// In `from` a `*` stands for any text within one segment of the path, and at the end for all the rest; `$1` to `$9` in `to`
/// are what they stood for. `to` is a path of the same host, or a URL whose host is written out: no visitor can choose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Redirect {
    from: Box<str>,
    to: Box<str>,
    code: RedirectCode,
}

/// The status of a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectCode {
    /// 301.
    MovedPermanently,
    /// 302.
    Found,
    /// 307.
    Temporary,
    /// 308: for good, and with the same method and body.
    #[default]
    Permanent,
}

/// Why a redirect makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirect {
    /// The pattern.
    #[error("`{0}` is not a path such as `/old/*`; at most nine `*`, and none beside another")]
    From(String),
    /// The target.
    #[error("`{0}` is neither a path such as `/new/$1` nor a URL whose host is written out")]
    To(String),
    /// A capture that the pattern does not have.
    #[error("`{to}` uses ${capture}, and `{from}` has {stars} `*`")]
    Capture {
        /// The pattern.
        from: String,
        /// The target.
        to: String,
        /// The number after the `$`.
        capture: usize,
        /// How many there are.
        stars: usize,
    },
    /// The status.
    #[error("{0} is not a redirect; write 301, 302, 307 or 308")]
    Code(u16),
    /// It would lead to itself.
    #[error("`{0}` leads to itself")]
    Loop(String),
}

impl Redirect {
    /// A redirect from the paths of a pattern to a target.
    ///
    /// # Errors
    /// [`InvalidRedirect`] for a pattern or target that makes no sense, or could be bent to lead to another host.
    pub fn new(from: &str, to: &str, code: RedirectCode) -> Result<Self, InvalidRedirect> {
        let stars = from.matches('*').count();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\');
        if !from.starts_with('/') || from.contains(odd) || from.contains("**") || stars > 9 {
            return Err(InvalidRedirect::From(from.to_owned()));
        }
        if !is_target(to) {
            return Err(InvalidRedirect::To(to.to_owned()));
        }
        if let Some(capture) = captures(to).find(|capture| *capture == 0 || *capture > stars) {
            let (from, to) = (from.to_owned(), to.to_owned());
            return Err(InvalidRedirect::Capture { from, to, capture, stars });
        }
        if capture(from, &sample(to)).is_some() {
            return Err(InvalidRedirect::Loop(from.to_owned()));
        }
        Ok(Self { from: from.into(), to: to.into(), code })
    }

    /// The pattern.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The target.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// The status.
    #[must_use]
    pub fn code(&self) -> RedirectCode {
        self.code
    }

    /// Where a path has moved to, with the request's query; `None` of a path that has not moved. The result is a path that
    /// begins with exactly one `/`, or begins with the target's own host.
    #[must_use]
    pub fn location(&self, path: &str, query: Option<&str>) -> Option<String> {
        let captured = capture(&self.from, path)?;
        let mut location = String::with_capacity(self.to.len() + path.len());
        let mut rest = &*self.to;
        while let Some((before, after)) = rest.split_once('$') {
            location.push_str(before);
            let digit = after.chars().next().and_then(|c| c.to_digit(10));
            match digit.and_then(|digit| captured.get((digit as usize).checked_sub(1)?)) {
                Some(text) => {
                    push_encoded(&mut location, text);
                    rest = after.get(1..).unwrap_or_default();
                }
                None => {
                    location.push('$');
                    rest = after;
                }
            }
        }
        location.push_str(rest);
        if location.starts_with('/') {
            // `//evil.example` and `/\evil.example` are other hosts to a browser.
            let path = location.trim_start_matches(['/', '\\']).len();
            location.replace_range(..location.len() - path, "/");
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            location.push(if self.to.contains('?') { '&' } else { '?' });
            push_encoded(&mut location, query);
        }
        Some(location)
    }
}

impl RedirectCode {
    /// The number.
    #[must_use]
    pub fn as_u16(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl TryFrom<u16> for RedirectCode {
    type Error = InvalidRedirect;
    fn try_from(code: u16) -> Result<Self, Self::Error> {
        match code {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            307 => Ok(Self::Temporary),
            308 => Ok(Self::Permanent),
            other => Err(InvalidRedirect::Code(other)),
        }
    }
}

impl From<RedirectCode> for u16 {
    fn from(code: RedirectCode) -> Self {
        code.as_u16()
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {} ({})", self.from, self.to, self.code.as_u16())
    }
}

/// A redirect as it is stored and sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    from: String,
    to: String,
    #[serde(default)]
    code: RedirectCode,
}

impl TryFrom<Written> for Redirect {
    type Error = InvalidRedirect;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Self::new(&written.from, &written.to, written.code)
    }
}

impl From<Redirect> for Written {
    fn from(redirect: Redirect) -> Self {
        Self { from: redirect.from.into(), to: redirect.to.into(), code: redirect.code }
    }
}

/// A path, or a URL whose authority has no capture and ends before the first one.
fn is_target(to: &str) -> bool {
    let plain = to.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
    let host = to.strip_prefix("https://").or_else(|| to.strip_prefix("http://"));
    let leads = match host {
        Some(rest) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let ends = rest.len() > authority.len();
            !authority.is_empty() && !authority.contains(['$', '@']) && (ends || !to.contains('$'))
        }
        None => to.starts_with('/') && !to.starts_with("//"),
    };
    plain && leads
}

/// The path of a target with something in the place of each capture.
fn sample(to: &str) -> String {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    (1..=9).fold(path.to_owned(), |path, capture| path.replace(&format!("${capture}"), "x"))
}

fn captures(to: &str) -> impl Iterator<Item = usize> {
    to.split('$').skip(1).filter_map(|after| after.chars().next()?.to_digit(10).map(|digit| digit as usize))
}

/// What each `*` of the pattern stands for in the path; the leftmost reading. One pass: no pattern makes it slow.
fn capture<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut pieces = pattern.split('*');
    let mut rest = path.strip_prefix(pieces.next()?)?;
    let mut captured = Vec::new();
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        let length = match (piece, is_last) {
            ("", true) => rest.len(),
            (_, true) => rest.len().checked_sub(piece.len()).filter(|_| rest.ends_with(piece))?,
            (_, false) => rest.find(piece)?,
        };
        let (text, after) = rest.split_at_checked(length)?;
        let takes_all = piece.is_empty() && is_last;
        if text.contains('/') && !takes_all {
            return None;
        }
        captured.push(text);
        rest = after.strip_prefix(piece)?;
    }
    rest.is_empty().then_some(captured)
}

/// Appends text of a request so that it stays within its place in a URL and in a line (RFC 3986, section 2.1).
fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(from: &str, to: &str, path: &str, query: Option<&str>) -> Option<String> {
        Redirect::new(from, to, RedirectCode::default()).unwrap().location(path, query)
    }

    #[test]
    fn what_the_stars_stood_for_stands_in_the_target() {
        for (from, to, path, expected) in [
            ("/old/*", "/new/$1", "/old/a/b", Some("/new/a/b")),
            ("/old/*", "/new/$1", "/old/", Some("/new/")),
            ("/old/*", "/new/$1", "/old", None),
            ("/old", "/new", "/old", Some("/new")),
            ("/old", "/new", "/old/x", None),
            ("/*/p/*.html", "/$2?by=$1", "/ann/p/7.html", Some("/7?by=ann")),
            ("/*/p/*.html", "/$2?by=$1", "/ann/x/p/7.html", None),
            ("/blog/*", "https://blog.example/$1", "/blog/a", Some("https://blog.example/a")),
            ("/price", "/cost$", "/price", Some("/cost$")),
        ] {
            assert_eq!(location(from, to, path, None).as_deref(), expected, "{from} {path}");
        }
    }

    #[test]
    fn the_query_is_kept() {
        assert_eq!(location("/a", "/b", "/a", Some("x=1")).as_deref(), Some("/b?x=1"));
        assert_eq!(location("/a", "/b?y", "/a", Some("x=1")).as_deref(), Some("/b?y&x=1"));
        assert_eq!(location("/a", "/b", "/a", Some("")).as_deref(), Some("/b"));
    }

    #[test]
    fn no_visitor_chooses_the_host() {
        for path in ["/go//evil.example", "/go/\\evil.example", "/go///evil.example/x"] {
            let location = location("/go/*", "/$1", path, None).unwrap();
            assert!(location.starts_with("/e") || location.starts_with("/%5C"), "{location}");
        }
        for to in
            ["//$1", "https://$1", "https://$1/x", "https://a.example$1", "https://a@$1", "javascript:x", ""]
        {
            assert_eq!(
                Redirect::new("/go/*", to, RedirectCode::default()),
                Err(InvalidRedirect::To(to.to_owned()))
            );
        }
    }

    #[test]
    fn nothing_captured_ends_the_line() {
        let location = location("/a/*", "/b/$1", "/a/x\r\nSet-Cookie: y ä", None).unwrap();
        assert_eq!(location, "/b/x%0D%0ASet-Cookie:%20y%20%C3%A4");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for from in ["old", "", "/a?b", "/a b", "/**", "/a\\b"] {
            assert!(matches!(
                Redirect::new(from, "/b", RedirectCode::default()),
                Err(InvalidRedirect::From(_))
            ));
        }
        assert!(matches!(
            Redirect::new("/a", "/b/$1", RedirectCode::default()),
            Err(InvalidRedirect::Capture { capture: 1, stars: 0, .. })
        ));
        for (from, to) in [("/a", "/a"), ("/a/*", "/a/$1"), ("/a/*", "/a/b/$1?c")] {
            assert!(matches!(
                Redirect::new(from, to, RedirectCode::default()),
                Err(InvalidRedirect::Loop(_))
            ));
        }
        assert_eq!(RedirectCode::try_from(303), Err(InvalidRedirect::Code(303)));
    }
}
