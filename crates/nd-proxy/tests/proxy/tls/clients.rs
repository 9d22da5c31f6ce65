//! Clients that must show a certificate, and say which one.

use std::io::Result;
use std::sync::Arc;

use nd_types::ServiceTls;

use super::authority::{Authority, Visitor};
use super::{Secure, asking};
use crate::http2::client::{Client as Http2, to};
use crate::support::*;

/// An app that asks its clients for a certificate of these authorities.
async fn guarded(by: &Authority) -> Result<Secure> {
    let authorities = by.pem();
    Secure::start_with(|state, authority| {
        let other = authority.certificate(&["open.test"]);
        let wants = ServiceTls { client_ca: Some(authorities), ..ServiceTls::default() };
        let state = state.with(|service| service.tls = Arc::new(wants));
        state.route("open.test", "/", "app").tls(|tls| tls.certificates.extend(other))
    })
    .await
}

/// Shakes hands, and asks.
async fn status(secure: &Secure, visitor: &Visitor) -> Result<u16> {
    let mut wire = Wire::new(visitor.connect(secure.address, "app.test").await?);
    Ok(wire.get("/").await?.status())
}

fn failures(secure: &Secure, cause: &str) -> u64 {
    secure.proxy.stats().handshake_failures.get(cause).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_certificate_that_does_not_count_ends_the_handshake_and_its_cause_is_counted() -> Result<()> {
    let known = Authority::new()?;
    let secure = guarded(&known).await?;
    for (visitor, cause) in [
        (Visitor::showing(&secure.authority, &Authority::new()?)?, "client_certificate_issuer"),
        (Visitor::showing_expired(&secure.authority, &known)?, "client_certificate_expired"),
    ] {
        assert!(status(&secure, &visitor).await.is_err(), "{cause}");
        until(cause, || failures(&secure, cause) == 1).await?;
    }
    assert_eq!(status(&secure, &Visitor::showing(&secure.authority, &known)?).await?, 200);
    assert_eq!((secure.proxy.stats().failed_handshakes, secure.app.requests()), (2, 1));
    Ok(())
}

#[tokio::test]
async fn without_one_every_stream_is_told_so_and_the_app_hears_of_none() -> Result<()> {
    let known = Authority::new()?;
    let secure = guarded(&known).await?;
    assert_eq!(status(&secure, &secure.visitor()?).await?, 403);
    let stream = secure.visitor()?.offering(&["h2"]).connect(secure.address, "app.test").await?;
    let mut client = Http2::over(stream).await?;
    for _ in 0..2 {
        assert_eq!(client.ask(to("GET", "https://app.test/"), b"").await?.status(), 403);
    }
    assert_eq!(secure.app.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn a_connection_for_another_name_is_no_way_around_it() -> Result<()> {
    let known = Authority::new()?;
    let secure = guarded(&known).await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "open.test").await?);
    for host in ["app.test", "open.test"] {
        wire.send(asking(host)).await?;
        assert!(matches!(wire.response().await?.status(), 403 | 421), "{host}");
    }
    assert_eq!(secure.app.requests(), 0);
    Ok(())
}
