//! The application as its users meet it: a process, its port, its signals and its exit code.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nd_testapp::{digest, pattern};
use rustix::process::{Pid, Signal, kill_process};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const DEADLINE: Duration = Duration::from_secs(10);

/// A running application; killed when dropped.
struct App {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl App {
    fn start(env: &[(&str, &str)]) -> Result<Self> {
        let mut child = command(env).stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            if out.read_line(&mut line)? == 0 {
                return Err("it ended before it listened".into());
            }
        }
        let port = line.trim().rsplit(':').next().ok_or("no port")?.parse()?;
        Ok(Self { child, out, port })
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(BufReader::new(stream))
    }

    fn get(&self, target: &str) -> Result<(String, Vec<u8>)> {
        exchange(&mut self.connect()?, &format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
    }

    fn signal(&self, signal: Signal) -> Result {
        let pid = Pid::from_raw(self.child.id().try_into()?).ok_or("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    fn says(&mut self, text: &str) -> Result {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            if self.out.read_line(&mut line)? == 0 {
                return Err(format!("it ended without saying {text:?}").into());
            }
        }
        Ok(())
    }

    /// Waits until `count` children of the application are as `wanted` says of their `/proc/PID/stat` fields.
    fn wait_for_children(&self, count: usize, wanted: impl Fn(&[&str]) -> bool) -> Result {
        let started = Instant::now();
        let parent = self.child.id().to_string();
        while started.elapsed() < DEADLINE {
            let mut found = 0;
            for entry in fs::read_dir("/proc")?.flatten() {
                let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
                let name = entry.file_name().to_string_lossy().into_owned();
                let mut fields = vec![name.as_str()];
                fields.extend(stat.rsplit(')').next().unwrap_or_default().split_whitespace());
                found += usize::from(fields.get(2) == Some(&parent.as_str()) && wanted(&fields));
            }
            if found == count {
                return Ok(());
            }
            thread::yield_now();
        }
        Err(format!("never {count} such children").into())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testapp"));
    command.env_clear().env("PORT", "0").env("TESTAPP_RELEASE", "v7").envs(env.iter().copied());
    command
}

/// Sends `request` and reads an answer with a length: its head and its body.
fn exchange(connection: &mut BufReader<TcpStream>, request: &str) -> Result<(String, Vec<u8>)> {
    connection.get_mut().write_all(request.as_bytes())?;
    let head = read_head(connection)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.ok_or("no length")?.parse()?];
    connection.read_exact(&mut body)?;
    Ok((head, body))
}

fn read_head(connection: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head)? == 0 {
            return Err("closed within a head".into());
        }
    }
    Ok(head)
}

#[test]
fn each_answer_on_a_kept_connection_names_release_and_instance() -> Result {
    let app = App::start(&[("NEXTDEPLOY_UNIT", "web.1")])?;
    let mut connection = app.connect()?;
    for target in ["/", "/health", "/slow?ms=1", "/echo", "/headers", "/none"] {
        let (head, _) = exchange(&mut connection, &format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))?;
        assert!(head.contains("x-release: v7\r\n"), "{target}: {head}");
        assert!(head.contains(&format!("x-instance: web.1-{}\r\n", app.child.id())), "{target}: {head}");
    }
    Ok(())
}

#[test]
fn a_download_is_the_pattern_to_its_last_byte() -> Result {
    let app = App::start(&[])?;
    let (_, body) = app.get("/download?bytes=300001")?;
    assert_eq!(body.len(), 300_001);
    assert_eq!(pattern::check(0, &body), Ok(()));
    Ok(())
}

#[test]
fn an_upload_is_counted_and_summed() -> Result {
    let app = App::start(&[])?;
    let mut sum = digest::Fnv1a::default();
    sum.update(b"hello");
    let request = "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let (_, body) = exchange(&mut app.connect()?, request)?;
    assert_eq!(String::from_utf8(body)?, format!("{{\"bytes\":5,\"fnv1a\":\"{}\"}}\n", sum.hex()));
    Ok(())
}

#[test]
fn a_websocket_echoes_and_is_closed_with_1001_when_the_application_stops() -> Result {
    let mut app = App::start(&[])?;
    let mut socket = app.connect()?;
    socket.get_mut().write_all(
        b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
          sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let head = read_head(&mut socket)?;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");

    socket.get_mut().write_all(b"\x81\x82\0\0\0\0hi")?;
    let mut echo = [0; 4];
    socket.read_exact(&mut echo)?;
    assert_eq!(&echo, b"\x81\x02hi");

    app.signal(Signal::TERM)?;
    let mut close = [0; 4];
    socket.read_exact(&mut close)?;
    assert_eq!(&close, b"\x88\x02\x03\xe9");
    socket.get_mut().write_all(b"\x88\x82\0\0\0\0\x03\xe9")?;
    let mut rest = Vec::new();
    assert_eq!(socket.read_to_end(&mut rest)?, 0, "no second Close: {rest:?}");
    assert_eq!(app.child.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_stopping_application_answers_what_is_in_flight_and_exits_with_0() -> Result {
    let mut app = App::start(&[])?;
    let mut connection = app.connect()?;
    // The head of this download comes when it is in flight; its body takes 0.4 s.
    connection.get_mut().write_all(b"GET /download?bytes=4000&rate=10000 HTTP/1.1\r\nhost: a\r\n\r\n")?;
    read_head(&mut connection)?;
    app.signal(Signal::TERM)?;
    app.says("stopping")?;
    let mut body = vec![0; 4000];
    connection.read_exact(&mut body)?;
    assert_eq!(pattern::check(0, &body), Ok(()));
    assert_eq!(app.child.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn an_event_stream_ends_in_order_when_the_application_stops() -> Result {
    let mut app = App::start(&[])?;
    let mut connection = app.connect()?;
    connection.get_mut().write_all(b"GET /sse?ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n")?;
    read_head(&mut connection)?;
    let mut line = String::new();
    while !line.contains("\"n\":0") {
        line.clear();
        connection.read_line(&mut line)?;
    }
    app.signal(Signal::TERM)?;
    let mut rest = String::new();
    connection.read_to_string(&mut rest)?;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(app.child.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn an_application_can_ignore_its_signals() -> Result {
    let mut app = App::start(&[("TESTAPP_IGNORE_TERM", "1")])?;
    app.signal(Signal::TERM)?;
    app.says("signal ignored")?;
    assert!(app.get("/")?.0.starts_with("HTTP/1.1 200 "));
    Ok(())
}

#[test]
fn a_failed_start_shows_a_stack_trace_and_its_exit_code() -> Result {
    let output = command(&[("TESTAPP_EXIT_CODE", "42")]).output()?;
    assert_eq!(output.status.code(), Some(42));
    let stderr = String::from_utf8(output.stderr)?;
    assert!(stderr.contains("Error: Cannot find module") && stderr.contains("\n    at "), "{stderr}");
    Ok(())
}

#[test]
fn an_application_that_is_made_sick_stays_so() -> Result {
    let app = App::start(&[])?;
    assert!(app.get("/health")?.0.starts_with("HTTP/1.1 200 "));
    app.get("/sicken")?;
    assert!(app.get("/health")?.0.starts_with("HTTP/1.1 503 "));
    assert!(app.get("/")?.0.starts_with("HTTP/1.1 200 "), "it serves on");
    Ok(())
}

#[test]
fn unhealthy_concerns_the_paths_it_names() -> Result {
    let app = App::start(&[("TESTAPP_UNHEALTHY", "health")])?;
    assert!(app.get("/health")?.0.starts_with("HTTP/1.1 503 "));
    assert!(app.get("/")?.0.starts_with("HTTP/1.1 200 "));
    let app = App::start(&[("TESTAPP_UNHEALTHY", "all")])?;
    assert!(app.get("/")?.0.starts_with("HTTP/1.1 503 "));
    Ok(())
}

#[test]
fn it_exits_crashes_and_dies_when_told() -> Result {
    let mut app = App::start(&[])?;
    app.get("/exit?code=9")?;
    assert_eq!(app.child.wait()?.code(), Some(9));
    let mut app = App::start(&[])?;
    assert!(app.get("/crash").is_err());
    assert_eq!(app.child.wait()?.code(), None);
    let mut app = App::start(&[("TESTAPP_DIE_AFTER_MS", "20")])?;
    assert_eq!(app.child.wait()?.code(), Some(1));
    Ok(())
}

#[test]
fn logs_are_numbered_alternate_between_the_streams_and_may_be_binary() -> Result {
    let env = [("TESTAPP_LOG_LINES", "4"), ("TESTAPP_BINARY_LINES", "2"), ("TESTAPP_EXIT_CODE", "0")];
    let output = command(&env).output()?;
    assert!(output.stdout.starts_with(b"log line 0\nlog line 2\nbinary line 0 \xff\xfe\0"));
    assert!(output.stderr.starts_with(b"log line 1\nlog line 3\n"));
    Ok(())
}

#[test]
fn a_flood_goes_on_for_as_long_as_it_runs() -> Result {
    let mut app = App::start(&[("TESTAPP_FLOOD_LINES_PER_S", "2000")])?;
    app.says("flood line 300")
}

#[test]
fn a_flood_may_have_an_end() -> Result {
    // All of them are due at once.
    let env = [("TESTAPP_FLOOD_LINES_PER_S", "1000000"), ("TESTAPP_FLOOD_LINES", "150")];
    let output = command(&[env.as_slice(), &[("TESTAPP_DIE_AFTER_MS", "1000")]].concat()).output()?;
    let lines = String::from_utf8(output.stdout)?;
    let flood: Vec<&str> = lines.lines().filter(|line| line.starts_with("flood line ")).collect();
    assert_eq!((flood.len(), flood.last()), (150, Some(&"flood line 149")));
    Ok(())
}

#[test]
fn zombies_are_never_waited_for() -> Result {
    let app = App::start(&[("TESTAPP_ZOMBIES", "3")])?;
    app.wait_for_children(3, |fields| fields.get(1) == Some(&"Z"))
}

#[test]
fn sleepers_live_in_sessions_of_their_own() -> Result {
    let app = App::start(&[("TESTAPP_CHILDREN", "2")])?;
    let result = app.wait_for_children(2, |fields| fields.get(4) == fields.first());
    end_sleepers(&app)?;
    result
}

/// They outlive the application, and the test must not leave them.
fn end_sleepers(app: &App) -> Result {
    let parent = app.child.id().to_string();
    for entry in fs::read_dir("/proc")?.flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(parent.as_str()) {
            let pid = entry.file_name().to_string_lossy().parse()?;
            kill_process(Pid::from_raw(pid).ok_or("no pid")?, Signal::KILL)?;
        }
    }
    Ok(())
}
