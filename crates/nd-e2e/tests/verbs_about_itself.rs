//! What the command line says about itself: the manual, codes, the file as it is read, and what a shell completes.

use nd_e2e::{Daemon, Options, Outcome, Programs, Result, Typed, WAIT};

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

/// What a shell is offered for the last of these words.
fn offered(daemon: &Daemon, words: &[&str]) -> Result<Vec<String>> {
    let host = format!("unix://{}", daemon.site().socket().display());
    let variables = [("NEXTDEPLOY_HOST", host.as_str()), ("NEXTDEPLOY_COMPLETE", "fish")];
    let words = [&["--", "nextdeploy"], words].concat();
    let asked = Typed::start(&daemon.programs().cli, &words, daemon.site().folder(), &variables)?;
    let lines = asked.wait(WAIT)?.ok()?.stdout;
    Ok(lines.lines().filter_map(|line| Some(line.split('\t').next()?.to_owned())).collect())
}

/// Types words where no daemon is.
fn alone(words: &[&str]) -> Result<Outcome> {
    let host = [("NEXTDEPLOY_HOST", "unix:///nowhere/nextdeployd.sock")];
    Typed::start(&Programs::from_env()?.cli, words, std::path::Path::new("/"), &host)?.wait(WAIT)
}

#[test]
fn a_shell_completes_apps_and_deployments() -> Result {
    let mut daemon = daemon()?;
    daemon.deploy("shop", "v1", &[])?;
    let apps = offered(&daemon, &["restart", ""])?;
    assert!(apps.contains(&"shop".to_owned()), "{apps:?}");
    let ids = offered(&daemon, &["deployments", "show", "dpl_"])?;
    assert!(ids.len() == 1 && ids[0].len() == 11, "{ids:?}");
    assert_eq!(offered(&daemon, &["explain", "ND120"])?, ["ND1207"]);
    daemon.kill();
    let nothing = offered(&daemon, &["deployments", "show", "dpl_"])?;
    assert!(nothing.is_empty(), "{nothing:?}");
    Ok(())
}

#[test]
fn completion_scripts_ask_the_program_itself() -> Result {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = alone(&["completion", shell])?.ok()?.stdout;
        assert!(script.contains("NEXTDEPLOY_COMPLETE"), "{shell}: {script}");
    }
    Ok(())
}

#[test]
fn codes_and_commands_are_explained_without_a_daemon() -> Result {
    assert!(alone(&["explain", "nd1207"])?.ok()?.stdout.starts_with("ND1207"));
    assert!(alone(&["explain"])?.ok()?.stdout.lines().count() > 40);
    alone(&["explain", "ND9999"])?.expect_code(3)?;
    assert!(alone(&["man", "deployments", "show"])?.ok()?.stdout.contains("nextdeploy\\-deployments\\-show"));
    assert!(alone(&["man", "--markdown"])?.ok()?.stdout.contains("## nextdeploy rollback"));
    alone(&["man", "nothing"])?.expect_code(3)?;
    assert!(alone(&["config", "explain", "app.port"])?.ok()?.stdout.contains("port: 8080"));
    assert!(alone(&["config", "explain", "healthcheck"])?.ok()?.stdout.contains("healthcheck.retries"));
    alone(&["config", "explain", "app.prto"])?.expect_code(3)?;
    Ok(())
}

#[test]
fn the_file_is_shown_as_it_is_read() -> Result {
    let dir = nd_e2e::Site::new()?;
    let file = dir.folder().join("nextdeploy.yml");
    let text = "version: \"1.0\"\napp: {name: shop}\ncommand: ./run\nenv: {MODE: dev}\nenvironments:\n  prod:\n    env: {MODE: prod}\n";
    std::fs::write(&file, text)?;
    let path = file.display().to_string();
    let shown = alone(&["config", "view", &path, "--env", "prod"])?.ok()?.stdout;
    assert!(shown.contains("MODE: prod") && !shown.contains("environments:"), "{shown}");
    let mode = alone(&["config", "view", &path, "--json=app.name,env.MODE"])?.ok()?.json()?;
    assert_eq!(mode, serde_json::json!({"v": 1, "app.name": "shop", "env.MODE": "dev"}));
    Ok(())
}
