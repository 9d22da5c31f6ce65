//! Files of PM2 and Compose: imported, and started as they are; and several apps of one file.

use std::path::PathBuf;

use nd_e2e::{Daemon, Options, Programs, Result, Typed, WAIT, has};

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

/// Whoever runs the tests; a plain process runs as root only where that is written.
fn user() -> Result<String> {
    let id = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(id.stdout)?.trim().to_owned())
}

/// An ecosystem file of two apps that are the test application.
fn ecosystem(daemon: &Daemon) -> Result<String> {
    let program = daemon.programs().testapp.display();
    let user = user()?;
    Ok(format!(
        r#"{{
  "apps": [
    {{"name": "api", "script": "{program}", "interpreter": "none", "instances": 2, "user": "{user}",
      "env": {{"TESTAPP_RELEASE": "from-pm2"}}, "max_restarts": 7}},
    {{"name": "worker", "script": "{program}", "interpreter": "none", "user": "{user}", "vizion": false}}
  ]
}}
"#
    ))
}

fn file(daemon: &Daemon, name: &str, text: &str) -> Result<PathBuf> {
    let path = daemon.site().folder().join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

#[test]
fn an_ecosystem_file_is_imported_and_never_written_over() -> Result {
    let daemon = daemon()?;
    file(&daemon, "ecosystem.json", &ecosystem(&daemon)?)?;
    let said = daemon.cli("import pm2 ecosystem.json")?.ok()?.stdout;
    assert!(said.contains("max_restarts") && said.contains("nextdeploy.yml written: api, worker"), "{said}");
    daemon.cli("check nextdeploy.yml")?.ok()?;
    let refused = daemon.cli("import pm2 ecosystem.json")?.expect_code(5)?;
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    daemon.cli("ecosystem ecosystem.json --force")?.ok()?;
    let view = daemon.cli("import pm2 ecosystem.json --output - --json")?.ok()?.json()?;
    assert_eq!(view.pointer("/apps/1").and_then(serde_json::Value::as_str), Some("worker"), "{view}");
    let urls = daemon.cli("deploy")?.ok()?.stdout;
    assert_eq!(urls.lines().count(), 2, "{urls}");
    for app in ["api", "worker"] {
        daemon.wait_phase(app, "running")?;
    }
    Ok(())
}

#[test]
fn an_ecosystem_file_is_started_as_it_is() -> Result {
    let daemon = daemon()?;
    file(&daemon, "ecosystem.json", &ecosystem(&daemon)?)?;
    let started = daemon.cli("start ecosystem.json")?.ok()?.stdout;
    let url = started.lines().next().ok_or("no URL")?;
    assert_eq!(daemon.get(url)?.header("x-release"), Some("from-pm2"));
    let app = daemon.wait_phase("api", "running")?;
    assert_eq!(app.pointer("/instances/ready"), Some(&2.into()), "{app}");
    daemon.cli("start ecosystem.json --name worker")?.ok()?;
    let broken = file(&daemon, "broken.json", "{\"apps\": [{\"name\": \"x\",, }]}")?;
    let refused = daemon.cli(&format!("start {}", broken.display()))?.expect_code(2)?;
    assert!(refused.stderr.contains("broken.json:1:"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_javascript_file_is_run_by_the_users_node_after_saying_so() -> Result {
    let daemon = daemon()?;
    // Stands for node: what it is asked to print is the JSON of the file it is given.
    let bin = daemon.site().folder().join("bin");
    std::fs::create_dir(&bin)?;
    std::fs::write(bin.join("node"), "#!/bin/sh\nfor file; do :; done\nexec cat \"$file.made\"\n")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bin.join("node"), mode)?;
    file(&daemon, "ecosystem.config.js", "module.exports = { apps: [] }\n")?;
    file(&daemon, "ecosystem.config.js.made", &ecosystem(&daemon)?)?;
    let run = |path: &str| {
        let words = ["import", "pm2", "ecosystem.config.js", "--force"];
        Typed::start(&daemon.programs().cli, &words, daemon.site().folder(), &[("PATH", path)])?.wait(WAIT)
    };
    let done = run(&format!("{}:/usr/bin:/bin", bin.display()))?.ok()?;
    assert!(done.stderr.contains("ecosystem.config.js is a program: node runs it here"), "{}", done.stderr);
    assert!(done.stdout.contains("written: api, worker"), "{}", done.stdout);
    let without = run("/nowhere")?.expect_code(2)?;
    assert!(without.stderr.contains("install node"), "{}", without.stderr);
    Ok(())
}

#[test]
fn a_javascript_file_is_what_the_real_node_makes_of_it() -> Result {
    if !has("node", "import of a JavaScript file") {
        return Ok(());
    }
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let text = format!(
        "const port = 3000 + 80;\nmodule.exports = {{ apps: [{{ name: 'made', script: {program:?}, env: {{ SUM: `${{port}}` }} }}] }};\n"
    );
    file(&daemon, "ecosystem.config.js", &text)?;
    let done = daemon.cli("import pm2 ecosystem.config.js --force")?.ok()?;
    assert!(done.stdout.contains("written: made"), "{}", done.stdout);
    let written = std::fs::read_to_string(daemon.site().folder().join("nextdeploy.yml"))?;
    assert!(written.contains("made") && written.contains("3080"), "{written}");
    Ok(())
}

#[test]
fn a_compose_file_is_imported_with_each_lost_key_named() -> Result {
    let daemon = daemon()?;
    let text = "services:\n  web:\n    image: nginx:${TAG:-1.27}\n    ports: [\"8088:80\"]\n    depends_on: [cache]\n    \
                cap_add: [NET_ADMIN]\n  cache:\n    image: redis:7\n    restart: unless-stopped\n";
    file(&daemon, "compose.yaml", text)?;
    let said = daemon.cli("import compose compose.yaml")?.ok()?.stdout;
    assert!(said.contains("not kept: services.web.cap_add (compose.yaml:6)"), "{said}");
    let written = std::fs::read_to_string(daemon.site().folder().join("nextdeploy.yml"))?;
    assert!(written.contains("nginx:${TAG:-1.27}") && written.contains("depends_on"), "{written}");
    daemon.cli("check nextdeploy.yml")?.ok()?;
    Ok(())
}

#[test]
fn apps_of_one_file_come_up_in_their_order_and_one_that_fails_ends_it() -> Result {
    let daemon = daemon()?;
    let (program, user) = (daemon.programs().testapp.display().to_string(), user()?);
    let app = |more: &str| format!("{{command: [\"{program}\"], user: \"{user}\"{more}}}");
    let text = format!(
        "apps:\n  web: {}\n  migrate: {{command: [\"/bin/sh\", \"-c\", \"exit 0\"], user: \"{user}\", \
         deployment: {{container: {{restart: never}}}}, depends_on: [db]}}\n  db: {}\n",
        app(", depends_on: {db: {condition: healthy}, migrate: {condition: completed}}"),
        app("")
    );
    file(&daemon, "nextdeploy.yml", &text)?;
    let deployed = daemon.cli("deploy")?.ok()?;
    let order: Vec<_> = ["db →", "migrate →", "web →"].iter().map(|app| deployed.stderr.find(app)).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{}", deployed.stderr);
    daemon.wait_phase("web", "running")?;
    let which = daemon.cli("rollback")?.expect_code(2)?;
    assert!(which.stderr.contains("db, migrate, web"), "{}", which.stderr);
    daemon.cli("destroy all --yes")?.ok()?;
    file(&daemon, "nextdeploy.yml", &text.replace("exit 0", "exit 4"))?;
    let failed = daemon.cli("deploy")?.expect_code(9)?;
    assert!(
        failed.stderr.contains("not deployed after it: web")
            || failed.stderr.contains("web waits for migrate"),
        "{}",
        failed.stderr
    );
    Ok(())
}
