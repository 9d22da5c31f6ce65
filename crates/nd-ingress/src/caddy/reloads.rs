//! What each change of Caddy's configuration does to connections that are just being opened.
//!
//! Caddy (2.6 to 2.10) opens its listeners anew with `SO_REUSEPORT` and closes those before; Linux resets what waits on them to
//! be taken, unless `net.ipv4.tcp_migrate_req` has it moved to the new ones (since 5.14).

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where Linux says whether such connections are moved.
const SETTING: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Says so once.
#[derive(Default)]
pub(super) struct Reloads {
    said: AtomicBool,
}

impl Reloads {
    /// There was one.
    pub(super) fn note(&self) {
        if self.said.swap(true, Ordering::Relaxed) {
            return;
        }
        if fs::read_to_string(SETTING).is_ok_and(|setting| setting.trim() == "0") {
            tracing::warn!(
                "connections that are opened at the moment of a change may be reset, for Caddy opens its listeners anew; \
                 `sysctl -w net.ipv4.tcp_migrate_req=1` has Linux move them instead"
            );
        }
    }
}
