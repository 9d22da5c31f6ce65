//! What the environment asks of the application, read once at its start.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// Which paths answer 503.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unhealthy {
    /// None.
    #[default]
    Never,
    /// `/health` alone.
    Health,
    /// Every path.
    All,
}

/// The application's settings; each field stands for one variable of the crate's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `TESTAPP_RELEASE`.
    pub release: String,
    /// The value of `x-instance`.
    pub instance: String,
    /// `TESTAPP_BIND`.
    pub bind: IpAddr,
    /// `TESTAPP_IGNORE_PORT`, else `PORT`, else 3000.
    pub port: u16,
    /// `TESTAPP_START_DELAY_MS`.
    pub start_delay: Duration,
    /// `TESTAPP_NEVER_LISTEN`.
    pub never_listen: bool,
    /// `TESTAPP_UNHEALTHY`.
    pub unhealthy: Unhealthy,
    /// `TESTAPP_EXIT_CODE`.
    pub exit_code: Option<u8>,
    /// `TESTAPP_DIE_AFTER_MS`.
    pub die_after: Option<Duration>,
    /// `TESTAPP_IGNORE_TERM`.
    pub ignore_term: bool,
    /// `TESTAPP_LEAK_MB_PER_S`, in MiB.
    pub leak_mb_per_s: usize,
    /// `TESTAPP_LOG_LINES`.
    pub log_lines: u64,
    /// `TESTAPP_BINARY_LINES`.
    pub binary_lines: u64,
    /// `TESTAPP_FLOOD_LINES_PER_S`.
    pub flood_lines_per_s: u64,
    /// `TESTAPP_FLOOD_LINES`.
    pub flood_lines: Option<u64>,
    /// `TESTAPP_ZOMBIES`.
    pub zombies: u32,
    /// `TESTAPP_CHILDREN`.
    pub children: u32,
}

impl Settings {
    /// Reads the settings through `lookup`, which gives the value of a variable.
    ///
    /// # Errors
    /// Names the variable whose value cannot be read, and what it should be.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let env = Env { lookup };
        Ok(Self {
            release: one_line(&env.text("TESTAPP_RELEASE").unwrap_or_else(|| "unset".to_owned())),
            instance: one_line(&instance(env.text("NEXTDEPLOY_UNIT").or_else(|| env.text("HOSTNAME")))),
            bind: env.parse("TESTAPP_BIND", "an IP address")?.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            port: match env.parse("TESTAPP_IGNORE_PORT", "a port")? {
                Some(port) => port,
                None => env.parse("PORT", "a port")?.unwrap_or(3000),
            },
            start_delay: env.millis("TESTAPP_START_DELAY_MS")?.unwrap_or_default(),
            never_listen: env.flag("TESTAPP_NEVER_LISTEN"),
            unhealthy: match env.text("TESTAPP_UNHEALTHY").as_deref() {
                None | Some("0") => Unhealthy::Never,
                Some("1" | "health") => Unhealthy::Health,
                Some("all") => Unhealthy::All,
                Some(other) => return Err(format!("TESTAPP_UNHEALTHY={other}: expected `health` or `all`")),
            },
            exit_code: env.parse("TESTAPP_EXIT_CODE", "a number from 0 to 255")?,
            die_after: env.millis("TESTAPP_DIE_AFTER_MS")?,
            ignore_term: env.flag("TESTAPP_IGNORE_TERM"),
            leak_mb_per_s: env.count("TESTAPP_LEAK_MB_PER_S")?,
            log_lines: env.count("TESTAPP_LOG_LINES")?,
            binary_lines: env.count("TESTAPP_BINARY_LINES")?,
            flood_lines_per_s: env.count("TESTAPP_FLOOD_LINES_PER_S")?,
            flood_lines: env.parse("TESTAPP_FLOOD_LINES", "a whole number")?,
            zombies: env.count("TESTAPP_ZOMBIES")?,
            children: env.count("TESTAPP_CHILDREN")?,
        })
    }
}

struct Env<L> {
    lookup: L,
}

impl<L: Fn(&str) -> Option<String>> Env<L> {
    /// An empty variable counts as absent: that is how people switch one off.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0")
    }

    fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, String> {
        let Some(value) = self.text(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{name}={value}: expected {expected}"))
    }

    fn count<T: FromStr + Default>(&self, name: &str) -> Result<T, String> {
        Ok(self.parse(name, "a whole number")?.unwrap_or_default())
    }

    fn millis(&self, name: &str) -> Result<Option<Duration>, String> {
        Ok(self.parse(name, "a number of milliseconds")?.map(Duration::from_millis))
    }
}

fn instance(name: Option<String>) -> String {
    let name = name
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .unwrap_or_else(|| "testapp".to_owned());
    format!("{}-{}", name.trim(), std::process::id())
}

/// Header values hold one line of visible text; anything else would let a variable forge headers.
fn one_line(value: &str) -> String {
    value.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from_env(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_gives_a_healthy_application_on_port_3000() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.port, settings.bind.to_string().as_str()), (3000, "0.0.0.0"));
        assert_eq!(settings.unhealthy, Unhealthy::Never);
        assert_eq!(settings.exit_code, None);
    }

    #[test]
    fn the_port_to_bind_can_differ_from_the_one_it_is_told() {
        assert_eq!(read(&[("PORT", "20001"), ("TESTAPP_IGNORE_PORT", "4000")]).unwrap().port, 4000);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_named() {
        let error = read(&[("PORT", "70000")]).unwrap_err();
        assert_eq!(error, "PORT=70000: expected a port");
    }

    #[test]
    fn the_instance_is_the_unit_and_the_process() {
        let settings = read(&[("NEXTDEPLOY_UNIT", "web.1"), ("HOSTNAME", "h")]).unwrap();
        assert_eq!(settings.instance, format!("web.1-{}", std::process::id()));
    }

    #[test]
    fn a_release_cannot_forge_headers() {
        assert_eq!(read(&[("TESTAPP_RELEASE", "v1\r\nx: y")]).unwrap().release, "v1__x: y");
    }
}
