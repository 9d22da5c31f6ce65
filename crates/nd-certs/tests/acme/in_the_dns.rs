//! Proofs that somebody writes into a zone: a real name server by signed updates, and a service by its API.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_certs::{Dns, DnsProvider, DnsProviderSettings, DnsSettings};
use nd_core::ports::{
    CertIssuer, ChallengeKind, ChallengeSolver, PortError, PortErrorKind, PortResult, Proof,
};
use nd_supervise::{TaskSet, blocking};
use nd_testkit::{Knot, PebbleOptions};
use nd_types::HostPattern;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::support::{Result, World, order, refused, told};

const RECORD: &str = "_acme-challenge.example.com";
/// A key that no server knows.
const WRONG_KEY: &str = "bm90IHRoZSBrZXkgb2YgdGhpcyBzZXJ2ZXIgYXQgYWw=";

async fn knot() -> Result<Arc<Knot>> {
    let started = || Knot::start("example.com").map_err(|error| error.to_string());
    Ok(Arc::new(blocking("knot", started).await??))
}

/// The TXT records that stand there now.
async fn txt(knot: &Arc<Knot>) -> Result<Vec<String>> {
    let knot = Arc::clone(knot);
    Ok(blocking("knotc", move || knot.txt(RECORD).map_err(|error| error.to_string())).await??)
}

/// Writes by updates to that server, with these settings beside.
fn updates(server: SocketAddr, key: &str, more: &[(&str, &str)]) -> Result<DnsProvider> {
    let server = server.to_string();
    let usual = [("type", "rfc2136"), ("server", &*server), ("key_name", Knot::KEY_NAME), ("key", key)];
    provider(&usual, more)
}

fn provider(usual: &[(&str, &str)], more: &[(&str, &str)]) -> Result<DnsProvider> {
    let written = usual.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let settings = DnsProviderSettings::read("lab", &written.collect())?;
    let server = usual.iter().find(|(key, _)| *key == "server").map(|(_, server)| server.parse());
    let servers = server.transpose()?.into_iter().collect();
    Ok(DnsProvider::new("lab".parse()?, settings, Dns::new(&DnsSettings { servers })?))
}

fn proof(value: &str) -> Result<Proof> {
    let name = HostPattern::new("example.com")?;
    Ok(Proof::Dns01 { name, record: RECORD.to_owned(), value: value.to_owned() })
}

fn refusal(done: PortResult<()>) -> Result<PortError> {
    done.err().ok_or_else(|| "it was done".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_parent_are_proven_by_signed_updates_and_only_their_records_are_gone_afterwards()
-> Result<()> {
    let knot = knot().await?;
    let options = PebbleOptions { dns: Some(knot.address()), ..PebbleOptions::default() };
    let world = World::with(&[ChallengeKind::Http01], options).await?;
    let lab = Arc::new(updates(knot.address(), Knot::KEY, &[])?);
    lab.present(&proof("of somebody else")?).await?;
    let solvers: [Arc<dyn ChallengeSolver>; 2] = [lab, world.edge.clone()];
    let names = order(&["example.com", "*.example.com"])?;
    let cert = world.issuer(world.settings())?.issue(&names, &solvers).await?;
    nd_certs::check_names(&cert, &order(&["example.com", "www.example.com"])?.names)?;
    assert_eq!(txt(&knot).await?, ["of somebody else"], "{}", knot.log());
    assert_eq!(world.edge.shows(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_order_that_failed_the_records_are_gone_too() -> Result<()> {
    let knot = knot().await?;
    // The authority asks other name servers, which show nothing.
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let solvers: [Arc<dyn ChallengeSolver>; 1] = [Arc::new(updates(knot.address(), Knot::KEY, &[])?)];
    let error = refused(&world.issuer(world.settings())?, &order(&["*.example.com"])?, &solvers).await?;
    assert!(told(&error).contains("prove example.com by dns-01"), "{}", told(&error));
    assert!(knot.log().contains("DDNS"), "it was written: {}", knot.log());
    assert_eq!(txt(&knot).await?.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_name_server_does_not_know_is_said_and_not_shown() -> Result<()> {
    let knot = knot().await?;
    for (key, more) in [(WRONG_KEY, ("timeout", "20s")), (Knot::KEY, ("algorithm", "hmac-sha512"))] {
        let lab = updates(knot.address(), key, &[more])?;
        let error = refusal(lab.present(&proof("v")?).await)?;
        assert_eq!(error.kind, PortErrorKind::Denied, "{}", told(&error));
        let begins = "write the TXT record _acme-challenge.example.com at lab: it refuses the signature: \
                      it knows another `key_name`, `key` or `algorithm`";
        assert!(told(&error).starts_with(begins), "{}", told(&error));
        assert!(told(&error).contains("[certs.dns_provider.lab]"), "{}", told(&error));
        assert!(!format!("{error:?}").contains(key), "{error:?}");
    }
    assert_eq!(txt(&knot).await?.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_is_down_is_said_within_the_time_it_has() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let _deaf = std::net::UdpSocket::bind(silent.local_addr()?)?;
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for server in [nobody, silent.local_addr()?] {
        for more in [[("timeout", "3s")].as_slice(), &[("timeout", "3s"), ("zone", "example.com")]] {
            let began = Instant::now();
            let error = refusal(updates(server, Knot::KEY, more)?.present(&proof("v")?).await)?;
            assert!(error.kind.may_pass(), "{error:?}");
            assert!(told(&error).contains("let this machine reach it"), "{}", told(&error));
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {}", began.elapsed(), told(&error));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_outside_of_every_zone_is_said_with_the_setting_that_names_one() -> Result<()> {
    let knot = knot().await?;
    let (name, value) = (HostPattern::new("other.test")?, "v".to_owned());
    let outside = Proof::Dns01 { name, record: "_acme-challenge.other.test".to_owned(), value };
    for (more, says) in [
        ([].as_slice(), "knows no zone that holds it"),
        (&[("zone", "example.com")], "it is not in the zone example.com of `[certs.dns_provider.lab]`"),
    ] {
        let error = refusal(updates(knot.address(), Knot::KEY, more)?.present(&outside).await)?;
        assert_eq!(error.kind, PortErrorKind::Invalid);
        assert!(told(&error).contains(says) && told(&error).contains("zone = "), "{}", told(&error));
    }
    Ok(())
}

/// A service with an API, as far as PowerDNS has one: it takes one key, and keeps what it was sent last.
struct Service {
    address: SocketAddr,
    sent: Arc<Mutex<String>>,
    _tasks: TaskSet,
}

impl Service {
    async fn start(key: &'static str, rrsets: &'static str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (address, sent) = (listener.local_addr()?, Arc::new(Mutex::new(String::new())));
        let (tasks, kept) = (TaskSet::new("service"), Arc::clone(&sent));
        tasks.spawn("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, key, rrsets, &kept).await.ok();
            }
        });
        Ok(Self { address, sent, _tasks: tasks })
    }

    fn provider(&self, token: &Path) -> Result<DnsProvider> {
        let (url, token) = (format!("http://{}", self.address), token.display().to_string());
        let usual =
            [("type", "powerdns"), ("url", &*url), ("api_key_file", &*token), ("zone", "example.com")];
        provider(&usual, &[("propagation_timeout", "0s")])
    }
}

async fn answer(stream: tokio::net::TcpStream, key: &str, rrsets: &str, sent: &Mutex<String>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while stream.read_line(&mut head).await? > 2 {
        let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let (status, text) = match head.to_ascii_lowercase().contains(&format!("x-api-key: {key}\r\n")) {
        false => (401, String::new()),
        true if head.starts_with("PATCH /api/v1/servers/localhost/zones/example.com. ") => {
            *sent.lock() = String::from_utf8(body)?;
            (204, String::new())
        }
        true => (200, format!(r#"{{"rrsets":[{rrsets}]}}"#)),
    };
    let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
    stream.get_mut().write_all(format!("{head}{text}").as_bytes()).await?;
    Ok(stream.get_mut().shutdown().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_written_by_the_api_of_a_service_beside_those_that_are_there() -> Result<()> {
    let there = r#"{"name":"_acme-challenge.example.com.","type":"TXT","ttl":60,
        "records":[{"content":"\"first\"","disabled":false}]}"#;
    let service = Service::start("the-key-of-a-service", there).await?;
    let place = tempfile::tempdir()?;
    let token = place.path().join("token");
    std::fs::write(&token, "the-key-of-a-service\n")?;
    let powerdns = service.provider(&token)?;
    powerdns.present(&proof("second")?).await?;
    let sent = service.sent.lock().clone();
    assert!(sent.contains("first") && sent.contains("second") && sent.contains("REPLACE"), "{sent}");
    powerdns.cleanup(&proof("first")?).await?;
    let sent = service.sent.lock().clone();
    assert!(sent.contains("DELETE") && !sent.contains("second"), "{sent}");
    // The file is read each time.
    std::fs::write(&token, "another-key-of-nobody")?;
    let error = refusal(powerdns.present(&proof("third")?).await)?;
    assert_eq!(error.kind, PortErrorKind::Denied);
    assert!(
        told(&error).contains("it refuses the key; give it a key that may change example.com"),
        "{error}"
    );
    assert!(!told(&error).contains("another-key"), "{}", told(&error));
    std::fs::remove_file(&token)?;
    let error = refusal(powerdns.present(&proof("third")?).await)?;
    assert!(told(&error).contains("read `api_key` in"), "{}", told(&error));
    Ok(())
}
