//! What the data plane is to an authority: answers on two ports.

use std::net::Ipv4Addr;
use std::sync::Arc;

use async_trait::async_trait;
use nd_core::ports::{ChallengeKind, ChallengeSolver, PortResult, Proof};
use nd_supervise::TaskSet;
use nd_types::Challenge;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use crate::support::Result;

type Shown = Arc<parking_lot::Mutex<Vec<Proof>>>;

/// Answers http-01 and tls-alpn-01, as the first of `kinds` is.
pub(crate) struct Edge {
    kinds: Vec<ChallengeKind>,
    shown: Shown,
    pub(crate) http_port: u16,
    pub(crate) tls_port: u16,
    _tasks: TaskSet,
}

impl Edge {
    pub(crate) async fn listen(kinds: &[ChallengeKind]) -> Result<Self> {
        let shown = Shown::default();
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (http_port, tls_port) = (http.local_addr()?.port(), tls.local_addr()?.port());
        let tasks = TaskSet::new("edge");
        let of_http = shown.clone();
        tasks.spawn("http", async move {
            while let Ok((stream, _)) = http.accept().await {
                answer_http(stream, &of_http).await.ok();
            }
        });
        let of_tls = shown.clone();
        tasks.spawn("tls", async move {
            while let Ok((stream, _)) = tls.accept().await {
                answer_tls(stream, &of_tls).await.ok();
            }
        });
        Ok(Self { kinds: kinds.to_vec(), shown, http_port, tls_port, _tasks: tasks })
    }

    pub(crate) fn shows(&self) -> usize {
        self.shown.lock().len()
    }
}

#[async_trait]
impl ChallengeSolver for Edge {
    fn kinds(&self) -> &[ChallengeKind] {
        &self.kinds
    }

    async fn present(&self, proof: &Proof) -> PortResult<()> {
        self.shown.lock().push(proof.clone());
        Ok(())
    }

    async fn cleanup(&self, proof: &Proof) -> PortResult<()> {
        self.shown.lock().retain(|shown| shown != proof);
        Ok(())
    }
}

async fn answer_http(stream: TcpStream, shown: &Shown) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
    }
    let asked = first.split(' ').nth(1).and_then(|path| path.strip_prefix("/.well-known/acme-challenge/"));
    let answer = shown.lock().iter().find_map(|proof| match proof {
        Proof::Edge { challenge: Challenge::Http01 { token, answer }, .. } if Some(&**token) == asked => {
            Some(answer.clone())
        }
        _ => None,
    });
    let (status, body) = match answer {
        Some(answer) => ("200 OK", answer),
        None => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.get_mut().write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(())
}

async fn answer_tls(stream: TcpStream, shown: &Shown) -> Result<()> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let asked = start.client_hello().server_name().map(ToOwned::to_owned);
    let certificate = shown.lock().iter().find_map(|proof| match proof {
        Proof::Edge { name, challenge: Challenge::TlsAlpn01 { certificate } }
            if Some(name.as_str()) == asked.as_deref() =>
        {
            Some(certificate.clone())
        }
        _ => None,
    });
    let certificate = certificate.ok_or("nothing is to be proven for that name")?;
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<std::result::Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes())?;
    // Not checked against each other: rustls does not know the extension by which the authority sees the proof.
    let certified = CertifiedKey::new(chain, rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut stream = start.into_stream(Arc::new(config)).await?;
    stream.shutdown().await?;
    Ok(())
}
