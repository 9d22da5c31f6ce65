//! PM2's keys that have no counterpart, and why.

/// Why a key is not kept.
pub(super) fn reason(key: &str) -> &'static str {
    let known = REASONS.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, reason)| *reason);
    known.unwrap_or("it is no key of an ecosystem file that NextDeploy knows")
}

#[rustfmt::skip]
const REASONS: &[(&[&str], &str)] = &[
    (&["watch", "ignore_watch", "watch_delay", "watch_options"], "a change of files starts nothing; deploy the new version instead"),
    (&["log", "log_file", "out_file", "error_file", "output", "error", "out", "combine_logs", "merge_logs", "log_type", "logs"],
        "every line of stdout and stderr is kept by NextDeploy: nextdeploy logs APP"),
    (&["log_date_format", "time"], "every line has its time"),
    (&["disable_logs"], "lines are kept up to a limit and dropped after it"),
    (&["pid_file", "pid"], "the process is found without a file: nextdeploy describe APP"),
    (&["instance_var", "increment_var"], "each instance gets a PORT of its own instead of a number"),
    (&["gid"], "the process has the groups of its user"),
    (&["namespace"], "apps have no namespaces"),
    (&["filter_env"], "an app sees only the variables it is given"),
    (&["source_map_support", "disable_source_map_support"], "write `node --enable-source-maps` in the command"),
    (&["treekill"], "everything that an app has started is stopped with it"),
    (&["shutdown_with_message"], "an app is asked to end by its signal, SIGTERM"),
    (&["vizion", "pmx", "automation", "trace", "deep_monitoring", "disable_trace", "km_link"], "it serves PM2's own monitoring"),
    (&["force"], "each app is started once; more of it are `scale.instances`"),
    (&["version"], "a release is numbered when it is deployed"),
    (&["append_env_to_name"], "an environment does not change the name of an app"),
    (&["autostart"], "an app that is deployed is started"),
    (&["cron"], "write it as cron_restart"),
];
