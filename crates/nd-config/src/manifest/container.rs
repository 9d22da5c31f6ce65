//! `deployment:` with its container.

use nd_api::manifest::{Container, Deployment, InvalidVolume, PortMapping, VolumeMount};

use super::health::healthcheck;
use super::rollout;
use super::sections::stop;
use crate::decode::{Decoder, Field};
use crate::report::Code;

pub(super) fn deployment(field: &Field<'_>, d: &mut Decoder) -> Deployment {
    let Some(mut keys) = field.keys(d) else { return Deployment::default() };
    let deployment = Deployment {
        container: keys.get("container").map(|field| container(&field, d)).unwrap_or_default(),
        rollout: keys.get("rollout").map(|field| rollout::decode(&field, d)).unwrap_or_default(),
        stop: keys.get("stop").map(|field| stop(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    deployment
}

fn container(field: &Field<'_>, d: &mut Decoder) -> Container {
    let Some(mut keys) = field.keys(d) else { return Container::default() };
    let container = Container {
        name: keys.get("name").and_then(|field| field.text(d)),
        aliases: keys.get("aliases").map(|field| aliases(&field, d)).unwrap_or_default(),
        restart: keys.get("restart").and_then(|field| field.word(d)),
        env_file: keys.get("env_file").map(|field| texts(&field, d)).unwrap_or_default(),
        volumes: keys.get("volumes").map(|field| volumes(&field, d)).unwrap_or_default(),
        ports: keys.get("ports").map(|field| ports(&field, d)).unwrap_or_default(),
        healthcheck: keys.get("healthcheck").map(|field| healthcheck(&field, d)).unwrap_or_default(),
    };
    keys.finish(d);
    container
}

fn texts(field: &Field<'_>, d: &mut Decoder) -> Vec<String> {
    field.one_or_more(d).iter().filter_map(|item| item.text(d)).collect()
}

/// Names that a resolver asks for (RFC 1123, section 2.1), with the `_` that Compose allows in names of services.
fn aliases(field: &Field<'_>, d: &mut Decoder) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in field.one_or_more(d) {
        let Some(name) = item.text(d) else { continue };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > 253
            || !name.chars().all(known)
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            let message = format!("`{name}` is no name of a host; use letters, digits, `-`, `_` and `.`");
            d.say(item.mistake(Code::BadValue, message));
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn volumes(field: &Field<'_>, d: &mut Decoder) -> Vec<VolumeMount> {
    let mut volumes: Vec<VolumeMount> = Vec::new();
    for item in field.items(d) {
        let Some(text) = item.scalar("\"SOURCE:TARGET\"", d).map(|scalar| &scalar.text) else { continue };
        match text.parse::<VolumeMount>() {
            Ok(volume) if volumes.iter().any(|known| known.target == volume.target) => {
                d.say(
                    item.mistake(Code::Conflict, format!("two volumes are mounted at `{}`", volume.target)),
                );
            }
            Ok(volume) => volumes.push(volume),
            Err(error) => {
                let refused = matches!(
                    error,
                    InvalidVolume::Root | InvalidVolume::EngineSocket(_) | InvalidVolume::Outside(_)
                );
                let code = if refused { Code::Refused } else { Code::BadValue };
                d.say(item.mistake(code, error.to_string()));
            }
        }
    }
    volumes
}

fn ports(field: &Field<'_>, d: &mut Decoder) -> Vec<PortMapping> {
    let mut ports: Vec<PortMapping> = Vec::new();
    for item in field.items(d) {
        let Some(scalar) = item.scalar("\"HOST:CONTAINER\"", d) else { continue };
        if scalar.text.parse::<u64>().is_ok() {
            let message = format!("{} must be \"HOST:CONTAINER\", found {}", item.path.last, scalar.text);
            let help = "drop it, the proxy reaches `app.port` without a published port";
            d.say(item.mistake(Code::BadValue, message).help(help));
            continue;
        }
        match scalar.text.parse::<PortMapping>() {
            Ok(mapping) if ports.iter().any(|known| known.bind() == mapping.bind()) => {
                d.say(
                    item.mistake(Code::Conflict, format!("host port {} is published twice", mapping.bind())),
                );
            }
            Ok(mapping) => ports.push(mapping),
            Err(error) => d.say(item.mistake(Code::BadValue, format!("{}: {error}", item.path.last))),
        }
    }
    ports
}
