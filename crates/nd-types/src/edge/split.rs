//! Two releases of one service at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ReleaseId;

/// How the clients of a service are shared out between the release that serves and another one that is tried.
///
/// A client is dealt one of a hundred lots and keeps it for as long as the release is tried; those below `percent` get it.
/// So a client that has once been given the new release stays with it while the share grows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Split {
    /// The release that is tried. Its units stand among the backends of the service.
    pub release: ReleaseId,
    /// How many of a hundred clients get it.
    pub percent: u8,
}

impl Split {
    /// How many lots there are.
    pub const LOTS: u8 = 100;

    /// Whether a client with this lot, from 0, gets the release that is tried.
    #[must_use]
    pub fn takes(&self, lot: u8) -> bool {
        lot < self.percent
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of clients to release {}", self.percent, self.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_new_release_keeps_it_while_its_share_grows() {
        let split = |percent| Split { release: "bbbbbb".parse().unwrap(), percent };
        for lot in 0..Split::LOTS {
            let gets_it = [0, 5, 25, 100].map(|percent| split(percent).takes(lot));
            assert!(gets_it.is_sorted() && !gets_it[0] && gets_it[3], "{lot}: {gets_it:?}");
        }
        assert_eq!((0..Split::LOTS).filter(|lot| split(25).takes(*lot)).count(), 25);
    }
}
