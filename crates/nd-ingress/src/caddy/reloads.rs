//! What each change of Caddy's configuration does to connections that are just being opened.
//!
//! Caddy (2.6 to 2.10) opens its listeners anew with `SO_REUSEPORT` and closes those before; Linux resets what waits on them to
//! be taken, unless `net.ipv4.tcp_migrate_req` has it moved to the new ones (since 5.14).

use std::fs;
use std::sync::OnceLock;

/// Whether Linux moves such connections.
const SETTING: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Has them moved, as far as this process may say so.
#[derive(Default)]
pub(super) struct Reloads {
    prepared: OnceLock<()>,
}

impl Reloads {
    /// Before the first one.
    pub(super) fn prepare(&self) {
        self.prepared.get_or_init(prepare);
    }
}

fn prepare() {
    if fs::read_to_string(SETTING).is_ok_and(|setting| setting.trim() != "0") {
        return;
    }
    match fs::write(SETTING, "1") {
        Ok(()) => tracing::info!(
            "net.ipv4.tcp_migrate_req is 1 now: connections that are opened while Caddy changes its listeners are moved"
        ),
        Err(error) => tracing::warn!(
            %error,
            "connections that are opened at the moment of a change may be reset, for Caddy opens its listeners anew; \
             `sysctl -w net.ipv4.tcp_migrate_req=1` has Linux move them instead"
        ),
    }
}
