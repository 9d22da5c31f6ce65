//! Handshakes: versions, resumption, torn and slow ones; and how connections behind them end.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nd_supervise::TaskSet;
use nd_types::ServiceTls;
use tokio::io::AsyncReadExt;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CipherSuite, ClientConnection, HandshakeKind, ProtocolVersion, version};

use super::authority::Visitor;
use super::{Secure, asking};
use crate::http2::client::Client as Http2;
use crate::support::*;

#[tokio::test]
async fn two_versions_are_spoken_and_both_carry_http_2() -> Result<()> {
    let secure = Secure::start().await?;
    for (wanted, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let visitor = secure.visitor_speaking(wanted)?.offering(&["h2"]);
        let stream = visitor.connect(secure.address, "app.test").await?;
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(expected));
        // RFC 9113, section 9.2.2: ephemeral keys and authenticated encryption, or the connection is no good for HTTP/2.
        let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let suite = suite.unwrap_or_default();
        assert!(suite.contains("GCM") || suite.contains("CHACHA20_POLY1305"), "{suite}");
        assert!(suite.starts_with("TLS13_") || suite.starts_with("TLS_ECDHE_"), "{suite}");
        assert_eq!(Http2::over(stream).await?.get("/").await?.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn aes_128_comes_first_unless_the_client_would_rather_have_chacha20() -> Result<()> {
    use CipherSuite::{
        TLS13_AES_128_GCM_SHA256 as AES_128, TLS13_AES_256_GCM_SHA384 as AES_256,
        TLS13_CHACHA20_POLY1305_SHA256 as CHACHA20,
    };
    let secure = Secure::start().await?;
    for (offered, chosen) in [
        (&[AES_256, CHACHA20, AES_128][..], AES_128),
        (&[CHACHA20, AES_128, AES_256], CHACHA20),
        (&[AES_256], AES_256),
    ] {
        let visitor = Visitor::preferring(&secure.authority, offered)?;
        let stream = visitor.connect(secure.address, "app.test").await?;
        let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(chosen), "{offered:?}");
        assert_eq!(Wire::new(stream).get("/").await?.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_is_good_with_every_worker_and_with_either_version() -> Result<()> {
    let secure = Secure::start().await?;
    for wanted in [&version::TLS12, &version::TLS13] {
        let visitor = secure.visitor_speaking(wanted)?;
        let mut kinds = Vec::new();
        for _ in 0..12 {
            let stream = visitor.connect(secure.address, "app.test").await?;
            kinds.push(stream.get_ref().1.handshake_kind());
            // The ticket comes with the first answer at the latest.
            Wire::new(stream).get("/").await?;
        }
        let resumed = kinds.iter().filter(|kind| **kind == Some(HandshakeKind::Resumed)).count();
        assert_eq!((kinds.first(), resumed), (Some(&Some(HandshakeKind::Full)), 11), "{wanted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_greeting_may_come_in_many_pieces() -> Result<()> {
    let secure = Secure::start().await?;
    let name = ServerName::try_from("app.test").map_err(Error::other)?;
    let config = Arc::new(secure.visitor()?.into_config());
    let mut hello = Vec::new();
    ClientConnection::new(config, name).map_err(Error::other)?.write_tls(&mut hello)?;
    let whole = hello.clone();
    let message = hello.split_off(5);
    let records = message.chunks(100).flat_map(|piece| {
        let length = u16::try_from(piece.len()).unwrap_or_default().to_be_bytes();
        [&[22, 3, 1][..], &length, piece].concat()
    });
    for hello in [records.collect::<Vec<u8>>(), whole] {
        let mut wire = Wire::connect(secure.address).await?;
        for piece in hello.chunks(7) {
            wire.send(piece).await?;
            tokio::task::yield_now().await;
        }
        let answer = wire.exactly(6).await?;
        // A handshake record with a ServerHello.
        assert_eq!((answer.first(), answer.last()), (Some(&22), Some(&2)));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_handshake_is_refused_and_counted_and_others_go_on() -> Result<()> {
    let secure = Secure::start().await?;
    let mut good = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    for garbage in [&[22, 3, 1, 0, 4, 9, 9, 9, 9][..], &[22, 3, 1, 255, 255, 1, 2], &[22, 9, 9]] {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(garbage).await?;
        wire.finish().await?;
        wire.rest().await?;
    }
    until("they are counted", || secure.proxy.stats().failed_handshakes == 3).await?;
    assert_eq!(good.get("/").await?.status(), 200);
    assert_eq!(secure.proxy.stats().handshakes, 1);
    Ok(())
}

#[tokio::test]
async fn clients_that_go_no_further_than_their_handshake_leave_room_for_others() -> Result<()> {
    let settings = Settings { max_connections: 16, workers: 1, ..settings() };
    let secure = Secure::start_on(start(settings)?, |state, _| state).await?;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(Wire::connect(secure.address).await?);
    }
    until("all of them are there", || secure.proxy.stats().connections == 8).await?;
    Wire::connect(secure.address).await?.closed().await?;
    assert_eq!(Wire::connect(secure.proxy.http_addr()).await?.get("/").await?.status(), 200);
    drop(silent);
    until("they are gone", || secure.proxy.stats().connections == 0).await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn certificates_that_change_all_the_time_cost_no_handshake_and_no_connection() -> Result<()> {
    let mut secure = Secure::start().await?;
    let visitor = Arc::new(secure.visitor()?);
    let (done, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tasks = TaskSet::new("visitors");
    let mut visitors = Vec::new();
    for keeps in [true, true, false, false] {
        let (visitor, done, count) = (Arc::clone(&visitor), Arc::clone(&done), Arc::clone(&count));
        let address = secure.address;
        visitors.push(tasks.spawn_with("visitor", async move {
            let mut wire = Wire::new(visitor.connect(address, "app.test").await?);
            while !done.load(Ordering::SeqCst) {
                if !keeps {
                    wire = Wire::new(visitor.connect(address, "app.test").await?);
                }
                assert_eq!(wire.get("/").await?.status(), 200);
                count.fetch_add(1, Ordering::SeqCst);
            }
            Result::Ok(())
        }));
    }
    for _ in 0..30 {
        secure.generation += 1;
        let certificate = secure.authority.certificate(&["app.test"])?;
        apply(&secure.proxy, secure.state(certificate)).await?;
        let seen = count.load(Ordering::SeqCst);
        until("further answers", || count.load(Ordering::SeqCst) > seen + 4).await?;
    }
    done.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.map_err(Error::other)??;
    }
    assert_eq!(secure.proxy.stats().failed_handshakes, 0);
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_connection_is_said() -> Result<()> {
    let secure = Secure::start().await?;
    for asked in [
        "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n",
    ] {
        let mut stream = secure.visitor()?.connect(secure.address, "app.test").await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, asked.as_bytes()).await?;
        let mut answer = Vec::new();
        // Without it this is an error: the connection might have been torn.
        within("the end", stream.read_to_end(&mut answer)).await??;
        assert!(answer.starts_with(b"HTTP/1."), "{asked}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_without_a_length_that_was_cut_is_not_taken_for_whole() -> Result<()> {
    let mut secure = Secure::start().await?;
    let endless = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await
    })
    .await?;
    secure.generation += 1;
    let state = State::new(2).app("app", "bbbbbb", &[endless.address]);
    let certificate = secure.authority.certificate(&["app.test"])?;
    let state = state.tls(|tls| (tls.listen, tls.certificates) = (vec![secure.address], vec![certificate]));
    apply(&secure.proxy, state).await?;
    let mut stream = secure.visitor()?.connect(secure.address, "app.test").await?;
    let asked = "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, asked.as_bytes()).await?;
    let mut answer = Vec::new();
    let end = within("the end", stream.read_to_end(&mut answer)).await?;
    let kind = end.err().map(|error| error.kind());
    assert!(matches!(kind, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)), "{kind:?}");
    Ok(())
}

#[tokio::test]
async fn a_websocket_passes_through_tls() -> Result<()> {
    let mut secure = Secure::start().await?;
    let echo = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await?;
        loop {
            let frame = wire.exactly(8).await?;
            wire.send([&[0x82, 2][..], frame.get(6..).unwrap_or_default()].concat()).await?;
        }
    })
    .await?;
    secure.generation += 1;
    let certificate = secure.authority.certificate(&["app.test"])?;
    let state = State::new(2).app("app", "bbbbbb", &[echo.address]);
    let state = state.tls(|tls| (tls.listen, tls.certificates) = (vec![secure.address], vec![certificate]));
    apply(&secure.proxy, state).await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    wire.send(
        "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    .await?;
    assert_eq!(wire.response().await?.status(), 101);
    for _ in 0..3 {
        wire.send([0x82, 0x82, 0, 0, 0, 0, b'h', b'i']).await?;
        assert_eq!(wire.exactly(4).await?, [0x82, 2, b'h', b'i']);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_was_let_in_by_authorities_that_count_no_more_is_asked_again() -> Result<()> {
    let mut secure = Secure::start().await?;
    let (old, new) = (super::Authority::new()?, super::Authority::new()?);
    let certificate = secure.authority.certificate(&["app.test"])?;
    let guarded = |secure: &Secure, authorities: String| {
        let wants = ServiceTls { client_ca: Some(authorities), ..ServiceTls::default() };
        secure.state(Arc::clone(&certificate)).with(|service| service.tls = Arc::new(wants))
    };
    secure.generation += 1;
    apply(&secure.proxy, guarded(&secure, old.pem())).await?;
    let mut wire =
        Wire::new(Visitor::showing(&secure.authority, &old)?.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 200);
    secure.generation += 1;
    apply(&secure.proxy, guarded(&secure, new.pem())).await?;
    assert_eq!(wire.get("/").await?.status(), 403);
    Ok(())
}

#[tokio::test]
async fn an_address_with_tls_that_is_not_open_is_nobody_led_to() -> Result<()> {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut secure = Secure::start().await?;
    secure.generation += 1;
    let wants = ServiceTls { redirect: true, ..ServiceTls::default() };
    let state = secure.state(secure.authority.certificate(&["app.test"])?);
    let state = state.with(|service| service.tls = Arc::new(wants));
    let taken = holder.local_addr()?;
    let state = state.tls(|tls| tls.listen = vec![taken]).build()?;
    assert_eq!(secure.proxy.apply(state).await.map_err(Error::other)?.faults.len(), 1);
    let mut wire = Wire::connect(secure.proxy.http_addr()).await?;
    wire.send(asking("app.test")).await?;
    assert_eq!(wire.response().await?.status(), 200);
    Ok(())
}
