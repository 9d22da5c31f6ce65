//! The PROXY protocol, from balancers that are trusted to speak it.

use std::io::Result;
use std::time::Duration;

use super::support::*;

async fn introduced(app: &Upstream) -> Result<nd_proxy::Proxy> {
    let proxy = start(Settings {
        proxy_protocol: vec![parsed("127.0.0.0/8")?],
        header_read_timeout: Duration::from_millis(200),
        ..settings()
    })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    Ok(proxy)
}

#[tokio::test]
async fn the_client_that_is_introduced_is_the_client() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app).await?;
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\0\x50\0\x51";
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n".as_slice(), v2] {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send(header).await?;
        for _ in 0..2 {
            let text = client.get("/").await?.text();
            assert!(text.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_must_introduce_a_client_and_does_not_is_closed_without_a_word() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app).await?;
    for bytes in ["GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", "PROXY TCP4 nobody\r\n", "PROXY TCP4 192", ""] {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send(bytes).await?;
        client.closed().await?;
    }
    assert_eq!(app.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn nobody_else_may_introduce_a_client() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    assert_eq!((client.response().await?.status(), app.requests()), (400, 0));
    Ok(())
}
