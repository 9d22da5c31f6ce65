//! Apps that say themselves when they are ready (`wait_ready`), as under PM2 and systemd.

use std::fs;

use nd_e2e::{Daemon, Options, Programs, Result, WAIT, has, runs_as_root};

/// Deploys this script as an app that is waited for; by the time that has succeeded, the script has made the file `said`.
fn deployed(command: &str) -> Result<Daemon> {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let folder = daemon.site().folder().join("project");
    fs::create_dir(&folder)?;
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let program = daemon.programs().testapp.display().to_string();
    let command = serde_json::to_string(&["/bin/bash", "-c", &command.replace("PROGRAM", &program)])?;
    let file = format!(
        "version: \"1.0\"\napp: {{name: shop, domain: shop.test}}\ncommand: {command}\nwait_ready: true\n{user}"
    );
    fs::write(folder.join("nextdeploy.yml"), file)?;
    daemon.type_in(&folder, &["deploy"])?.wait(WAIT)?.ok()?;
    assert!(folder.join("said").exists(), "it got requests before it said that it is ready");
    daemon.wait_phase("shop", "running")?;
    Ok(daemon)
}

#[test]
fn a_program_that_listens_is_waited_for_until_it_says_that_it_is_ready() -> Result {
    let daemon = deployed(r#"PROGRAM & sleep 0.7; touch said; echo '"ready"' >&$NODE_CHANNEL_FD; wait"#)?;
    // Each start is waited for anew.
    fs::remove_file(daemon.site().folder().join("project/said"))?;
    daemon.cli("restart shop")?.ok()?;
    daemon.wait_phase("shop", "running")?;
    assert!(daemon.site().folder().join("project/said").exists());
    Ok(())
}

#[test]
fn a_program_of_node_says_so_with_process_send() -> Result {
    if !has("node", "`process.send('ready')` of a real program of Node.js") {
        return Ok(());
    }
    let script = "require('http').createServer((_, answer) => answer.end('hello')).listen(process.env.PORT); \
                  setTimeout(() => { require('fs').writeFileSync('said', ''); process.send('ready'); }, 700)";
    deployed(&format!("exec node -e \"{script}\"")).map(drop)
}

#[test]
fn a_worker_that_says_so_is_ready_at_once() -> Result {
    let started = std::time::Instant::now();
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let folder = daemon.site().folder().join("project");
    fs::create_dir(&folder)?;
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let command = r#"["/bin/bash", "-c", "echo '\"ready\"' >&$NODE_CHANNEL_FD; exec sleep 1000"]"#;
    let file = format!("version: \"1.0\"\napp: {{name: shop}}\ncommand: {command}\nwait_ready: true\n{user}");
    fs::write(folder.join("nextdeploy.yml"), file)?;
    daemon.type_in(&folder, &["deploy"])?.wait(WAIT)?.ok()?;
    // One that says nothing is believed to be a worker after 10 s.
    assert!(started.elapsed().as_secs() < 9, "it took {:?}", started.elapsed());
    Ok(())
}
