//! Why something failed, in words that help.

use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::{ByteSize, ExitStatus, RuntimeKind, format_duration};
use serde::{Deserialize, Serialize};

use crate::ports::Socket;

/// What failed, why, and what to do about it. `why` is only there when it is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What happened, in one line.
    pub what: String,
    /// The cause, when it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How the unit ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitStatus>,
    /// What the last probe said, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The last lines of the unit's output, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// What to type or change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

impl Diagnosis {
    /// A diagnosis that knows no more than what happened.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, exit: None, probe: None, logs: Vec::new(), fix: Vec::new() }
    }
}

/// The signal that a lack of memory ends an app with, but not alone.
const SIGKILL: i32 = 9;

/// What is known about a unit that did not become ready.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) unit: String,
    pub(crate) runtime: RuntimeKind,
    pub(crate) exit: Option<ExitStatus>,
    pub(crate) ran_for: Duration,
    pub(crate) probe: Option<String>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) port: Option<NonZeroU16>,
    pub(crate) memory: Option<ByteSize>,
    pub(crate) logs: Vec<String>,
}

impl Evidence {
    /// Says what happened, and why where that is proven.
    pub(crate) fn explain(self) -> Diagnosis {
        let ran = format_duration(self.ran_for);
        let what = match self.exit {
            Some(exit) => format!("{} ended with {exit} after {ran}, before it was ready", self.unit),
            None => format!("{} was not ready within {ran}", self.unit),
        };
        let (why, fix) = match self.cause() {
            Some((why, fix)) => (Some(why), vec![fix]),
            None => (None, self.suspicion().into_iter().collect()),
        };
        Diagnosis { what, why, exit: self.exit, probe: self.probe, logs: self.logs, fix }
    }

    fn cause(&self) -> Option<(String, String)> {
        match self.exit {
            Some(exit) => self.cause_of_exit(exit),
            None => self.cause_of_silence(),
        }
    }

    /// What is worth a try although nothing is proven.
    fn suspicion(&self) -> Option<String> {
        let limit = self.memory.filter(|_| self.exit == Some(ExitStatus::Signal(SIGKILL)))?;
        Some(format!(
            "raise `app.resources.memory_max` if the app needs more than its memory limit of {limit}"
        ))
    }

    fn cause_of_exit(&self, exit: ExitStatus) -> Option<(String, String)> {
        let said = |words: &str| self.logs.iter().any(|line| line.to_lowercase().contains(words));
        let container = self.runtime == RuntimeKind::Docker;
        match exit {
            ExitStatus::OutOfMemory => Some((
                match self.memory {
                    Some(limit) => format!("it needed more than its memory limit of {limit}"),
                    None => "the host ran out of memory".to_owned(),
                },
                "raise `app.resources.memory_max`, or make the app need less".to_owned(),
            )),
            ExitStatus::Code(127) if container || said("not found") => Some((
                "the command does not exist (exit code 127)".to_owned(),
                "check `command` and what is installed in the image".to_owned(),
            )),
            ExitStatus::Code(126) => Some((
                "the command exists but cannot be run (exit code 126)".to_owned(),
                "make the file executable and built for this machine".to_owned(),
            )),
            _ if said("address already in use") || said("eaddrinuse") => Some((
                "the port it wants to listen on is in use".to_owned(),
                "let the app listen on the port in its environment variable PORT".to_owned(),
            )),
            _ if said("exec format error") => Some((
                "the program is built for another machine (exec format error)".to_owned(),
                "build the image for this machine's architecture".to_owned(),
            )),
            _ => None,
        }
    }

    fn cause_of_silence(&self) -> Option<(String, String)> {
        if self.runtime == RuntimeKind::External {
            let fix = "start or mend that server, or correct `upstream`; it is run by something else";
            return Some((
                "the server that `upstream` names does not answer as it should".to_owned(),
                fix.to_owned(),
            ));
        }
        let container = self.runtime == RuntimeKind::Docker;
        let reachable = |socket: &&Socket| !container || !socket.ip.is_loopback();
        if let Some(port) = self.port.filter(|_| container) {
            let open = self.sockets.iter().find(|socket| socket.port == port);
            if open.is_some_and(|socket| socket.ip.is_loopback()) {
                return Some((
                    format!(
                        "it listens on 127.0.0.1:{port} inside the container, where nothing outside can reach it"
                    ),
                    format!("let it listen on 0.0.0.0:{port} (often HOST=0.0.0.0 or HOSTNAME=0.0.0.0)"),
                ));
            }
            if let (None, Some(other)) = (open, self.sockets.iter().find(reachable)) {
                let other = other.port;
                return Some((
                    format!("it listens on port {other}, not on {port}"),
                    format!(
                        "set `app.port: {other}`; a port that opens later needs `healthcheck.start_period`"
                    ),
                ));
            }
            if let (None, Some(other)) = (open, self.sockets.first()) {
                return Some((
                    format!("it listens on 127.0.0.1:{} alone, not on port {port}", other.port),
                    format!(
                        "let it listen on 0.0.0.0:{port}; a port that opens later needs `healthcheck.start_period`"
                    ),
                ));
            }
        }
        if let Some(only) = self.sockets.first().filter(|only| container && only.ip.is_loopback()) {
            let port = only.port;
            return Some((
                format!(
                    "it listens on 127.0.0.1:{port} inside the container, where nothing outside can reach it"
                ),
                format!("let it listen on 0.0.0.0:{port} (often HOST=0.0.0.0 or HOSTNAME=0.0.0.0)"),
            ));
        }
        let nothing = self.sockets.is_empty();
        nothing.then(|| {
            let fix = "let it listen on the port in PORT; a slow start needs `healthcheck.start_period`";
            ("it runs, but listens on no port".to_owned(), fix.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(exit: Option<ExitStatus>, sockets: &[&str]) -> Evidence {
        let sockets = sockets.iter().map(|text| {
            let address: std::net::SocketAddr = text.parse().unwrap();
            Socket { ip: address.ip(), port: NonZeroU16::new(address.port()).unwrap() }
        });
        Evidence {
            unit: "shop-abc-1".to_owned(),
            runtime: RuntimeKind::Docker,
            exit,
            ran_for: Duration::from_secs(2),
            probe: None,
            sockets: sockets.collect(),
            port: NonZeroU16::new(3000),
            memory: Some(ByteSize(64 << 20)),
            logs: Vec::new(),
        }
    }

    fn why(evidence: Evidence) -> String {
        evidence.explain().why.unwrap_or_default()
    }

    #[test]
    fn a_loopback_bind_inside_the_container_is_named() {
        assert!(why(evidence(None, &["127.0.0.1:3000"])).contains("127.0.0.1:3000 inside the container"));
    }

    #[test]
    fn another_port_is_named() {
        let diagnosis = evidence(None, &["0.0.0.0:8080"]).explain();
        assert_eq!(diagnosis.why.as_deref(), Some("it listens on port 8080, not on 3000"));
        assert!(diagnosis.fix.concat().starts_with("set `app.port: 8080`"));
    }

    #[test]
    fn a_debug_port_inside_the_container_is_not_taken_for_the_apps_own() {
        let diagnosis = evidence(None, &["127.0.0.1:9229"]).explain();
        assert_eq!(diagnosis.why.as_deref(), Some("it listens on 127.0.0.1:9229 alone, not on port 3000"));
        assert!(diagnosis.fix.concat().contains("0.0.0.0:3000"));
    }

    #[test]
    fn a_kill_that_nobody_explains_names_the_memory_limit_and_claims_nothing() {
        let diagnosis = evidence(Some(ExitStatus::Signal(9)), &[]).explain();
        assert_eq!(diagnosis.why, None);
        assert!(diagnosis.fix.concat().contains("memory limit of 64M"), "{:?}", diagnosis.fix);
    }

    #[test]
    fn too_little_memory_is_named_with_its_limit() {
        assert!(why(evidence(Some(ExitStatus::OutOfMemory), &[])).contains("64M"));
    }

    #[test]
    fn an_exit_without_a_proven_cause_claims_none() {
        assert_eq!(evidence(Some(ExitStatus::Code(1)), &[]).explain().why, None);
    }

    #[test]
    fn a_missing_command_is_named() {
        assert!(why(evidence(Some(ExitStatus::Code(127)), &[])).contains("does not exist"));
    }
}
