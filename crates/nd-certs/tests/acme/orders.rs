//! What works, at Pebble; every twentieth nonce is refused in all of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_certs::{AcmeSettings, Eab, KeyKind};
use nd_core::ports::{
    CertIssuer, CertOrder, ChallengeKind, ChallengeSolver, PortErrorKind, RevocationReason,
};
use nd_supervise::{Clock as _, SystemClock};
use nd_testkit::PebbleOptions;
use nd_testkit::contract::{ContractResult, cert_issuer};

use crate::support::{Result, World, files, order, refused, told};

#[tokio::test(flavor = "multi_thread")]
async fn the_acme_issuer_keeps_the_contract() -> ContractResult {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    cert_issuer::run(&cert_issuer::Subject {
        issuer: Arc::new(world.issuer(world.settings())?),
        order: order(&["a.example.com", "b.example.com"])?,
        solver: world.edge.clone(),
        proves: true,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_proven_by_tls_alpn_alone() -> Result<()> {
    let world = World::new(&[ChallengeKind::TlsAlpn01]).await?;
    let began = Instant::now();
    let cert = world.issue(&["a.example.com"]).await?;
    assert_eq!(cert.certificate.names.len(), 1);
    assert_eq!(world.edge.shows(), 0);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_parent_are_proven_by_a_hook_that_writes_into_the_dns() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let issuer = world.issuer(world.settings())?;
    let solvers: [Arc<dyn ChallengeSolver>; 2] = [world.edge.clone(), world.hook()?];
    let cert = issuer.issue(&order(&["example.com", "*.example.com"])?, &solvers).await?;
    nd_certs::check_names(&cert, &order(&["example.com", "www.example.com"])?.names)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_without_a_way_into_the_dns_is_refused_before_anybody_is_asked() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let issuer = world.issuer(world.settings())?;
    for (name, says) in [("*.example.com", "dns-01"), ("10.0.0.1", "no domain"), ("*", "no domain")] {
        let error = refused(&issuer, &order(&[name])?, &world.solvers()).await?;
        assert_eq!(error.kind, PortErrorKind::Invalid);
        assert!(told(&error).contains(says), "{}", told(&error));
    }
    assert_eq!(files(world.place.path())?.len(), 0, "an account was opened");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_not_there_where_it_alone_is_allowed_is_refused_before_anybody_is_asked() -> Result<()>
{
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let settings = AcmeSettings { challenges: vec![ChallengeKind::TlsAlpn01], ..world.settings() };
    let error = refused(&world.issuer(settings)?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert_eq!(error.kind, PortErrorKind::Invalid);
    let says = "`challenges` allows tls-alpn-01 alone, and what serves the name can only do http-01";
    assert!(told(&error).contains(says), "{}", told(&error));
    assert_eq!(files(world.place.path())?.len(), 0, "an account was opened");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_kept_private_and_used_again() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.issue(&["a.example.com"]).await?;
    let account = files(world.place.path())?;
    let [file] = account.as_slice() else { return Err(format!("{account:?}").into()) };
    assert_eq!(fs::metadata(file)?.permissions().mode() & 0o777, 0o600);
    let before = fs::read(file)?;
    world.issue(&["b.example.com"]).await?;
    assert_eq!(fs::read(file)?, before);
    // With another address it is the same account.
    let settings = AcmeSettings { email: Some("you@example.com".to_owned()), ..world.settings() };
    world.issuer(settings)?.issue(&order(&["c.example.com"])?, &world.solvers()).await?;
    assert_eq!(id(&before)?, id(&fs::read(file)?)?);
    assert!(String::from_utf8(fs::read(file)?)?.contains("you@example.com"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_has_an_account_of_its_own_which_alone_may_revoke_what_it_ordered() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let issuer = world.issuer(world.settings())?;
    let of = |email: &str, name: &str| {
        Ok::<_, Box<dyn std::error::Error>>(CertOrder { email: Some(email.to_owned()), ..order(&[name])? })
    };
    issuer.issue(&of("me@example.com", "a.example.com")?, &world.solvers()).await?;
    let usual = files(world.place.path())?;
    assert_eq!(usual.len(), 1, "the address of the settings is that of the usual account: {usual:?}");
    let cert = issuer.issue(&of("shop@example.com", "b.example.com")?, &world.solvers()).await?;
    issuer.issue(&of("shop@example.com", "c.example.com")?, &world.solvers()).await?;
    issuer.issue(&of("blog@example.com", "d.example.com")?, &world.solvers()).await?;
    let all = files(world.place.path())?;
    assert_eq!(all.len(), 3, "{all:?}");
    let kept = all.iter().map(fs::read_to_string).collect::<std::result::Result<Vec<_>, _>>()?.concat();
    assert!(
        ["me", "shop", "blog"].iter().all(|name| kept.contains(&format!("\"{name}@example.com\""))),
        "{all:?}"
    );
    issuer.revoke(&cert, RevocationReason::Superseded).await?;
    Ok(())
}

fn id(account: &[u8]) -> Result<String> {
    let account: serde_json::Value = serde_json::from_slice(account)?;
    let text = |name: &str| account.pointer(name).and_then(|value| value.as_str().map(ToOwned::to_owned));
    text("/credentials/id").ok_or_else(|| "an account without an id".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_gets_another_key_and_serves_on() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    world.issue(&["a.example.com"]).await?;
    let before = fs::read(files(world.place.path())?.first().ok_or("no account")?)?;
    world.issuer(world.settings())?.roll_over().await?;
    let after = fs::read(files(world.place.path())?.first().ok_or("no account")?)?;
    assert_ne!(before, after);
    assert_eq!(id(&before)?, id(&after)?);
    world.issue(&["b.example.com"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_authority_forgot_is_replaced() -> Result<()> {
    let old = World::new(&[ChallengeKind::Http01]).await?;
    old.issue(&["a.example.com"]).await?;
    let new = World::new(&[ChallengeKind::Http01]).await?;
    // The same settings lead to the file of the old account: as if the authority had been set up anew.
    let text = fs::read_to_string(files(old.place.path())?.first().ok_or("no account")?)?;
    let text = text.replace(&port(old.pebble.directory())?, &port(new.pebble.directory())?);
    new.issue(&["a.example.com"]).await?;
    let file = files(new.place.path())?.first().ok_or("no account")?.clone();
    fs::write(&file, text)?;
    new.issue(&["b.example.com"]).await?;
    let names: Vec<_> =
        files(new.place.path())?.iter().filter_map(|path| path.file_name().map(ToOwned::to_owned)).collect();
    assert_eq!(names, ["account.json", "account.lost.json"]);
    Ok(())
}

fn port(directory: &str) -> Result<String> {
    Ok(directory.split([':', '/']).nth(4).ok_or("a URL without a port")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_at_other_services_is_used_where_the_authority_wants_one() -> Result<()> {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".to_owned();
    let options = PebbleOptions { eab: Some(("kid-1".to_owned(), key.clone())), ..PebbleOptions::default() };
    let world = World::with(&[ChallengeKind::Http01], options).await?;
    let without =
        refused(&world.issuer(world.settings())?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert_eq!(without.kind, PortErrorKind::Invalid);
    assert!(told(&without).contains("eab"), "{}", told(&without));
    let with = |kid: &str| AcmeSettings {
        eab: Some(Eab { kid: kid.to_owned(), hmac_key: key.clone() }),
        ..world.settings()
    };
    let wrong = refused(&world.issuer(with("kid-2"))?, &order(&["a.example.com"])?, &world.solvers()).await?;
    assert!(!wrong.kind.may_pass(), "{wrong:?}");
    world.issuer(with("kid-1"))?.issue(&order(&["a.example.com"])?, &world.solvers()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_revoked_once_or_twice_and_another_one_takes_its_place() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    let issuer = world.issuer(world.settings())?;
    let cert = issuer.issue(&order(&["a.example.com"])?, &world.solvers()).await?;
    for _ in 0..2 {
        issuer.revoke(&cert, RevocationReason::Superseded).await?;
    }
    let wanted = CertOrder { replaces: Some(cert.clone()), ..order(&["a.example.com"])? };
    assert_ne!(issuer.issue(&wanted, &world.solvers()).await?.serial, cert.serial);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_few_minutes_is_renewed_within_them() -> Result<()> {
    let validity = Duration::from_secs(120);
    let world =
        World::with(&[ChallengeKind::Http01], PebbleOptions { validity, ..PebbleOptions::default() }).await?;
    let issuer = world.issuer(world.settings())?;
    let cert = issuer.issue(&order(&["a.example.com"])?, &world.solvers()).await?;
    let renewal = issuer.renewal(&cert, &order(&["a.example.com"])?).await?;
    assert!(renewal.due < cert.not_after && renewal.due > cert.not_before, "{renewal:?}");
    assert!(cert.not_after.duration_since(SystemClock.wall()).as_secs() < 130);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_chains_the_preferred_one_is_taken() -> Result<()> {
    let options = PebbleOptions { alternate_roots: 2, ..PebbleOptions::default() };
    let world = World::with(&[ChallengeKind::Http01], options).await?;
    let usual = world.issue(&["a.example.com"]).await?;
    let roots = last_issuers(&world, &usual.certificate.chain).await?;
    assert!(roots.len() >= 2, "{roots:?}");
    for root in roots {
        let wanted = CertOrder { preferred_chain: Some(root.clone()), ..order(&["a.example.com"])? };
        let cert = world.issuer(world.settings())?.issue(&wanted, &world.solvers()).await?;
        assert_eq!(last_issuer(&cert.certificate.chain)?, root);
    }
    Ok(())
}

/// The common names of all the authority's roots, that of this chain first.
async fn last_issuers(world: &World, chain: &str) -> Result<Vec<String>> {
    let mut found = vec![last_issuer(chain)?];
    for number in 0..3 {
        let pem = world.pebble.root(number);
        let pem = nd_supervise::blocking("curl", pem).await?.map_err(|error| error.to_string())?;
        // A root signed itself.
        let name = last_issuer(&pem)?;
        if !found.contains(&name) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Who signed the last certificate of a chain.
fn last_issuer(chain: &str) -> Result<String> {
    use rustls::pki_types::pem::PemObject;
    let last = rustls::pki_types::CertificateDer::pem_slice_iter(chain.as_bytes())
        .last()
        .ok_or("no certificate")??;
    let (_, certificate) = x509_parser::parse_x509_certificate(&last)?;
    let common = certificate.issuer().iter_common_name().next().ok_or("no common name")?;
    Ok(common.as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_of_the_kind_that_is_wanted() -> Result<()> {
    let world = World::new(&[ChallengeKind::Http01]).await?;
    for key in [KeyKind::EcdsaP384, KeyKind::Rsa2048] {
        let settings = AcmeSettings { key, ..world.settings() };
        world.issuer(settings)?.issue(&order(&["a.example.com"])?, &world.solvers()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_survives_an_authority_that_refuses_every_fourth_nonce() -> Result<()> {
    let options = PebbleOptions { refused_nonces: 25, ..PebbleOptions::default() };
    let world = World::with(&[ChallengeKind::Http01], options).await?;
    for number in 0..4 {
        world.issue(&[&format!("n{number}.example.com")]).await?;
    }
    Ok(())
}
