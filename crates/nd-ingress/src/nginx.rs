//! An nginx that runs beside us, driven by one file that its configuration includes.
//!
//! A table is rendered, tested with `nginx -t` together with everything the user has, and reloaded; it serves when workers of
//! the new configuration answer and those before accept nothing any more. Those end when their last request does; idle
//! connections of clients they close at once.

mod dump;
mod files;
mod outside;
mod program;
mod render;
mod workers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    BindFault, EdgeTls, Ingress, IngressCaps, PortError, PortErrorKind, PortResult, within,
};
use nd_types::{Certificate, EdgeState, Generation, IngressKind};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::beside::tls::{self, Https};
use crate::beside::{Beside, Server, ports, replace, table};

use dump::Dump;
use files::Files;
use outside::Outside;
use program::{Program, Tested};
use render::{Listen, Secure};
use workers::Worker;

/// The table `[nginx]` of `nextdeployd.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NginxSettings {
    /// Where it serves our apps.
    pub http: SocketAddr,
    /// Where it serves those that have a certificate over TLS; beside port 80 where nothing is written.
    pub https: Option<Https>,
    /// The file of ours, which its configuration includes.
    pub file: PathBuf,
    /// Its program.
    pub program: PathBuf,
    /// Its configuration, where that is not the one it reads by itself.
    pub config: Option<PathBuf>,
    /// Where it keeps the id of its process.
    pub pid_file: PathBuf,
}

impl Default for NginxSettings {
    /// What Debian's packages have: port 80 of every address, a file in `conf.d`.
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([0, 0, 0, 0], 80)),
            https: None,
            file: "/etc/nginx/conf.d/nextdeploy.conf".into(),
            program: "nginx".into(),
            config: None,
            pid_file: "/run/nginx.pid".into(),
        }
    }
}

/// How long the workers of a new configuration may take until they serve.
const SERVES: Duration = Duration::from_secs(10);

/// Between two looks at them.
const TICK: Duration = Duration::from_millis(10);

/// How long one question after what nginx serves may take. Another one may meet another worker.
const PROBE: Duration = Duration::from_secs(1);

/// Connections that were opened before a reload and have asked nothing yet are answered by a worker that leaves, until
/// `client_header_timeout` closes them.
const UNUSED: Duration = Duration::from_secs(11);

/// Begins to drive an nginx; what it serves of ours is kept in `folder`. A process that is `sandboxed` by
/// systemd has its program called outside. It is reached for the first time when there is something to serve.
#[must_use]
pub fn nginx_ingress(settings: NginxSettings, folder: PathBuf, sandboxed: bool) -> Arc<dyn Ingress> {
    let outside = sandboxed.then(|| Outside::saying_in(folder.clone()));
    let program = Program { path: settings.program.clone(), config: settings.config.clone(), outside };
    let files = Files::in_folder(folder.join("certificates"));
    let https = tls::address(settings.https, settings.http);
    let nginx = Nginx { program, settings, https, files, leaving: Mutex::default() };
    // Another start of nginx reads our file by itself.
    Arc::new(Beside::new(nginx, folder, None))
}

struct Nginx {
    program: Program,
    settings: NginxSettings,
    /// Where it speaks TLS.
    https: Option<SocketAddr>,
    files: Files,
    /// Workers of configurations that were replaced.
    leaving: Mutex<Vec<Worker>>,
}

#[async_trait]
impl Server for Nginx {
    fn caps(&self) -> IngressCaps {
        let tls = self.https.map_or(EdgeTls::Never, EdgeTls::At);
        IngressCaps { kind: IngressKind::Nginx, features: &[], tls }
    }

    fn http_addr(&self) -> SocketAddr {
        self.settings.http
    }

    async fn check(&self) -> PortResult<()> {
        self.users_own().await?;
        if workers::master(&self.settings.pid_file).is_none() {
            return Err(self.program.not_running());
        }
        Ok(())
    }

    async fn serve(&self, before: &EdgeState, state: &EdgeState) -> PortResult<Vec<BindFault>> {
        let theirs = self.users_own().await?;
        let (open, mut faults) = ports::open(before, state, "nginx");
        let (hosts, taken) =
            ports::unclaimed(table::hosts(state), &theirs.names, self.settings.http, "nginx");
        faults.extend(taken);
        let listen = |at| Listen { at, is_shared: theirs.listens_on(at) };
        let http = listen(self.settings.http);
        let shown: Vec<&Certificate> =
            hosts.iter().filter_map(|host| tls::certificate(state, host)).collect();
        let secure = match self.https.filter(|_| !shown.is_empty()).map(listen) {
            Some(https) => match self.taken(https) {
                None => {
                    let http2 = !https.is_shared || theirs.has_http2(https.at);
                    Some(Secure { listen: https, http2, files: &self.files })
                }
                Some(error) => {
                    faults.push(BindFault {
                        bind: https.at,
                        app: None,
                        error: format!("{}: {error}", https.at),
                    });
                    None
                }
            },
            None => None,
        };
        let certificates: Vec<&Certificate> = match secure {
            Some(_) => shown.into_iter().chain(state.tls.fallback.as_deref()).collect(),
            None => Vec::new(),
        };
        self.files.put(certificates.iter().copied()).map_err(|error| self.unkept(error))?;
        let text = render::file(state, &hosts, &open, http, secure.as_ref());
        self.install(&text, state.generation).await?;
        if let Err(error) = self.files.keep_only(certificates) {
            tracing::warn!(%error, "remove certificates that nginx does not use any more");
        }
        Ok(faults)
    }

    async fn generation(&self) -> PortResult<Option<Generation>> {
        self.probe().await
    }

    async fn has_let_go(&self, replaced: Instant) -> bool {
        let mut leaving = self.leaving.lock();
        leaving.retain(Worker::is_there);
        leaving.is_empty() || replaced.elapsed() >= UNUSED
    }
}

impl Nginx {
    /// What the user has in nginx, which is never changed. A mistake in it is not ours to mend.
    async fn users_own(&self) -> PortResult<Dump> {
        match self.program.test().await? {
            Tested::Good(dump) => Ok(Dump::read(&dump, &self.settings.file)),
            // It is about to be written anew.
            Tested::Bad(why) if why.contains(&*self.settings.file.to_string_lossy()) => Ok(Dump::default()),
            Tested::Bad(why) => {
                let context = format!(
                    "nginx refuses its own configuration, in files that are not ours; nothing was changed: {why}"
                );
                let fix = "mend that file; `nginx -t` says when it is right";
                Err(PortError::new(PortErrorKind::Unavailable, context).with_fix(fix))
            }
        }
    }

    /// Why nginx could not listen there, where it does not yet.
    fn taken(&self, https: Listen) -> Option<String> {
        let ours = std::fs::read_to_string(&self.settings.file).unwrap_or_default();
        let is_ours = ours.contains(&format!("listen {} ssl", https.at));
        if https.is_shared || is_ours { None } else { ports::taken(https.at) }
    }

    fn unkept(&self, error: io::Error) -> PortError {
        PortError::new(PortErrorKind::Unavailable, "write a certificate for nginx").with_source(error)
    }

    /// Puts our file into its place and has nginx serve it; where it does not, the one before is there again.
    async fn install(&self, text: &str, generation: Generation) -> PortResult<()> {
        let before = std::fs::read(&self.settings.file).ok();
        self.write(Some(text.as_bytes()))?;
        let served = self.take_up(generation).await;
        if served.is_err()
            && let Err(error) = self.write(before.as_deref())
        {
            tracing::error!(%error, "put back the file that nginx had before");
        }
        served
    }

    async fn take_up(&self, generation: Generation) -> PortResult<()> {
        match self.program.test().await? {
            Tested::Good(dump) if dump::includes(&dump, &self.settings.file) => {}
            Tested::Good(_) => return Err(self.not_included()),
            Tested::Bad(why) => {
                let context =
                    format!("nginx refuses the routes of the apps, and goes on with those before: {why}");
                return Err(PortError::new(PortErrorKind::Internal, context));
            }
        }
        let master = workers::master(&self.settings.pid_file);
        let before = master.map(workers::of).unwrap_or_default();
        self.program.reload().await?;
        let took = within("apply routes to nginx", SERVES, self.until_serving(generation, &before)).await;
        took.map_err(|error| error.with_fix("its error log says why"))?;
        self.leaving.lock().extend(before);
        Ok(())
    }

    async fn until_serving(&self, generation: Generation, before: &[Worker]) -> PortResult<()> {
        loop {
            let is_new = self.probe().await.ok().flatten() == Some(generation);
            if is_new && before.iter().all(Worker::accepts_nothing) {
                // Looked at once more: whoever closed its sockets last may have done so after that answer.
                if self.probe().await.ok().flatten() == Some(generation) {
                    return Ok(());
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// The generation in the words of whichever worker answers.
    async fn probe(&self) -> PortResult<Option<Generation>> {
        let http = self.settings.http;
        let ip = match http.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let what = "ask nginx what it serves";
        let asked = async {
            let unavailable = |error| PortError::new(PortErrorKind::Unavailable, what).with_source(error);
            ask(SocketAddr::new(ip, http.port())).await.map_err(unavailable)
        };
        let asked = within(what, PROBE, asked).await?;
        let body = asked.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned());
        Ok(body.and_then(|body| body.strip_prefix("generation ")?.parse().ok()).map(Generation))
    }

    fn write(&self, text: Option<&[u8]>) -> PortResult<()> {
        let file = &self.settings.file;
        let written = match (text, file.parent(), file.file_name().and_then(|name| name.to_str())) {
            (Some(text), Some(folder), Some(name)) if folder.is_dir() => replace(folder, name, text),
            (None, ..) => match std::fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such directory")),
        };
        written.map_err(|error| {
            let context = format!("write {}", file.display());
            let fix = match error.kind() {
                io::ErrorKind::ReadOnlyFilesystem => {
                    "`systemctl restart nextdeployd` where nginx has come after it; a `file` of another directory \
                     needs `ReadWritePaths=` (docs/guide/ingress.md)"
                }
                _ => "`file` under [nginx] in nextdeployd.toml names another one",
            };
            PortError::new(PortErrorKind::Unavailable, context).with_source(error).with_fix(fix)
        })
    }

    fn not_included(&self) -> PortError {
        let file = self.settings.file.display();
        PortError::new(PortErrorKind::Unavailable, format!("nginx does not read {file}"))
            .with_fix(format!("add `include {file}*;` to the http block of its configuration"))
    }
}

async fn ask(at: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", render::PROBE);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).await?;
    Ok(answer)
}
