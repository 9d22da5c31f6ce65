//! What the processes of the data plane tell each other.
//!
//! Holder and worker come from different versions of the program for the time of an upgrade, and so do the proxy and the
//! daemon. So every field that is added needs a default, and what merely passes through stays as it came.

use std::collections::BTreeSet;
use std::time::Duration;

use nd_types::{AppName, EdgeState, Generation, UnitId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of these messages. Another one is told at the first greeting.
pub(super) const VERSION: u32 = 1;

/// The first byte of a message that holds access records.
pub(super) const RECORDS: u8 = b'R';

/// What a worker works with. The sockets come along in this order: control, main, those of each host port, and at last,
/// for a new holder, the connection to the worker that serves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Inventory {
    /// `nd_proxy::Settings`, as written.
    pub(super) settings: Value,
    /// The last `EdgeState` that was acknowledged.
    pub(super) state: Option<Value>,
    /// Sockets of the main port.
    pub(super) main: usize,
    /// Sockets of each host port.
    pub(super) ports: Vec<usize>,
    /// Whether a worker serves already.
    pub(super) is_serving: bool,
    /// `nd_proxy::TicketKeys`: of the worker before this one.
    #[serde(default)]
    pub(super) tickets: Option<Value>,
}

/// From the holder to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ToWorker {
    /// Serve with this.
    Start(Inventory),
    /// Another worker serves: finish what is in flight within `grace_ms`, and end.
    HandOver { grace_ms: u64 },
    /// What became of a replacement that was asked for.
    Replaced { request: u64, error: Option<String> },
}

/// From a worker to the holder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ToHolder {
    /// It serves. Said again whenever the keys of its session tickets have changed.
    Serving {
        #[serde(default)]
        tickets: Option<Value>,
    },
    /// It cannot.
    Failed { error: String },
    /// Keep this state for the next worker.
    Keep { state: Value },
    /// Keep these sockets, and no others, for the host ports.
    Ports { ports: Vec<usize> },
    /// Put another worker into the place of this one, and another holder into that of the holder.
    Replace { request: u64, program: String, settings: Value, grace_ms: u64 },
    /// End the whole data plane.
    Stop { grace_ms: u64 },
}

/// From the daemon to the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Comes back with the answer.
    pub(super) id: u64,
    pub(super) what: Wish,
}

/// What the daemon wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Wish {
    Hello {
        version: u32,
    },
    Apply {
        state: Box<EdgeState>,
    },
    Drain {
        units: Vec<UnitId>,
        patience: Duration,
    },
    Pause {
        app: AppName,
        max: Duration,
    },
    Resume {
        app: AppName,
    },
    Stats,
    State,
    /// The sleeping apps that somebody waits for, as soon as they are others than these, or after a minute.
    Wanted {
        known: BTreeSet<AppName>,
    },
    /// From now on, send access records on this connection, each batch as a message of its own that is no JSON:
    /// [`RECORDS`], then the lines.
    Records,
    Replace {
        program: String,
        settings: Value,
        grace_ms: u64,
    },
    Stop {
        grace_ms: u64,
    },
}

/// From the worker to the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// That of the request; none for what nobody asked for.
    pub(super) id: Option<u64>,
    pub(super) what: Answer,
}

/// What the worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Answer {
    Hello(Greeting),
    Applied {
        generation: Generation,
        faults: Vec<Fault>,
    },
    /// A newer state serves already.
    Outdated {
        refused: Generation,
        serving: Generation,
    },
    Drained {
        finished: u64,
        cut: u64,
        websockets_closed: u64,
        websockets_cut: u64,
    },
    Stats(Box<nd_proxy::ProxyStats>),
    State(Box<EdgeState>),
    Wanted {
        apps: BTreeSet<AppName>,
    },
    Done,
    Failed {
        error: String,
    },
    /// Another worker serves: this one only finishes.
    Retiring,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(super) version: u32,
    /// Of the worker.
    pub(super) pid: u32,
    /// Where the main port is bound.
    pub(super) http: std::net::SocketAddr,
    pub(super) serving: Generation,
    pub(super) settings: Value,
}

/// A listener that could not be opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(super) bind: std::net::SocketAddr,
    pub(super) app: Option<AppName>,
    pub(super) error: String,
}

#[cfg(test)]
mod tests {
    use nd_proxy::{AppTraffic, ProxyStats, ReleaseTraffic};

    use super::*;

    #[test]
    fn figures_arrive_as_they_were_sent() {
        let release = ReleaseTraffic { codes: [(200, 3), (503, 1)].into(), ..ReleaseTraffic::default() };
        let releases = [("aaaaaa".parse().unwrap(), release)].into();
        let app = AppTraffic { requests: 4, releases, ..AppTraffic::default() };
        let stats = ProxyStats { apps: [("shop".parse().unwrap(), app)].into(), ..ProxyStats::default() };
        let sent = Reply { id: Some(7), what: Answer::Stats(Box::new(stats.clone())) };
        let bytes = serde_json::to_vec(&sent).unwrap();
        let Reply { what: Answer::Stats(arrived), .. } = serde_json::from_slice(&bytes).unwrap() else {
            unreachable!()
        };
        assert_eq!(*arrived, stats);
    }
}
