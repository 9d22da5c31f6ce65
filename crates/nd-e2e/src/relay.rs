//! A unix socket that leads to another one, and can be cut.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Result;

/// A socket in front of another one.
#[derive(Debug)]
pub struct Relay {
    path: PathBuf,
    to: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
    listener: UnixListener,
    acceptor: JoinHandle<()>,
}

impl Relay {
    /// Listens at `path` and passes all on to the socket `to`.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(path: &Path, to: &Path) -> Result<Self> {
        let mut relay = Self { path: path.to_owned(), to: to.to_owned(), open: None };
        relay.restore()?;
        Ok(relay)
    }

    /// Listens again.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn restore(&mut self) -> Result {
        let listener = UnixListener::bind(&self.path)?;
        let accepting = listener.try_clone()?;
        let (stop, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (until, opened, to) = (Arc::clone(&stop), Arc::clone(&streams), self.to.clone());
        let accept = move || {
            for client in accepting.incoming() {
                if until.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that cannot be passed on is closed, as an engine that is gone closes it.
                client.and_then(|client| join(client, &to, &opened)).ok();
            }
        };
        let acceptor = thread::Builder::new().name("relay".to_owned()).spawn(accept)?;
        self.open = Some(Open { stop, streams, listener, acceptor });
        Ok(())
    }

    /// Closes every connection, and the socket vanishes.
    pub fn cut(&mut self) {
        let Some(open) = self.open.take() else { return };
        open.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor, even where the socket's file is gone.
        rustix::net::shutdown(&open.listener, rustix::net::Shutdown::Both).ok();
        open.acceptor.join().ok();
        std::fs::remove_file(&self.path).ok();
        for stream in open.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Copies both ways, on two threads that end with the connection.
fn join(client: UnixStream, to: &Path, opened: &Mutex<Vec<UnixStream>>) -> io::Result<()> {
    let server = UnixStream::connect(to)?;
    opened.lock().unwrap_or_else(PoisonError::into_inner).extend([client.try_clone()?, server.try_clone()?]);
    let pairs = [(client.try_clone()?, server.try_clone()?), (server, client)];
    for (mut from, mut into) in pairs {
        thread::Builder::new().name("relay copy".to_owned()).spawn(move || {
            io::copy(&mut from, &mut into).ok(); // its end is told to the other side
            into.shutdown(Shutdown::Write).ok();
        })?;
    }
    Ok(())
}
