//! The top level of the file.

use std::ops::RangeInclusive;
use std::time::Duration;

use nd_api::Manifest;
use nd_api::manifest::{CommandLine, Env, FormatVersion, TargetType};
use nd_types::RuntimeKind;

use super::{Workload, across, app, apps, container, mirror, proxy, sections, ssl, ssl_config};
use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::{Code, Mistake};
use crate::suggest::closest;
use crate::words;

/// As long as nobody asks; an app that sleeps sooner would hardly run.
const IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// Reads the whole file. Nothing comes back where the app has no name; that was reported.
pub(super) fn decode(root: &Field<'_>, workload: Workload, d: &mut Decoder) -> Option<Manifest> {
    if root.is_null() {
        let mistake = Mistake::error(Code::MissingKey, "the file is empty").at(root.key_span.clone());
        d.say(mistake.help("begin with `app: {name: shop, port: 3000}` and `image: REF` or `command: …`"));
        return None;
    }
    let mut keys = root.keys(d)?;
    let version = keys.get("version").and_then(|field| version(&field, d)).unwrap_or_default();
    let target_type = keys.get("target_type").and_then(|field| target(&field, d));
    let app = keys.required("app", "write `app: {name: shop}`", d).and_then(|field| app::decode(&field, d));
    let image = keys.get("image").and_then(|field| field.parsed(d));
    let command = keys.get("command").and_then(|field| command_line(&field, d));
    let upstream = keys.get("upstream").and_then(|field| field.parsed(d));
    let entrypoint = keys.get("entrypoint").and_then(|field| entrypoint(&field, d));
    let cwd = keys.get("cwd").and_then(|field| field.text(d));
    let working_dir = keys.get("working_dir").and_then(|field| working_dir(&field, d));
    let user = keys.get("user").and_then(|field| field.text(d));
    let runtime = keys.get("runtime").and_then(|field| runtime(&field, d));
    let env = keys.get("env").map(|field| env(&field, d)).unwrap_or_default();
    let mut deployment =
        keys.get("deployment").map(|field| container::deployment(&field, d)).unwrap_or_default();
    sections::stop_at_top(&mut keys, &mut deployment.stop, d);
    let wait_ready = keys.get("wait_ready").and_then(|field| field.flag(d));
    let sleep_after = keys.get("sleep_after").and_then(|field| field.duration(&IDLE, d));
    let restart = keys.get("restart").map(|field| sections::restart(&field, d)).unwrap_or_default();
    let scale = keys.get("scale").map(|field| sections::scale(&field, d)).unwrap_or_default();
    let mirror = keys.get("mirror").and_then(|field| mirror::decode(&field, d));
    let proxy = keys.get("proxy").map(|field| proxy::decode(&field, d)).unwrap_or_default();
    let mut ssl = keys.get("ssl").map(|field| Box::new(ssl::decode(&field, d)));
    if let Some(field) = keys.get("ssl_config") {
        ssl_config::merge(&field, ssl.get_or_insert_default(), d);
    }
    let depends_on = keys.get("depends_on").map(|field| apps::depends_on(&field, d)).unwrap_or_default();
    if let Some(field) = keys.get("environments") {
        // In a file they were taken out before.
        let message = "`environments` is laid over the file by the client and is not part of a request";
        d.say(field.mistake(Code::WrongType, message));
    }
    keys.finish(d);
    across::what_runs(root, runtime, workload, d);
    let app = app?;
    #[rustfmt::skip]
    let manifest = Manifest {
        version, target_type, app, image, command, upstream, entrypoint, cwd, working_dir, user, runtime, env,
        deployment, wait_ready, sleep_after, restart, scale, mirror, proxy, ssl, depends_on,
    };
    across::check(root, &manifest, d);
    Some(manifest)
}

/// A command: a line, or a list of words.
pub(super) fn command_line(field: &Field<'_>, d: &mut Decoder) -> Option<CommandLine> {
    if !matches!(field.node.value, Value::List(_)) {
        return field.text(d).map(CommandLine::Shell);
    }
    let items = field.items(d);
    let words: Option<Vec<String>> =
        items.iter().map(|item| item.scalar("a text", d).map(|scalar| scalar.text.clone())).collect();
    let command = CommandLine::Exec(words?);
    let nul = matches!(&command, CommandLine::Exec(words) if words.iter().any(|word| word.contains('\0')));
    if command.is_empty() || nul {
        d.say(field.mistake(Code::BadValue, format!("{} must name a program", field.path.last)));
        return None;
    }
    Some(command)
}

/// A list of words, or a line that is split into words as Compose does; nothing at all takes the image's away.
fn entrypoint(field: &Field<'_>, d: &mut Decoder) -> Option<Vec<String>> {
    let words: Option<Vec<String>> = match &field.node.value {
        Value::List(_) => {
            let items = field.items(d);
            items.iter().map(|item| item.scalar("a text", d).map(|scalar| scalar.text.clone())).collect()
        }
        _ => field.scalar("a text or a list", d).map(|scalar| words::split(&scalar.text)),
    };
    let words = words?;
    if words.first().is_some_and(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        let mistake = field.mistake(Code::BadValue, "entrypoint must name a program");
        d.say(mistake.help("write `[]` to run `command` alone"));
        return None;
    }
    Some(words)
}

/// A directory inside the container.
fn working_dir(field: &Field<'_>, d: &mut Decoder) -> Option<String> {
    let dir = field.text(d)?;
    if dir.starts_with('/') {
        return Some(dir);
    }
    let message = format!("working_dir must be an absolute path inside the container, found {dir}");
    d.say(field.mistake(Code::BadValue, message));
    None
}

/// `1`, `1.0` and `"1.0"` are today's format.
fn version(field: &Field<'_>, d: &mut Decoder) -> Option<FormatVersion> {
    let text = &field.scalar("a version such as \"1.0\"", d)?.text;
    if matches!(text.as_str(), "1" | "1.0") {
        return Some(FormatVersion::V1);
    }
    let newer = text.parse::<f64>().is_ok_and(|version| version > 1.0);
    d.say(if newer {
        let message = format!("version {text} is newer than this tool knows (1.0)");
        field.mistake(Code::NewerFormat, message).help("nextdeploy update")
    } else {
        field.mistake(Code::BadValue, format!("version must be \"1.0\", found {}", field.node.describe()))
    });
    None
}

fn target(field: &Field<'_>, d: &mut Decoder) -> Option<TargetType> {
    let text = &field.scalar("a word", d)?.text;
    match text.as_str() {
        "vps" => return Some(TargetType::Vps),
        "serverless" => {
            let message = "target_type serverless is a target of the original Go tool `nextdeploy` only";
            d.say(
                field
                    .mistake(Code::ForeignTarget, message)
                    .help("write `vps` to deploy to a server of your own"),
            );
        }
        _ => {
            let mistake = field.mistake(Code::BadValue, format!("`{text}` is not one of vps"));
            d.say(mistake.help("`vps`"));
        }
    }
    None
}

fn runtime(field: &Field<'_>, d: &mut Decoder) -> Option<RuntimeKind> {
    let text = &field.scalar("a word", d)?.text;
    match text.as_str() {
        "docker" => return Some(RuntimeKind::Docker),
        "process" => return Some(RuntimeKind::Process),
        "external" => return Some(RuntimeKind::External),
        "swarm" => {
            d.say(field.mistake(Code::NotYet, "`runtime: swarm` is not supported yet by this version"));
        }
        _ => {
            let mistake =
                field.mistake(Code::BadValue, format!("`{text}` is not one of docker, process, external"));
            d.say(match closest(text, ["docker", "process", "external"]) {
                Some(word) => mistake.help(format!("`{word}`")),
                None => mistake,
            });
        }
    }
    None
}

fn env(field: &Field<'_>, d: &mut Decoder) -> Env {
    let mut env = Env::default();
    for (entry, value) in field.entries(d) {
        if value.is_null() {
            let mistake = value.mistake(Code::BadValue, format!("`{}` has no value", entry.key));
            d.say(mistake.help("write `\"\"` for an empty text"));
            continue;
        }
        let Some(scalar) = value.scalar("a text", d) else { continue };
        if let Some(secret) = scalar.text.strip_prefix("secret:") {
            let message = format!("`secret:{secret}` is not supported yet by this version");
            d.say(
                value
                    .mistake(Code::NotYet, message)
                    .help(format!("write `${{{}}}` and export it", entry.key)),
            );
            continue;
        }
        if let Err(error) = env.insert(&entry.key, scalar.text.clone()) {
            d.say(value.mistake(Code::BadValue, error.to_string()).at(entry.key_span.clone()));
        }
    }
    env
}
