//! Names as their visitors see them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{DnsReport, HttpAnswer, IssuerName, NameProbe, PortResult, ShownCert};
use nd_types::HostPattern;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{Acme, Dns, addresses, reach, x509};

/// How long a connection may take: an address that does not answer at all is no rarity.
const CONNECT: Duration = Duration::from_secs(4);
/// How long one look at a port may take.
const LOOK: Duration = Duration::from_secs(8);
/// How long an authority may take to say by which names CAA records mean it.
const DIRECTORY: Duration = Duration::from_secs(8);
/// So much of an answer is read.
const GLIMPSE: u64 = 16 * 1024;

/// Looks at names through the DNS and over the network.
pub struct NetworkNames {
    dns: Dns,
    authorities: BTreeMap<IssuerName, Arc<Acme>>,
    tls: TlsConnector,
}

impl NetworkNames {
    /// Asks these name servers, and these authorities by which names CAA records mean them.
    ///
    /// # Errors
    /// When TLS cannot be spoken.
    pub fn new(dns: Dns, authorities: impl IntoIterator<Item = (IssuerName, Arc<Acme>)>) -> PortResult<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                nd_core::ports::PortError::new(nd_core::ports::PortErrorKind::Internal, "speak TLS")
                    .with_source(error)
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Onlooker(provider)))
            .with_no_client_auth();
        let authorities = authorities.into_iter().collect();
        Ok(Self { dns, authorities, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The addresses at which the world reaches this machine, where somebody said so.
    fn told(&self, issuer: Option<&Arc<Acme>>) -> Vec<IpAddr> {
        match issuer {
            Some(acme) => acme.told_addresses().to_vec(),
            None => self.authorities.values().flat_map(|acme| acme.told_addresses()).copied().collect(),
        }
    }
}

#[async_trait]
impl NameProbe for NetworkNames {
    async fn dns(&self, name: &HostPattern, issuer: Option<&IssuerName>) -> DnsReport {
        let addresses = match self.dns.addresses(name.as_str()).await {
            Ok(addresses) => addresses,
            Err(error) => return DnsReport { unknown: Some(error), ..DnsReport::default() },
        };
        let acme = issuer.and_then(|issuer| self.authorities.get(issuer));
        let (told, own) = (self.told(acme), addresses::own());
        let mut troubles: Vec<_> = reach::judge(name, &addresses, &told, &own).err().into_iter().collect();
        if let Some(acme) = acme {
            match timeout(DIRECTORY, acme.identities()).await {
                Ok(Ok(identities)) => {
                    troubles.extend(reach::may_issue(&self.dns, name, &identities).await.err());
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "an authority does not say who it is in CAA records");
                }
                Err(_) => tracing::debug!("an authority does not say in time who it is in CAA records"),
            }
        }
        let is_ours =
            |address: &&IpAddr| address.is_loopback() || told.contains(address) || own.contains(address);
        let ours = addresses.iter().filter(is_ours).copied().collect();
        DnsReport { addresses, ours, troubles, unknown: None }
    }

    async fn http(&self, name: &HostPattern, at: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
        let look = async {
            let mut stream = connect(at).await?;
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: nextdeploy\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
            let mut answer = Vec::new();
            // What came before a connection broke is an answer too.
            stream.take(GLIMPSE).read_to_end(&mut answer).await.ok();
            read_answer(&String::from_utf8_lossy(&answer)).ok_or_else(|| "no answer that is HTTP".to_owned())
        };
        timeout(LOOK, look).await.unwrap_or_else(|_| Err(late(LOOK)))
    }

    async fn tls(&self, name: &HostPattern, at: SocketAddr) -> Result<ShownCert, String> {
        let server = ServerName::try_from(name.as_str().to_owned()).map_err(|error| error.to_string())?;
        let look = async {
            let stream = connect(at).await?;
            let stream =
                self.tls.connect(server, stream).await.map_err(|error| format!("no TLS: {error}"))?;
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let shown = shown.ok_or_else(|| "no certificate".to_owned())?;
            x509::shown_cert(shown).map_err(|error| error.to_string())
        };
        timeout(LOOK, look).await.unwrap_or_else(|_| Err(late(LOOK)))
    }
}

async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    match timeout(CONNECT, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(late(CONNECT)),
    }
}

fn late(within: Duration) -> String {
    format!("no answer within {}", nd_types::format_duration(within))
}

/// An answer of HTTP/1 as far as it came.
fn read_answer(text: &str) -> Option<HttpAnswer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let server = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("server").then(|| value.trim().to_owned())
    });
    Some(HttpAnswer { status, server, body: body.to_owned() })
}

/// Takes any certificate whose key the server has: it is looked at, and nothing is sent to whom nobody trusts.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
