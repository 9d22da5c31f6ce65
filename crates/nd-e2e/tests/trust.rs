//! The daemon's own authority, and a machine that is told to trust it: Debian's tool, in folders of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nd_e2e::{Daemon, Options, Outcome, Programs, Result, Site, Typed, WAIT, runs_as_root, until_some};
use nd_testkit::free_address;

const SHOP: &str = "shop.internal";

/// Where Debian has it, whatever stands in `PATH`.
const TOOL: &str = "/usr/sbin/update-ca-certificates";

/// Where Debian has those that the world trusts.
const AUTHORITIES: &str = "/usr/share/ca-certificates";

/// A line for one of them: a machine that trusts nobody is none that people have.
fn authority() -> Result<String> {
    let found = fs::read_dir(Path::new(AUTHORITIES).join("mozilla"))?.next().ok_or("no authority")??;
    Ok(format!("mozilla/{}\n", found.file_name().to_string_lossy()))
}

/// A daemon that serves an app by a certificate of its own authority, and a machine's store.
struct Machine {
    daemon: Daemon,
    https: u16,
    folder: PathBuf,
}

impl Machine {
    fn new() -> Result<Self> {
        let https = free_address()?.port();
        let flags = vec!["--https".to_owned(), format!("127.0.0.1:{https}")];
        let options = Options { flags, ..Options::default() };
        let daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, options)?;
        let folder = daemon.site().folder().join("machine");
        for place in ["bin", "roots", "etc", "none"] {
            fs::create_dir_all(folder.join(place))?;
        }
        fs::write(folder.join("conf"), authority()?)?;
        let tool = folder.join("bin/update-ca-certificates");
        let at = |place: &str| folder.join(place).display().to_string();
        let script = format!(
            "#!/bin/sh\nexec {TOOL} \"$@\" --certsconf {} --certsdir {AUTHORITIES} --localcertsdir {} --etccertsdir {} --hooksdir {}\n",
            at("conf"),
            at("roots"),
            at("etc"),
            at("none")
        );
        fs::write(&tool, script)?;
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
        let machine = Self { daemon, https, folder };
        machine.deploy()?;
        Ok(machine)
    }

    fn deploy(&self) -> Result {
        let program = self.daemon.programs().testapp.display();
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let file = format!(
            "app: {{name: shop, domain: {SHOP}}}\ncommand: [{program}]\n{user}ssl: {{provider: internal}}\n"
        );
        fs::write(self.daemon.site().folder().join("nextdeploy.yml"), file)?;
        self.daemon.cli("deploy")?.ok().map(drop)
    }

    /// A command of somebody who sits at that machine.
    fn types(&self, words: &[&str]) -> Result<Outcome> {
        let path = format!("{}:{}", self.folder.join("bin").display(), std::env::var("PATH")?);
        let host = self.host();
        let variables = [("PATH", path.as_str()), ("NEXTDEPLOY_HOST", host.as_str()), ("NO_COLOR", "1")];
        Typed::start(&self.daemon.programs().cli, words, &self.folder, &variables)?.wait(WAIT)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.daemon.site().socket().display())
    }

    fn roots(&self) -> String {
        self.folder.join("roots").display().to_string()
    }

    /// Whether a program that trusts these roots alone reaches the app.
    fn reaches(&self, flag: &str, roots: &Path) -> Result<bool> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "15", "-o", "/dev/null", "-w", "%{http_code}", flag]).arg(roots);
        curl.args(["--resolve", &format!("{SHOP}:{}:127.0.0.1", self.https)]);
        let output = curl.arg(format!("https://{SHOP}:{}/health", self.https)).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) if output.stdout == b"200" => Ok(true),
            // No certificate that leads to a root, or no file with roots (curl(1), EXIT CODES).
            Some(60 | 77) => Ok(false),
            code => Err(format!("{code:?}: {said}").into()),
        }
    }
}

#[test]
fn a_machine_that_trusts_it_reaches_its_apps_until_it_trusts_it_no_more() -> Result {
    let machine = Machine::new()?;
    let (bundle, folder) = (machine.folder.join("etc/ca-certificates.crt"), machine.folder.join("etc"));
    let root = machine.folder.join("root.crt");
    let written = machine.types(&["certs", "trust", "--output", &root.display().to_string()])?.ok()?;
    assert_eq!(written.stdout.trim(), root.display().to_string());
    until_some("a certificate", WAIT, || machine.reaches("--cacert", &root).ok().filter(|reaches| *reaches))?;
    assert!(!machine.reaches("--capath", &folder)?, "nobody was told yet");
    let trusted = machine.types(&["certs", "trust", "--dir", &machine.roots()])?.ok()?;
    assert!(trusted.stdout.contains("this machine trusts NextDeploy internal authority"), "{trusted:?}");
    assert!(machine.reaches("--cacert", &bundle)? && machine.reaches("--capath", &folder)?);
    machine.types(&["certs", "trust", "--dir", &machine.roots()])?.ok()?;
    assert_eq!(fs::read_dir(machine.folder.join("roots"))?.count(), 1, "twice is once");
    machine.types(&["certs", "untrust", "--dir", &machine.roots()])?.ok()?;
    assert!(!machine.reaches("--cacert", &bundle)? && !machine.reaches("--capath", &folder)?);
    let links = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.file_name()));
    assert!(
        !links.into_iter().any(|name| name.to_string_lossy().starts_with("nextdeploy")),
        "a link is left"
    );
    machine.types(&["certs", "trust", "--dir", &machine.roots()])?.ok()?;
    machine.types(&["certs", "untrust", "--all", "--dir", &machine.roots()])?.ok()?;
    assert_eq!(fs::read_dir(machine.folder.join("roots"))?.count(), 0);
    Ok(())
}

#[test]
fn the_root_is_told_to_everybody_and_its_key_to_nobody() -> Result {
    let machine = Machine::new()?;
    let printed = machine.types(&["certs", "trust", "--output", "-"])?.ok()?;
    assert!(printed.stdout.starts_with("-----BEGIN CERTIFICATE-----"), "{printed:?}");
    let told = machine.daemon.control()?.request("GET", "/api/v1/issuers/internal/root", &[], b"")?.text();
    assert!(told.contains("BEGIN CERTIFICATE") && !told.contains("PRIVATE"), "{told}");
    let key = fs::read_to_string(machine.daemon.site().data().join("certs/internal/root-key.pem"))?;
    let secret = key.lines().nth(1).ok_or("a key without content")?;
    assert!(!told.contains(secret) && !printed.stdout.contains(secret));
    let none = machine.daemon.control()?.request("GET", "/api/v1/issuers/letsencrypt/root", &[], b"")?;
    assert_eq!(none.status, 404, "{}", none.text());
    Ok(())
}

#[test]
fn who_may_not_change_the_store_is_told_what_to_type() -> Result {
    let machine = Machine::new()?;
    // Not even root writes files there.
    let refused = machine.types(&["certs", "trust", "--dir", "/sys"])?.expect_code(1)?;
    assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
    let line = format!("certs trust --dir /sys --host {}", machine.host());
    assert!(refused.stderr.contains("sudo ") && refused.stderr.contains(&line), "{refused:?}");
    Ok(())
}
