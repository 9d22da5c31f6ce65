//! Eternal mode, as it is typed: `eternal -- CMD` and `daemon start|stop|restart|status`, without any daemon.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nd_e2e::{Outcome, Programs, Result, Typed, WAIT, has_ended, kill, until, until_some};
use rustix::process::Signal;

/// A directory to type in.
struct Place {
    programs: Programs,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { programs: Programs::from_env()?, dir: tempfile::tempdir()? })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Types a line, its last words in one piece as a script for a shell, and goes on.
    fn begin(&self, line: &str, script: Option<&str>) -> Result<Typed> {
        let (program, words) = line.split_once(' ').ok_or("no words")?;
        let program = if program == "nextdeployd" { &self.programs.daemon } else { &self.programs.cli };
        let mut words: Vec<&str> = words.split(' ').collect();
        if let Some(script) = script {
            words.extend(["--", "sh", "-c", script]);
        }
        Typed::start(program, &words, self.path(), &[])
    }

    fn typed(&self, line: &str, script: Option<&str>) -> Result<Outcome> {
        self.begin(line, script)?.wait(WAIT)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("logs/daemon.log")).unwrap_or_default()
    }

    /// How often the log holds this.
    fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    fn wait_for(&self, text: &str, times: usize) -> Result {
        until(&format!("{times} times `{text}`"), WAIT, || self.said(text) >= times)
            .map_err(|error| format!("{error}; the log:\n{}", self.log()))?;
        Ok(())
    }

    fn pid(&self) -> Result<i32> {
        until_some("a pid file", WAIT, || {
            fs::read_to_string(self.path().join("daemon.pid")).ok()?.trim().parse().ok()
        })
    }

    /// A number that the command wrote into a file.
    fn number(&self, file: &str) -> Result<i32> {
        until_some(file, WAIT, || fs::read_to_string(self.path().join(file)).ok()?.trim().parse().ok())
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Place {
    fn drop(&mut self) {
        if self.path().join("daemon.pid").exists() {
            self.typed("nextdeploy daemon stop", None).ok();
        }
    }
}

#[test]
fn success_ends_it_with_0_in_the_foreground_and_both_files_have_their_places() -> Result {
    for program in ["nextdeployd", "nextdeploy"] {
        let place = Place::new()?;
        let script = "test -e daemon.pid && echo out && echo err >&2";
        let outcome = place.typed(&format!("{program} eternal"), Some(script))?.ok()?;
        assert_eq!(outcome.stdout, "out\n", "its output is passed on");
        assert!(outcome.stderr.contains("err\n"), "{}", outcome.stderr);
        assert!(place.log().contains("out\n") && place.log().contains("err\n"), "{}", place.log());
        assert!(!place.path().join("daemon.pid").exists());
    }
    Ok(())
}

#[test]
fn the_fifth_crash_within_the_window_ends_it_with_1() -> Result {
    let place = Place::new()?;
    let line = "nextdeployd eternal --restart-delay=20ms --crash-threshold=5 --crash-window=60s";
    place.typed(line, Some("echo crash; exit 7"))?.expect_code(1)?;
    assert_eq!(place.said("crash\n"), 5, "{}", place.log());
    assert!(place.log().contains("the command ended with exit code 7"));
    assert!(place.log().contains("giving up: 5 crashes within 1m0s"));
    Ok(())
}

#[test]
fn a_crash_is_followed_by_a_start_after_a_second() -> Result {
    let place = Place::new()?;
    let script = "test -e once && exit 0; touch once; kill -SEGV $$";
    let outcome = place.typed("nextdeploy eternal", Some(script))?.ok()?;
    assert!(outcome.took >= Duration::from_secs(1), "{:?}", outcome.took);
    assert!(place.log().contains("starting again in 1s"), "{}", place.log());
    Ok(())
}

#[test]
fn a_limit_of_restarts_is_kept() -> Result {
    let place = Place::new()?;
    place
        .typed("nextdeploy eternal --restart-delay=10ms --max-restarts=2", Some("echo run; exit 1"))?
        .expect_code(1)?;
    assert_eq!(place.said("run\n"), 3);
    Ok(())
}

#[test]
fn sigterm_and_sigint_stop_it_gracefully_with_final_statistics() -> Result {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let place = Place::new()?;
        let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
        let running = place.begin("nextdeployd eternal", Some(script))?;
        place.wait_for("ready\n", 1)?;
        kill(place.pid()?, signal);
        running.wait(WAIT)?.ok()?;
        assert!(place.log().contains(&format!("Received {name}, starting graceful shutdown...")));
        assert!(place.log().contains("bye\n"), "{}", place.log());
        let last = place.log().lines().last().unwrap_or_default().to_owned();
        assert!(last.contains("Daemon Stats: {\"uptime\":"), "{last}");
        assert!(last.ends_with(r#""restarts":0,"crashes":0,"status":"stopped"}"#), "{last}");
    }
    Ok(())
}

#[test]
fn a_group_that_does_not_stop_in_time_is_killed() -> Result {
    let place = Place::new()?;
    let script = "trap '' TERM; (trap '' TERM; exec sleep 1000) & echo $! > second; \
                  echo $$ > first; while :; do sleep 0.02; done";
    let running = place.begin("nextdeployd eternal --kill-timeout=300ms", Some(script))?;
    let (first, second) = (place.number("first")?, place.number("second")?);
    kill(place.pid()?, Signal::TERM);
    running.wait(WAIT)?.ok()?;
    assert!(place.log().contains("the command did not stop within 300ms: killing its group"));
    assert!(has_ended(first) && has_ended(second));
    Ok(())
}

#[test]
fn a_crash_leaves_nothing_of_the_command_not_even_what_left_its_session() -> Result {
    let place = Place::new()?;
    let script =
        "setsid sleep 1000 & echo $! > escaped; while ! test -s escaped; do sleep 0.01; done; exit 1";
    place.typed("nextdeploy eternal --crash-threshold=1", Some(script))?.expect_code(1)?;
    assert!(has_ended(place.number("escaped")?));
    Ok(())
}

#[test]
fn sighup_starts_the_command_anew() -> Result {
    let place = Place::new()?;
    let running = place.begin("nextdeploy eternal", Some("echo ready; exec sleep 1000"))?;
    place.wait_for("ready\n", 1)?;
    let pid = place.pid()?;
    kill(pid, Signal::HUP);
    place.wait_for("ready\n", 2)?;
    assert_eq!(place.pid()?, pid);
    kill(pid, Signal::TERM);
    running.wait(WAIT)?.ok()?;
    assert!(place.log().contains(r#""restarts":1,"crashes":0"#), "{}", place.log());
    Ok(())
}

#[test]
fn statistics_are_logged_again_and_again() -> Result {
    let place = Place::new()?;
    let running = place.begin("nextdeployd eternal --stats-interval=20ms", Some("exec sleep 1000"))?;
    place.wait_for(r#""crashes":0,"status":"running"}"#, 3)?;
    kill(place.pid()?, Signal::TERM);
    running.wait(WAIT)?.ok()?;
    Ok(())
}

#[test]
fn in_the_background_it_is_asked_by_its_pid_file() -> Result {
    for program in ["nextdeployd", "nextdeploy"] {
        let place = Place::new()?;
        let typed = |words: &str| place.typed(&format!("{program} {words} --pid-file api.pid"), None);
        let line = format!("{program} eternal --detach --pid-file api.pid --log-file api.log");
        place.typed(&line, Some("echo ready; exec sleep 1000"))?.ok()?;
        let status = typed("daemon status")?.ok()?;
        assert!(status.stdout.contains("Daemon Stats: {\"uptime\":"), "{}", status.stdout);
        assert!(status.stdout.contains(r#""restarts":0,"crashes":0,"status":"running"}"#));
        let view = typed("daemon status --json")?.ok()?.json()?;
        let pid = view.get("pid").and_then(serde_json::Value::as_i64).ok_or("no pid")?;
        typed("daemon restart")?.ok()?;
        let after = typed("daemon status --json")?.ok()?.json()?;
        assert_eq!(after.get("pid"), view.get("pid"), "who watches stays");
        assert_ne!(after.get("child"), view.get("child"));
        // A second one for the same file is refused, whoever asks.
        place.typed(&format!("{program} eternal --pid-file api.pid"), Some("true"))?.expect_code(1)?;
        typed("daemon stop")?.ok()?;
        assert!(has_ended(i32::try_from(pid)?));
        let status = typed("daemon status")?.expect_code(3)?;
        assert!(status.stdout.contains(r#""status":"stopped"}"#), "{}", status.stdout);
        typed("daemon stop")?.expect_code(3)?;
        // It remembers what it was.
        typed("daemon start")?.ok()?;
        let ready = |log: String| log.matches("ready\n").count() == 3;
        until("the third start", WAIT, || fs::read_to_string(place.path().join("api.log")).is_ok_and(ready))?;
        typed("daemon stop")?.ok()?;
    }
    Ok(())
}

#[test]
fn a_stale_pid_file_is_replaced_and_its_process_is_not_touched() -> Result {
    let place = Place::new()?;
    let mut other = std::process::Command::new("sleep").arg("1000").spawn()?;
    fs::write(place.path().join("daemon.pid"), format!("{}\n", other.id()))?;
    let stop = place.typed("nextdeploy daemon stop", None)?.expect_code(3)?;
    assert!(stop.stderr.contains("is another one: sleep"), "{}", stop.stderr);
    place.typed("nextdeploy daemon status", None)?.expect_code(3)?;
    let outcome = place.typed("nextdeploy eternal", Some("true"))?.ok()?;
    assert!(outcome.stderr.contains("was stale"), "{}", outcome.stderr);
    assert!(other.try_wait()?.is_none(), "the other process was hit");
    other.kill()?;
    other.wait()?;
    Ok(())
}

#[test]
fn what_a_killed_one_has_left_running_is_gone_before_the_next_start() -> Result {
    let place = Place::new()?;
    place.typed("nextdeploy daemon start", Some("echo $$ > child; exec sleep 1000"))?.ok()?;
    let (watcher, child) = (place.pid()?, place.number("child")?);
    kill(watcher, Signal::KILL);
    until("its end", WAIT, || has_ended(watcher))?;
    let status = place.typed("nextdeploy daemon status", None)?.expect_code(3)?;
    assert!(status.stdout.contains(r#""status":"failed"}"#), "{}", status.stdout);
    place.typed("nextdeploy daemon start", None)?.ok()?;
    assert!(has_ended(child), "two of the command would run");
    assert!(place.log().contains("was stale"), "{}", place.log());
    place.typed("nextdeploy daemon stop", None)?.ok()?;
    Ok(())
}

#[test]
fn what_cannot_be_started_is_told_at_once() -> Result {
    let place = Place::new()?;
    let missing = place.typed("nextdeploy eternal -- no-such-program", None)?.expect_code(3)?;
    assert!(
        missing.stderr.contains("`no-such-program` was not found in PATH (searched /"),
        "{}",
        missing.stderr
    );
    let denied = place.typed("nextdeploy eternal --detach -- /etc/passwd", None)?.expect_code(1)?;
    assert!(denied.stderr.contains("`/etc/passwd` cannot be executed"), "{}", denied.stderr);
    place.typed("nextdeploy eternal", None)?.expect_code(2)?;
    place.typed("nextdeploy eternal --crash-threshold=-1 -- true", None)?.expect_code(2)?;
    assert!(!place.path().join("daemon.pid").exists());
    Ok(())
}

#[test]
fn a_reader_that_goes_away_does_not_end_it() -> Result {
    let place = Place::new()?;
    let lines = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo the end";
    let mut gone = std::process::Command::new("sh");
    gone.stderr(std::process::Stdio::null());
    gone.arg("-c").arg(format!("\"$0\" eternal -- sh -c '{lines}' | head -n 1"));
    let status = gone.arg(&place.programs.cli).current_dir(place.path()).status()?;
    assert!(status.success());
    place.wait_for("the end\n", 1)
}
