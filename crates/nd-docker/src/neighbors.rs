//! How soon a container that starts again is found at its address.
//!
//! Requests that come while it is down make the kernel ask for its link address (ARP, RFC 826) and, without an answer,
//! ask again only after a second. So a container that is back after 400 ms would seem to be away for a second and more.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::models::ContainerInspectResponse;

use crate::runtime::Shared;

/// Milliseconds between two questions, on our own bridge only: a bridge in memory has no traffic to save.
const ASK_EVERY_MS: &str = "50";

/// Lets the kernel ask more often on the bridge of the container's network. Where that is not allowed (no root, or an
/// engine elsewhere), everything works, and a restart may take a second longer.
pub(crate) async fn ask_often(shared: &Arc<Shared>, container: &ContainerInspectResponse) {
    let is_local = shared.engine.session().await.is_ok_and(|session| session.local);
    let Some(file) = setting(container, &shared.settings.network).filter(|_| is_local) else { return };
    match write_once(&file).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::debug!(file = %file.display(), %error, "set how often link addresses are asked for");
        }
    }
}

async fn write_once(file: &PathBuf) -> io::Result<()> {
    // The kernel counts in ticks: what is read is at most a tick more than what was written.
    let is_default = tokio::fs::read_to_string(file).await?.trim() == "1000";
    if is_default { tokio::fs::write(file, ASK_EVERY_MS).await } else { Ok(()) }
}

fn setting(container: &ContainerInspectResponse, network: &str) -> Option<PathBuf> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    let id = networks.get(network)?.network_id.as_ref()?;
    Some(PathBuf::from(format!("/proc/sys/net/ipv4/neigh/br-{}/retrans_time_ms", id.get(..12)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_is_that_of_our_network() {
        let inspected =
            r#"{"NetworkSettings":{"Networks":{"nextdeploy":{"NetworkID":"3091502bfe5ee6e37dee999f"}}}}"#;
        let container: ContainerInspectResponse = serde_json::from_str(inspected).unwrap();
        let expected = "/proc/sys/net/ipv4/neigh/br-3091502bfe5e/retrans_time_ms";
        assert_eq!(setting(&container, "nextdeploy"), Some(PathBuf::from(expected)));
        assert_eq!(setting(&container, "bridge"), None);
    }
}
