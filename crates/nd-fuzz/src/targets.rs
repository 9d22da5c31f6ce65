//! The table.

use crate::{certs, config, logs, wire};

/// One parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called, also in `corpus/`.
    pub name: &'static str,
    /// Gives it an input; panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "request_head", run: nd_proxy::fuzz::request_head },
    Target { name: "response_head", run: nd_proxy::fuzz::response_head },
    Target { name: "chunked", run: nd_proxy::fuzz::chunked },
    Target { name: "routes", run: nd_proxy::fuzz::routes },
    Target { name: "control", run: nd_ingress::fuzz::control },
    Target { name: "introduction", run: nd_proxy::fuzz::introduction },
    Target { name: "frames", run: nd_proxy::fuzz::frames },
    Target { name: "manifest", run: config::manifest },
    Target { name: "settings", run: config::settings },
    Target { name: "dotenv", run: config::dotenv },
    Target { name: "manifests", run: config::manifests },
    Target { name: "import_pm2", run: config::import_pm2 },
    Target { name: "import_compose", run: config::import_compose },
    Target { name: "certificate", run: certs::certificate },
    Target { name: "api", run: wire::api },
    Target { name: "log_line", run: nd_logs::fuzz::stored_line },
    Target { name: "log_level", run: nd_logs::fuzz::level },
    Target { name: "log_segment", run: logs::segment },
    Target { name: "shim_protocol", run: nd_process::fuzz::protocol },
    Target { name: "app_output", run: nd_process::fuzz::output },
    Target { name: "spool", run: nd_process::fuzz::spool },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
