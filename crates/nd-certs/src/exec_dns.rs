//! DNS-01 by a program of the user's.

use std::process::{Output, Stdio};

use async_trait::async_trait;
use nd_core::ports::{ChallengeKind, ChallengeSolver, PortError, PortErrorKind, PortResult, Proof};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{Dns, ExecSettings, dns};

/// What it says is quoted up to here, from its end.
const QUOTED: usize = 2000;

/// Calls a program with `present` or `cleanup`, the name of the TXT record and its value, and waits until the record can be
/// seen. The same is in its environment as `ND_ACTION`, `ND_RECORD`, `ND_VALUE`, and the name that is proven as
/// `ND_DOMAIN`. It answers with its exit status.
pub struct ExecDns {
    settings: ExecSettings,
    dns: Dns,
}

impl ExecDns {
    /// The program of these settings; `dns` tells when a record can be seen.
    ///
    /// # Errors
    /// Where the settings name no program.
    pub fn new(settings: ExecSettings, dns: Dns) -> PortResult<Self> {
        if settings.command.is_empty() {
            return Err(PortError::new(
                PortErrorKind::Invalid,
                "prove names in the DNS by a program: none is named",
            )
            .with_fix("write `[certs.exec] command = [\"/path/to/hook\"]`"));
        }
        Ok(Self { settings, dns })
    }

    async fn run(&self, action: &str, name: &str, record: &str, value: &str) -> PortResult<()> {
        let tried = format!("run {} {action} {record}", self.settings.command.join(" "));
        let mut child =
            self.start(action, name, record, value).map_err(|error| unstartable(&tried, error))?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        let output = match timeout(self.settings.timeout, output(&mut child)).await {
            Err(_) => {
                // With all it started. That nobody is left is no error.
                group.map(|group| {
                    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok()
                });
                let context = format!("{tried}: no end within {:?}", self.settings.timeout);
                return Err(PortError::new(PortErrorKind::Timeout, context)
                    .with_fix("make it faster, or give it more time: `[certs.exec] timeout`"));
            }
            Ok(output) => output.map_err(|error| unstartable(&tried, error))?,
        };
        if output.status.success() {
            return Ok(());
        }
        let context = format!("{tried}: {}: {}", output.status, last_words(&output));
        Err(PortError::new(PortErrorKind::Transient, context).with_fix(
            "run it by hand with the same arguments; its environment is that of `[certs.exec] env`",
        ))
    }

    fn start(&self, action: &str, name: &str, record: &str, value: &str) -> std::io::Result<Child> {
        let (program, arguments) =
            self.settings.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).args([action, record, value]).env_clear();
        // Nothing else of the daemon's: it may hold what is no business of a hook.
        command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(&self.settings.env);
        command.envs([
            ("ND_ACTION", action),
            ("ND_DOMAIN", name),
            ("ND_RECORD", record),
            ("ND_VALUE", value),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).spawn()
    }
}

#[async_trait]
impl ChallengeSolver for ExecDns {
    fn kinds(&self) -> &[ChallengeKind] {
        &[ChallengeKind::Dns01]
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Dns01 { name, record, value } = proof else { return Err(dns::wrong_kind(proof)) };
        self.run("present", name.as_str(), record, value).await?;
        self.dns.wait_for(record, value, self.settings.propagation_timeout, "[certs.exec]").await
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        let Proof::Dns01 { name, record, value } = proof else { return Err(dns::wrong_kind(proof)) };
        self.run("cleanup", name.as_str(), record, value).await
    }
}

/// Reads both streams to their ends, then waits. Who floods them is read, and quoted from the end.
async fn output(child: &mut Child) -> std::io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(tail(out), tail(err), child.wait());
    Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
}

/// The end of a stream.
async fn tail(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let (mut kept, mut piece) = (Vec::new(), [0_u8; 4096]);
    let Some(mut stream) = stream else { return Ok(kept) };
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        let surplus = kept.len().saturating_sub(QUOTED);
        kept.drain(..surplus);
    }
}

fn last_words(output: &Output) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(said).trim().to_owned();
    if said.is_empty() { "it said nothing".to_owned() } else { said }
}

fn unstartable(tried: &str, error: std::io::Error) -> PortError {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => PortErrorKind::Invalid,
        _ => PortErrorKind::Transient,
    };
    PortError::new(kind, tried)
        .with_fix("give the whole path of a program that the daemon's user may run")
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::DnsSettings;
    use nd_types::HostPattern;

    fn hook(script: &str) -> ExecDns {
        let settings = ExecSettings {
            command: ["sh", "-c", script, "hook"].map(str::to_owned).into(),
            env: [("TOKEN".to_owned(), "secret".to_owned())].into(),
            timeout: Duration::from_secs(5),
            propagation_timeout: Duration::ZERO,
        };
        let servers = vec!["127.0.0.1:9".parse().unwrap()];
        ExecDns::new(settings, Dns::new(&DnsSettings { servers }).unwrap()).unwrap()
    }

    fn proof() -> Proof {
        Proof::Dns01 {
            name: HostPattern::new("a.test").unwrap(),
            record: "_acme-challenge.a.test".to_owned(),
            value: "v".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_hook_gets_action_record_and_value_and_only_the_environment_it_was_given() {
        let place = tempfile::tempdir().unwrap();
        let told = place.path().join("told");
        let script = format!("echo \"$* $ND_DOMAIN $TOKEN ${{CARGO_PKG_NAME-none}}\" >> {}", told.display());
        let hook = hook(&script);
        hook.present(&proof()).await.unwrap();
        hook.cleanup(&proof()).await.unwrap();
        let told = std::fs::read_to_string(told).unwrap();
        let line = |action| format!("{action} _acme-challenge.a.test v a.test secret none\n");
        assert_eq!(told, line("present") + &line("cleanup"));
    }

    #[tokio::test]
    async fn a_hook_that_fails_is_quoted_and_one_that_is_not_there_is_named() {
        let error = hook("echo no such zone >&2; exit 3").present(&proof()).await.unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3: no such zone"), "{error}");
        let mut absent = hook("");
        absent.settings.command = vec!["/no/such/hook".to_owned()];
        let error = absent.present(&proof()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Invalid);
        assert!(error.to_string().contains("/no/such/hook"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_that_hangs_ends_with_all_it_started() {
        let mut hook = hook("sleep 600 & sleep 600");
        hook.settings.timeout = Duration::from_millis(200);
        let error = hook.present(&proof()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Timeout);
    }
}
