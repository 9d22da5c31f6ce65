//! What is seen of a name at an address: answers, certificates, and nobody.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use nd_certs::{Dns, DnsSettings, NetworkNames, self_signed};
use nd_core::ports::NameProbe;
use nd_supervise::{Clock, SystemClock};
use nd_types::HostPattern;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn names() -> Outcome<NetworkNames> {
    // Nobody is asked about addresses here.
    let nowhere = DnsSettings { servers: vec![SocketAddr::from(([127, 0, 0, 1], 9))] };
    Ok(NetworkNames::new(Dns::new(&nowhere)?, [])?)
}

fn host() -> Outcome<HostPattern> {
    Ok(HostPattern::new("shop.example.com")?)
}

/// An address at which nobody listens.
async fn closed() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

#[tokio::test]
async fn an_answer_of_plain_http_is_read_with_the_name_of_its_server() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let serve = async {
        let (mut stream, _) = listener.accept().await?;
        let mut asked = vec![0; 1024];
        let length = stream.read(&mut asked).await?;
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nServer: Apache\r\nContent-Length: 2\r\n\r\nno").await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(asked.get(..length).unwrap_or_default()).into_owned())
    };
    let names = names()?;
    let host = host()?;
    let (asked, answer) = tokio::join!(serve, names.http(&host, at, "/sign"));
    let (asked, answer) = (asked?, answer?);
    assert!(asked.starts_with("GET /sign HTTP/1.1\r\nHost: shop.example.com\r\n"), "{asked}");
    assert_eq!((answer.status, answer.server.as_deref(), answer.body.as_str()), (404, Some("Apache"), "no"));
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_seen_all_the_same() -> Outcome {
    let cert = self_signed(&[host()?], SystemClock.wall())?;
    let chain =
        CertificateDer::pem_slice_iter(cert.certificate.chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(cert.certificate.key.expose().as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let serve = async {
        let (stream, _) = listener.accept().await?;
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(drop)
    };
    let names = names()?;
    let host = host()?;
    let (served, shown) = tokio::join!(serve, names.tls(&host, at));
    served?;
    let shown = shown?;
    assert_eq!((shown.fingerprint, shown.not_after), (cert.fingerprint, cert.not_after));
    assert_eq!(shown.names, ["shop.example.com"]);
    Ok(())
}

#[tokio::test]
async fn where_nobody_listens_it_is_said() -> Outcome {
    let (names, host, at) = (names()?, host()?, closed().await?);
    for why in [names.http(&host, at, "/").await.err(), names.tls(&host, at).await.err()] {
        assert!(why.as_ref().is_some_and(|why| why.contains("refused")), "{why:?}");
    }
    Ok(())
}
