//! What the operator may choose.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::subnet::Subnet;

/// Settings of the Docker runtime. Durations are written as `10s` or `1m30s`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the engine listens, as in `unix:///var/run/docker.sock` or `tcp://10.0.0.5:2375`; `DOCKER_HOST`, else
    /// `/var/run/docker.sock`, when absent.
    pub host: Option<String>,
    /// The bridge network that units are on.
    pub network: String,
    /// Its addresses. When absent, `10.83.0.0/16`, or the next free one of a few others.
    pub subnet: Option<Subnet>,
    /// How long a pull may take in all.
    #[serde(deserialize_with = "duration")]
    pub pull_timeout: Duration,
    /// For how long a registry that cannot be reached, or asks to wait, is tried again.
    #[serde(deserialize_with = "duration")]
    pub pull_retry_timeout: Duration,
    /// How long any other call to the engine may take.
    #[serde(deserialize_with = "duration")]
    pub call_timeout: Duration,
}

impl Default for Settings {
    /// Ten minutes for a pull, as a slow line needs for a large image; half a minute of trying again, as a registry needs
    /// for a restart, after which somebody who waits for a deployment is better told; one minute for a call, as a busy engine under
    /// disk load needs to create a container.
    fn default() -> Self {
        Self {
            host: None,
            network: "nextdeploy".to_owned(),
            subnet: None,
            pull_timeout: Duration::from_secs(600),
            pull_retry_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    nd_types::parse_duration(&text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        let settings: Settings =
            serde_json::from_str(r#"{"pull_timeout": "2m", "subnet": "10.9.0.0/16"}"#).unwrap();
        assert_eq!(settings.pull_timeout, Duration::from_secs(120));
        assert_eq!(settings.subnet.map(|subnet| subnet.to_string()).as_deref(), Some("10.9.0.0/16"));
        assert_eq!(settings.network, "nextdeploy");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"sockett": "x"}"#).is_err());
    }
}
