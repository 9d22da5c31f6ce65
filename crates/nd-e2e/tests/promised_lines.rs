//! The command lines that the project promises, typed byte for byte after both programs.
//!
//! They name an image `node:18` and the port 3000 of this machine; one that is there is put aside meanwhile.

use std::collections::BTreeSet;
use std::path::Path;

use nd_e2e::{Daemon, Docker, Options, Outcome, Programs, Result, Target, Typed, WAIT, get, until};
use rustix::process::Signal;

const ASIDE: &str = "nd-e2e-kept-node";

/// `node:18`, which is the test application for as long as this lives.
struct Node(Docker);

impl Node {
    fn new(programs: &Programs) -> Result<Self> {
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        if docker.has_foreign_image("node:18") {
            docker.tag("node:18", ASIDE, "18")?;
        }
        let variables = [("TESTAPP_RELEASE", "node"), ("TESTAPP_LOG_LINES", "20")];
        docker.import("node", "18", &programs.testapp, &variables)?;
        Ok(Self(docker))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.remove_image("node:18");
        if self.0.has_foreign_image(&format!("{ASIDE}:18")) {
            self.0.tag(&format!("{ASIDE}:18"), "node", "18").ok();
            self.0.remove_image(&format!("{ASIDE}:18"));
        }
    }
}

type Type = fn(&Daemon, &str) -> Result<Outcome>;

#[test]
fn every_promised_line_works_as_typed_after_both_programs() -> Result {
    let programs = Programs::from_env()?;
    let node = Node::new(&programs)?;
    let daemon = Daemon::start(&programs, Options::default())?;
    let both: [Type; 2] = [Daemon::cli_of_daemon, Daemon::cli];
    for typed in both {
        myapp(&daemon, typed)?;
        policies(&daemon, typed)?;
    }
    for program in [&programs.daemon, &programs.cli] {
        that_go_on(&daemon, program)?;
        in_the_background(&daemon, program)?;
    }
    drop(daemon);
    drop(node);
    Ok(())
}

fn myapp(daemon: &Daemon, typed: Type) -> Result {
    typed(daemon, "start --name=myapp --image=node:18 --ports=3000:3000")?.ok()?;
    assert_eq!(on_3000()?.0, 200);
    let list = typed(daemon, "list")?.ok()?.stdout;
    assert!(list.contains("myapp") && list.trim_end().ends_with("Monitoring 1 applications"), "{list}");
    let status = typed(daemon, "status --name=myapp")?.ok()?.stdout;
    assert!(status.contains("myapp"), "{status}");
    until("the last 10 log lines in the status", WAIT, || {
        typed(daemon, "status --name=myapp").is_ok_and(|outcome| outcome.stdout.lines().count() >= 10)
    })?;
    let words = ["logs", "--name=myapp", "--follow"];
    let following = daemon.type_in(daemon.site().folder(), &words)?;
    typed(daemon, "restart --name=myapp")?.ok()?;
    until("an answer after the restart", WAIT, || on_3000().is_ok_and(|(status, _)| status == 200))?;
    typed(daemon, "scale --name=myapp --instances=3")?.ok()?;
    let mut instances = BTreeSet::new();
    until("three instances behind port 3000", WAIT, || {
        instances.extend(on_3000().ok().map(|(_, instance)| instance));
        instances.len() >= 3
    })?;
    until("a line that is followed", WAIT, || !following.said().is_empty())?;
    nd_e2e::kill(following.pid(), Signal::INT);
    following.wait(WAIT)?;
    let metrics = typed(daemon, "metrics --name=myapp")?.ok()?.stdout;
    assert!(metrics.contains("3/3") && metrics.contains("myapp-"), "{metrics}");
    let tree = typed(daemon, "ecosystem")?.ok()?.stdout;
    assert!(tree.contains("myapp") && tree.contains("instances 3/3"), "{tree}");
    typed(daemon, "stop --name=myapp")?.ok()?;
    daemon.wait_phase("myapp", "stopped")?;
    assert_eq!(on_3000()?.0, 503);
    typed(daemon, "destroy --name=myapp --yes")?.ok()?;
    Ok(())
}

fn policies(daemon: &Daemon, typed: Type) -> Result {
    let unknown = typed(daemon, "start --name=app --restart=always")?.expect_code(2)?;
    assert!(unknown.stderr.contains("--image"), "{}", unknown.stderr);
    typed(daemon, "start --name=app --image=node:18 --port=8080 -e PORT=8080")?.ok()?;
    for flag in [
        "--restart=always",
        "--restart=on-failure",
        "--restart=never",
        "--max-restarts=5",
        "--health-check=/health",
        "--health-port=8080",
        "--health-timeout=30s",
    ] {
        typed(daemon, &format!("start --name=app {flag}"))?.ok()?;
    }
    let app = daemon.wait_phase("app", "running")?;
    assert_eq!(app.get("policy").and_then(serde_json::Value::as_str), Some("never"), "{app}");
    typed(daemon, "destroy --name=app --yes")?.ok()?;
    Ok(())
}

/// Lines that go on until they are interrupted; without a terminal each of them prints rows.
fn that_go_on(daemon: &Daemon, program: &Path) -> Result {
    daemon.deploy("watched", "v1", &[])?;
    let folder = daemon.site().folder();
    for line in ["monit", "check --interval 60", "check watched --interval 60"] {
        let file = folder.join("went-on");
        let host = daemon.site().socket();
        let (program, host, rows) = (program.display(), host.display(), file.display());
        // `nextdeployd --host` would be a flag of the daemon.
        let script = format!("exec {program} {line} --host unix://{host} > {rows}");
        let going = Typed::start(Path::new("/bin/sh"), &["-c", &script], folder, &[])?;
        let shown = || std::fs::read_to_string(&file).unwrap_or_default();
        until(&format!("a row of `{line}`"), WAIT, || shown().contains("watched"))?;
        // Not as by Ctrl-C: whoever runs tests in the background has them ignore that.
        nd_e2e::kill(going.pid(), Signal::TERM);
        going.wait(WAIT)?;
    }
    let host = format!("unix://{}", daemon.site().socket().display());
    let once = Typed::start(program, &["check", "--once"], folder, &[("NEXTDEPLOY_HOST", &host)])?;
    let once = once.wait(WAIT)?.ok()?.stdout;
    assert!(once.contains("watched"), "{once}");
    daemon.cli("destroy watched --yes")?.ok()?;
    Ok(())
}

/// `daemon start / stop / restart / status [--pid-file F]`, which need no daemon.
fn in_the_background(daemon: &Daemon, program: &Path) -> Result {
    let folder = daemon.site().folder().join("background");
    std::fs::create_dir_all(&folder)?;
    let typed = |words: &[&str]| Typed::start(program, words, &folder, &[])?.wait(WAIT);
    for file in [None, Some("other.pid")] {
        let flag = file.map(|file| format!("--pid-file={file}"));
        let with = |verb: &'static str| {
            let flag = flag.as_deref();
            ["daemon", verb].into_iter().chain(flag).map(str::to_owned).collect::<Vec<_>>()
        };
        let run = |words: Vec<String>| typed(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let command = ["--", "/bin/sleep", "1000"].map(str::to_owned);
        run([with("start"), command.to_vec()].concat())?.ok()?;
        let status = run(with("status"))?.ok()?.stdout;
        assert!(
            status.contains("uptime") && status.contains("restarts") && status.contains("crashes"),
            "{status}"
        );
        run(with("restart"))?.ok()?;
        run(with("stop"))?.ok()?;
        run(with("status"))?.expect_code(3)?;
    }
    Ok(())
}

/// What `127.0.0.1:3000` answers: the status, and which instance.
fn on_3000() -> Result<(u16, String)> {
    let answer = get(&Target::Tcp(([127, 0, 0, 1], 3000).into()), "127.0.0.1:3000", "/")?;
    Ok((answer.status, answer.header("x-instance").unwrap_or_default().to_owned()))
}
