//! Noticing that a unit has settled down to listen where nobody asks it.
//!
//! Waiting on would only waste the rest of the deadline. But an app may open a port for debugging or metrics first and
//! its own port much later, so what it listens on has to stay as it is for a while, and the unit has to be idle
//! meanwhile: an app that still boots computes, or listens nowhere, or its boot time is declared (`start_period`).

use std::num::NonZeroU16;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::Socket;

/// How long the right port on 127.0.0.1 alone is watched: an app that has opened its port has booted.
const WRONG_ADDRESS: Duration = Duration::from_secs(5);

/// How long other ports are watched.
const WRONG_PORT: Duration = Duration::from_secs(10);

/// A unit that computes for more than this part of the time is busy, and may be booting.
const BUSY: f64 = 0.1;

/// What a unit has listened on since when, where that is not where it is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Misplaced(Option<Seen>);

#[derive(Clone, Debug)]
struct Seen {
    sockets: Vec<Socket>,
    since: Instant,
    /// The CPU time that the unit had used then.
    cpu: Duration,
}

impl Misplaced {
    /// Takes in what the unit listens on now and how much CPU time it has used so far; answers whether it has settled
    /// down in the wrong place. `port` is the one that is asked, if one is known.
    pub(super) fn settled(
        &mut self,
        sockets: &[Socket],
        port: Option<NonZeroU16>,
        cpu: Duration,
        now: Instant,
    ) -> bool {
        let Some(window) = watch_for(sockets, port) else {
            self.0 = None;
            return false;
        };
        let fresh = || Seen { sockets: sockets.to_vec(), since: now, cpu };
        let seen = self.0.get_or_insert_with(fresh);
        if seen.sockets != sockets {
            *seen = fresh();
        }
        let watched = now.saturating_duration_since(seen.since);
        if watched < window {
            return false;
        }
        let busy = cpu.saturating_sub(seen.cpu) > watched.mul_f64(BUSY);
        if busy {
            *seen = fresh();
        }
        !busy
    }
}

/// How long these sockets have to stay as they are until they count as wrong; `None` when nothing is wrong with them.
fn watch_for(sockets: &[Socket], port: Option<NonZeroU16>) -> Option<Duration> {
    let reachable = |socket: &Socket| !socket.ip.is_loopback();
    let asked = |socket: &Socket| port.is_none_or(|port| socket.port == port);
    if sockets.is_empty() || sockets.iter().any(|socket| reachable(socket) && asked(socket)) {
        return None;
    }
    let at_home = port.is_some() && sockets.iter().any(asked);
    Some(if at_home { WRONG_ADDRESS } else { WRONG_PORT })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Option<NonZeroU16> = NonZeroU16::new(3000);

    fn sockets(texts: &[&str]) -> Vec<Socket> {
        let socket = |text: &&str| {
            let address: std::net::SocketAddr = text.parse().unwrap();
            Socket { ip: address.ip(), port: NonZeroU16::new(address.port()).unwrap() }
        };
        texts.iter().map(socket).collect()
    }

    /// The second at which a unit counts as settled that shows these sockets, and has used so many seconds of CPU time,
    /// at each second.
    fn settles_at(story: impl Fn(u64) -> (Vec<Socket>, u64)) -> Option<u64> {
        let (mut misplaced, begin) = (Misplaced::default(), Instant::now());
        (0..60).find(|second| {
            let (sockets, cpu) = story(*second);
            let now = begin + Duration::from_secs(*second);
            misplaced.settled(&sockets, PORT, Duration::from_secs(cpu), now)
        })
    }

    #[test]
    fn the_right_port_on_loopback_is_believed_sooner_than_another_port() {
        assert_eq!(settles_at(|_| (sockets(&["127.0.0.1:3000"]), 1)), Some(5));
        assert_eq!(settles_at(|_| (sockets(&["0.0.0.0:8080"]), 1)), Some(10));
    }

    #[test]
    fn a_slow_boot_that_listens_nowhere_never_counts() {
        assert_eq!(settles_at(|_| (Vec::new(), 0)), None);
    }

    #[test]
    fn an_app_that_opens_a_debug_port_first_has_time_until_its_own() {
        let story = |second| {
            if second < 9 {
                (sockets(&["127.0.0.1:9229"]), 0)
            } else {
                (sockets(&["127.0.0.1:9229", "0.0.0.0:3000"]), 0)
            }
        };
        assert_eq!(settles_at(story), None);
    }

    #[test]
    fn an_app_that_computes_is_still_booting() {
        let busy_until = |end: u64| move |second: u64| (sockets(&["0.0.0.0:9010"]), second.min(end));
        assert_eq!(settles_at(busy_until(60)), None);
        assert!(settles_at(busy_until(25)).is_some_and(|second| (35..=45).contains(&second)));
    }

    #[test]
    fn what_changes_is_watched_anew() {
        let story = |second| (sockets(&[if second < 7 { "0.0.0.0:9010" } else { "0.0.0.0:8080" }]), 0);
        assert_eq!(settles_at(story), Some(17));
    }
}
