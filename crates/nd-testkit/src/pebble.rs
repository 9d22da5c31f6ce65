//! A certificate authority for tests: Pebble, and the DNS that it asks.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::free_address;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How long it may take to start: it makes a few keys.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the authority behaves.
#[derive(Clone, Debug)]
pub struct PebbleOptions {
    /// The port at which it looks for answers to http-01.
    pub http_port: u16,
    /// The port at which it looks for answers to tls-alpn-01.
    pub tls_port: u16,
    /// How many of 100 good nonces it refuses.
    pub refused_nonces: u8,
    /// How long its certificates live.
    pub validity: Duration,
    /// The key identifier and key (base64url) of the only account at other services that it knows, and wants.
    pub eab: Option<(String, String)>,
    /// How many roots it has beside the first one.
    pub alternate_roots: u8,
    /// The name server that it asks, in place of its own.
    pub dns: Option<SocketAddr>,
}

impl Default for PebbleOptions {
    /// Nobody answers; every twentieth nonce is refused, certificates live for 90 days.
    fn default() -> Self {
        Self {
            http_port: 1,
            tls_port: 1,
            refused_nonces: 5,
            validity: Duration::from_secs(90 * 24 * 60 * 60),
            eab: None,
            alternate_roots: 0,
            dns: None,
        }
    }
}

/// A running authority. Both programs end when it is dropped.
#[derive(Debug)]
pub struct Pebble {
    place: tempfile::TempDir,
    children: Vec<Child>,
    directory: String,
    dns: SocketAddr,
    control: SocketAddr,
    manage: u16,
}

impl Pebble {
    /// Starts it on ports of its own. Every name leads to 127.0.0.1 until it is told otherwise.
    ///
    /// # Errors
    /// Without the programs `pebble` and `pebble-challtestsrv`, and when they do not start.
    pub fn start(options: &PebbleOptions) -> Result<Self> {
        // A port that was free a moment ago may be taken now.
        Self::try_start(options).or_else(|_| Self::try_start(options))
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The root of its own certificate, as PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.place.path().join("ca.pem")
    }

    /// The name server that it asks.
    #[must_use]
    pub const fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Lets a name lead somewhere else.
    ///
    /// # Errors
    /// When the name server does not answer.
    pub fn lead(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        self.tell("add-a", &format!(r#"{{"host":"{name}","addresses":["{address}"]}}"#))
    }

    /// Lets every name lead nowhere that was not told where.
    ///
    /// # Errors
    /// When the name server does not answer.
    pub fn lead_nowhere(&self) -> Result<()> {
        self.tell("set-default-ipv4", r#"{"ip":""}"#)
    }

    /// Lets only that authority issue for a name (RFC 8659).
    ///
    /// # Errors
    /// When the name server does not answer.
    pub fn caa(&self, name: &str, authority: &str) -> Result<()> {
        let policy = format!(r#"{{"tag":"issue","value":"{authority}"}}"#);
        self.tell("add-caa", &format!(r#"{{"host":"{name}","policies":[{policy}]}}"#))
    }

    /// A line for a shell that writes a TXT record, whose name and value are in `$ND_RECORD` and `$ND_VALUE`, or takes it
    /// away again, as `$ND_ACTION` says.
    #[must_use]
    pub fn dns_hook(&self) -> String {
        let url = format!("http://{}", self.control);
        format!(
            "case $ND_ACTION in present) v=set-txt;; *) v=clear-txt;; esac; \
             curl -fsS {url}/$v -d '{{\"host\":\"'$ND_RECORD'.\",\"value\":\"'$ND_VALUE'\"}}'"
        )
    }

    /// A question for the certificate of its root of that number, as PEM; to be asked where it may block.
    pub fn root(&self, number: u8) -> impl FnOnce() -> Result<String, io::Error> + Send + 'static {
        let url = format!("https://localhost:{}/roots/{number}", self.manage);
        let ca = self.ca_file();
        move || {
            let output = Command::new("curl").arg("-fsS").arg("--cacert").arg(ca).arg(url).output()?;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            String::from_utf8(output.stdout).map_err(io::Error::other)
        }
    }

    /// What the authority wrote, for a test that failed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("pebble.log")).unwrap_or_default()
    }

    fn try_start(options: &PebbleOptions) -> Result<Self> {
        let place = tempfile::tempdir()?;
        front(place.path())?;
        let [listen, manage, control] =
            [free_address()?.port(), free_address()?.port(), free_address()?.port()];
        let own_dns = free_address()?.port();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        fs::write(place.path().join("pebble.json"), config(place.path(), listen, manage, options))?;
        let directory = format!("https://localhost:{listen}/dir");
        let mut pebble = Self {
            place,
            children: Vec::new(),
            directory,
            dns: options.dns.unwrap_or(local(own_dns)),
            control: local(control),
            manage,
        };
        let (own_dns, dns) = (local(own_dns).to_string(), pebble.dns.to_string());
        pebble.run(
            "pebble-challtestsrv",
            &[
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
                "-dns01",
                &own_dns,
                "-http01",
                "",
                "-https01",
                "",
            ],
            &["-tlsalpn01", "", "-management", &format!("127.0.0.1:{control}")],
            &[],
        )?;
        let config = pebble.place.path().join("pebble.json").display().to_string();
        pebble.run(
            "pebble",
            &["-config", &config],
            &["-dnsserver", &dns],
            &[
                ("PEBBLE_VA_NOSLEEP", "1"),
                ("PEBBLE_WFE_NONCEREJECT", &options.refused_nonces.to_string()),
                ("PEBBLE_ALTERNATE_ROOTS", &options.alternate_roots.to_string()),
            ],
        )?;
        for port in [control, listen] {
            pebble.wait_for(local(port))?;
        }
        Ok(pebble)
    }

    fn run(&mut self, program: &str, head: &[&str], tail: &[&str], env: &[(&str, &str)]) -> Result<()> {
        let log = File::create(self.place.path().join(format!("{program}.log")))?;
        let mut command = Command::new(program);
        command.args(head).args(tail).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| {
            format!("run {program}: {error}; `apt-get install pebble`, or `cargo xtask test`, which does it")
        })?;
        self.children.push(child);
        Ok(())
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    return Err(format!("the authority ended: {status}: {}", self.log()).into());
                }
            }
            if Instant::now() > until {
                return Err(format!("nobody listens at {address} after {PATIENCE:?}: {}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn tell(&self, verb: &str, body: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(stream, "POST /{verb} HTTP/1.0\r\nHost: dns\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("{verb}: {answer}").into()) }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

/// The certificate that the authority itself shows, and its root.
fn front(place: &Path) -> Result<()> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "root of the tests");
    let root_key = KeyPair::generate()?;
    fs::write(place.join("ca.pem"), root.self_signed(&root_key)?.pem())?;
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2036, 1, 1);
    let key = KeyPair::generate()?;
    fs::write(place.join("cert.pem"), params.signed_by(&key, &Issuer::new(root, root_key))?.pem())?;
    Ok(fs::write(place.join("key.pem"), key.serialize_pem())?)
}

fn config(place: &Path, listen: u16, manage: u16, options: &PebbleOptions) -> String {
    let keys = options.eab.iter().map(|(kid, key)| format!(r#""{kid}":"{key}""#)).collect::<String>();
    let (eab, http, tls) = (options.eab.is_some(), options.http_port, options.tls_port);
    let (validity, place) = (options.validity.as_secs(), place.display());
    format!(
        r#"{{"pebble": {{"listenAddress": "127.0.0.1:{listen}", "managementListenAddress": "127.0.0.1:{manage}",
        "certificate": "{place}/cert.pem", "privateKey": "{place}/key.pem", "httpPort": {http}, "tlsPort": {tls},
        "ocspResponderURL": "", "externalAccountBindingRequired": {eab}, "externalAccountMACKeys": {{{keys}}},
        "domainBlocklist": ["blocked.test"], "retryAfter": {{"authz": 1, "order": 1}},
        "certificateValidityPeriod": {validity},
        "profiles": {{"default": {{"description": "as ever", "validityPeriod": {validity}}},
                      "shortlived": {{"description": "six days", "validityPeriod": 518400}}}}}}}}"#
    )
}
