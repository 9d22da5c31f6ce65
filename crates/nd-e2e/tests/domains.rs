//! Domains that are given to an app that runs, and taken from it again.

use nd_e2e::{Daemon, Options, Programs, Result, Site, Target, get};

/// How many new connections are asked after a change: each thread of the proxy has listeners of its own, and the kernel
/// chooses among them.
const CONNECTIONS: usize = 40;

fn daemon() -> Result<Daemon> {
    Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())
}

/// Every thread of the proxy answers for a host, from the first request on, and the release that did; none where no app is there.
fn everywhere(daemon: &Daemon, host: &str) -> Result<Option<String>> {
    let target = Target::Tcp(daemon.site().http);
    let mut answers = Vec::new();
    for _ in 0..CONNECTIONS {
        let answer = get(&target, host, "/")?;
        answers.push((answer.status, answer.header("x-release").map(str::to_owned)));
    }
    answers.dedup();
    match answers.as_slice() {
        [(404, None)] => Ok(None),
        [(200, release)] => Ok(release.clone()),
        other => Err(format!("{host}: {other:?}").into()),
    }
}

#[test]
fn a_domain_serves_when_the_command_returns_and_the_instance_runs_on() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &["--domain", "shop.example.com"])?;
    let processes = daemon.unit_processes();
    assert_eq!(everywhere(&daemon, "www.example.com")?, None);
    let added = daemon.cli("domains add shop www.example.com other.example.com")?.ok()?;
    assert_eq!(everywhere(&daemon, "www.example.com")?.as_deref(), Some("v1"));
    assert!(added.stdout.contains("www.example.com leads to shop: http://www.example.com"), "{added:?}");
    assert!(added.stderr.contains("nextdeploy domains rm shop www.example.com"), "{added:?}");
    daemon.cli("domains rm shop other.example.com shop.example.com")?.ok()?;
    assert_eq!(everywhere(&daemon, "shop.example.com")?, None);
    assert_eq!(daemon.unit_processes(), processes, "nothing was started anew");
    daemon.deploy("shop", "v2", &["--domain", "shop.example.com"])?;
    for host in ["shop.example.com", "www.example.com"] {
        assert_eq!(everywhere(&daemon, host)?.as_deref(), Some("v2"), "{host}");
    }
    assert_eq!(everywhere(&daemon, "other.example.com")?, None);
    Ok(())
}

#[test]
fn what_was_added_serves_after_a_kill_of_the_daemon() -> Result {
    let mut daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    daemon.cli("domains add shop www.example.com")?.ok()?;
    daemon.kill();
    daemon.launch()?;
    daemon.wait_phase("shop", "running")?;
    assert_eq!(everywhere(&daemon, "www.example.com")?.as_deref(), Some("v1"));
    let listed = daemon.cli("domains ls shop --json=domain,added")?.ok()?.stdout;
    assert!(listed.contains("www.example.com") && listed.contains("true"), "{listed}");
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() -> Result {
    let daemon = daemon()?;
    daemon.deploy("shop", "v1", &["--domain", "shop.example.com"])?;
    daemon.deploy("blog", "v1", &[])?;
    let taken = daemon.cli("domains add blog shop.example.com")?.expect_code(5)?;
    assert!(taken.stderr.contains("belongs to app `shop`"), "{taken:?}");
    assert!(taken.stderr.contains("nextdeploy domains rm shop shop.example.com"), "{taken:?}");
    let wrong = daemon.cli("domains add blog https://blog.example.com")?.expect_code(2)?;
    assert!(wrong.stderr.contains("without scheme, port or path"), "{wrong:?}");
    daemon.cli("domains add nobody blog.example.com")?.expect_code(3)?;
    daemon.cli("domains rm blog blog.example.com")?.expect_code(3)?;
    daemon.cli("domains add blog")?.expect_code(2)?;
    daemon.cli("domains add --name=blog blog.example.com")?.ok()?;
    assert_eq!(everywhere(&daemon, "blog.example.com")?.as_deref(), Some("v1"));
    Ok(())
}
