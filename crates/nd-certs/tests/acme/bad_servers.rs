//! What does not work, and what a user is told.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_certs::AcmeSettings;
use nd_core::ports::{CertIssuer, CertOrder, ChallengeKind, PortErrorKind};

use crate::support::{Off, Result, World, order, refused, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_the_authority_cannot_reach_is_said() -> Result<()> {
    let mut world = World::new(&[ChallengeKind::Http01]).await?;
    // Nobody listens where the authority looks.
    world.edge = Arc::new(crate::edge::Edge::listen(&[ChallengeKind::Http01]).await?);
    drop(std::mem::replace(
        &mut world.edge,
        Arc::new(crate::edge::Edge::listen(&[ChallengeKind::Http01]).await?),
    ));
    let error =
        refused(&world.issuer(world.settings())?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert!(error.kind.may_pass(), "{error:?}");
    assert!(told(&error).contains("prove a.example.com by http-01"), "{}", told(&error));
    assert_eq!(world.edge.shows(), 0, "it is taken away after a failure too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_is_not_ordered_unless_told_to() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.pebble.lead("a.example.com", Some(Ipv4Addr::new(203, 0, 113, 9)))?;
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
    // By one year the server's own certificate, of ten, says nothing; the new one does.
    let issuer = world.issuer_at(world.settings(), Arc::new(Off(366)))?;
    let error = refused(&issuer, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert!(told(&error).contains("which is 366 days ahead of the authority's"), "{}", told(&error));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_authority_a_certificate_is_still_renewed_by_the_third_of_its_life() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let cert = world.issue(&["a.example.com"]).await?;
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let down = AcmeSettings { directory: format!("https://localhost:{nobody}/dir"), ..world.settings() };
    let renewal = world.issuer(down)?.renewal(&cert).await?;
    assert!(renewal.why.contains("a third of its life"), "{renewal:?}");
    Ok(())
}
