//! `check`, of a file and of what runs.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use nd_check::CheckedUrl;

use crate::candidates;

/// `check`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CheckArgs {
    /// A project's file; or what is to run: an app, docker:NAME, systemd:UNIT, pm2:NAME or compose:FILE
    #[arg(value_name = "FILE|TARGET", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) words: Vec<String>,
    /// Take warnings about the file for mistakes
    #[arg(long)]
    pub(crate) strict: bool,
    /// Look at what runs, once; without a target at all apps
    #[arg(long)]
    pub(crate) once: bool,
    /// Look at what runs, again and again with this pause: seconds, or a duration as in 1m [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = pause)]
    pub(crate) interval: Option<Duration>,
    /// Ask this URL too; with exactly one target it says whether that is well
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<CheckedUrl>,
    /// Leave what failed as it is, where its own manager would be told to restart it
    #[arg(long)]
    pub(crate) no_restart: bool,
}

/// The shortest pause, and the longest.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Reads `60` as seconds, and `1m`.
pub(crate) fn pause(text: &str) -> Result<Duration, String> {
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => nd_types::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if PAUSES.contains(&pause) { Ok(pause) } else { Err(format!("`{text}` must be from 1s to 24h")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(pause("60"), Ok(Duration::from_secs(60)));
        assert_eq!(pause("2m"), Ok(Duration::from_secs(120)));
        for text in ["0", "-1", "soon", "100000", "10ms"] {
            assert!(pause(text).is_err(), "{text}");
        }
    }
}
