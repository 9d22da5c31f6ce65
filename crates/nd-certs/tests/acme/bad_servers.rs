//! What does not work, and what a user is told.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_certs::AcmeSettings;
use nd_core::ports::{CertIssuer, CertOrder, ChallengeKind, PortErrorKind};

use crate::edge::Edge;
use crate::scripted::{Answer, Scripted};
use crate::support::{Off, Result, World, order, refused, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_the_authority_cannot_reach_is_said() -> Result<()> {
    let mut world = World::new(&[ChallengeKind::Http01]).await?;
    // Nobody listens where the authority looks.
    world.edge = Arc::new(Edge::listen(&[ChallengeKind::Http01]).await?);
    let error =
        refused(&world.issuer(world.settings())?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert!(error.kind.may_pass(), "{error:?}");
    assert!(told(&error).contains("prove a.example.com by http-01"), "{}", told(&error));
    assert!(told(&error).contains("let the world reach ports 80 and 443"), "{}", told(&error));
    assert_eq!(world.edge.shows(), 0, "it is taken away after a failure too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_is_not_ordered_unless_told_to() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.pebble.lead("a.example.com", Ipv4Addr::new(203, 0, 113, 9))?;
    // The tests' machine may have private addresses alone.
    let settings = AcmeSettings { addresses: vec!["203.0.113.1".parse()?], ..world.settings() };
    let issuer = world.issuer(settings)?;
    let error = refused(&issuer, &order(&["a.example.com"])?, &world.solvers()).await?;
    let says = "a.example.com leads to 203.0.113.9, not to this machine (203.0.113.1)";
    assert!(told(&error).starts_with(says), "{}", told(&error));
    assert!(error.kind.may_pass(), "somebody repairs the DNS, and nobody has to tell us");
    assert!(!world.pebble.log().contains("new-order"), "{}", world.pebble.log());
    // Told to, it asks, and the authority finds nobody there.
    let unchecked = CertOrder { unchecked: true, ..order(&["a.example.com"])? };
    let settings = AcmeSettings { timeout: Duration::from_secs(5), ..world.settings() };
    let error = refused(&world.issuer(settings)?, &unchecked, &world.solvers()).await?;
    assert!(!told(&error).contains("leads to"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_the_authority_refuses_is_named_with_its_reason() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let error =
        refused(&world.issuer(world.settings())?, &order(&["blocked.test"])?, &world.solvers()).await?;
    assert_eq!(error.kind, PortErrorKind::Invalid);
    assert!(told(&error).contains("blocked.test"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_the_authority_does_not_have_is_refused_with_those_it_has() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let wanted = CertOrder { profile: Some("eternal".to_owned()), ..order(&["a.example.com"])? };
    let error = refused(&world.issuer(world.settings())?, &wanted, &world.solvers()).await?;
    assert_eq!(error.kind, PortErrorKind::Invalid);
    assert!(told(&error).contains("no profile `eternal`"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_root_is_unknown_is_told_from_one_that_is_not_there() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let unknown = AcmeSettings { ca_file: None, ..world.settings() };
    let error = refused(&world.issuer(unknown)?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert_eq!(error.kind, PortErrorKind::Denied);
    assert!(told(&error).contains("ca_file"), "{}", told(&error));
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let down = AcmeSettings { directory: format!("https://localhost:{nobody}/dir"), ..world.settings() };
    let error = refused(&world.issuer(down)?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(told(&error).contains("firewall"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_years_is_named_as_the_cause() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    for days in [-3 * 366, 15 * 366] {
        let issuer = world.issuer_at(world.settings(), Arc::new(Off(days)))?;
        let began = Instant::now();
        let error = refused(&issuer, &order(&["a.example.com"])?, &world.solvers()).await?;
        assert!(told(&error).contains("this machine's clock"), "{days}: {}", told(&error));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // A year ahead the server's own certificate, of ten, says nothing; the new one does.
    for (days, says) in [(366, "366 days ahead of the authority's"), (-366, "before the beginning of")] {
        let issuer = world.issuer_at(world.settings(), Arc::new(Off(days)))?;
        let error = refused(&issuer, &order(&["a.example.com"])?, &world.solvers()).await?;
        let says = format!("set this machine's clock, which is {says}");
        assert!(told(&error).contains(&says), "{}", told(&error));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_authority_a_certificate_is_still_renewed_by_the_third_of_its_life() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let cert = world.issue(&["a.example.com"]).await?;
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let down = AcmeSettings { directory: format!("https://localhost:{nobody}/dir"), ..world.settings() };
    let renewal = world.issuer(down)?.renewal(&cert, &order(&["a.example.com"])?).await?;
    assert!(renewal.why.contains("a third of its life"), "{renewal:?}");
    Ok(())
}

/// What is told when a scripted server is asked for a certificate, with this world's edge and DNS.
async fn scripted_refusal(
    world: &World,
    script: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
) -> Result<nd_core::ports::PortError> {
    let server = Scripted::start(script).await?;
    refused(&world.issuer(server.settings())?, &order(&["a.example.com"])?, &world.solvers()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_garbage_is_quoted() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let html = "<html>Please log in to the hotel's network</html>";
    let error = scripted_refusal(&world, move |_, _| Answer::new(200, "", html)).await?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(told(&error).contains("no ACME directory (<html>Please log in"), "{}", told(&error));
    // Only later: a gateway in front of a directory that was cached somewhere.
    let late = move |_: &str, path: &str| Answer::new(200, "", html).filter(|_| path == "/newOrder");
    let error = scripted_refusal(&world, late).await?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    let broken = |_: &str, path: &str| Answer::new(502, "", "Bad gateway").filter(|_| path == "/newOrder");
    let error = scripted_refusal(&world, broken).await?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(told(&error).contains("HTTP 502 Bad Gateway: Bad gateway"), "{}", told(&error));
    let endless = "x".repeat(3 << 20);
    let error = scripted_refusal(&world, move |_, _| Answer::new(200, "", &endless)).await?;
    assert!(error.kind.may_pass(), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_told_with_the_time_to_wait() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    for (fields, wait) in [("Retry-After: 4711\r\n", 4711), ("", 3600)] {
        let limited = move |_: &str, path: &str| {
            Answer::problem(429, "rateLimited", fields).filter(|_| path == "/newOrder")
        };
        let error = scripted_refusal(&world, limited).await?;
        assert_eq!(
            (error.kind, error.retry_after),
            (PortErrorKind::Transient, Some(Duration::from_secs(wait)))
        );
        let says = "order a.example.com: as scripted; wait: it is tried again when the limit has passed";
        assert!(told(&error).starts_with(says), "{}", told(&error));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_dns_gives_to_other_authorities_is_not_ordered() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.pebble.caa("example.com", "other.test")?;
    let error = scripted_refusal(&world, |_, _| None).await?;
    assert_eq!(error.kind, PortErrorKind::Denied);
    let says = "the CAA records of a.example.com let only other.test issue for a.example.com";
    assert!(told(&error).starts_with(says), "{}", told(&error));
    assert!(told(&error).contains("CAA 0 issue \"ca.test\""), "{}", told(&error));
    // The authority itself may find records that we were not shown.
    let late = |_: &str, path: &str| Answer::problem(403, "caa", "").filter(|_| path == "/newOrder");
    world.pebble.caa("a.example.com", "ca.test")?;
    let error = scripted_refusal(&world, late).await?;
    assert_eq!(error.kind, PortErrorKind::Denied);
    assert!(told(&error).contains("CAA"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_not_ordered() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.pebble.lead_nowhere()?;
    let error =
        refused(&world.issuer(world.settings())?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert!(told(&error).starts_with("a.example.com has no A or AAAA record"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_says_when_to_renew_is_heard() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let cert = world.issue(&["a.example.com"]).await?;
    let (start, end) = (cert.not_before, cert.not_before + Duration::from_secs(3600));
    let server = Scripted::start(move |_, path| {
        let window = format!(
            r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}},"explanationURL":"https://a.test"}}"#
        );
        Answer::new(200, "Retry-After: 7200\r\n", &window).filter(|_| path.starts_with("/renewalInfo/"))
    })
    .await?;
    let renewal = world.issuer(server.settings())?.renewal(&cert, &order(&["a.example.com"])?).await?;
    assert!(start <= renewal.due && renewal.due <= end, "{renewal:?}");
    assert!(renewal.why.contains("https://a.test"), "{renewal:?}");
    let wait = renewal.ask_again.duration_since(nd_types::Timestamp::now()).as_secs();
    assert!((7100..=7200).contains(&wait), "{wait}");
    Ok(())
}
