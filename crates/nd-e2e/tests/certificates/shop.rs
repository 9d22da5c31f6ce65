//! A daemon with an app that has a domain, and the authority that issues for it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Options, Programs, Result, Site, runs_as_root, until_some};
use nd_testkit::{Knot, Pebble, PebbleOptions, free_address};
use serde_json::Value;

/// The domain of its app.
pub(crate) const SHOP: &str = "shop.example.com";

/// A certificate that will not need renewing.
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// How long an order may take on a busy machine.
const ORDER: Duration = Duration::from_secs(60);

/// How the names of a test are proven.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum By {
    Http,
    TlsAlpn,
    Dns,
    /// By signed updates of a real zone; the program that could write as well always fails.
    Update,
}

/// A daemon, and the authority that issues for it.
pub(crate) struct Shop {
    pub(crate) daemon: Daemon,
    pebble: Pebble,
    /// Whose zone takes updates.
    pub(crate) knot: Option<Knot>,
    pub(crate) https: u16,
    /// The root of its certificates, as PEM.
    pub(crate) root: PathBuf,
}

impl Shop {
    /// The authority finds the answer to one kind of challenge alone.
    pub(crate) fn open(by: By, validity: Duration) -> Result<Self> {
        let site = Site::with_own_proxy()?;
        let https = free_address()?.port();
        let only = |wanted: By, port: u16| if by == wanted { port } else { 1 };
        let knot = (by == By::Update).then(|| Knot::start("example.com")).transpose();
        let knot = knot.map_err(|error| error.to_string())?;
        let options = PebbleOptions {
            http_port: only(By::Http, site.http.port()),
            tls_port: only(By::TlsAlpn, https),
            validity,
            dns: knot.as_ref().map(Knot::address),
            ..PebbleOptions::default()
        };
        let pebble = Pebble::start(&options).map_err(|error| error.to_string())?;
        let root = site.folder().join("root.pem");
        fs::write(&root, pebble.root(0)()?)?;
        let mut settings = OpenOptions::new().append(true).open(site.settings())?;
        settings.write_all(certs_table(by, &pebble).as_bytes())?;
        if let Some(knot) = &knot {
            settings.write_all(provider_table(knot).as_bytes())?;
        }
        let flags = vec!["--https".to_owned(), format!("127.0.0.1:{https}")];
        let options = Options { flags, ..Options::default() };
        let daemon = Daemon::start_at(site, &Programs::from_env()?, options)?;
        Ok(Self { daemon, pebble, knot, https, root })
    }

    /// Deploys an app with the domain, and answers how long it took from there to the first answer over TLS.
    pub(crate) fn deploy(&self, ssl: &str, host: &str) -> Result<Duration> {
        self.write(ssl)?;
        let started = Instant::now();
        self.daemon.cli("deploy")?.ok()?;
        let mut last = String::new();
        let answered = until_some("an answer over TLS", ORDER, || {
            self.ask(host).map_err(|error| last = error.to_string()).ok()
        });
        answered.map_err(|error| {
            let certs = self.daemon.api_get("/api/v1/certs").unwrap_or_default();
            format!("{error}: {last}\n{certs}\n{}", self.pebble.log())
        })?;
        Ok(started.elapsed())
    }

    /// Writes what is to be deployed.
    pub(crate) fn write(&self, ssl: &str) -> Result {
        let program = self.daemon.programs().testapp.display();
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let file = format!("app: {{name: shop, domain: {SHOP}}}\ncommand: [{program}]\n{user}{ssl}");
        Ok(fs::write(self.daemon.site().folder().join("nextdeploy.yml"), file)?)
    }

    /// Asks as a browser that trusts the authority's root alone; answers the certificate that was shown.
    pub(crate) fn ask(&self, host: &str) -> Result<String> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "15", "-o", "/dev/null", "-w", "%{http_code}\n%{certs}"]);
        command.arg("--cacert").arg(&self.root);
        command.args(["--resolve", &format!("{host}:{}:127.0.0.1", self.https)]);
        let output = command.arg(format!("https://{host}:{}/health", self.https)).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (status, certs) = text.split_once('\n').unwrap_or_default();
        if !output.status.success() || status != "200" {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let leaf = certs.find("-----BEGIN").zip(certs.find("-----END"));
        Ok(leaf.and_then(|(from, to)| certs.get(from..to)).unwrap_or_default().to_owned())
    }

    /// The certificate as the API shows it.
    pub(crate) fn cert(&self) -> Result<Value> {
        self.daemon.api_get(&format!("/api/v1/certs/{SHOP}"))
    }

    pub(crate) fn serial(&self) -> Result<Value> {
        Ok(self.cert()?.pointer("/served/serial").cloned().unwrap_or_default())
    }

    /// Nothing but the folder of certificates has the key, nor anything that the daemon says or writes.
    pub(crate) fn key_is_nowhere(&self) -> Result {
        let kept = self.daemon.site().data().join("certs").join("sites").join(SHOP);
        let key = fs::read_to_string(kept.join("key.pem"))?;
        self.is_nowhere(key.lines().nth(1).ok_or("a key without content")?, &kept)
    }

    /// Nothing but that folder has the secret, nor anything that the daemon says or writes.
    pub(crate) fn is_nowhere(&self, secret: &str, kept: &Path) -> Result {
        for path in ["/api/v1/certs", "/api/v1/apps/shop", "/api/v1/proxy", "/api/v1/events", "/metrics"] {
            let said = self.daemon.control()?.request("GET", path, &[], b"")?.text();
            assert!(!said.contains(secret) && !said.contains("PRIVATE KEY"), "{path}: {said}");
        }
        assert!(!self.daemon.site().log().contains(secret), "the log has it");
        let mut left = Vec::new();
        holders(&self.daemon.site().data(), secret.as_bytes(), &mut left)?;
        let elsewhere: Vec<_> = left.iter().filter(|path| !path.starts_with(kept)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        Ok(())
    }
}

fn certs_table(by: By, pebble: &Pebble) -> String {
    let challenges = match by {
        By::Http => "challenges = [\"http-01\"]",
        By::TlsAlpn => "challenges = [\"tls-alpn-01\"]",
        By::Dns => "challenges = [\"dns-01\"]",
        By::Update => "",
    };
    let hook = if by == By::Update { "exit 1".to_owned() } else { pebble.dns_hook() };
    format!(
        "\n[certs]\nprovider = \"pebble\"\n[certs.dns]\nservers = [\"{}\"]\n\
         [certs.acme.pebble]\ndirectory = \"{}\"\nca_file = {:?}\naddresses = [\"127.0.0.1\"]\n\
         {challenges}\n\
         [certs.exec]\ncommand = [\"sh\", \"-c\", {}]\npropagation_timeout = \"20s\"\n",
        pebble.dns(),
        pebble.directory(),
        pebble.ca_file(),
        Value::String(hook),
    )
}

fn provider_table(knot: &Knot) -> String {
    format!(
        "[certs.dns_provider.lab]\ntype = \"rfc2136\"\nserver = \"{}\"\nkey_name = \"{}\"\nkey = \"{}\"\n\
         propagation_timeout = \"20s\"\n",
        knot.address(),
        Knot::KEY_NAME,
        Knot::KEY,
    )
}

/// Files below a folder that hold these bytes.
pub(crate) fn holders(folder: &Path, bytes: &[u8], found: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            holders(&entry.path(), bytes, found)?;
        } else if kind.is_file()
            // What is gone by now holds nothing.
            && fs::read(entry.path()).unwrap_or_default().windows(bytes.len()).any(|part| part == bytes)
        {
            found.push(entry.path());
        }
    }
    Ok(())
}
