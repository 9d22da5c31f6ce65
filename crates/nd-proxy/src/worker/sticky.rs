//! Clients that stay with their instance: a cookie stands for it, without saying which one it is.
//!
//! What a cookie says is only looked for among the instances of the app that is asked: it leads nowhere else, and to nobody
//! once that instance is gone.

use nd_types::{AppName, UnitId};

use crate::http1::request::{RequestHead, text};

/// The name of the cookie, before that of the app: apps may share a host.
const PREFIX: &str = "nd-sticky-";

/// What stands for an instance: the same in every worker, and after every start of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(u64);

impl Token {
    /// The token of a unit (FNV-1a, 64 bits). It is no secret: whoever makes one up chooses among instances of one app.
    pub(crate) fn of(unit: &UnitId) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(unit.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    fn read(value: &str) -> Option<Self> {
        let is_hex = value.len() == 16 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(value, 16).ok().filter(|_| is_hex).map(Self)
    }
}

/// Where one request's client is at home.
#[derive(Debug)]
pub(crate) struct Sticky {
    given: Option<Token>,
    is_https: bool,
    /// The field that the answer gets; empty where the client knows already.
    line: String,
}

impl Sticky {
    /// Reads what the client brings along.
    pub(crate) fn of(head: &RequestHead<'_, '_>, app: &AppName, is_https: bool) -> Self {
        let cookies = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
        let given = cookies.flat_map(|field| text(field.value).split(';')).find_map(|pair| {
            let value = pair.trim().strip_prefix(PREFIX)?.strip_prefix(app.as_str())?.strip_prefix('=')?;
            Token::read(value)
        });
        Self { given, is_https, line: String::new() }
    }

    /// The instance that it wants.
    pub(crate) fn wanted(&self) -> Option<Token> {
        self.given
    }

    /// It goes to this one, for the first time or again.
    pub(crate) fn goes_to(&mut self, app: &AppName, token: Token) {
        self.line.clear();
        if self.given != Some(token) {
            let secure = if self.is_https { "; Secure" } else { "" };
            let value = token.0;
            self.line =
                format!("Set-Cookie: {PREFIX}{app}={value:016x}; Path=/; HttpOnly; SameSite=Lax{secure}\r\n");
        }
    }

    /// What is added to the answer (RFC 6265, section 4.1).
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::field_space;

    fn wanted(cookies: &str) -> Option<Token> {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{cookies}\r\n");
        let mut space = field_space();
        let head = RequestHead::parse(bytes.as_bytes(), &mut space).unwrap();
        Sticky::of(&head, &"shop".parse().unwrap(), false).wanted()
    }

    #[test]
    fn the_cookie_of_the_app_is_found_among_others() {
        let token = Token(0x0123_4567_89ab_cdef);
        let cookie = "nd-sticky-shop=0123456789abcdef";
        for line in [
            format!("Cookie: {cookie}\r\n"),
            format!("cookie: a=b; {cookie};c=d\r\n"),
            format!("Cookie: nd-sticky-shop=x\r\nCookie: {cookie}\r\n"),
            format!("Cookie: nd-sticky-shop-2=fedcba9876543210; {cookie}\r\n"),
        ] {
            assert_eq!(wanted(&line), Some(token), "{line}");
        }
        for line in ["", "Cookie: nd-sticky-shop=1\r\n", "Cookie: xnd-sticky-shop=0123456789abcdef\r\n"] {
            assert_eq!(wanted(line), None, "{line}");
        }
    }

    #[test]
    fn a_client_is_told_once_and_again_when_it_goes_elsewhere() {
        let (here, there) = (Token(1), Token(2));
        let app: AppName = "shop".parse().unwrap();
        let mut sticky = Sticky { given: Some(here), is_https: true, line: String::new() };
        sticky.goes_to(&app, here);
        assert_eq!(sticky.line(), "");
        sticky.goes_to(&app, there);
        let line = "Set-Cookie: nd-sticky-shop=0000000000000002; Path=/; HttpOnly; SameSite=Lax; Secure\r\n";
        assert_eq!(sticky.line(), line);
    }

    #[test]
    fn a_token_stays_what_it_is() {
        let token = |unit: &str| Token::of(&unit.parse().unwrap());
        assert_eq!(
            format!("{:016x}", token("shop-aaaaaa-1").0),
            format!("{:016x}", token("shop-aaaaaa-1").0)
        );
        assert_ne!(token("shop-aaaaaa-1"), token("shop-aaaaaa-2"));
        assert_ne!(token("shop-aaaaaa-1"), token("shop-bbbbbb-1"));
    }
}
