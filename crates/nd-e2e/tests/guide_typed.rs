//! The command lines of the guide, typed in the order in which a reader comes to them: each page against a daemon and in
//! a project as the page assumes them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nd_e2e::{Daemon, Docker, Options, Programs, Result, Typed, WAIT, kill, runs_as_root, until};
use rustix::process::Signal;

/// A daemon, and a reader's project beside it.
struct Reader {
    daemon: Daemon,
    folder: PathBuf,
    path: String,
}

impl Reader {
    /// With both programs, and a `node` that runs the test application whatever the script, in `PATH`.
    fn new() -> Result<Self> {
        let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
        let (folder, bin) = (daemon.site().folder().join("shop"), daemon.site().folder().join("bin"));
        fs::create_dir(&folder)?;
        fs::create_dir(&bin)?;
        symlink(&daemon.programs().cli, bin.join("nextdeploy"))?;
        symlink(&daemon.programs().daemon, bin.join("nextdeployd"))?;
        let node = format!("#!/bin/sh\nexec {}\n", daemon.programs().testapp.display());
        fs::write(bin.join("node"), node)?;
        fs::set_permissions(bin.join("node"), fs::Permissions::from_mode(0o755))?;
        fs::write(folder.join("server.js"), "")?;
        let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
        Ok(Self { daemon, folder, path })
    }

    /// The project's file: an app of this name.
    fn project(self, name: &str) -> Result<Self> {
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let file = format!("version: \"1.0\"\napp: {{name: {name}}}\ncommand: node server.js\n{user}");
        fs::write(self.folder.join("nextdeploy.yml"), file)?;
        Ok(self)
    }

    /// Types every line of a page, as `told` changes it.
    fn reads(&self, page: &str, told: impl Fn(&str) -> String) -> Result {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = fs::read_to_string(root.join(page))?;
        let lines = commands(&text);
        assert!(!lines.is_empty(), "{page} has no command lines");
        for line in lines {
            self.types(&told(&line)).map_err(|error| format!("{page}: `{line}`: {error}"))?;
        }
        Ok(())
    }

    fn types(&self, line: &str) -> Result {
        // A daemon of root, asked by root, wants to know whom a process is to run as.
        let is_process = line.contains(" deploy ") && line.contains(" -- ");
        let line = if is_process && runs_as_root() {
            line.replacen(" -- ", " --user root -- ", 1)
        } else {
            line.to_owned()
        };
        let said = self.folder.join("said");
        // What the line before has said is not what this one says.
        fs::write(&said, "")?;
        let script = format!("exec {line} > {}", said.display());
        let host = format!("unix://{}", self.daemon.site().socket().display());
        let variables = [("PATH", self.path.as_str()), ("NEXTDEPLOY_HOST", &host), ("NO_COLOR", "1")];
        let typed = Typed::start(Path::new("/bin/sh"), &["-c", &script], &self.folder, &variables)?;
        if !goes_on(&line) {
            return typed.wait(WAIT * 2)?.expect_code(code(&line)).map(drop);
        }
        until("something said", WAIT, || fs::metadata(&said).is_ok_and(|said| said.len() > 0))?;
        kill(typed.pid(), Signal::INT);
        let ended = typed.wait(WAIT)?;
        // Eternal mode was asked to stop, and did; a look was cut short.
        ended.expect_code(if line.contains(" eternal ") { 0 } else { 130 }).map(drop)
    }
}

/// Whether a line goes on until it is interrupted.
fn goes_on(line: &str) -> bool {
    let is_loop = line.starts_with("nextdeployd check") && !line.contains("--once");
    is_loop || line.contains("--follow") || (line.contains(" eternal ") && !line.contains("--detach"))
}

/// What a line ends with here: 0, unless it speaks of something that this machine does not have.
fn code(line: &str) -> i32 {
    match line {
        _ if line.contains("docker:nd-e2e-none") => 3,
        _ if line.contains("cancel dpl_") => 5,
        _ => 0,
    }
}

/// The lines of a page's shell blocks that call a program of ours, without what only a server or a first look needs.
fn commands(page: &str) -> Vec<String> {
    let mut in_shell = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        let line = line.strip_prefix("target/release/").unwrap_or(line);
        let is_ours = line.starts_with("nextdeploy ") || line.starts_with("nextdeployd ");
        if in_shell && is_ours && !line.starts_with("nextdeployd run") {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn deploy_a_process() -> Result {
    Reader::new()?.project("api")?.reads("docs/deploy-a-process.md", str::to_owned)
}

#[test]
fn keep_one_command_running() -> Result {
    let reader = Reader::new()?;
    let read = reader.reads("docs/eternal.md", str::to_owned);
    // The page ends with a start.
    let stopped = reader.types("nextdeploy daemon stop");
    read.and(stopped)
}

#[test]
fn see_what_it_does() -> Result {
    let reader = Reader::new()?;
    for app in ["shop", "worker"] {
        let noise = ["-e", "TESTAPP_LOG_LINES=20"];
        reader.daemon.deploy(app, "v1", &noise)?;
    }
    reader.reads("docs/watch.md", str::to_owned)
}

#[test]
fn domains_while_it_runs() -> Result {
    let reader = Reader::new()?;
    reader.daemon.deploy("shop", "v1", &[])?;
    let port = nd_testkit::free_address()?.port();
    // No image of that name is here, and the port may be somebody's.
    let ours = format!("--ports {port}:3000 -- node server.js");
    reader.reads("docs/domains-and-ports.md", |line| line.replace("--image shop:2 --ports 3000:3000", &ours))
}

#[test]
fn certificates() -> Result {
    let reader = Reader::new()?;
    // Whom this machine trusts is not the test's to say.
    let roots = reader.folder.join("roots");
    fs::create_dir(&roots)?;
    let tool = reader.folder.with_file_name("bin").join("update-ca-certificates");
    fs::write(&tool, "#!/bin/sh\n")?;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
    reader.reads("docs/guide/certificates.md", |line| match line.contains("--output") {
        true => line.to_owned(),
        false => format!("{line} --dir {}", roots.display()),
    })
}

#[test]
fn what_keeps_an_app_running() -> Result {
    let reader = Reader::new()?;
    reader.daemon.deploy("shop", "v1", &[])?;
    // Whatever runs here under that name is somebody's.
    reader.reads("docs/supervision.md", |line| line.replace("docker:redis", "docker:nd-e2e-none"))
}

#[test]
fn the_next_version_and_back() -> Result {
    let reader = Reader::new()?.project("shop")?;
    let first = reader.daemon.deploy("shop", "v1", &[]).and_then(|_| deployment(&reader))?;
    reader.daemon.deploy("shop", "v2", &[])?;
    reader
        .reads("docs/versions.md", |line| line.replace("dpl_r9mj8wk", &first).replace("dpl_atpj495", &first))
}

/// The last deployment of the shop.
fn deployment(reader: &Reader) -> Result<String> {
    let page = reader.daemon.api_get("/api/v1/apps/shop/deployments")?;
    let id = page.pointer("/items/0/id").and_then(serde_json::Value::as_str);
    Ok(id.ok_or("no deployment")?.to_owned())
}

#[test]
fn from_pm2() -> Result {
    let reader = Reader::new()?;
    let user = if runs_as_root() { r#", "user": "root""# } else { "" };
    let file = format!(r#"{{"apps": [{{"name": "api", "script": "server.js", "instances": 2{user}}}]}}"#);
    fs::write(reader.folder.join("ecosystem.config.json"), file)?;
    reader.reads("docs/from-pm2.md", str::to_owned)?;
    reader.daemon.wait_phase("api", "running").map(drop)
}

/// An image of the test application that is gone with the test.
struct Image(Docker, String);

impl Image {
    fn new(name: &str) -> Result<Self> {
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        let name = format!("nd-e2e-guide-{name}-{}", std::process::id());
        docker.import(&name, "2", &Programs::from_env()?.testapp, &[("PORT", "3000")])?;
        Ok(Self(docker, format!("{name}:2")))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.0.remove_image(&self.1);
    }
}

#[test]
fn from_compose() -> Result {
    let (image, reader) = (Image::new("compose")?, Reader::new()?);
    let file = format!("services:\n  web:\n    image: {}\n    expose: [3000]\n", image.1);
    fs::write(reader.folder.join("compose.yml"), file)?;
    reader.reads("docs/from-compose.md", str::to_owned)?;
    reader.daemon.wait_phase("web", "running")?;
    reader.types("nextdeploy destroy web --yes")
}

#[test]
fn deploy_an_image() -> Result {
    let (image, reader) = (Image::new("image")?, Reader::new()?);
    let file = format!("version: \"1.0\"\napp: {{name: blog, port: 3000}}\nimage: {}\n", image.1);
    fs::write(reader.folder.join("nextdeploy.yml"), file)?;
    reader.reads("docs/deploy-an-image.md", |line| line.replace("ghcr.io/example/blog:2", &image.1))?;
    reader.types("nextdeploy destroy blog --yes")
}
