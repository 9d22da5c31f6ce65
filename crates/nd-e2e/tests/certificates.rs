//! A domain in `nextdeploy.yml` is all it takes: a real authority issues its certificate, and the daemon serves and renews it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Options, Programs, Result, Site, runs_as_root, until_some};
use nd_testkit::{Pebble, PebbleOptions};
use serde_json::{Value, json};

const SHOP: &str = "shop.example.com";

/// How long an order may take on a busy machine.
const ORDER: Duration = Duration::from_secs(60);

/// How the names of a test are proven.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Http,
    TlsAlpn,
    Dns,
}

/// A daemon, and the authority that issues for it.
struct Shop {
    daemon: Daemon,
    pebble: Pebble,
    https: u16,
    root: PathBuf,
}

impl Shop {
    /// The authority finds the answer to one kind of challenge alone.
    fn open(by: By, validity: Duration) -> Result<Self> {
        let site = Site::with_own_proxy()?;
        let https = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let only = |wanted: By, port: u16| if by == wanted { port } else { 1 };
        let options = PebbleOptions {
            http_port: only(By::Http, site.http.port()),
            tls_port: only(By::TlsAlpn, https),
            validity,
            ..PebbleOptions::default()
        };
        let pebble = Pebble::start(&options).map_err(|error| error.to_string())?;
        let root = site.folder().join("root.pem");
        fs::write(&root, pebble.root(0)()?)?;
        let mut settings = OpenOptions::new().append(true).open(site.settings())?;
        settings.write_all(certs_table(by, &pebble).as_bytes())?;
        let flags = vec!["--https".to_owned(), format!("127.0.0.1:{https}")];
        let options = Options { flags, ..Options::default() };
        let daemon = Daemon::start_at(site, &Programs::from_env()?, options)?;
        Ok(Self { daemon, pebble, https, root })
    }

    /// Deploys an app with the domain, and answers how long it took from there to the first answer over TLS.
    fn deploy(&self, ssl: &str, host: &str) -> Result<Duration> {
        let program = self.daemon.programs().testapp.display();
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let file = format!("app: {{name: shop, domain: {SHOP}}}\ncommand: [{program}]\n{user}{ssl}");
        fs::write(self.daemon.site().folder().join("nextdeploy.yml"), file)?;
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

    /// Asks as a browser that trusts the authority's root alone; answers the certificate that was shown.
    fn ask(&self, host: &str) -> Result<String> {
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
    fn cert(&self) -> Result<Value> {
        self.daemon.api_get(&format!("/api/v1/certs/{SHOP}"))
    }

    fn serial(&self) -> Result<Value> {
        Ok(self.cert()?.pointer("/served/serial").cloned().unwrap_or_default())
    }

    /// Nothing but the folder of certificates has the key, nor anything that the daemon says or writes.
    fn key_is_nowhere(&self) -> Result {
        let kept = self.daemon.site().data().join("certs").join("sites").join(SHOP);
        let key = fs::read_to_string(kept.join("key.pem"))?;
        let secret = key.lines().nth(1).ok_or("a key without content")?.to_owned();
        for path in ["/api/v1/certs", "/api/v1/apps/shop", "/api/v1/proxy", "/api/v1/events", "/metrics"] {
            let said = self.daemon.control()?.request("GET", path, &[], b"")?.text();
            assert!(!said.contains(&secret) && !said.contains("PRIVATE KEY"), "{path}: {said}");
        }
        assert!(!self.daemon.site().log().contains(&secret), "the log has the key");
        let mut left = Vec::new();
        holders(&self.daemon.site().data(), secret.as_bytes(), &mut left)?;
        let elsewhere: Vec<_> = left.iter().filter(|path| !path.starts_with(&kept)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        Ok(())
    }
}

fn certs_table(by: By, pebble: &Pebble) -> String {
    let challenge = match by {
        By::Http => "http-01",
        By::TlsAlpn => "tls-alpn-01",
        By::Dns => "dns-01",
    };
    format!(
        "\n[certs]\nprovider = \"pebble\"\n[certs.dns]\nservers = [\"{}\"]\n\
         [certs.acme.pebble]\ndirectory = \"{}\"\nca_file = {:?}\naddresses = [\"127.0.0.1\"]\n\
         challenges = [\"{challenge}\"]\n\
         [certs.exec]\ncommand = [\"sh\", \"-c\", {}]\npropagation_timeout = \"20s\"\n",
        pebble.dns(),
        pebble.directory(),
        pebble.ca_file(),
        Value::String(pebble.dns_hook()),
    )
}

/// Files below a folder that hold these bytes.
fn holders(folder: &Path, bytes: &[u8], found: &mut Vec<PathBuf>) -> Result {
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

/// Shows a time that is worth knowing and depends on the machine.
#[allow(clippy::print_stderr, reason = "a measurement, for people")]
fn tell(what: &str, took: Duration) {
    eprintln!("{what}: {:.2} s from the deployment to the first answer over TLS", took.as_secs_f64());
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[test]
fn a_domain_gets_a_certificate_by_http_that_can_be_rotated_and_whose_key_stays_where_it_is() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    tell("http-01", shop.deploy("", SHOP)?);
    let (before, first) = (shop.ask(SHOP)?, shop.serial()?);
    let rotated = shop.daemon.api_post("/certs/rotate", &json!({ "domain": SHOP }).to_string())?;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let serial = rotated.json()?.pointer("/payload/serial").cloned().unwrap_or_default();
    assert!(serial.is_string() && serial != first, "{}", rotated.text());
    assert_eq!(shop.serial()?, serial);
    assert_ne!(shop.ask(SHOP)?, before, "what the answer names is what serves");
    shop.key_is_nowhere()
}

#[test]
fn the_commands_show_it_renew_it_and_give_its_key_to_its_owner_alone() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    shop.deploy("", SHOP)?;
    let listed = shop.daemon.cli("certs ls --json")?.ok()?.json()?;
    assert_eq!(listed.pointer("/0/state"), Some(&json!("valid")), "{listed}");
    let domains = shop.daemon.cli("domains ls shop --json")?.ok()?.stdout;
    assert!(domains.contains(r#""state": "valid""#), "{domains}");
    let shown = shop.daemon.cli(&format!("certs show {SHOP}"))?.ok()?.stdout;
    let first = shop.serial()?;
    assert!(shown.contains(first.as_str().unwrap_or("no serial")) && !shown.contains("KEY"), "{shown}");
    shop.daemon.cli(&format!("certs renew {SHOP}"))?.ok()?;
    assert_ne!(shop.serial()?, first);
    shop.daemon.cli(&format!("certs export {SHOP}"))?.ok()?;
    let [chain, key] = ["pem", "key"].map(|end| shop.daemon.site().folder().join(format!("{SHOP}.{end}")));
    assert_eq!(fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    let words = ["certs", "import", &chain.display().to_string(), &key.display().to_string()];
    shop.daemon.cli_words(&words)?.ok()?;
    assert_eq!(shop.cert()?.get("issuer"), None, "it is somebody's own now");
    shop.ask(SHOP)?;
    shop.daemon.cli("certs show other.example.com")?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_domain_gets_a_certificate_where_port_443_alone_is_open() -> Result {
    let shop = Shop::open(By::TlsAlpn, YEAR)?;
    tell("tls-alpn-01", shop.deploy("", SHOP)?);
    shop.key_is_nowhere()
}

#[test]
fn a_wildcard_is_proven_by_a_program_that_writes_into_the_dns() -> Result {
    let shop = Shop::open(By::Dns, YEAR)?;
    let took = shop.deploy(
        "ssl: {wildcard: true}\nproxy: {routes: [{host: shop.example.com}, {host: '*.shop.example.com'}]}\n",
        "eu.shop.example.com",
    )?;
    tell("dns-01", took);
    shop.ask(SHOP)?;
    shop.key_is_nowhere()
}

#[test]
fn a_certificate_of_a_short_life_is_renewed_by_itself_and_no_handshake_fails() -> Result {
    let shop = Shop::open(By::Http, Duration::from_secs(45))?;
    shop.deploy("", SHOP)?;
    let (first, before) = (shop.ask(SHOP)?, shop.serial()?);
    let mut asked = 0;
    let mut failures = Vec::new();
    until_some("a renewal", Duration::from_secs(90), || {
        asked += 1;
        match shop.ask(SHOP) {
            Ok(shown) => (shown != first).then_some(()),
            Err(error) => {
                failures.push(error.to_string());
                None
            }
        }
    })?;
    assert!(failures.is_empty() && asked > 1, "{asked} handshakes: {failures:?}\n{}", shop.cert()?);
    let cert = shop.cert()?;
    assert_ne!(cert.pointer("/served/serial"), Some(&before), "{cert}");
    assert_eq!(cert.get("orders").and_then(Value::as_array).map(Vec::len), Some(2), "{cert}");
    Ok(())
}
