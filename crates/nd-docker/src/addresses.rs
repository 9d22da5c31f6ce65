//! Who may have which address, so that a request never reaches another app.
//!
//! An engine hands a freed address to the next container at once, while connections to the old one may still be opened.
//! So each unit gets an address of our choice, and one that was freed rests for [`QUARANTINE`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use nd_supervise::Mono;
use serde::{Deserialize, Serialize};

use crate::subnet::Subnet;

/// How long a freed address rests: longer than any request that was on its way to the unit that had it.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(600);

/// Which addresses are taken or resting. Addresses are given out in turn, so that even without the quarantine one
/// comes back as late as possible.
#[derive(Debug, Default)]
pub(crate) struct AddressBook {
    next: Option<Ipv4Addr>,
    held: BTreeMap<Ipv4Addr, Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    InUse,
    FreedAt(Mono),
}

/// The book as it is kept on disk. It holds no times: after a restart every address that is not in use rests anew, which
/// is safe whatever the clock did meanwhile.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredBook {
    next: Option<Ipv4Addr>,
    held: Vec<Ipv4Addr>,
}

impl AddressBook {
    /// Takes an address of `subnet` that no container has and that does not rest; `used` is what containers have now,
    /// running or not. `None` when there is none left.
    pub(crate) fn allocate(
        &mut self,
        subnet: Subnet,
        used: &BTreeSet<Ipv4Addr>,
        now: Mono,
    ) -> Option<Ipv4Addr> {
        self.refresh(used, now);
        let range = subnet.unit_addresses();
        let first =
            self.next.map(Ipv4Addr::to_bits).filter(|next| range.contains(next)).unwrap_or(range.start);
        let address = (first..range.end)
            .chain(range.start..first)
            .map(Ipv4Addr::from_bits)
            .find(|address| !self.held.contains_key(address))?;
        self.held.insert(address, Held::InUse);
        self.next = Some(Ipv4Addr::from_bits(address.to_bits().wrapping_add(1)));
        Some(address)
    }

    /// The container that had `address` is gone.
    pub(crate) fn release(&mut self, address: Ipv4Addr, now: Mono) {
        self.held.insert(address, Held::FreedAt(now));
    }

    /// Notes what is in use, what ceased to be without anybody saying so, and whose rest is over.
    fn refresh(&mut self, used: &BTreeSet<Ipv4Addr>, now: Mono) {
        for (address, held) in &mut self.held {
            if *held == Held::InUse && !used.contains(address) {
                *held = Held::FreedAt(now);
            }
        }
        self.held.extend(used.iter().map(|address| (*address, Held::InUse)));
        self.held.retain(|_, held| match held {
            Held::InUse => true,
            Held::FreedAt(then) => now.saturating_since(*then) < QUARANTINE,
        });
    }

    /// The book to be kept.
    pub(crate) fn to_stored(&self) -> StoredBook {
        StoredBook { next: self.next, held: self.held.keys().copied().collect() }
    }
}

impl From<StoredBook> for AddressBook {
    fn from(stored: StoredBook) -> Self {
        Self {
            next: stored.next,
            held: stored.held.into_iter().map(|address| (address, Held::InUse)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn subnet() -> Subnet {
        "10.83.0.0/28".parse().unwrap()
    }

    fn last(address: Option<Ipv4Addr>) -> Option<u8> {
        address.map(|address| address.octets()[3])
    }

    fn at(minutes: u32) -> Mono {
        Mono(MINUTE * minutes)
    }

    #[test]
    fn addresses_are_given_out_in_turn_and_come_back_after_their_rest() {
        let mut book = AddressBook::default();
        let none = BTreeSet::new();
        let first = book.allocate(subnet(), &none, at(0)).unwrap();
        assert_eq!(last(Some(first)), Some(2));
        book.release(first, at(1));
        let taken: Vec<_> = (0..5).map(|_| last(book.allocate(subnet(), &none, at(2)))).collect();
        assert_eq!(taken, [Some(3), Some(4), Some(5), Some(6), Some(7)]);
        assert_eq!(book.allocate(subnet(), &none, at(3)), None);
        assert_eq!(last(book.allocate(subnet(), &none, at(11))), Some(2));
    }

    #[test]
    fn an_address_that_vanished_behind_our_back_rests_from_the_moment_it_was_missed() {
        let mut book = AddressBook::default();
        let used = BTreeSet::from([Ipv4Addr::new(10, 83, 0, 2)]);
        assert_eq!(last(book.allocate(subnet(), &used, at(0))), Some(3));
        for minute in [100, 105, 109] {
            assert_ne!(last(book.allocate(subnet(), &BTreeSet::new(), at(minute))), Some(2));
        }
    }

    #[test]
    fn after_a_restart_every_address_rests_anew() {
        let mut book = AddressBook::default();
        let first = book.allocate(subnet(), &BTreeSet::new(), at(0)).unwrap();
        book.release(first, at(0));
        let stored = serde_json::to_string(&book.to_stored()).unwrap();
        let mut book = AddressBook::from(serde_json::from_str::<StoredBook>(&stored).unwrap());
        for _ in 0..5 {
            assert_ne!(book.allocate(subnet(), &BTreeSet::new(), at(0)), Some(first));
        }
        assert_eq!(book.allocate(subnet(), &BTreeSet::new(), at(9)), None);
    }

    proptest! {
        #[test]
        fn no_address_is_given_out_twice_within_its_rest(steps in prop::collection::vec((any::<bool>(), 0u32..4), 1..80)) {
            let mut book = AddressBook::default();
            let mut used = BTreeSet::new();
            let mut freed: Vec<(Ipv4Addr, u32)> = Vec::new();
            let mut now = 0;
            for (create, wait) in steps {
                now += wait;
                if create {
                    if let Some(address) = book.allocate(subnet(), &used, at(now)) {
                        prop_assert!(used.insert(address));
                        prop_assert!(freed.iter().all(|(old, then)| *old != address || now - then >= 10));
                    }
                } else if let Some(address) = used.pop_first() {
                    freed.push((address, now));
                }
            }
        }
    }
}
