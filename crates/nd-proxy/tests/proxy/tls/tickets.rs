//! Tickets that outlive their process, and keys that change.

use std::io::{Error, Result};

use nd_proxy::{Proxy, SocketSet, TicketKeys};
use serde_json::Value;
use tokio_rustls::rustls::{HandshakeKind, version};

use super::Secure;
use super::authority::Visitor;
use crate::support::*;

const HOUR: u64 = 3600;

/// The same keys, made so much earlier.
fn older(keys: &TicketKeys, seconds: u64) -> Result<TicketKeys> {
    let mut text = serde_json::to_value(keys)?;
    for key in ["current", "previous"] {
        let born = text.get_mut(key).and_then(|key| key.get_mut("born"));
        if let Some(born) = born {
            *born = Value::from(born.as_u64().unwrap_or_default() - seconds);
        }
    }
    Ok(serde_json::from_value(text)?)
}

/// Another proxy in the place of this one, with these keys.
async fn succeeded_by(secure: &mut Secure, keys: Option<TicketKeys>) -> Result<()> {
    let main = SocketSet::bind(([127, 0, 0, 1], 0).into(), 2).map_err(Error::other)?;
    let next = Proxy::start_on(settings(), main, Vec::new(), keys).map_err(Error::other)?;
    secure.address = free_port().await?;
    let certificate = secure.authority.certificate(&["app.test"])?;
    apply(&next, secure.state(certificate)).await?;
    secure.proxy = next;
    Ok(())
}

async fn handshake(visitor: &Visitor, secure: &Secure) -> Result<Option<HandshakeKind>> {
    let stream = visitor.connect(secure.address, "app.test").await?;
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(Wire::new(stream).get("/").await?.status(), 200);
    Ok(kind)
}

#[tokio::test]
async fn a_ticket_is_good_with_the_next_process_and_with_no_stranger() -> Result<()> {
    let mut secure = Secure::start().await?;
    for wanted in [&version::TLS12, &version::TLS13] {
        let visitor = secure.visitor_speaking(wanted)?;
        assert_eq!(handshake(&visitor, &secure).await?, Some(HandshakeKind::Full));
        let keys = secure.proxy.ticket_keys().borrow().clone();
        succeeded_by(&mut secure, Some(keys)).await?;
        assert_eq!(handshake(&visitor, &secure).await?, Some(HandshakeKind::Resumed), "{wanted:?}");
        succeeded_by(&mut secure, None).await?;
        assert_eq!(handshake(&visitor, &secure).await?, Some(HandshakeKind::Full), "{wanted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_of_the_key_before_is_good_and_an_older_one_costs_a_full_handshake_and_nothing_else()
-> Result<()> {
    let mut secure = Secure::start().await?;
    for (hours, expected) in [
        (5, HandshakeKind::Resumed),
        (7, HandshakeKind::Resumed),
        (11, HandshakeKind::Resumed),
        (12, HandshakeKind::Full),
        (30, HandshakeKind::Full),
    ] {
        let visitor = secure.visitor()?;
        handshake(&visitor, &secure).await?;
        let keys = secure.proxy.ticket_keys().borrow().clone();
        let aged = older(&keys, hours * HOUR)?;
        succeeded_by(&mut secure, Some(aged.clone())).await?;
        assert_eq!(handshake(&visitor, &secure).await?, Some(expected), "after {hours} h");
        assert_eq!(
            handshake(&visitor, &secure).await?,
            Some(HandshakeKind::Resumed),
            "the new ticket is good"
        );
        assert_eq!(*secure.proxy.ticket_keys().borrow() == aged, hours < 6, "whether the keys have changed");
        assert_eq!(secure.proxy.stats().failed_handshakes, 0);
        succeeded_by(&mut secure, None).await?;
    }
    Ok(())
}
