//! An ACME server that says what a test wants, over real TLS. It checks nothing.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nd_certs::AcmeSettings;
use nd_supervise::TaskSet;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::Result;

/// An answer: its status, fields and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: String,
    pub(crate) body: String,
}

/// The server. It ends when it is dropped.
pub(crate) struct Scripted {
    port: u16,
    place: tempfile::TempDir,
    _tasks: TaskSet,
}

impl Scripted {
    /// Answers each request for `METHOD /path` as the script says; what it does not know as a server without trouble would.
    pub(crate) async fn start(
        script: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let tls = TlsAcceptor::from(Arc::new(front(&place.path().join("ca.pem"))?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let tasks = TaskSet::new("scripted");
        tasks.spawn("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &tls, port, &script).await.ok();
            }
        });
        Ok(Self { port, place, _tasks: tasks })
    }

    pub(crate) fn settings(&self) -> AcmeSettings {
        AcmeSettings {
            directory: format!("https://localhost:{}/dir", self.port),
            ca_file: Some(self.ca_file()),
            timeout: Duration::from_secs(20),
            ..AcmeSettings::default()
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.place.path().join("ca.pem")
    }
}

impl Answer {
    pub(crate) fn new(status: u16, fields: &str, body: &str) -> Option<Self> {
        Some(Self { status, fields: fields.to_owned(), body: body.to_owned() })
    }

    /// A problem of that type (RFC 8555, section 6.7).
    pub(crate) fn problem(status: u16, kind: &str, fields: &str) -> Option<Self> {
        let body = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"as scripted","status":{status}}}"#
        );
        let fields = format!("Content-Type: application/problem+json\r\nReplay-Nonce: n\r\n{fields}");
        Self::new(status, &fields, &body)
    }
}

/// A server without trouble, as far as an account.
fn usual(method: &str, path: &str, port: u16) -> Answer {
    let url = format!("https://localhost:{port}");
    let (status, fields, body) = match (method, path) {
        (_, "/dir") => {
            let meta = r#"{"caaIdentities":["CA.test"]}"#;
            let at = |name: &str| format!(r#""{name}":"{url}/{name}""#);
            let all = ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"]
                .map(at)
                .join(",");
            (200, String::new(), format!(r#"{{{all},"meta":{meta}}}"#))
        }
        (_, "/newAccount") => {
            (201, format!("Location: {url}/account/1\r\n"), r#"{"status":"valid"}"#.to_owned())
        }
        (_, "/newNonce") => (200, String::new(), String::new()),
        _ => (404, String::new(), String::new()),
    };
    Answer { status, fields: format!("Replay-Nonce: n\r\n{fields}"), body }
}

async fn answer(
    stream: TcpStream,
    tls: &TlsAcceptor,
    port: u16,
    script: &(impl Fn(&str, &str) -> Option<Answer> + Send + Sync),
) -> Result<()> {
    let mut stream = BufReader::new(tls.accept(stream).await?);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut length = 0_u64;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = Vec::new();
    (&mut stream).take(length).read_to_end(&mut body).await?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let answer = script(method, path).unwrap_or_else(|| usual(method, path, port));
    let Answer { status, fields, body } = answer;
    let head =
        format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    stream.get_mut().write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.get_mut().write_all(body.as_bytes()).await?;
    }
    stream.get_mut().shutdown().await?;
    Ok(())
}

fn front(ca_file: &std::path::Path) -> Result<ServerConfig> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "root of the tests");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    std::fs::write(ca_file, root.pem())?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &root)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key)?)
}
