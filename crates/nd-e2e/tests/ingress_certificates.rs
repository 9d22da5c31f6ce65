//! A domain is all it takes behind a Caddy or an nginx too: it shows the certificate that the daemon gets for the app.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nd_e2e::{Daemon, Options, Programs, Result, Site, Target, WAIT, get, runs_as_root, until, until_some};
use nd_testkit::servers::{CaddyServer, NginxServer};
use nd_testkit::{Pebble, PebbleOptions, free_address};
use serde_json::Value;

const SHOP: &str = "shop.example.com";

/// How long an order may take on a busy machine.
const ORDER: Duration = Duration::from_secs(60);

/// A daemon whose apps are behind a server beside it, and the authority that comes to that server.
struct Shop {
    daemon: Daemon,
    pebble: Pebble,
    http: SocketAddr,
    https: SocketAddr,
    root: PathBuf,
    /// Whether the server opens its listeners anew with each change.
    reopens: bool,
}

impl Shop {
    /// `table` is what is written of the server, without its TLS.
    fn open(kind: &str, http: SocketAddr, table: &str, challenge: &str) -> Result<Self> {
        let https = free_address()?;
        let options = PebbleOptions { http_port: http.port(), ..PebbleOptions::default() };
        let pebble = Pebble::start(&options).map_err(|error| error.to_string())?;
        let settings = format!(
            "[ingress]\nkind = \"{kind}\"\n[{kind}]\nhttp = \"{http}\"\nhttps = \"{https}\"\n{table}\n\
             [certs]\nprovider = \"pebble\"\n[certs.dns]\nservers = [\"{}\"]\n\
             [certs.acme.pebble]\ndirectory = \"{}\"\nca_file = {:?}\naddresses = [\"127.0.0.1\"]\n\
             challenges = [\"{challenge}\"]\n",
            pebble.dns(),
            pebble.directory(),
            pebble.ca_file(),
        );
        let site = Site::with_settings(&settings)?;
        let root = site.folder().join("root.pem");
        fs::write(&root, pebble.root(0)()?)?;
        let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
        Ok(Self { daemon, pebble, http, https, root, reopens: kind == "caddy" })
    }

    fn deploy(&self) -> Result {
        let program = self.daemon.programs().testapp.display();
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let file = format!(
            "app: {{name: shop, domain: {SHOP}}}\ncommand: [{program}]\n{user}ssl: {{redirect: true, hsts: {{enabled: true}}}}\n"
        );
        fs::write(self.daemon.site().folder().join("nextdeploy.yml"), file)?;
        self.daemon.cli("deploy")?.ok().map(drop)
    }

    /// Asks on a connection of its own as a browser that trusts the authority's root alone; answers the fields.
    fn ask(&self) -> Result<String> {
        let mut command = Command::new("curl");
        // A client of HTTP/2 asks again where a server that leaves says goodbye to it (RFC 9113, section 6.8); curl does not.
        command
            .args(["--http1.1", "-sS", "--max-time", "15", "-D", "-", "-o", "/dev/null", "--cacert"])
            .arg(&self.root);
        command.args(["--resolve", &format!("{SHOP}:{}:127.0.0.1", self.https.port())]);
        let output = command.arg(format!("https://{SHOP}:{}/health", self.https.port())).output()?;
        let fields = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
        let is_good =
            output.status.success() && fields.lines().next().is_some_and(|line| line.contains("200"));
        let said = String::from_utf8_lossy(&output.stderr);
        if is_good { Ok(fields) } else { Err(format!("{fields}{said}").into()) }
    }

    fn cert(&self) -> Result<Value> {
        self.daemon.api_get(&format!("/api/v1/certs/{SHOP}"))
    }

    fn serial(&self) -> Result<Value> {
        Ok(self.cert()?.pointer("/served/serial").cloned().unwrap_or_default())
    }

    fn gets_a_certificate(&self) -> Result {
        self.deploy()?;
        let mut last = String::new();
        let answered = until_some("an answer over TLS", ORDER, || {
            self.ask().map_err(|error| last = error.to_string()).ok()
        });
        let fields = answered.map_err(|error| {
            let certs = self.daemon.api_get("/api/v1/certs").unwrap_or_default();
            format!("{error}: {last}\n{certs}\n{}\n{}", self.daemon.site().log(), self.pebble.log())
        })?;
        assert!(fields.contains("strict-transport-security: max-age="), "{fields}");
        let url = format!("https://{SHOP}:{}", self.https.port());
        until("its address says so", WAIT, || {
            let app = self.daemon.api_get("/api/v1/apps/shop");
            app.is_ok_and(|app| app.pointer("/url").and_then(Value::as_str) == Some(url.as_str()))
        })?;
        let led = get(&Target::Tcp(self.http), SHOP, "/x")?;
        assert_eq!((led.status, led.header("location")), (308, Some(format!("{url}/x").as_str())));
        Ok(())
    }

    /// Runs something while somebody comes again and again, and nobody is sent away.
    fn without_a_failed_handshake(&self, what: impl FnOnce() -> Result) -> Result {
        let is_over = AtomicBool::new(false);
        let (done, asked) = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let (mut asked, mut failures) = (0, Vec::new());
                while !is_over.load(Ordering::Relaxed) || asked == 0 {
                    asked += 1;
                    failures.extend(self.ask().err().map(|error| error.to_string()));
                }
                // What Linux resets where Caddy opens its listener anew never met Caddy: docs/guide/ingress.md.
                failures.retain(|error| !(self.reopens && error.contains("reset by peer")));
                failures
            });
            let done = what();
            is_over.store(true, Ordering::Relaxed);
            (done, asking.join())
        });
        done?;
        let failures = asked.map_err(|_| "the visitor panicked")?;
        assert!(failures.is_empty(), "{failures:?}");
        Ok(())
    }

    fn renews_it(&self) -> Result {
        let before = self.serial()?;
        self.without_a_failed_handshake(|| self.daemon.cli(&format!("certs renew {SHOP}"))?.ok().map(drop))?;
        assert!(before.is_string() && self.serial()? != before, "{}", self.cert()?);
        Ok(())
    }

    /// Who starts anew goes on with it.
    fn keeps_it(&mut self) -> Result {
        self.daemon.kill();
        self.ask()?;
        self.daemon.launch()?;
        self.without_a_failed_handshake(|| self.daemon.wait_phase("shop", "running").map(drop))
    }
}

fn table_of(nginx: &NginxServer) -> String {
    format!(
        "file = \"{}\"\nconfig = \"{}\"\npid_file = \"{}\"",
        nginx.ours().join("nextdeploy.conf").display(),
        nginx.config().display(),
        nginx.pid_file().display()
    )
}

#[test]
fn a_domain_behind_an_nginx_gets_a_certificate_that_is_renewed_without_a_failed_handshake() -> Result {
    let nginx = NginxServer::start()?;
    let mut shop = Shop::open("nginx", nginx.http, &table_of(&nginx), "http-01")?;
    shop.gets_a_certificate()?;
    shop.renews_it()?;
    shop.keeps_it()?;
    assert_eq!(get(&Target::Tcp(nginx.site), "user.localhost", "/")?.text(), "user");
    Ok(())
}

#[test]
fn a_domain_behind_a_caddy_gets_a_certificate_that_is_renewed_without_a_failed_handshake() -> Result {
    let caddy = CaddyServer::start()?;
    let mut shop = Shop::open("caddy", caddy.http, &format!("admin = \"{}\"", caddy.admin()), "http-01")?;
    shop.gets_a_certificate()?;
    shop.renews_it()?;
    shop.keeps_it()?;
    assert_eq!(get(&Target::Tcp(caddy.site), "user.localhost", "/")?.text(), "user");
    Ok(())
}

#[test]
fn a_way_to_prove_a_name_that_an_nginx_does_not_have_is_refused_with_those_it_has() -> Result {
    let nginx = NginxServer::start()?;
    let shop = Shop::open("nginx", nginx.http, &table_of(&nginx), "tls-alpn-01")?;
    shop.deploy()?;
    let why = until_some("a refused order", ORDER, || {
        shop.cert().ok()?.get("error").and_then(Value::as_str).map(str::to_owned)
    })?;
    assert!(why.contains("allows tls-alpn-01 alone") && why.contains("can only do http-01"), "{why}");
    Ok(())
}
