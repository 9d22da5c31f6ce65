//! What is counted and written down of each request.

use std::io::{Error, Result};

use nd_proxy::{AccessLog, Proxy, Settings};
use nd_types::{AccessEnd, AccessRecord};

use super::support::*;

/// The next records, in the order in which their requests ended.
async fn records(proxy: &Proxy, count: usize) -> Result<Vec<AccessRecord>> {
    let mut found = Vec::new();
    while found.len() < count {
        let next = within("an access record", proxy.records().next()).await?;
        let batch = next.ok_or_else(|| Error::other("no more records"))?.done();
        let lines = String::from_utf8(batch.lines).map_err(Error::other)?;
        assert_eq!(lines.lines().count() as u64, batch.count);
        for line in lines.lines() {
            found.push(serde_json::from_str(line).map_err(|error| Error::other(format!("{error}: {line}")))?);
        }
    }
    Ok(found)
}

async fn record(proxy: &Proxy) -> Result<AccessRecord> {
    records(proxy, 1).await?.pop().ok_or_else(|| Error::other("no record"))
}

#[tokio::test]
async fn a_request_leaves_a_record_with_everything_about_it() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send(
            "POST /a?b=\"c\" HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nX-Request-Id: mine\r\n\
             User-Agent: curl/8 \"\\\u{e4}\r\nReferer: http://x.y/\r\n\r\nhello",
        )
        .await?;
    let answer = client.response().await?;
    assert!(answer.text().contains("User-Agent: curl/8"), "the app gets it all the same: {}", answer.text());
    let record = record(&proxy).await?;
    assert_eq!(record.app.map(|app| app.to_string()).as_deref(), Some("app"));
    assert_eq!(record.release.map(|release| release.to_string()).as_deref(), Some("aaaaaa"));
    assert_eq!(record.instance, Some(unit("app", "aaaaaa", 1)?));
    assert_eq!(
        (record.id.as_str(), record.client.as_str(), record.method.as_str()),
        ("mine", "127.0.0.1", "POST")
    );
    assert_eq!((record.host.as_str(), record.path.as_str()), ("app.test", "/a?b=\"c\""));
    assert_eq!((record.user_agent.as_str(), record.referrer.as_str()), ("curl/8 \"\\\u{e4}", "http://x.y/"));
    assert_eq!((record.status, record.bytes_in, record.bytes_out), (200, 5, answer.body.len() as u64));
    assert_eq!((record.protocol.as_str(), record.retries, record.end), ("HTTP/1.1", 0, AccessEnd::Complete));
    assert!(record.upstream_ms.is_some_and(|upstream| upstream > 0.0 && upstream <= record.total_ms));
    Ok(())
}

#[tokio::test]
async fn what_is_refused_retried_or_cut_says_so() -> Result<()> {
    let flaky = Upstream::raw(|mut wire, number| async move {
        wire.message(Kind::Request).await?;
        match number {
            0 => Ok(()),
            _ => wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await,
        }
    })
    .await?;
    let proxy = start_for(&flaky).await?;
    let client = Wire::connect(proxy.http_addr()).await;
    client?.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    let cut = record(&proxy).await?;
    assert_eq!((cut.status, cut.bytes_out, cut.retries, cut.end), (200, 4, 1, AccessEnd::Cut));

    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 404);
    client.send("GARBAGE\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 400);
    let refused = records(&proxy, 2).await?;
    let statuses: Vec<_> = refused.iter().map(|one| (one.status, one.end, one.app.is_none())).collect();
    assert_eq!(statuses, [(404, AccessEnd::Refused, true), (400, AccessEnd::Refused, true)]);
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_counts_as_499() -> Result<()> {
    let silent = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.closed().await
    })
    .await?;
    let proxy = start_for(&silent).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the app has the request", || silent.requests() == 1).await?;
    drop(client);
    let record = record(&proxy).await?;
    assert_eq!((record.status, record.end, record.upstream_ms), (499, AccessEnd::ClientGone, None));
    let stats = proxy.stats();
    let traffic = stats.apps.values().next().and_then(|app| app.releases.values().next());
    assert_eq!(traffic.and_then(|traffic| traffic.codes.get(&499)), Some(&1));
    Ok(())
}

#[tokio::test]
async fn figures_are_kept_by_release() -> Result<()> {
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start_for(&old).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.get("/1").await?;
    client.get("/2").await?;
    apply(&proxy, State::new(2).app("app", "bbbbbb", &[new.address])).await?;
    client.get("/3").await?;
    let ended = || {
        let stats = proxy.stats();
        let app = stats.apps.values().next().cloned().unwrap_or_default();
        app.releases
            .values()
            .map(|one| (one.codes.get(&200).copied(), one.latency.count()))
            .collect::<Vec<_>>()
    };
    until("all are counted", || ended() == [(Some(2), 2), (Some(1), 1)]).await
}

#[tokio::test]
async fn nothing_is_written_where_nothing_is_wanted() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { access_log: AccessLog::Off, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    Wire::connect(proxy.http_addr()).await?.get("/").await?;
    proxy.shutdown(std::time::Duration::ZERO).await;
    assert!(within("the end of the records", proxy.records().next()).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn the_last_records_come_with_the_end_of_the_proxy() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    Wire::connect(proxy.http_addr()).await?.get("/last").await?;
    proxy.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(record(&proxy).await?.path, "/last");
    Ok(())
}

#[tokio::test]
async fn a_record_names_the_protocol_of_its_request() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = crate::http2::client::Client::connect(proxy.http_addr()).await?;
    client.get("/x").await?;
    let record = record(&proxy).await?;
    assert_eq!((record.protocol.as_str(), record.path.as_str(), record.status), ("HTTP/2.0", "/x", 200));
    Ok(())
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_record_names_the_client_that_it_names() -> Result<()> {
    let app = Upstream::named("app").await?;
    let trusted = vec![parsed("127.0.0.1")?, parsed("10.0.0.0/8")?];
    for (trusted_proxies, expected) in [(trusted, "192.0.2.7"), (vec![], "127.0.0.1")] {
        let proxy = start(Settings { trusted_proxies, ..settings() })?;
        apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        let chain = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.1\r\n";
        client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{chain}\r\n")).await?;
        assert_eq!(client.response().await?.status(), 200);
        assert_eq!(record(&proxy).await?.client, expected);
    }
    Ok(())
}
