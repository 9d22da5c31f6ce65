//! What a server that something else runs cannot have.

use nd_api::Manifest;
use nd_types::RuntimeKind;

use crate::decode::{Decoder, Field};
use crate::report::{Code, Mistake, Severity};

/// What would make it run here, or needs to.
const CONTRADICTIONS: [(&[&str], &str); 9] = [
    (&["image"], "write one of them"),
    (&["command"], "write one of them"),
    (&["build"], "write one of them"),
    (&["processes"], "write one of them"),
    (&["repository"], "write one of them"),
    (&["app", "port"], "the port is part of `upstream`"),
    (&["mirror"], "let the server stand by itself"),
    (&["sleep_after"], "it can neither be stopped nor be woken from here"),
    (&["deployment", "container", "healthcheck", "cmd"], "write `path: /health`, or `tcp: true`"),
];

/// What says how something runs here, and so nothing about a server that does not.
const WITHOUT_EFFECT: [&[&str]; 17] = [
    &["entrypoint"],
    &["cwd"],
    &["working_dir"],
    &["user"],
    &["env"],
    &["wait_ready"],
    &["restart"],
    &["stop"],
    &["stop_signal"],
    &["kill_timeout"],
    &["scale"],
    &["app", "resources"],
    &["deployment", "stop"],
    &["deployment", "container", "aliases"],
    &["deployment", "container", "restart"],
    &["deployment", "container", "env_file"],
    &["deployment", "container", "volumes"],
];

/// Whether nothing else is said to run, and nothing is asked of the server that only its own manager can do.
pub(super) fn runs_elsewhere(
    root: &Field<'_>,
    upstream: &Field<'_>,
    runtime: Option<RuntimeKind>,
    d: &mut Decoder,
) {
    let here = upstream.key_span.clone();
    let contradicts = |field: &Field<'_>, help: &str| {
        let message = format!("`{}` and `upstream` contradict each other", field.path.dotted);
        let mistake = field.mistake(Code::Conflict, message).at(field.key_span.clone());
        mistake.also(here.clone(), "this server is run by something else").help(help)
    };
    for (path, help) in CONTRADICTIONS {
        if let Some(field) = root.dig(path) {
            d.say(contradicts(&field, help));
        }
    }
    let elsewhere = runtime.is_some_and(|runtime| runtime != RuntimeKind::External);
    if let Some(field) = root.dig(&["runtime"]).filter(|_| elsewhere) {
        d.say(contradicts(&field, "leave out one of them"));
    }
    for field in WITHOUT_EFFECT.into_iter().filter_map(|path| root.dig(path)) {
        let message = format!("{} has no effect on a server that something else runs", field.path.dotted);
        let mistake = field.mistake(Code::NoEffect, message).at(field.key_span.clone());
        d.say(Mistake { severity: Severity::Warning, ..mistake });
    }
}

/// Whether the proxy is there, which is all that leads to it.
pub(super) fn goes_through_the_proxy(root: &Field<'_>, manifest: &Manifest, d: &mut Decoder) {
    let is_off = manifest.upstream.is_some() && manifest.proxy.enabled == Some(false);
    if let Some(field) = root.dig(&["proxy", "enabled"]).filter(|_| is_off) {
        let message = "without the proxy (`proxy.enabled: false`) nothing leads to an `upstream`";
        d.say(field.mistake(Code::Conflict, message).help("leave out one of them"));
    }
}
