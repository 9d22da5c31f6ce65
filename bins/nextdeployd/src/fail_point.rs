//! Ending the daemon on purpose, for tests of what a later start makes of it. Only in debug builds.

use nd_core::engine::FailPoint;

/// The fail point that `ND_FAILPOINT` names (`after-create`), in a debug build.
pub(crate) fn from_environment() -> Option<FailPoint> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let name = std::env::var("ND_FAILPOINT").ok()?;
    Some(std::sync::Arc::new(move |moment: &str| {
        if moment == name {
            // As sudden as SIGKILL: nothing is flushed, nothing is said.
            std::process::abort();
        }
    }))
}
