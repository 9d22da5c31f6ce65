//! What concerns several sections at once.

use nd_api::Manifest;
use nd_api::manifest::{Instances, PageSource, PortMapping};
use nd_types::{HostPortProtocol, RuntimeKind};

use super::{Workload, upstream};
use crate::decode::{Decoder, Field};
use crate::node::{Node, Value};
use crate::report::{Code, Mistake, Severity};

/// Whether the file says what runs, and says it once.
pub(super) fn what_runs(root: &Field<'_>, runtime: Option<RuntimeKind>, workload: Workload, d: &mut Decoder) {
    let (image, command) = (root.dig(&["image"]), root.dig(&["command"]));
    if let Some(upstream) = root.dig(&["upstream"]) {
        return upstream::runs_elsewhere(root, &upstream, runtime, d);
    }
    match (&image, &command, runtime) {
        (_, _, Some(RuntimeKind::External)) if workload == Workload::Required => {
            let mistake = root.mistake(Code::Conflict, "`runtime: external` needs an `upstream`");
            let place = root.dig(&["runtime"]).and_then(|runtime| runtime.key_span);
            d.say(mistake.at(place).help("write `upstream: 127.0.0.1:4000`, or leave `runtime` out"));
        }
        // What these keys run is not supported yet, which is said already.
        (None, None, _)
            if ["build", "processes", "repository"].iter().any(|key| root.dig(&[key]).is_some()) => {}
        (None, None, _) if workload == Workload::Required => {
            let mistake =
                Mistake::error(Code::MissingKey, "nothing says what runs: `image` or `command` is missing");
            let place = root.dig(&["app"]).and_then(|app| app.key_span).or_else(|| root.key_span.clone());
            d.say(
                mistake
                    .at(place)
                    .help("write `image: REF` for a container, `command: …` for a plain process, or `upstream: HOST:PORT` for a server that runs elsewhere"),
            );
        }
        (None, Some(command), Some(RuntimeKind::Docker)) if workload == Workload::Required => {
            let mistake = command.mistake(Code::Conflict, "`runtime: docker` needs an `image`");
            d.say(mistake.help("write `image: REF`, or leave `runtime` out to run a plain process"));
        }
        (Some(image), _, Some(RuntimeKind::Process)) => {
            let mistake = image.mistake(Code::Conflict, "`runtime: process` runs `command`, not an `image`");
            d.say(mistake.help("leave out `image` or `runtime`"));
        }
        _ => {}
    }
}

/// Values that are right in themselves and have no effect, or another one than someone may think.
pub(super) fn check(root: &Field<'_>, manifest: &Manifest, d: &mut Decoder) {
    let container = |key: &'static str| root.dig(&["deployment", "container", key]);
    let name = manifest.deployment.container.name.as_deref();
    if let Some(field) =
        container("name").filter(|_| name.is_some_and(|name| name != manifest.app.name.as_str()))
    {
        let message =
            format!("container.name has no effect: instances are called {}-RELEASE-N", manifest.app.name);
        d.say(note(&field, Code::NoEffect, message));
    }
    let process = manifest.runtime() == RuntimeKind::Process && manifest.command.is_some();
    if let Some(field) = container("volumes").filter(|_| process) {
        let message = "volumes have no effect on a plain process, which sees the host's files as they are";
        d.say(Mistake { severity: Severity::Warning, ..note(&field, Code::NoEffect, message) });
    }
    if let Some(field) = root.dig(&["mirror", "sync"]).filter(|_| process) {
        let message =
            "mirror.sync needs nothing on a plain process: all instances see the same directory of the host";
        d.say(note(&field, Code::NoEffect, message));
    }
    if let Some(field) =
        root.dig(&["mirror"]).filter(|_| manifest.mirror.is_some() && manifest.proxy.enabled == Some(false))
    {
        let message = "without the proxy (`proxy.enabled: false`) no traffic can move to a mirror";
        d.say(field.mistake(Code::Conflict, message).help("leave out one of them"));
    }
    upstream::goes_through_the_proxy(root, manifest, d);
    if let Some(field) = root.dig(&["cwd"]).filter(|_| manifest.image.is_some()) {
        let message = "cwd has no effect on a container, which runs in a directory of its own";
        let mistake = Mistake { severity: Severity::Warning, ..note(&field, Code::NoEffect, message) };
        d.say(mistake.help("write `working_dir: /…`, a directory inside the container"));
    }
    if let Some(field) = root.dig(&["wait_ready"]).filter(|_| !process && manifest.wait_ready == Some(true)) {
        let message =
            "wait_ready has no effect on a container, which is waited for until its health check passes";
        d.say(note(&field, Code::NoEffect, message));
    }
    let of_containers = [
        (root.dig(&["entrypoint"]), "write the whole command in `command`"),
        (root.dig(&["working_dir"]), "write `cwd: …`, a directory of the host"),
        (container("aliases"), "reach it by a port of the host"),
    ];
    for (field, help) in of_containers.into_iter().filter(|_| process) {
        let Some(field) = field else { continue };
        let message = format!("{} has no effect on a plain process", field.path.last);
        d.say(Mistake { severity: Severity::Warning, ..note(&field, Code::NoEffect, message) }.help(help));
    }
    if let Some(field) = root.dig(&["sleep_after"]) {
        wakes(&field, container("ports"), manifest, d);
    }
    if manifest.proxy.enabled == Some(false) {
        without_proxy(root, process, manifest, d);
    } else {
        port_routes(container("ports"), manifest, d);
    }
}

/// Only a request that comes through the proxy wakes an app.
fn wakes(field: &Field<'_>, ports: Option<Field<'_>>, manifest: &Manifest, d: &mut Decoder) {
    let tcp = |mapping: &PortMapping| mapping.protocol == Some(HostPortProtocol::Tcp);
    let raw = manifest.deployment.container.ports.iter().any(tcp);
    let (what, place) = match manifest.proxy.enabled {
        Some(false) => ("`proxy.enabled: false` lets none come through the proxy", None),
        _ if raw => ("raw TCP is none", ports.and_then(|ports| ports.node.span.clone())),
        _ => return,
    };
    let message = format!("only a request wakes an app that sleeps, and {what}");
    let mistake = field.mistake(Code::Conflict, message).at(field.key_span.clone());
    d.say(mistake.also(place, "it is opened here").help("keep one of them"));
}

/// An app that has its ports itself has no route, and one instance.
fn without_proxy(root: &Field<'_>, process: bool, manifest: &Manifest, d: &mut Decoder) {
    let here = root.dig(&["proxy", "enabled"]).and_then(|field| field.node.span.clone());
    let through = [
        &["app", "domain"][..],
        &["proxy", "routes"],
        &["proxy", "redirects"],
        &["proxy", "headers"],
        &["proxy", "access"],
        &["proxy", "basic_auth"],
        &["proxy", "compression"],
        &["proxy", "error_pages"],
        &["proxy", "body_limit"],
        &["proxy", "rate_limit"],
        &["proxy", "sticky"],
        &["proxy", "max_requests"],
        &["proxy", "bandwidth"],
    ];
    for field in through.into_iter().filter_map(|path| root.dig(path)) {
        let message =
            format!("`{}` is of the proxy, and `proxy.enabled: false` leaves that out", field.path.dotted);
        let mistake = field.mistake(Code::Conflict, message).at(field.key_span.clone());
        d.say(mistake.also(here.clone(), "it is left out here").help("keep one of them"));
    }
    let ports = &manifest.deployment.container.ports;
    let several = manifest.scale.instances.is_some_and(|instances| Instances::count(1) != Some(instances));
    if let Some(field) = root.dig(&["scale", "instances"]).filter(|_| several && !ports.is_empty()) {
        let message = "two instances cannot have one port of the host";
        let mistake = field.mistake(Code::Conflict, message).also(here.clone(), "the proxy would share it");
        d.say(mistake.help("leave out `ports`, `scale.instances` or `proxy.enabled`"));
    }
    let items =
        root.dig(&["deployment", "container", "ports"]).map(|field| field.items(d)).unwrap_or_default();
    for (mapping, item) in ports.iter().zip(items).filter(|(mapping, _)| mapping.host != mapping.container) {
        if process {
            let message = format!(
                "a plain process listens on {} itself, and not on {}",
                mapping.host, mapping.container
            );
            let help = format!("write \"{}:{}\"; it is told the port in PORT", mapping.host, mapping.host);
            d.say(item.mistake(Code::Conflict, message).also(here.clone(), "without the proxy").help(help));
        }
    }
}

/// What a client has to do before it sends a manifest, because only it has the files.
pub(super) fn request(root: &Field<'_>, d: &mut Decoder) {
    if let Some(field) = root.dig(&["deployment", "container", "env_file"]) {
        let message = "`env_file` is read by the client and is not part of a request";
        d.say(field.mistake(Code::WrongType, message).help("send its variables in `env`"));
    }
    if let Some(field) = root.dig(&["proxy", "error_pages"]) {
        let is_page =
            |node: &Node| matches!(&node.value, Value::Scalar(text) if PageSource::is_markup(&text.text));
        let are_pages = match &field.node.value {
            Value::Map(pages) => pages.iter().all(|page| is_page(&page.value)),
            _ => false,
        };
        if !are_pages {
            let message = "files of error pages are read by the client and are not part of a request";
            d.say(field.mistake(Code::WrongType, message).help("send the pages themselves, by status"));
        }
    }
}

/// Host ports 80 and 443 belong to the proxy and serve every app.
fn port_routes(ports: Option<Field<'_>>, manifest: &Manifest, d: &mut Decoder) {
    let items = ports.map(|field| field.items(d)).unwrap_or_default();
    for (mapping, item) in manifest.deployment.container.ports.iter().zip(items) {
        let web = matches!(mapping.host.get(), 80 | 443) && mapping.protocol != Some(HostPortProtocol::Tcp);
        if web {
            let app = &manifest.app;
            let host =
                app.domain.as_ref().map_or_else(|| format!("{}.localhost", app.name), ToString::to_string);
            let message = format!(
                "host port {} is the proxy's and serves every app: `{mapping}` becomes the route {host} to port {}",
                mapping.host, mapping.container
            );
            d.say(note(&item, Code::PortIsRoute, message));
        }
    }
}

fn note(field: &Field<'_>, code: Code, message: impl Into<String>) -> Mistake {
    Mistake { severity: Severity::Note, ..field.mistake(code, message) }
}
