//! Session tickets (RFC 5077; RFC 8446, section 4.6.1): what a client brings back instead of a full handshake.
//!
//! A ticket is sealed with a key that nobody else has. The keys change, or whoever learns one could read what was said
//! long ago; and they are handed from one process to the next, or every upgrade would be a storm of full handshakes.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use parking_lot::{RwLock, RwLockReadGuard};
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// For so long a key seals tickets; for as long again it opens them.
const PERIOD: Duration = Duration::from_secs(6 * 3600);
/// A key that seems to be younger than this is of another time: the clock was set back, and it must not live longer for it.
const SLACK: u64 = 60;

/// The keys of session tickets, to be handed to the process that serves next. Never shown: their debug form says only that
/// they are there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketKeys {
    current: TicketKey,
    previous: Option<TicketKey>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TicketKey {
    /// Stands in front of each ticket.
    name: [u8; 16],
    secret: [u8; 32],
    /// In seconds since 1970.
    born: u64,
}

/// Seals and opens tickets, with any worker.
pub(crate) struct Tickets {
    ring: RwLock<Ring>,
    known: watch::Sender<TicketKeys>,
}

struct Ring {
    current: Sealer,
    previous: Option<Sealer>,
}

struct Sealer {
    key: TicketKey,
    cipher: RandomizedNonceKey,
}

/// The system has no random numbers, or what came as keys are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("make keys of session tickets: the system has no random numbers")]
pub struct NoKeys;

impl Tickets {
    /// Goes on with these keys, or begins with new ones.
    pub(crate) fn new(inherited: Option<TicketKeys>) -> Result<Self, NoKeys> {
        let ring = match inherited {
            Some(TicketKeys { current, previous }) => {
                Ring { current: Sealer::of(current)?, previous: previous.map(Sealer::of).transpose()? }
            }
            None => Ring { current: Sealer::new(now())?, previous: None },
        };
        let known = watch::Sender::new(ring.keys());
        Ok(Self { ring: RwLock::new(ring), known })
    }

    /// The keys, and each change of them.
    pub(crate) fn keys(&self) -> watch::Receiver<TicketKeys> {
        self.known.subscribe()
    }

    /// What is used now: the keys change when it is time, as soon as one is needed.
    fn at(&self, now: u64) -> Option<RwLockReadGuard<'_, Ring>> {
        let ring = self.ring.read();
        if ring.current.key.is_within(PERIOD, now) {
            return Some(ring);
        }
        drop(ring);
        let next = Sealer::new(now).ok()?;
        let mut ring = self.ring.write();
        if !ring.current.key.is_within(PERIOD, now) {
            ring.previous = Some(std::mem::replace(&mut ring.current, next));
            self.known.send_replace(ring.keys());
        }
        drop(ring);
        Some(self.ring.read())
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        self.at(now)?.current.seal(plain)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let ring = self.at(now)?;
        let (name, sealed) = ticket.split_first_chunk()?;
        let mut sealers = std::iter::once(&ring.current).chain(&ring.previous);
        let sealer = sealers.find(|sealer| sealer.key.name == *name)?;
        sealer.key.is_within(PERIOD * 2, now).then(|| sealer.open(sealed)).flatten()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(PERIOD.as_secs() * 2).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, now())
    }
}

impl Ring {
    fn keys(&self) -> TicketKeys {
        let previous = self.previous.as_ref().map(|sealer| sealer.key.clone());
        TicketKeys { current: self.current.key.clone(), previous }
    }
}

impl Sealer {
    fn new(now: u64) -> Result<Self, NoKeys> {
        let mut key = TicketKey { name: [0; 16], secret: [0; 32], born: now };
        getrandom::fill(&mut key.name).map_err(|_| NoKeys)?;
        getrandom::fill(&mut key.secret).map_err(|_| NoKeys)?;
        Self::of(key)
    }

    fn of(key: TicketKey) -> Result<Self, NoKeys> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.secret).map_err(|_| NoKeys)?;
        Ok(Self { key, cipher })
    }

    /// Name, nonce, what is sealed, tag. The nonces are random: one key seals far fewer than 2³² tickets.
    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.cipher.seal_in_place_append_tag(Aad::from(self.key.name), &mut sealed).ok()?;
        Some([&self.key.name[..], nonce.as_ref(), &sealed].concat())
    }

    /// Opens what comes behind its name.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.cipher.open_in_place(nonce, Aad::from(self.key.name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl TicketKey {
    fn is_within(&self, time: Duration, now: u64) -> bool {
        now.saturating_add(SLACK) >= self.born && now.saturating_sub(self.born) < time.as_secs()
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(…)")
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn tickets() -> (Tickets, u64) {
        let tickets = Tickets::new(None).unwrap();
        let born = tickets.keys().borrow().current.born;
        (tickets, born)
    }

    #[test]
    fn a_key_seals_for_six_hours_and_opens_for_twelve() {
        let (tickets, born) = tickets();
        let first = tickets.seal(b"one", born).unwrap();
        let last = tickets.seal(b"two", born + 6 * HOUR - 1).unwrap();
        assert_eq!(first.get(..16), last.get(..16), "one key");
        let next = tickets.seal(b"three", born + 6 * HOUR).unwrap();
        assert_ne!(first.get(..16), next.get(..16), "another key");
        for (ticket, plain) in
            [(&first, b"one".to_vec()), (&last, b"two".to_vec()), (&next, b"three".to_vec())]
        {
            assert_eq!(tickets.open(ticket, born + 12 * HOUR - 1), Some(plain));
        }
        assert_eq!(tickets.open(&last, born + 12 * HOUR), None);
        assert!(tickets.open(&next, born + 12 * HOUR).is_some());
    }

    #[test]
    fn a_key_that_nobody_used_for_long_opens_nothing_any_more() {
        let (tickets, born) = tickets();
        let old = tickets.seal(b"x", born).unwrap();
        let before = tickets.keys().borrow().clone();
        assert_eq!(tickets.open(&old, born + 13 * HOUR), None);
        assert_ne!(*tickets.keys().borrow(), before, "whoever keeps the keys is told");
    }

    #[test]
    fn a_clock_that_was_set_back_prolongs_no_key() {
        let (tickets, born) = tickets();
        let ticket = tickets.seal(b"x", born).unwrap();
        assert!(tickets.open(&ticket, born - 30).is_some(), "a second or two are nothing");
        assert_eq!(tickets.open(&ticket, born - HOUR), None);
        let after = tickets.seal(b"y", born - HOUR).unwrap();
        assert!(tickets.open(&after, born - HOUR).is_some());
    }

    #[test]
    fn tickets_are_opened_with_inherited_keys_and_never_with_others() {
        let (tickets, born) = tickets();
        let ticket = tickets.seal(b"x", born).unwrap();
        let keys = tickets.keys().borrow().clone();
        assert_eq!(Tickets::new(Some(keys)).unwrap().open(&ticket, born), Some(b"x".to_vec()));
        assert_eq!(Tickets::new(None).unwrap().open(&ticket, born), None);
    }

    #[test]
    fn a_ticket_that_was_changed_anywhere_is_none() {
        let (tickets, born) = tickets();
        let ticket = tickets.seal(b"plain", born).unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.open(&changed, born), None, "{place}");
            assert_eq!(tickets.open(&ticket[..place], born), None, "{place}");
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let keys = tickets().0.keys().borrow().clone();
        assert_eq!(format!("{keys:?}"), "TicketKeys(…)");
    }
}
