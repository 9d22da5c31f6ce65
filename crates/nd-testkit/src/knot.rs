//! A name server for tests that takes signed updates: Knot DNS.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_address;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running name server with one zone, in which every name leads to 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct Knot {
    place: tempfile::TempDir,
    child: Child,
    zone: String,
    address: SocketAddr,
}

impl Knot {
    /// The name of the key that may update the zone (RFC 8945).
    pub const KEY_NAME: &'static str = "nextdeploy";
    /// That key, as it is given out. Its algorithm is HMAC-SHA-256.
    pub const KEY: &'static str = "dGhlIGtleSBvZiBhIG5hbWUgc2VydmVyIGluIHRlc3Q=";

    /// Starts it on a port of its own.
    ///
    /// # Errors
    /// Without the programs `knotd` and `knotc`, and when it does not start.
    pub fn start(zone: &str) -> Result<Self> {
        // A port that was free a moment ago may be taken now.
        Self::try_start(zone).or_else(|_| Self::try_start(zone))
    }

    /// Where it answers, by UDP and TCP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TXT records of a name, as they stand in the zone now.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn txt(&self, name: &str) -> Result<Vec<String>> {
        let output = self.control(&["zone-read", &self.zone, &format!("{name}."), "TXT"])?;
        let (said, failed) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        if !output.status.success() && !failed.contains("no such") && !said.contains("no such") {
            return Err(format!("read the zone: {said}{failed}").into());
        }
        let value = |line: &str| Some(line.split_once(" TXT ")?.1.trim_matches('"').to_owned());
        Ok(said.lines().filter_map(value).collect())
    }

    /// What the server wrote, for a test that failed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    fn try_start(zone: &str) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let address = free_address()?;
        let records = format!(
            "$ORIGIN {zone}.\n@ 1 SOA ns hostmaster 1 60 60 60 1\n@ 1 NS ns\n@ 1 A 127.0.0.1\n* 1 A 127.0.0.1\n"
        );
        fs::write(place.path().join("zone"), records)?;
        let config = place.path().join("knot.conf");
        fs::write(&config, settings(&place.path().display().to_string(), zone, address))?;
        let log = File::create(place.path().join("log"))?;
        let mut command = Command::new("knotd");
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| {
            format!("run knotd: {error}; `apt-get install knot`, or `cargo xtask test`, which does it")
        })?;
        let mut knot = Self { place, child, zone: zone.to_owned(), address };
        knot.wait()?;
        Ok(knot)
    }

    /// Until the zone is served.
    fn wait(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.control(&["zone-read", &self.zone, "@", "SOA"])?.status.success() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the name server ended: {status}: {}", self.log()).into());
            }
            if Instant::now() > until {
                return Err(format!("no zone is served after {PATIENCE:?}: {}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn control(&self, words: &[&str]) -> Result<std::process::Output> {
        let config = self.place.path().join("knot.conf");
        Ok(Command::new("knotc").arg("-c").arg(config).args(words).stdin(Stdio::null()).output()?)
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn settings(place: &str, zone: &str, address: SocketAddr) -> String {
    format!(
        "server:\n  rundir: \"{place}\"\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         log:\n  - target: stderr\n    any: info\n\
         database:\n  storage: \"{place}\"\n\
         key:\n  - id: {}\n    algorithm: hmac-sha256\n    secret: {}\n\
         acl:\n  - id: updates\n    action: update\n    key: {}\n\
         zone:\n  - domain: {zone}\n    storage: \"{place}\"\n    file: zone\n    acl: updates\n    \
         zonefile-sync: -1\n    journal-content: none\n",
        address.ip(),
        address.port(),
        Knot::KEY_NAME,
        Knot::KEY,
        Knot::KEY_NAME,
    )
}
