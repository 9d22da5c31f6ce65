//! Where requests come in: accept loops with bounds and deadlines of their own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nd_supervise::{CancellationToken, TaskSet};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::auth::Access;
use crate::identity::Caller;

/// Connections of one listener at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 512;

/// How long the head of a request may take, and a kept-alive connection may be silent.
const HEAD: Duration = Duration::from_secs(30);

/// How long requests under way may take when the daemon ends.
const FINISH: Duration = Duration::from_secs(2);

/// The pause after the system refused a connection, for want of descriptors mostly.
const BREATH: Duration = Duration::from_millis(100);

/// Where requests come in.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    access: Access,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program answers there.
    #[error("socket {path} is in use by another program; choose another one with --socket-path", path = .0.display())]
    InUse(PathBuf),
    /// Something else than a socket stands there.
    #[error("{path} exists and is not a socket; choose another one with --socket-path", path = .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("listen on {place}: {source}")]
    Bind {
        /// Where.
        place: String,
        /// Why not.
        source: io::Error,
    },
}

impl Listener {
    /// A unix socket, whose peers are trusted as the users that the kernel says they are.
    #[must_use]
    pub fn unix(socket: UnixListener) -> Self {
        Self { socket: Socket::Unix(socket), access: Access::Peer }
    }

    /// A TCP socket; `dev` trusts programs of this host.
    ///
    /// # Errors
    /// [`ListenError::Bind`] when the address cannot be had.
    pub async fn tcp(address: SocketAddr, dev: bool) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind { place: address.to_string(), source };
        Ok(Self::over_tcp(TcpListener::bind(address).await.map_err(bind)?, dev))
    }

    /// As [`Listener::tcp`], over a socket that is open already.
    #[must_use]
    pub fn over_tcp(socket: TcpListener, dev: bool) -> Self {
        let access = if dev { Access::Loopback } else { Access::Token };
        Self { socket: Socket::Tcp(socket), access }
    }

    /// Another handle of the socket: who connects is kept waiting as long as one is open.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Socket::Unix(socket) => socket.as_fd().try_clone_to_owned(),
            Socket::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }

    /// Where a TCP socket is really bound.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

/// Opens a unix socket that this user and, where there is one, `group` may use. What a dead daemon left is replaced.
///
/// # Errors
/// [`ListenError`] when somebody answers there, or the system refuses.
pub fn unix_listener(path: &Path, group: Option<u32>) -> Result<UnixListener, ListenError> {
    let bind = |source| ListenError::Bind { place: path.display().to_string(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(ListenError::InUse(path.to_owned()));
        }
        Ok(_) | Err(_) => {}
    }
    // Bound beside its place and moved there, so that nobody connects before the permissions are right.
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(bind(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&beside).map_err(bind)?;
    let mode = match group {
        Some(group) => {
            std::os::unix::fs::chown(&beside, None, Some(group)).map_err(bind)?;
            0o660
        }
        None => 0o600,
    };
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).map_err(bind)?;
    fs::rename(&beside, path).map_err(bind)?;
    Ok(listener)
}

/// The connection a request came on; every request carries it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) access: Access,
    pub(crate) peer: Option<Caller>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

pub(crate) async fn serve(listener: &Listener, router: Router, shutdown: CancellationToken) {
    let tasks = TaskSet::new("api-connections");
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = accept(listener) => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, connection) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an API connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (router, stop) = (router.clone(), shutdown.clone());
        tasks.spawn("api-connection", async move {
            answer(stream, connection, router, stop).await;
            drop(permit);
        });
    }
    let cut = tasks.shutdown(FINISH).await;
    if cut > 0 {
        tracing::info!(cut, "API requests still under way were cut off");
    }
}

/// Answers the requests of one connection; after `stop`, the one under way is its last.
async fn answer(stream: Box<dyn Stream>, connection: Connection, router: Router, stop: CancellationToken) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection broke off");
    }
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Cancel safe: a connection is taken from the kernel only when it is returned.
async fn accept(listener: &Listener) -> io::Result<(Box<dyn Stream>, Connection)> {
    let access = listener.access.clone();
    match &listener.socket {
        Socket::Unix(socket) => {
            let (stream, _) = socket.accept().await?;
            let peer = stream.peer_cred()?;
            let peer = Some(Caller::peer(peer.uid(), peer.gid()));
            Ok((Box::new(stream), Connection { access, peer, remote: None, local: None }))
        }
        Socket::Tcp(socket) => {
            let (stream, remote) = socket.accept().await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr().ok();
            Ok((Box::new(stream), Connection { access, peer: None, remote: Some(remote), local }))
        }
    }
}
