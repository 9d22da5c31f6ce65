//! The keys of a format in one table: what is read, what is known and not served yet, what has no effect.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It is read.
    Now,
    /// It is known; without it the app would be another one, so that it is refused.
    NotYet,
    /// It is known, and read where its value is checked already; the app runs without it, which is said.
    NoEffectYet,
    /// It never has an effect here, which is said.
    Never,
}

/// One key, by its dotted path.
pub(crate) type Key = (&'static str, Served);

/// A table of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(pub(crate) &'static [Key]);

impl Schema {
    /// The key at a path.
    pub(crate) fn find(self, path: &str) -> Option<Served> {
        self.0.iter().find(|(known, _)| *known == path).map(|(_, served)| *served)
    }

    /// The keys that stand directly in a section.
    pub(crate) fn keys_of(self, section: &str) -> impl Iterator<Item = &'static str> {
        let section = section.to_owned();
        self.0.iter().filter_map(move |(path, _)| {
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            (parent == section).then_some(key)
        })
    }

    /// Where else a key of this name stands; nothing where it stands in several places.
    pub(crate) fn elsewhere(self, key: &str) -> Option<&'static str> {
        let mut places =
            self.0.iter().map(|(path, _)| *path).filter(|path| path.rsplit('.').next() == Some(key));
        places.next().filter(|_| places.next().is_none())
    }
}

use Served::{Never, NoEffectYet, NotYet, Now};

/// The keys of `nextdeploy.yml` and of a deploy request.
pub(crate) const MANIFEST: Schema = Schema(&[
    ("version", Now),
    ("target_type", Now),
    ("app", Now),
    ("app.name", Now),
    ("app.port", Now),
    ("app.protocol", Now),
    ("app.domain", Now),
    ("app.domain.name", Now),
    ("app.domain.provider", NoEffectYet),
    ("app.domain.dns", NoEffectYet),
    ("app.domain.zone", NoEffectYet),
    ("app.proxy_type", Now),
    ("app.environment", Now),
    ("app.deletion_protection", Now),
    ("app.cdn_enabled", Never),
    ("app.resources", Now),
    ("app.resources.cpu_quota", Now),
    ("app.resources.memory_max", Now),
    ("app.resources.memory_high", NoEffectYet),
    ("app.resources.pids", Now),
    ("image", Now),
    ("command", Now),
    ("entrypoint", Now),
    ("cwd", Now),
    ("working_dir", Now),
    ("user", Now),
    ("runtime", Now),
    ("env", Now),
    ("deployment", Now),
    ("deployment.server", NoEffectYet),
    ("deployment.container", Now),
    ("deployment.container.name", Now),
    ("deployment.container.aliases", Now),
    ("deployment.container.restart", Now),
    ("deployment.container.env_file", Now),
    ("deployment.container.volumes", Now),
    ("deployment.container.ports", Now),
    ("deployment.container.healthcheck", Now),
    ("deployment.container.healthcheck.path", Now),
    ("deployment.container.healthcheck.port", Now),
    ("deployment.container.healthcheck.status", Now),
    ("deployment.container.healthcheck.interval", Now),
    ("deployment.container.healthcheck.timeout", Now),
    ("deployment.container.healthcheck.retries", Now),
    ("deployment.container.healthcheck.start_period", Now),
    ("deployment.container.healthcheck.tcp", Now),
    ("deployment.container.healthcheck.cmd", Now),
    ("deployment.container.healthcheck.headers", Now),
    ("deployment.rollout", Now),
    ("deployment.rollout.strategy", Now),
    ("deployment.rollout.keep", Now),
    ("deployment.rollout.drain", Now),
    ("deployment.rollout.bake", Now),
    ("deployment.rollout.canary", Now),
    ("deployment.rollout.canary.steps", Now),
    ("deployment.rollout.canary.pause", Now),
    ("deployment.rollout.canary.abort_if", Now),
    ("deployment.rollout.canary.abort_if.error_rate", Now),
    ("deployment.rollout.canary.abort_if.p95", Now),
    ("deployment.stop", Now),
    ("deployment.stop.signal", Now),
    ("deployment.stop.stop_signal", Now),
    ("deployment.stop.grace", Now),
    ("deployment.stop.kill_timeout", Now),
    ("stop", Now),
    ("stop.signal", Now),
    ("stop.stop_signal", Now),
    ("stop.grace", Now),
    ("stop.kill_timeout", Now),
    ("stop_signal", Now),
    ("kill_timeout", Now),
    ("wait_ready", Now),
    ("sleep_after", Now),
    ("restart", Now),
    ("restart.max", Now),
    ("restart.max_restarts", Now),
    ("restart.min_uptime", Now),
    ("restart.delay", Now),
    ("restart.restart_delay", Now),
    ("restart.exponential_backoff_restart_delay", Now),
    ("restart.exp_backoff_restart_delay", Now),
    ("restart.backoff", Now),
    ("restart.max_delay", Now),
    ("restart.crash_threshold", Now),
    ("restart.crash_window", Now),
    ("restart.max_memory", Now),
    ("restart.max_memory_restart", Now),
    ("restart.stop_exit_codes", Now),
    ("restart.cron", Now),
    ("restart.cron_restart", Now),
    ("scale", Now),
    ("scale.instances", Now),
    ("scale.min", NotYet),
    ("scale.max", NotYet),
    ("scale.cpu", NotYet),
    ("scale.memory", NotYet),
    ("scale.rps", NotYet),
    ("scale.cooldown", NotYet),
    ("proxy", Now),
    ("proxy.enabled", Now),
    ("proxy.routes", Now),
    ("proxy.routes.path", Now),
    ("proxy.routes.host", Now),
    ("proxy.routes.port", NotYet),
    ("proxy.routes.strip", Now),
    ("proxy.routes.timeout", Now),
    ("proxy.routes.redirect", Now),
    ("proxy.body_limit", Now),
    ("proxy.redirects", Now),
    ("proxy.redirects.from", Now),
    ("proxy.redirects.to", Now),
    ("proxy.redirects.code", Now),
    ("proxy.headers", Now),
    ("proxy.headers.add", Now),
    ("proxy.headers.remove", Now),
    ("proxy.rate_limit", Now),
    ("proxy.rate_limit.path", Now),
    ("proxy.rate_limit.per", Now),
    ("proxy.rate_limit.limit", Now),
    ("proxy.rate_limit.burst", Now),
    ("proxy.rate_limit.status", Now),
    ("proxy.sticky", Now),
    ("proxy.max_requests", Now),
    ("proxy.queue", Now),
    ("proxy.queue_timeout", Now),
    ("proxy.bandwidth", Now),
    ("proxy.basic_auth", Now),
    ("proxy.basic_auth.paths", Now),
    ("proxy.basic_auth.users", Now),
    ("proxy.compression", Now),
    ("proxy.capture", NoEffectYet),
    ("proxy.access", Now),
    ("proxy.access.allow", Now),
    ("proxy.access.deny", Now),
    ("proxy.access.paths", Now),
    ("proxy.error_pages", Now),
    ("depends_on", Now),
    ("environments", Now),
    ("environments.dev", Now),
    ("environments.staging", Now),
    ("environments.prod", Now),
    ("build", NotYet),
    ("mirror", Now),
    ("mirror.cooldown", Now),
    ("mirror.sync", Now),
    ("mirror.sticky", Now),
    ("secrets", NotYet),
    ("release", NotYet),
    ("hooks", NotYet),
    ("cron", NotYet),
    ("processes", NotYet),
    ("accessories", NotYet),
    ("repository", NotYet),
    ("docker", NotYet),
    ("environment", NotYet),
    ("servers", NoEffectYet),
    ("database", NoEffectYet),
    ("logging", NoEffectYet),
    ("monitoring", NoEffectYet),
    ("backup", NoEffectYet),
    ("ssl", Now),
    ("ssl.enabled", Now),
    ("ssl.provider", Now),
    ("ssl.staging", Now),
    ("ssl.domains", Now),
    ("ssl.wildcard", Now),
    ("ssl.auto_renew", Now),
    ("ssl.certificate", Now),
    ("ssl.key", Now),
    ("ssl.redirect", Now),
    ("ssl.hsts", Now),
    ("ssl.hsts.enabled", Now),
    ("ssl.hsts.max_age", Now),
    ("ssl.hsts.include_subdomains", Now),
    ("ssl.hsts.preload", Now),
    ("ssl.client_ca", Now),
    ("ssl.email", NoEffectYet),
    ("ssl.dns_provider", NoEffectYet),
    ("ssl_config", NoEffectYet),
    ("webhook", NoEffectYet),
    ("serverless", Never),
    ("CloudProvider", Never),
]);

/// The keys of `nextdeployd.toml`.
pub(crate) const SETTINGS: Schema = Schema(&[
    ("data_dir", Now),
    ("socket", Now),
    ("listen", Now),
    ("http", Now),
    ("https", Now),
    ("dev", Now),
    ("log", Now),
    ("log.level", Now),
    ("log.format", Now),
    ("docker", Now),
    ("docker.socket", Now),
    ("docker.network", Now),
    ("docker.subnet", Now),
    ("docker.pull_timeout", Now),
    ("docker.pull_retry_timeout", Now),
    ("docker.call_timeout", Now),
    ("shutdown", Now),
    ("shutdown.apps", Now),
    ("process", Now),
    ("proxy", Now),
    ("ingress", Now),
    ("caddy", Now),
    ("nginx", Now),
    ("logs", Now),
    ("certs", Now),
]);

#[cfg(test)]
mod tests;
