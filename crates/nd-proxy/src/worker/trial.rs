//! Which clients get a release that is tried: each is dealt a lot and keeps it for as long as the trial goes on.
//!
//! A client that keeps cookies keeps its lot in one; any other one keeps it as long as its connection. Lots are dealt in
//! turn rather than by chance, so that even a few clients are shared out as the table says. Nothing of it is done while
//! no release is tried.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use nd_types::{AppName, Split};

use super::plan::Origin;
use crate::http1::request::{RequestHead, text};

/// The name of the cookie, before that of the app: apps may share a host.
const PREFIX: &str = "nd-canary-";

/// Far from every short period, and without a divisor in common with the number of lots.
const STRIDE: u32 = 61;

/// Deals lots to clients that have none.
#[derive(Debug, Default)]
pub(crate) struct Dealer(Cell<u32>);

impl Dealer {
    /// The next lot: of a hundred in a row no two are alike.
    pub(crate) fn deal(&self) -> u8 {
        let turn = self.0.get();
        self.0.set(turn.wrapping_add(1) % u32::from(Split::LOTS));
        u8::try_from(turn * STRIDE % u32::from(Split::LOTS)).unwrap_or_default()
    }

    /// Where the first lot comes from: workers do not deal the same ones at once.
    pub(crate) fn of_worker(index: usize) -> Self {
        let start = index.wrapping_mul(37) % usize::from(Split::LOTS);
        Self(Cell::new(u32::try_from(start).unwrap_or_default()))
    }
}

/// One client's lot.
#[derive(Debug)]
pub(crate) struct Lot {
    pub(crate) number: u8,
    /// The field that the answer gets; empty where the client knows already.
    line: String,
}

impl Lot {
    /// The lot that the client brings along; else that of its connection or, where that is a trusted peer's, of its
    /// address; else a new one.
    pub(crate) fn of(
        head: &RequestHead<'_, '_>,
        app: &AppName,
        split: &Split,
        from: Origin<'_>,
        client: IpAddr,
        dealer: &Dealer,
    ) -> Self {
        if let Some(number) = kept(head, app, split) {
            return Self { number, line: String::new() };
        }
        let number = if from.trust.is_proxy() && client != from.peer.address {
            of_address(client, split)
        } else {
            let number = from.lot.get().unwrap_or_else(|| dealer.deal());
            from.lot.set(Some(number));
            number
        };
        let (release, secure) = (&split.release, if from.is_https(head) { "; Secure" } else { "" });
        let line = format!(
            "Set-Cookie: {PREFIX}{app}={release}.{number}; Path=/; HttpOnly; SameSite=Lax{secure}\r\n"
        );
        Self { number, line }
    }

    /// What is added to the answer (RFC 6265, section 4.1).
    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

/// The lot in the client's cookie; one of an earlier trial counts for nothing.
fn kept(head: &RequestHead<'_, '_>, app: &AppName, split: &Split) -> Option<u8> {
    let cookies = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
    cookies.flat_map(|field| text(field.value).split(';')).find_map(|pair| {
        let value = pair.trim().strip_prefix(PREFIX)?.strip_prefix(app.as_str())?.strip_prefix('=')?;
        let digits = value.strip_prefix(split.release.as_str())?.strip_prefix('.')?;
        let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    })
}

/// The same for every connection of a balancer in front of us, and another one in the next trial.
fn of_address(client: IpAddr, split: &Split) -> u8 {
    let mut hasher = DefaultHasher::new();
    (client, split.release.as_str()).hash(&mut hasher);
    u8::try_from(hasher.finish() % u64::from(Split::LOTS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::field_space;

    fn kept_in(cookies: &str) -> Option<u8> {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{cookies}\r\n");
        let mut space = field_space();
        let head = RequestHead::parse(bytes.as_bytes(), &mut space).unwrap();
        let split = Split { release: "bbbbbb".parse().unwrap(), percent: 5 };
        kept(&head, &"shop".parse().unwrap(), &split)
    }

    #[test]
    fn the_lot_of_this_trial_is_found_and_no_other() {
        assert_eq!(kept_in("Cookie: a=b; nd-canary-shop=bbbbbb.42; c=d\r\n"), Some(42));
        assert_eq!(kept_in("cookie: nd-canary-shop=bbbbbb.0\r\n"), Some(0));
        for line in [
            "",
            "Cookie: nd-canary-shop=aaaaaa.42\r\n",
            "Cookie: nd-canary-blog=bbbbbb.42\r\n",
            "Cookie: nd-canary-shop=bbbbbb.100\r\n",
            "Cookie: nd-canary-shop=bbbbbb.+1\r\n",
            "Cookie: nd-canary-shop=bbbbbb.\r\n",
        ] {
            assert_eq!(kept_in(line), None, "{line}");
        }
    }

    #[test]
    fn of_a_hundred_lots_in_a_row_no_two_are_alike() {
        let dealer = Dealer::of_worker(3);
        let mut lots: Vec<u8> = (0..100).map(|_| dealer.deal()).collect();
        let first: Vec<u8> = lots.iter().copied().take(20).collect();
        let below = first.iter().filter(|lot| **lot < 25).count();
        assert!((4..=6).contains(&below), "a few clients are shared out as well: {first:?}");
        lots.sort_unstable();
        assert!(lots.iter().copied().eq(0..100));
    }

    #[test]
    fn addresses_behind_a_balancer_are_spread() {
        let split = Split { release: "bbbbbb".parse().unwrap(), percent: 20 };
        let taken = (0..=255u8).flat_map(|c| (0..4u8).map(move |d| IpAddr::from([10, 0, c, d])));
        let taken = taken.filter(|client| split.takes(of_address(*client, &split))).count();
        assert!((150..260).contains(&taken), "{taken} of 1024 are a fifth");
    }
}
