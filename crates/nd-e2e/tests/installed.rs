//! The daemon as a service of a real systemd, from `install` to `uninstall`.

use nd_e2e::{Machine, Programs, Result, WAIT, not_tried, until};
use serde_json::Value;

/// Writes its own directory and its user's name into it, and serves.
const WEB: &str = r#"version: "1.0"
app: {name: web, domain: web.test}
command: ["/bin/bash", "-c", "echo mine > here && id -un > who && echo said-$$ && exec /opt/built/testapp"]
deployment: {container: {healthcheck: {cmd: ["test", "-f", "here"]}}}
"#;

/// A machine, where one can be had.
fn machine() -> Result<Option<Machine>> {
    if let Some(lacks) = Machine::lacks() {
        not_tried("the daemon as a service of a real systemd", lacks);
        return Ok(None);
    }
    Machine::boot(&Programs::from_env()?).map(Some)
}

/// Deploys the app as the user `deploy`.
fn deploy(machine: &Machine) -> Result {
    std::fs::create_dir_all(machine.file("/home/deploy/web"))?;
    std::fs::write(machine.file("/home/deploy/web/nextdeploy.yml"), WEB)?;
    machine.run("chown -R deploy: /home/deploy")?.ok()?;
    machine.script("deploy", "cd web && nextdeploy deploy")?.ok()?;
    assert_eq!(std::fs::read_to_string(machine.file("/home/deploy/web/here"))?, "mine\n");
    assert_eq!(std::fs::read_to_string(machine.file("/home/deploy/web/who"))?, "deploy\n");
    Ok(())
}

/// What the app answers through the proxy on port 80; empty where nothing does.
fn answer(machine: &Machine) -> Result<String> {
    let script = r#"exec 3<>/dev/tcp/127.0.0.1/80
        printf 'GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n' >&3 && cat <&3"#;
    Ok(machine.script("deploy", script)?.stdout)
}

fn wait_until_it_answers(machine: &Machine) -> Result {
    let answers =
        until("the app answers", WAIT, || answer(machine).is_ok_and(|said| said.contains("200 OK")));
    machine.explained(answers).map(drop)
}

/// The process of the app itself, as the machine numbers it.
fn app_pid(machine: &Machine) -> Result<String> {
    Ok(machine.run("pgrep -x testapp")?.ok()?.stdout)
}

fn app(machine: &Machine) -> Result<Value> {
    machine.run("nextdeploy status web --json")?.ok()?.json()
}

#[test]
fn an_app_of_the_installed_daemon_may_what_its_user_may_and_outlives_restarts() -> Result {
    let Some(machine) = machine()? else { return Ok(()) };
    let said = machine.run("/opt/built/nextdeployd install")?.ok()?.stderr;
    assert!(said.contains("made the group nextdeploy"), "{said}");
    machine.run("usermod --append --groups nextdeploy deploy")?.ok()?;
    deploy(&machine)?;
    wait_until_it_answers(&machine)?;
    let pid = app_pid(&machine)?;

    let units = machine.run("systemctl list-units --plain --no-legend nextdeploy-web-*")?.ok()?.stdout;
    assert!(units.contains("NextDeploy app web, release ") && units.lines().count() == 1, "{units}");
    // Nothing but the shim stays of what started the app.
    assert_eq!(machine.run("pgrep -x systemd-run")?.stdout, "");

    machine.run("systemctl restart nextdeployd")?.ok()?;
    wait_until_it_answers(&machine)?;
    machine.run("systemctl kill --signal=KILL --kill-whom=main nextdeployd")?.ok()?;
    // It comes back after 10 s, or at once where somebody asks.
    machine.run("systemctl start nextdeployd")?.ok()?;
    wait_until_it_answers(&machine)?;
    assert_eq!(app_pid(&machine)?, pid, "the app never noticed");
    let logs = machine.run("nextdeploy logs web --lines 20 --raw")?.ok()?.stdout;
    assert!(logs.contains("said-") && logs.contains("listening on"), "{logs}");

    machine.run("nextdeploy restart web")?.ok()?;
    wait_until_it_answers(&machine)?;
    assert_ne!(app_pid(&machine)?, pid, "its shim still does what it is told");
    Ok(())
}

#[test]
fn what_is_left_of_a_killed_shim_is_stopped_and_the_app_comes_back() -> Result {
    let Some(machine) = machine()? else { return Ok(()) };
    machine.run("/opt/built/nextdeployd install")?.ok()?;
    machine.run("usermod --append --groups nextdeploy deploy")?.ok()?;
    deploy(&machine)?;
    let pid = app_pid(&machine)?;
    machine.run("pkill -KILL -x nd-shim")?.ok()?;
    until("another process of the app", WAIT, || {
        app_pid(&machine).is_ok_and(|now| now != pid && now.lines().count() == 1)
    })?;
    wait_until_it_answers(&machine)?;
    until("it is running", WAIT, || {
        app(&machine).is_ok_and(|app| app.pointer("/status").and_then(Value::as_str) == Some("running"))
    })?;

    machine.run("nextdeployd uninstall --purge --yes")?.ok()?;
    assert_eq!(machine.run("pgrep -x testapp")?.stdout, "");
    let left = machine.run("systemctl list-units --all --plain --no-legend nextdeploy*")?.ok()?.stdout;
    assert_eq!(left, "");
    for path in ["/var/lib/nextdeploy", "/etc/nextdeploy", "/run/nextdeploy", "/usr/local/bin/nextdeployd"] {
        assert!(machine.run(&format!("test ! -e {path}"))?.ok().is_ok(), "{path} is left");
    }
    Ok(())
}

#[test]
fn installed_for_a_user_it_runs_as_that_user_and_group_members_reach_it() -> Result {
    let Some(machine) = machine()? else { return Ok(()) };
    machine.run("/opt/built/nextdeployd install --user deploy")?.ok()?;
    deploy(&machine)?;
    wait_until_it_answers(&machine)?;
    let pid = app_pid(&machine)?;
    assert_eq!(machine.run("ps -o user= -C nextdeployd")?.ok()?.stdout.lines().next(), Some("deploy"));

    // What it issues certificates with is the first thing that lies where they are kept.
    machine.run("nextdeploy certs trust --output /dev/null")?.ok()?;
    let kept =
        "stat --format=%U:%a /var/lib/nextdeploy/certs /var/lib/nextdeploy/certs/internal/root-key.pem";
    assert_eq!(machine.run(kept)?.ok()?.stdout, "deploy:700\ndeploy:600\n");
    assert!(machine.run("test ! -e /etc/nextdeploy/certs")?.ok().is_ok(), "it is nobody's");

    machine.run("useradd --create-home --groups nextdeploy member")?.ok()?;
    machine.script("member", "nextdeploy list")?.ok()?;
    machine.run("useradd --create-home stranger")?.ok()?;
    let refused = machine.script("stranger", "nextdeploy list")?.expect_code(4)?;
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);

    machine.run("systemctl restart nextdeployd")?.ok()?;
    wait_until_it_answers(&machine)?;
    assert_eq!(app_pid(&machine)?, pid, "the app never noticed");
    machine.run("nextdeployd uninstall")?.ok()?;
    assert_eq!(app_pid(&machine)?, pid, "apps go on");
    Ok(())
}

#[test]
fn a_command_in_eternal_mode_is_a_service_of_its_own() -> Result {
    let Some(machine) = machine()? else { return Ok(()) };
    machine.run("/opt/built/nextdeployd install --no-start")?.ok()?;
    std::fs::create_dir_all(machine.file("/etc/nextdeploy/eternal"))?;
    let settings = "COMMAND=/bin/sh /opt/built/mailer\nOPTIONS=--restart-delay 100ms\n";
    std::fs::write(machine.file("/etc/nextdeploy/eternal/mailer.env"), settings)?;
    // Its second life goes on; what it writes lies in a directory of its own.
    let script = "echo mailed >> mails && test $(wc -l < mails) -ge 2 && exec sleep 1000";
    std::fs::write(machine.file("/opt/built/mailer"), format!("{script}\nexit 3\n"))?;
    machine.run("systemctl start nextdeploy-eternal@mailer")?.ok()?;
    let mails = machine.file("/var/lib/private/nextdeploy-eternal/mailer/mails");
    machine.explained(until("it was started twice", WAIT, || {
        std::fs::read_to_string(&mails).is_ok_and(|mails| mails.lines().count() == 2)
    }))?;
    let log = machine.file("/var/log/private/nextdeploy-eternal/mailer/daemon.log");
    assert!(std::fs::read_to_string(log)?.contains("code 3"));
    machine.run("systemctl reload nextdeploy-eternal@mailer")?.ok()?;
    until("it was started anew", WAIT, || {
        std::fs::read_to_string(&mails).is_ok_and(|mails| mails.lines().count() == 3)
    })?;
    machine.run("systemctl stop nextdeploy-eternal@mailer")?.ok()?;
    let state = machine.run("systemctl show --property=Result --value nextdeploy-eternal@mailer")?.ok()?;
    assert_eq!(state.stdout.trim(), "success");
    Ok(())
}

#[test]
fn behind_an_nginx_of_the_machine_the_sandbox_is_in_nobodys_way() -> Result {
    let Some(machine) = machine()? else { return Ok(()) };
    machine.run("/opt/built/nextdeployd install --no-start")?.ok()?;
    machine.run("usermod --append --groups nextdeploy deploy")?.ok()?;
    std::fs::create_dir_all(machine.file("/etc/nextdeploy"))?;
    std::fs::write(machine.file("/etc/nextdeploy/nextdeployd.toml"), "[ingress]\nkind = \"nginx\"\n")?;
    machine.run("systemctl start nginx")?.ok()?;
    // As its logs are turned over: nobody but its own user may write them.
    machine.run("chown www-data:adm /var/log/nginx/error.log /var/log/nginx/access.log")?.ok()?;
    machine.run("chmod 640 /var/log/nginx/error.log /var/log/nginx/access.log")?.ok()?;
    machine.run("systemctl start nextdeployd")?.ok()?;
    machine.explained(deploy(&machine))?;
    wait_until_it_answers(&machine)?;
    let said = answer(&machine)?;
    assert!(said.contains("Server: nginx"), "{said}");

    let own = machine.file("/etc/nginx/sites-enabled/broken");
    std::fs::write(&own, "server { lissten 80; }\n")?;
    let refused = machine.script("deploy", "cd web && nextdeploy deploy")?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.ok().is_err() && said.contains("lissten") && said.contains("not ours"), "{said}");
    assert!(answer(&machine)?.contains("200 OK"), "it serves on");
    std::fs::remove_file(own)?;
    machine.script("deploy", "cd web && nextdeploy deploy")?.ok()?;
    wait_until_it_answers(&machine)
}
