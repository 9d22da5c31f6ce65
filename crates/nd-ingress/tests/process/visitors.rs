//! A certificate authority, and clients that trust it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use nd_supervise::TaskSet;
use nd_types::{Certificate, EdgeState, HostPattern, KeyPem, TlsState};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{DEADLINE, Result, state};

pub(crate) const NAME: &str = "app.test";

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Another certificate for the app's name.
    pub(crate) fn certificate(&self) -> Result<Arc<Certificate>> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &self.0)?;
        let names = vec![HostPattern::new(NAME)?];
        Ok(Arc::new(Certificate { names, chain: certificate.pem(), key: KeyPem::new(key.serialize_pem()) }))
    }
}

/// A state that serves `app` with TLS as well.
pub(crate) fn secure(
    generation: u64,
    app: SocketAddr,
    listen: SocketAddr,
    certificate: &Arc<Certificate>,
) -> Result<Arc<EdgeState>> {
    let mut state = state(generation, app)?.as_ref().clone();
    let tls =
        TlsState { listen: vec![listen], certificates: vec![Arc::clone(certificate)], ..TlsState::default() };
    state.tls = Arc::new(tls);
    Ok(Arc::new(state))
}

/// What a visitor is shown.
pub(crate) fn leaf(certificate: &Certificate) -> Result<Vec<u8>> {
    Ok(CertificateDer::from_pem_slice(certificate.chain.as_bytes())?.to_vec())
}

/// A client; clones share the tickets they were given.
#[derive(Clone)]
pub(crate) struct Visitor(Arc<ClientConfig>);

impl Visitor {
    pub(crate) fn new(authority: &Authority) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes())?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    /// The same, and every handshake is a full one.
    pub(crate) fn forgetful(&self) -> Self {
        let mut config = self.0.as_ref().clone();
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Visit> {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await??;
        let name = ServerName::try_from(NAME)?;
        let stream =
            timeout(DEADLINE, TlsConnector::from(Arc::clone(&self.0)).connect(name, stream)).await??;
        Ok(Visit { stream, seen: Vec::new() })
    }

    /// A connection that speaks HTTP/2; its frames are moved by one of `tasks`.
    pub(crate) async fn connect_h2(
        &self,
        address: SocketAddr,
        tasks: &TaskSet,
    ) -> Result<SendRequest<Bytes>> {
        let mut config = self.0.as_ref().clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = Self(Arc::new(config)).connect(address).await?.stream;
        let (requests, connection) = timeout(DEADLINE, h2::client::handshake(stream)).await??;
        tasks.spawn("connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of a visitor");
            }
        });
        Ok(requests)
    }
}

/// A connection behind its handshake.
pub(crate) struct Visit {
    stream: TlsStream<TcpStream>,
    seen: Vec<u8>,
}

impl Visit {
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that it was shown.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        let shown = self.stream.get_ref().1.peer_certificates().unwrap_or_default();
        shown.first().map(|leaf| leaf.to_vec()).unwrap_or_default()
    }

    /// Asks once; whether another request may follow.
    pub(crate) async fn get(&mut self) -> Result<bool> {
        timeout(DEADLINE, self.ask()).await?
    }

    async fn ask(&mut self) -> Result<bool> {
        self.stream.write_all(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).await?;
        loop {
            if self.stream.read_buf(&mut self.seen).await? == 0 {
                return Err("closed before an answer".into());
            }
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() < length.unwrap_or("0").parse()? {
                continue;
            }
            if !head.starts_with("HTTP/1.1 200") {
                return Err(text.into());
            }
            self.seen.clear();
            return Ok(!head.contains("Connection: close"));
        }
    }
}

/// One request over HTTP/2.
pub(crate) async fn get_h2(requests: &SendRequest<Bytes>) -> Result<()> {
    let asked = async {
        let mut ready = requests.clone().ready().await?;
        let request = http::Request::get(format!("https://{NAME}/")).body(())?;
        let (answer, _) = ready.send_request(request, true)?;
        let answer = answer.await?;
        if answer.status() != 200 {
            return Err(answer.status().to_string().into());
        }
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        Result::Ok(())
    };
    timeout(DEADLINE, asked).await?
}

/// The pause of a client that does not want all of the machine.
pub(crate) const BREATH: Duration = Duration::from_millis(2);
