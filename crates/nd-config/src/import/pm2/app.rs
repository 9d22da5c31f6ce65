//! One app of an ecosystem file.

use std::time::Duration;

use nd_api::manifest::format_exact;
use nd_types::parse_duration;

use super::keys;
use crate::import::draft::{AppDraft, Origin, Out, app_name, literal};
use crate::node::{Entry, Node, Value};
use crate::report::{Code, Mistake};

/// Keys that say what runs; they are read together.
const PROGRAM: [&str; 11] = [
    "script",
    "args",
    "interpreter",
    "exec_interpreter",
    "interpreter_args",
    "interpreterArgs",
    "node_args",
    "nodeArgs",
    "name",
    "exec_mode",
    "instances",
];

/// Turns one app into a draft.
pub(super) fn read(node: &Node, origin: &Origin) -> Result<AppDraft, Mistake> {
    let Value::Map(entries) = &node.value else {
        let message = format!("{} must be a map, found {}", origin.key, node.describe());
        return Err(Mistake::error(Code::WrongType, message).at(node.span.clone()));
    };
    let Some((script_at, script)) = text(node, "script", origin) else {
        let mistake = Mistake::error(Code::MissingKey, format!("{} has no `script`", origin.key));
        return Err(mistake.at(node.span.clone()).help("PM2 starts what stands in `script`"));
    };
    let (name_at, name) = match text(node, "name", origin) {
        Some((at, name)) => (at, name.to_owned()),
        None => (script_at.clone(), stem(script).to_owned()),
    };
    let mut app = AppDraft::new(app_name(&name), name_at.clone());
    if app.name != name {
        app.remarks.push(format!("PM2 calls it {name:?}; names are small letters, digits and hyphens."));
    }
    command(&mut app, node, origin, script, &script_at);
    instances(&mut app, node, origin);
    for entry in entries.iter().filter(|entry| !PROGRAM.contains(&entry.key.as_str())) {
        let at = origin.below(entry);
        if let Some(environment) = entry.key.strip_prefix("env_") {
            variables_for(&mut app, environment, &entry.value, &at);
        } else if !one_key(&mut app, entry, &at) {
            app.lose(&at, keys::reason(&entry.key));
        }
    }
    Ok(app)
}

/// The program with its arguments: PM2 puts an interpreter before a script whose name tells which.
fn command(app: &mut AppDraft, node: &Node, origin: &Origin, script: &str, at: &Origin) {
    let interpreter = ["interpreter", "exec_interpreter"].iter().find_map(|key| text(node, key, origin));
    let cluster = text(node, "exec_mode", origin).is_some_and(|(_, mode)| mode.starts_with("cluster"));
    let args = words(node, "args");
    let runs_in_shell = interpreter.is_none() && args.is_empty() && script.contains(char::is_whitespace);
    if runs_in_shell {
        app.set("command", Out::Text(literal(script)), at);
        return;
    }
    let program = match interpreter.as_ref().map(|(_, interpreter)| *interpreter) {
        Some("none") => None,
        Some(interpreter) => Some(interpreter),
        None => by_ending(script).or(cluster.then_some("node")),
    };
    let mut line: Vec<String> = program.into_iter().map(literal).collect();
    if program.is_some() {
        for key in ["interpreter_args", "interpreterArgs", "node_args", "nodeArgs"] {
            line.extend(words(node, key));
        }
    }
    line.push(literal(script));
    line.extend(args);
    app.set("command", Out::Words(line), at);
}

fn by_ending(script: &str) -> Option<&'static str> {
    let name = script.rsplit('/').next().unwrap_or(script);
    match name.rsplit_once('.')?.1 {
        "js" | "cjs" | "mjs" | "json" => Some("node"),
        "ts" | "tsx" => Some("bun"),
        "py" => Some("python3"),
        "sh" => Some("bash"),
        "rb" => Some("ruby"),
        "pl" => Some("perl"),
        "php" => Some("php"),
        "coffee" => Some("coffee"),
        _ => None,
    }
}

/// `0`, `max` and negative numbers count the processors.
fn instances(app: &mut AppDraft, node: &Node, origin: &Origin) {
    let Some((at, text)) = text(node, "instances", origin) else { return };
    match text.parse::<i64>() {
        Ok(0) => app.set("scale.instances", Out::text("max"), &at),
        Ok(1) => {}
        Ok(less) if less < 0 => {
            app.set("scale.instances", Out::text("max"), &at);
            app.lose(&at, format!("{less} is all processors but {}; `max` is one instance for each", -less));
        }
        _ => app.set("scale.instances", Out::text(text), &at),
    }
}

/// Everything that is read by itself; `false` for a key that is not kept.
fn one_key(app: &mut AppDraft, entry: &Entry, at: &Origin) -> bool {
    let Some(value) = scalar(&entry.value) else { return sections(app, entry, at) };
    match entry.key.as_str() {
        "cwd" => app.set("cwd", Out::Text(literal(value)), at),
        "user" | "uid" => app.set("user", Out::Text(literal(value)), at),
        "port" => port(app, "", value, at),
        "autorestart" if value == "false" => app.set("deployment.container.restart", Out::text("never"), at),
        "autorestart" => app.set("deployment.container.restart", Out::text("always"), at),
        "max_memory_restart" => app.set("restart.max_memory", Out::text(value), at),
        // PM2 counts only the restarts that follow each other too fast, which is a crash loop.
        "max_restarts" => app.set("restart.crash_threshold", Out::text(value), at),
        "min_uptime" => milliseconds(app, "restart.min_uptime", value, at),
        "restart_delay" => milliseconds(app, "restart.delay", value, at),
        "exp_backoff_restart_delay" | "exponential_backoff_restart_delay" => {
            milliseconds(app, "restart.delay", value, at);
            app.set("restart.backoff", Out::text("1.5x"), at);
            app.set("restart.max_delay", Out::text("15s"), at);
        }
        "cron_restart" => app.set("restart.cron", Out::Text(literal(value)), at),
        "stop_exit_codes" => app.set("restart.stop_exit_codes", Out::Words(vec![value.to_owned()]), at),
        "kill_timeout" => milliseconds(app, "deployment.stop.grace", value, at),
        "kill_signal" | "stop_signal" => app.set("deployment.stop.signal", Out::text(value), at),
        "listen_timeout" => milliseconds(app, "deployment.container.healthcheck.start_period", value, at),
        "wait_ready" if value == "true" => app.set("wait_ready", Out::Flag(true), at),
        // What PM2 does without being told, and NextDeploy too.
        "wait_ready" | "watch" | "force" | "disable_logs" if value == "false" => {}
        "treekill" | "vizion" | "autostart" | "time" if value == "true" => {}
        _ => return false,
    }
    true
}

fn sections(app: &mut AppDraft, entry: &Entry, at: &Origin) -> bool {
    match (entry.key.as_str(), &entry.value.value) {
        ("env", Value::Map(_)) => variables(app, "", &entry.value, at),
        ("stop_exit_codes", Value::List(items)) => {
            let codes = items.iter().filter_map(scalar).map(str::to_owned).collect();
            app.set("restart.stop_exit_codes", Out::Words(codes), at);
        }
        (_, Value::Null) => {}
        _ => return false,
    }
    true
}

fn variables_for(app: &mut AppDraft, environment: &str, node: &Node, at: &Origin) {
    let known = match environment {
        "production" | "prod" => "prod",
        "staging" | "stage" => "staging",
        "development" | "dev" => "dev",
        _ => return app.lose(at, "environments are dev, staging and prod"),
    };
    variables(app, &format!("environments.{known}."), node, at);
}

/// The variables; `PORT` is where requests go, and each instance gets one of its own.
fn variables(app: &mut AppDraft, section: &str, node: &Node, at: &Origin) {
    let Value::Map(entries) = &node.value else { return app.lose(at, "it is no map of variables") };
    for entry in entries {
        let at = at.below(entry);
        match &entry.value.value {
            Value::Scalar(scalar) if entry.key == "PORT" => port(app, section, &scalar.text, &at),
            Value::Scalar(scalar) => {
                app.set_in(&format!("{section}env"), &entry.key, Out::Text(literal(&scalar.text)), &at);
            }
            Value::Null => app.lose(&at, "it has no value"),
            _ => app.lose(&at, "the value of a variable is a text"),
        }
    }
}

/// The port that clients use stays; behind it each instance listens on a PORT of its own, so that versions swap without
/// a gap. Unlike other published ports it is not for this machine alone, because under PM2 it was not either.
fn port(app: &mut AppDraft, section: &str, port: &str, at: &Origin) {
    let path = format!("{section}deployment.container.ports");
    if !app.has(&path) {
        app.push(&path, Out::text(format!("0.0.0.0:{port}:{port}")), at);
    }
}

/// PM2 reads numbers as milliseconds.
fn milliseconds(app: &mut AppDraft, path: &str, text: &str, at: &Origin) {
    let duration = match text.parse::<u64>() {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    };
    match duration {
        Ok(duration) => app.set(path, Out::text(format_exact(duration)), at),
        Err(reason) => app.lose(at, reason),
    }
}

fn text<'n>(node: &'n Node, key: &str, origin: &Origin) -> Option<(Origin, &'n str)> {
    let entry = node.get(key)?;
    scalar(&entry.value).map(|text| (origin.below(entry), text))
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Unknown => None,
    }
}

/// Arguments: a list, or a line that is split as a shell does it.
fn words(node: &Node, key: &str) -> Vec<String> {
    let Some(entry) = node.get(key) else { return Vec::new() };
    match &entry.value.value {
        Value::List(items) => items.iter().filter_map(scalar).map(literal).collect(),
        Value::Scalar(scalar) => crate::words::split(&scalar.text).iter().map(|word| literal(word)).collect(),
        Value::Null | Value::Map(_) | Value::Unknown => Vec::new(),
    }
}

fn stem(script: &str) -> &str {
    let file = script.rsplit('/').next().unwrap_or(script);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}
