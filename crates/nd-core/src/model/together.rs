//! Whether two versions of an app may run at once.

use std::num::NonZeroU16;

use crate::ports::RuntimeCaps;
use crate::spec::AppSpec;

/// Whether two versions of the app may run side by side.
///
/// # Errors
/// Why not, for the user.
pub fn side_by_side(spec: &AppSpec, caps: RuntimeCaps, fixed_port: Option<NonZeroU16>) -> Result<(), String> {
    if let Some(volume) = spec.volumes.iter().find(|volume| !volume.read_only) {
        return Err(format!("volume {} is writable, and two versions must never share it", volume.target));
    }
    if let Some(bind) = spec.own_ports().next() {
        return Err(format!("the app has host port {bind} itself, and two versions cannot have it at once"));
    }
    match fixed_port {
        Some(port) if !caps.own_address => Err(format!("the app binds port {port} whatever PORT says")),
        _ => Ok(()),
    }
}
