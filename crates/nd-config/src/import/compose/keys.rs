//! Compose's keys that have no counterpart, and why.

/// Why a key of a service is not kept.
pub(super) fn reason(key: &str) -> &'static str {
    let known = REASONS.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, reason)| *reason);
    known.unwrap_or("it is no key of a Compose file that NextDeploy knows")
}

#[rustfmt::skip]
const REASONS: &[(&[&str], &str)] = &[
    (&["hostname", "domainname"], "containers are called after app and release, because two of them run during a swap"),
    (&["network_mode", "external_links", "mac_address"], "all apps are on one network of NextDeploy"),
    (&["dns", "dns_search", "dns_opt", "extra_hosts"], "names are those of the engine"),
    (&["labels", "label_file", "annotations"], "only Traefik's labels of host and port are read; containers bear labels of NextDeploy"),
    (&["logging", "attach"], "every line is kept by NextDeploy: nextdeploy logs APP"),
    (&["privileged", "cap_add", "cap_drop", "security_opt", "devices", "device_cgroup_rules", "cgroup", "cgroup_parent",
        "group_add", "userns_mode", "uts", "ipc", "pid", "isolation", "credential_spec", "runtime", "gpus"],
        "what a container may do beyond the usual cannot be changed"),
    (&["secrets", "configs"], "mount the file as a volume, or give its content as a variable"),
    (&["tmpfs", "shm_size", "read_only", "storage_opt", "volumes_from", "volume_driver"], "the file system is the image's with its volumes"),
    (&["tty", "stdin_open"], "an app has no terminal"),
    (&["init"], "every container has an init"),
    (&["platform", "pull_policy"], "the engine decides, and pulls what it does not have"),
    (&["build"], "NextDeploy runs images that exist"),
    (&["develop", "post_start", "pre_stop", "provider", "models", "use_api_socket"], "it is of Compose's own way of working"),
    (&["mem_reservation", "memswap_limit", "mem_swappiness", "oom_kill_disable", "oom_score_adj", "cpu_shares", "cpu_count",
        "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_runtime", "cpu_rt_period", "cpuset", "blkio_config", "ulimits", "sysctls"],
        "limits are those of processor time, memory and processes"),
];
