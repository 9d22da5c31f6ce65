//! Load from outside, on the second processor.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::Result;

/// Where the proxies are, and where everything else is.
pub(super) const PROXY_CPU: &str = "0";
pub(super) const OTHER_CPU: &str = "1";

/// Requests a second where the tail is looked at.
pub(super) const RATE: u32 = 5_000;
const CLIENTS: u32 = 50;
const SECONDS: &str = "4";

/// Bytes of a large body.
pub(super) const LARGE: usize = 10 << 20;

/// Who is asked.
pub(super) struct Load {
    pub(super) http: SocketAddr,
    pub(super) h2c: SocketAddr,
    pub(super) tls: SocketAddr,
    pub(super) host: &'static str,
}

/// What a round came to: requests or bytes.
pub(super) struct Done {
    pub(super) amount: f64,
}

impl Load {
    pub(super) fn keep_alive(&self) -> Result<Done> {
        self.wrk("64", "/", &[])
    }

    pub(super) fn tls(&self) -> Result<Done> {
        self.wrk_at(&self.secure("/"), "64", &[])
    }

    /// `wrk` never takes a ticket.
    pub(super) fn handshakes(&self) -> Result<Done> {
        self.wrk_at(&self.secure("/"), "64", &["-H", "Connection: close"])
    }

    /// Handshakes alone, of TLS 1.2: there `openssl` has its ticket before the connection ends.
    pub(super) fn resumptions(&self) -> Result<Done> {
        let mut command = Command::new("taskset");
        command.args(["-c", OTHER_CPU, "openssl", "s_time", "-reuse", "-tls1_2", "-time", SECONDS]);
        let said = said(command.arg("-connect").arg(self.tls.to_string()))?;
        // It says so of the seconds it worked, then of those that passed.
        let count = said.lines().find_map(|line| line.split_once(" connections in ")?.0.trim().parse().ok());
        Ok(Done { amount: count.ok_or_else(|| format!("openssl did not count: {said}"))? })
    }

    pub(super) fn http2_over_tls(&self) -> Result<Done> {
        let said = h2load(self.tls, &self.secure("/"), &["-c", "16", "-m", "4", "-D", SECONDS])?;
        Ok(Done { amount: succeeded(&said)? })
    }

    fn secure(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.host, self.tls.port())
    }

    pub(super) fn connections(&self) -> Result<Done> {
        self.wrk("64", "/", &["-H", "Connection: close"])
    }

    pub(super) fn bodies(&self) -> Result<Done> {
        let done = self.wrk("8", "/large", &[])?;
        Ok(Done { amount: done.amount * LARGE as f64 })
    }

    pub(super) fn http2(&self) -> Result<Done> {
        let said = self.h2load(self.h2c, &["-c", "16", "-m", "4", "-D", SECONDS])?;
        Ok(Done { amount: succeeded(&said)? })
    }

    /// How long each request took, in milliseconds.
    pub(super) fn at_a_rate(&self) -> Result<Vec<f64>> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let (clients, rate) = (CLIENTS.to_string(), (RATE / CLIENTS).to_string());
        let log_flag = format!("--log-file={}", log.display());
        let total = (RATE * 4).to_string();
        let words = ["--h1", "-c", &clients, "--rps", &rate, "-n", &total, &log_flag];
        succeeded(&self.h2load(self.http, &words)?)?;
        // Its columns: start in µs, status, duration in µs.
        let lines = fs::read_to_string(log)?;
        let took = lines.lines().filter_map(|line| line.split('\t').nth(2)?.parse::<f64>().ok());
        Ok(took.map(|micros| micros / 1000.0).collect())
    }

    fn wrk(&self, connections: &str, path: &str, more: &[&str]) -> Result<Done> {
        self.wrk_at(&format!("http://{}{path}", self.http), connections, more)
    }

    fn wrk_at(&self, url: &str, connections: &str, more: &[&str]) -> Result<Done> {
        let mut command = Command::new("taskset");
        command.args(["-c", OTHER_CPU, "wrk", "-t1", "--timeout", "20s", "-c", connections, "-d", SECONDS]);
        command.arg("-H").arg(format!("Host: {}", self.host)).args(more);
        let said = said(command.arg(url))?;
        let trouble = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
        // Who is asked to close closes: wrk counts that as an error of reading.
        let closed = |line: &&str| line.contains("connect 0, read") && line.contains("write 0, timeout 0");
        if let Some(trouble) = said.lines().find(|line| trouble(line) && !closed(line)) {
            return Err(format!("wrk at {url}: {}", trouble.trim()).into());
        }
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in "));
        let requests = requests.and_then(|(count, _)| count.parse().ok());
        Ok(Done { amount: requests.ok_or_else(|| format!("wrk did not count: {said}"))? })
    }

    fn h2load(&self, address: SocketAddr, words: &[&str]) -> Result<String> {
        h2load(address, &format!("http://{}:{}/", self.host, address.port()), words)
    }
}

/// So many requests and no more, to a path of a host.
pub(super) fn exactly(requests: u32, address: SocketAddr, host: &str, path: &str) -> Result {
    let url = format!("http://{host}:{}{path}", address.port());
    let said = h2load(address, &url, &["--h1", "-c", "4", "-n", &requests.to_string()])?;
    succeeded(&said).map(drop)
}

fn h2load(address: SocketAddr, url: &str, words: &[&str]) -> Result<String> {
    let mut command = Command::new("taskset");
    command.args(["-c", OTHER_CPU, "h2load", "-t1"]).args(words);
    said(command.arg(format!("--connect-to={address}")).arg(url))
}

/// How many requests had a good answer; an error where one had none.
fn succeeded(said: &str) -> Result<f64> {
    let line = said.lines().find(|line| line.starts_with("requests:")).unwrap_or_default();
    let count = |word: &str| {
        let part = line.split(", ").find_map(|part| part.trim().strip_suffix(word));
        part.and_then(|count| count.trim().parse::<f64>().ok())
    };
    match (count(" succeeded"), count(" failed")) {
        (Some(good), Some(0.0)) if good > 0.0 => Ok(good),
        _ => Err(format!("h2load: {line}").into()),
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {}", output.status, said.trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_with_a_failed_request_counts_for_nothing() {
        let line = "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout";
        assert_eq!(succeeded(line).unwrap().to_bits(), 9.0_f64.to_bits());
        assert!(succeeded(&line.replace("0 failed", "1 failed")).is_err());
    }
}
