//! From the engine's words to the one error of the ports.

use std::io;

use nd_core::ports::{PortError, PortErrorKind};

use crate::engine::EngineError;

const HOST_PORT: &str =
    "end what listens on that port (`ss -ltnp` names it), or choose another one in `ports`";

/// What of the engine's words tells which failure it is: the words in lower case, the kind, and what the user can do.
/// The first row that fits wins.
const WORDS: &[(&str, PortErrorKind, Option<&str>)] = &[
    (
        "no space left on device",
        PortErrorKind::Exhausted,
        Some("free disk space; `docker system df` shows what takes it"),
    ),
    ("cannot allocate memory", PortErrorKind::Exhausted, Some("free memory on the host")),
    (
        "exec format error",
        PortErrorKind::Invalid,
        Some("use an image that is built for this host's processor"),
    ),
    // A limit below what the engine needs to begin with is met before the app runs.
    ("unable to set memory limit", PortErrorKind::Invalid, Some("raise `app.resources.memory_max`")),
    ("memory limit too low", PortErrorKind::Invalid, Some("raise `app.resources.memory_max`")),
    ("docker-init", PortErrorKind::Invalid, Some("install docker's init (package `tini` or `docker-init`)")),
    ("lookup init binary", PortErrorKind::Invalid, Some("install the engine's init (package `catatonit`)")),
    (
        "executable file not found",
        PortErrorKind::NotFound,
        Some("check `command:` and the image's ENTRYPOINT"),
    ),
    (
        "unable to start container process: exec:",
        PortErrorKind::NotFound,
        Some("check `command:` and the image's ENTRYPOINT"),
    ),
    (
        "unable to find user",
        PortErrorKind::Invalid,
        Some("name a user or a number that the image knows in `user:`"),
    ),
    (
        "unable to find group",
        PortErrorKind::Invalid,
        Some("name a group or a number that the image knows in `user:`"),
    ),
    (
        "bind source path does not exist",
        PortErrorKind::NotFound,
        Some("create the directory, or correct `volumes:`"),
    ),
    (
        "error while creating mount source path",
        PortErrorKind::NotFound,
        Some("create the directory, or correct `volumes:`"),
    ),
    ("no such image", PortErrorKind::NotFound, Some("deploy again, so that the image is fetched again")),
    ("port is already allocated", PortErrorKind::Conflict, Some(HOST_PORT)),
    ("bind: address already in use", PortErrorKind::Conflict, Some(HOST_PORT)),
    ("address already in use", PortErrorKind::Conflict, None),
    ("pool overlaps", PortErrorKind::Conflict, Some("choose another `subnet` for the docker runtime")),
    (
        "overlaps a route of the host",
        PortErrorKind::Conflict,
        Some("choose a free `subnet` for the docker runtime"),
    ),
    (
        "user specified ip address is supported only",
        PortErrorKind::Invalid,
        Some("remove that network, or name another `network` for the docker runtime"),
    ),
];

/// The error for `error`, which came of trying `tried` (`start unit shop-8f3k2a-1`).
pub(crate) fn port_error(tried: &str, error: EngineError) -> PortError {
    match error {
        EngineError::Absent { address, source } => absent(tried, &address, &source),
        EngineError::Timeout(_) => PortError::new(PortErrorKind::Timeout, format!("{tried}: {error}"))
            .with_fix("look at the engine's own log: `journalctl -u docker`"),
        EngineError::Garbled(_) => PortError::new(PortErrorKind::Internal, format!("{tried}: {error}")),
        EngineError::Refused { status, message } => refused(tried, status, &message),
    }
}

fn absent(tried: &str, address: &str, source: &io::Error) -> PortError {
    let context = format!("{tried}: the docker engine at {address} cannot be reached ({source})");
    let fix = if source.kind() == io::ErrorKind::PermissionDenied {
        "run the daemon as root, or add its user to the group `docker`"
    } else {
        "start Docker (`systemctl start docker`), or use `command:` instead of `image:`"
    };
    PortError::new(PortErrorKind::Unavailable, context).with_fix(fix)
}

fn refused(tried: &str, status: u16, message: &str) -> PortError {
    let context = format!("{tried}: {}", plain(message));
    let lower = message.to_lowercase();
    if let Some((_, kind, fix)) = WORDS.iter().find(|(words, ..)| lower.contains(words)) {
        let error = PortError::new(*kind, context);
        return match fix {
            Some(fix) => error.with_fix(*fix),
            None => error,
        };
    }
    let kind = match status {
        400 => PortErrorKind::Invalid,
        401 | 403 => PortErrorKind::Denied,
        404 => PortErrorKind::NotFound,
        409 => PortErrorKind::Conflict,
        // An engine says 500 of whatever went wrong inside it.
        _ => PortErrorKind::Transient,
    };
    PortError::new(kind, context)
}

/// The engine's words in one line, without the layers of runtimes that the message went through.
pub(crate) fn plain(message: &str) -> String {
    let mut text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    for layer in [
        "failed to create task for container: ",
        "failed to create shim task: ",
        "OCI runtime create failed: ",
        "runc create failed: ",
        "Error response from daemon: ",
    ] {
        text = text.replace(layer, "");
    }
    text.trim_end_matches(": unknown").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(status: u16, message: &str) -> (PortErrorKind, bool) {
        let error = port_error("start unit x", EngineError::Refused { status, message: message.to_owned() });
        (error.kind, error.fix.is_some())
    }

    #[test]
    fn the_engines_words_say_more_than_its_status() {
        let missing = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                       container process: exec: \"/nope\": stat /nope: no such file or directory: unknown";
        assert_eq!(kind_of(400, missing), (PortErrorKind::NotFound, true));
        assert_eq!(
            kind_of(500, "unable to find user foo: no matching entries in passwd file"),
            (PortErrorKind::Invalid, true)
        );
        assert_eq!(
            kind_of(403, "Pool overlaps with other one on this address space"),
            (PortErrorKind::Conflict, true)
        );
        assert_eq!(
            kind_of(500, "driver failed programming external connectivity"),
            (PortErrorKind::Transient, false)
        );
        assert_eq!(
            kind_of(
                500,
                "unable to set memory limit to 6291456 (current usage: 13103104, peak usage: 13152256)"
            ),
            (PortErrorKind::Invalid, true)
        );
        assert_eq!(kind_of(400, "Range of CPUs is from 0.01 to 2.00"), (PortErrorKind::Invalid, false));
    }

    #[test]
    fn runtime_layers_are_left_out_of_the_message() {
        let message = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                       container process: exec: \"/nope\": no such file or directory: unknown";
        assert_eq!(
            plain(message),
            "unable to start container process: exec: \"/nope\": no such file or directory"
        );
    }

    #[test]
    fn an_absent_engine_is_unavailable_and_says_what_to_do() {
        let source = io::Error::from(io::ErrorKind::NotFound).into();
        let error = port_error("list units", EngineError::Absent { address: "unix:///x".to_owned(), source });
        assert_eq!(error.kind, PortErrorKind::Unavailable);
        assert!(error.fix.unwrap().contains("command:"));
    }
}
