//! Listens, gives each connection a thread, and stops in good order.

use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::faults::{background, exit, say};
use crate::gate::Gate;
use crate::http::{Body, Framing, Head, read_head};
use crate::routes;
use crate::settings::{Settings, Unhealthy};
use crate::websocket::Sockets;

/// How long a stopping application waits for what is in flight.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A connection that is silent for so long is closed.
const IDLE: Duration = Duration::from_secs(300);

/// What all connections share.
#[derive(Debug)]
pub struct App {
    /// The release that this process is.
    pub release: String,
    /// Which paths answer 503.
    pub unhealthy: Unhealthy,
    /// What is in flight.
    pub gate: Gate,
    /// The open WebSockets.
    pub sockets: Sockets,
    identity: String,
}

impl App {
    /// The application that `settings` describes.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            release: settings.release.clone(),
            unhealthy: settings.unhealthy,
            gate: Gate::default(),
            sockets: Sockets::default(),
            identity: format!("x-release: {}\r\nx-instance: {}\r\n", settings.release, settings.instance),
        }
    }
}

/// One request, and the way to answer it.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// What all connections share.
    pub app: &'a App,
    /// The request's head.
    pub head: &'a Head,
    /// What comes after the head.
    pub reader: &'a mut BufReader<TcpStream>,
    /// Where the answer goes.
    pub out: &'a TcpStream,
    /// Whether the connection ends with this exchange.
    pub close: bool,
}

impl Exchange<'_> {
    /// Answers with `body`, head and body in one write.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn answer(&mut self, status: &str, content_type: &str, body: &[u8]) -> io::Result<()> {
        let mut bytes = self.answer_head(status, content_type, Framing::Length(body.len() as u64));
        if self.head.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.out.write_all(&bytes)
    }

    /// Writes the head of an answer whose body follows.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn begin(&mut self, status: &str, content_type: &str, framing: Framing) -> io::Result<()> {
        let bytes = self.answer_head(status, content_type, framing);
        self.out.write_all(&bytes)
    }

    /// The request's body; tells a waiting client to go on (RFC 9110, section 10.1.1).
    ///
    /// # Errors
    /// The error of the connection, or of a length that is no number.
    pub fn body(&mut self) -> io::Result<Body<'_, BufReader<TcpStream>>> {
        if self.head.has_token("expect", "100-continue") {
            self.out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Body::new(self.head, self.reader)
    }

    fn answer_head(&mut self, status: &str, content_type: &str, framing: Framing) -> Vec<u8> {
        self.close |= self.app.gate.stopping();
        let mut head = format!("HTTP/1.1 {status}\r\n{}", self.app.identity);
        match framing {
            Framing::Length(length) => {
                head.push_str(&format!("content-type: {content_type}\r\ncontent-length: {length}\r\n"));
            }
            Framing::Chunked => {
                head.push_str(&format!("content-type: {content_type}\r\ntransfer-encoding: chunked\r\n"));
            }
            Framing::Upgrade => {}
        }
        if self.close && framing != Framing::Upgrade {
            head.push_str("connection: close\r\n");
        }
        if framing != Framing::Upgrade {
            head.push_str("\r\n");
        }
        head.into_bytes()
    }
}

/// Serves until a signal ends the application.
///
/// # Errors
/// The system's error, with the address, when it cannot listen.
pub fn run(settings: &Settings) -> io::Result<()> {
    let app = Arc::new(App::new(settings));
    let address = SocketAddr::new(settings.bind, settings.port);
    watch_signals(&app, settings.ignore_term, address)?;
    thread::sleep(settings.start_delay);
    if settings.never_listen {
        say("running, and never listening");
        loop {
            thread::park();
        }
    }
    let listener = TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("listen {address}: {error}")))?;
    say(&format!("release {} listening on http://{}", app.release, listener.local_addr()?));
    accept(&app, &listener);
    drop(listener);
    // The thread that saw the signal ends the process, once all is answered.
    loop {
        thread::park();
    }
}

fn accept(app: &Arc<App>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if app.gate.stopping() {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: the only cure is that others close.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let shared = Arc::clone(app);
        let started = background("connection", move || {
            // A peer that went away ends its own connection, and concerns nobody else.
            serve(&shared, stream).ok();
        });
        if let Err(error) = started {
            say(&format!("connection refused: {error}"));
        }
    }
}

fn serve(app: &App, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let out = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(16 * 1024, stream);
    loop {
        let head =
            match read_head(&mut reader) {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    let text = error.to_string();
                    let head = Head::default();
                    return Exchange { app, head: &head, reader: &mut reader, out: &out, close: true }
                        .answer("400 Bad Request", "text/plain", text.as_bytes());
                }
                Err(error) => return Err(error),
            };
        let busy = app.gate.enter();
        let close = !head.keep_alive();
        let mut exchange = Exchange { app, head: &head, reader: &mut reader, out: &out, close };
        routes::answer(&mut exchange)?;
        let close = exchange.close;
        drop(busy);
        if close {
            return Ok(());
        }
    }
}

fn watch_signals(app: &Arc<App>, ignore: bool, address: SocketAddr) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let app = Arc::clone(app);
    background("signals", move || {
        for _ in signals.forever() {
            if ignore {
                say("signal ignored");
                continue;
            }
            say("stopping");
            app.gate.stop();
            app.sockets.close_all();
            // Wakes the accept loop, which then closes its listener.
            TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
            let drained = app.gate.wait_idle(DRAIN);
            say(if drained { "stopped" } else { "stopped with requests in flight" });
            exit(0);
        }
    })
}
