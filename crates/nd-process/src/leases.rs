//! Ports for units: each has one of its own, for as long as it exists.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use nd_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ProcessError;
use crate::files::{Durability, read_json, write_json};

/// A port that was given back is nobody's for this long: a client, a proxy or a route that has not heard of it yet
/// must not reach another app. As for the addresses of containers.
pub(crate) const QUARANTINE_SECS: i64 = 600;

/// Which ports are leased, and which were until a moment ago.
#[derive(Debug)]
pub(crate) struct LeaseBook {
    first: u16,
    last: u16,
    leased: BTreeSet<u16>,
    kept: Kept,
    file: PathBuf,
}

/// Leases begin at a place of the range that is the daemon's own: several daemons of one machine share the range without
/// knowing of each other.
fn first_choice(file: &Path, first: u16, last: u16) -> u16 {
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(file.as_os_str().as_encoded_bytes());
    let span = u64::from(last - first) + 1;
    u16::try_from(hash.finish() % span).map_or(first, |offset| first + offset)
}

/// What is kept on disk; the leases themselves stand in the records of the units.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Where the search goes on, so that a port comes back as late as possible.
    next: u16,
    /// Ports in quarantine, and until when.
    quarantine: BTreeMap<u16, Timestamp>,
}

impl LeaseBook {
    /// A book for the ports from `first` to `last`, of which units hold `leased`. `file` remembers the quarantine; when it
    /// is damaged, the book begins without one.
    ///
    /// # Errors
    /// When the range is empty.
    pub(crate) fn open(
        file: &Path,
        first: NonZeroU16,
        last: NonZeroU16,
        leased: BTreeSet<u16>,
    ) -> Result<Self, ProcessError> {
        let (first, last) = (first.get(), last.get());
        if first > last {
            return Err(ProcessError::PortRange { first, last });
        }
        let kept = read_json(file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "the quarantine of ports is lost");
            None
        });
        let kept = kept
            .unwrap_or_else(|| Kept { next: first_choice(file, first, last), quarantine: BTreeMap::new() });
        Ok(Self { first, last, leased, kept, file: file.to_owned() })
    }

    /// Leases a port that no unit has, that is not in quarantine and that `free` says nobody listens on.
    ///
    /// # Errors
    /// [`ProcessError::NoPort`] when there is none.
    pub(crate) fn lease(
        &mut self,
        now: Timestamp,
        free: impl Fn(u16) -> bool,
    ) -> Result<NonZeroU16, ProcessError> {
        self.kept.quarantine.retain(|_, until| *until > now);
        let all = self.first..=self.last;
        let begin = if all.contains(&self.kept.next) { self.kept.next } else { self.first };
        let found = (begin..=self.last)
            .chain(self.first..begin)
            .find(|port| {
                !self.leased.contains(port) && !self.kept.quarantine.contains_key(port) && free(*port)
            })
            .and_then(NonZeroU16::new)
            .ok_or(ProcessError::NoPort { first: self.first, last: self.last })?;
        self.leased.insert(found.get());
        self.kept.next = found.get().saturating_add(1);
        self.save();
        Ok(found)
    }

    /// Makes sure that a port which one app insists on is never leased to another.
    ///
    /// # Errors
    /// [`ProcessError::PortLeased`] when it is one of those that are.
    pub(crate) fn stays_away_from(&self, port: NonZeroU16) -> Result<(), ProcessError> {
        let (first, last) = (self.first, self.last);
        if (first..=last).contains(&port.get()) {
            return Err(ProcessError::PortLeased { port, first, last });
        }
        Ok(())
    }

    /// Takes a port back; it stays in quarantine for a while.
    pub(crate) fn release(&mut self, port: NonZeroU16, now: Timestamp) {
        if self.leased.remove(&port.get()) {
            let until =
                Timestamp::from_second(now.as_second().saturating_add(QUARANTINE_SECS)).unwrap_or(now);
            self.kept.quarantine.insert(port.get(), until);
            self.save();
        }
    }

    /// Leases another port in the place of one that somebody else listens on.
    ///
    /// # Errors
    /// As [`LeaseBook::lease`]; the old port stays leased then.
    pub(crate) fn replace(
        &mut self,
        port: NonZeroU16,
        now: Timestamp,
        free: impl Fn(u16) -> bool,
    ) -> Result<NonZeroU16, ProcessError> {
        let found = self.lease(now, free)?;
        self.release(port, now);
        Ok(found)
    }

    /// A quarantine that a crash of the daemon forgets is no reason to refuse a port.
    fn save(&self) {
        if let Err(error) = write_json(&self.file, &self.kept, Durability::Process) {
            tracing::warn!(file = %self.file.display(), %error, "the quarantine of ports is not saved");
        }
    }
}

/// Whether nobody listens on the port, on any address.
pub(crate) fn is_free(port: u16) -> bool {
    // A socket on `::` takes IPv4 too; where there is no IPv6, it cannot be bound at all.
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: u16) -> NonZeroU16 {
        NonZeroU16::new(port).unwrap()
    }

    fn book(dir: &tempfile::TempDir, leased: &[u16]) -> LeaseBook {
        let file = dir.path().join("ports.json");
        LeaseBook::open(&file, port(100), port(103), leased.iter().copied().collect()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn no_port_is_leased_twice_and_the_end_of_the_range_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = book(&dir, &[101]);
        let mut lease = || book.lease(at(0), |port| port != 103);
        let found = BTreeSet::from([lease().unwrap(), lease().unwrap()]);
        assert_eq!(found, BTreeSet::from([port(100), port(102)]));
        assert!(matches!(lease(), Err(ProcessError::NoPort { first: 100, last: 103 })));
    }

    #[test]
    fn a_port_given_back_stays_away_for_ten_minutes_even_from_the_next_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = book(&dir, &[101, 102, 103]);
        let leased = first.lease(at(0), |_| true).unwrap();
        first.release(leased, at(1000));
        let mut second = book(&dir, &[101, 102, 103]);
        assert!(second.lease(at(1599), |_| true).is_err());
        assert_eq!(second.lease(at(1601), |_| true).unwrap(), port(100));
    }

    #[test]
    fn ports_come_back_as_late_as_possible() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = book(&dir, &[]);
        let mut expected = book.kept.next;
        for _ in 0..6 {
            let leased = book.lease(at(0), |_| true).unwrap();
            assert_eq!(leased.get(), expected);
            book.leased.remove(&leased.get());
            expected = if expected == 103 { 100 } else { expected + 1 };
        }
    }

    #[test]
    fn a_port_that_somebody_else_took_is_replaced_and_stays_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = book(&dir, &[102, 103]);
        let first = book.lease(at(0), |_| true).unwrap();
        let second = book.replace(first, at(0), |port| port != first.get()).unwrap();
        assert_ne!(first, second);
        assert!(book.lease(at(1), |_| true).is_err());
        assert_eq!(book.lease(at(601), |_| true).unwrap(), first);
    }

    #[test]
    fn daemons_begin_at_places_of_their_own() {
        let begins: BTreeSet<u16> = (0..20)
            .map(|number| {
                first_choice(Path::new(&format!("/data/{number}/units/ports.json")), 20_000, 29_999)
            })
            .collect();
        assert!(begins.len() > 15 && begins.iter().all(|port| (20_000..30_000).contains(port)));
        assert_eq!(first_choice(Path::new("/x"), 65_535, 65_535), 65_535);
        assert!(first_choice(Path::new("/x"), 1, 65_535) > 0);
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        drop(listener);
        assert!(is_free(port));
    }
}
