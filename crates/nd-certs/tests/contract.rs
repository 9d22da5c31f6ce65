//! The issuers that ask nobody, and the store, keep the contracts of their ports.

use std::path::Path;
use std::sync::Arc;

use nd_certs::{CertsOnDisk, InternalCa, OwnFiles, check_names, read, self_signed};
use nd_core::ports::{CertFiles, CertIssuer, CertOrder, CertStore, ChallengeKind, KeptCert, PortErrorKind};
use nd_supervise::{Clock, SystemClock};
use nd_testkit::contract::{ContractResult, cert_issuer, cert_store};
use nd_testkit::fake::FakeSolver;
use nd_types::{HostPattern, Timestamp};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn names(names: &[&str]) -> Result<Vec<HostPattern>> {
    Ok(names.iter().map(|name| HostPattern::pattern(name)).collect::<std::result::Result<_, _>>()?)
}

fn internal(dir: &Path) -> Result<InternalCa> {
    Ok(InternalCa::new("internal".parse()?, dir, Arc::new(SystemClock)))
}

#[tokio::test]
async fn the_internal_authority_keeps_the_contract() -> ContractResult {
    let place = tempfile::tempdir()?;
    cert_issuer::run(&cert_issuer::Subject {
        issuer: Arc::new(internal(place.path())?),
        order: CertOrder { names: names(&["shop.localhost", "*.internal"])?, ..CertOrder::default() },
        solver: Arc::new(FakeSolver::new(&[ChallengeKind::Http01])),
        proves: false,
    })
    .await
}

#[tokio::test]
async fn certificates_of_the_internal_authority_lead_to_one_root_that_outlives_the_daemon() -> ContractResult
{
    let place = tempfile::tempdir()?;
    let order = CertOrder { names: names(&["shop.localhost"])?, ..CertOrder::default() };
    let root = internal(place.path())?.root().await?.ok_or("no root")?;
    for _ in 0..2 {
        let cert = internal(place.path())?.issue(&order, &[]).await?;
        assert!(cert.certificate.chain.ends_with(&root.pem));
        assert_eq!(cert.signed_by, root.name);
        // Reading checks that each one signed the one before it.
        read(&cert.certificate.chain, &cert.certificate.key)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_store_on_disk_keeps_the_contract() -> ContractResult {
    let place = tempfile::tempdir()?;
    let kept = |list: &'static [&'static str]| {
        let cert = self_signed(&names(list)?, SystemClock.wall())?;
        Ok::<_, Box<dyn std::error::Error>>(KeptCert { issuer: None, cert })
    };
    let certs = [kept(&["a.test"])?, kept(&["*.b.test"])?, kept(&["a.test", "c.test"])?];
    let open = || Arc::new(CertsOnDisk::new(place.path(), Arc::new(SystemClock))) as Arc<dyn CertStore>;
    cert_store::run(open, certs).await
}

/// Files of a user's own, and an issuer that reads them.
struct Own {
    _place: tempfile::TempDir,
    issuer: OwnFiles,
    order: CertOrder,
    files: CertFiles,
}

impl Own {
    fn new() -> Result<Self> {
        let place = tempfile::tempdir()?;
        let files = CertFiles { chain: place.path().join("chain.pem"), key: place.path().join("key.pem") };
        let order =
            CertOrder { names: names(&["a.test"])?, files: Some(files.clone()), ..CertOrder::default() };
        let issuer = OwnFiles::new("custom".parse()?, Arc::new(SystemClock));
        Ok(Self { _place: place, issuer, order, files })
    }

    /// Puts a new certificate there.
    fn put(&self, list: &[&str]) -> Result<()> {
        self.put_of(list, SystemClock.wall())
    }

    /// Puts one there that was made then.
    fn put_of(&self, list: &[&str], made: Timestamp) -> Result<()> {
        let cert = self_signed(&names(list)?, made)?;
        std::fs::write(&self.files.chain, &cert.certificate.chain)?;
        Ok(std::fs::write(&self.files.key, cert.certificate.key.expose())?)
    }
}

#[tokio::test]
async fn a_certificate_in_files_is_read_again_when_they_change() -> ContractResult {
    let own = Own::new()?;
    own.put(&["a.test", "b.test"])?;
    let first = own.issuer.issue(&own.order, &[]).await?;
    check_names(&first, &names(&["b.test"])?)?;
    assert_eq!(own.issuer.renewal(&first, &own.order).await?.due, first.not_after);
    own.put(&["a.test"])?;
    let changed = own.issuer.renewal(&first, &own.order).await?;
    assert!(changed.due <= SystemClock.wall(), "{changed:?}");
    let second = own.issuer.issue(&own.order, &[]).await?;
    assert_ne!(first.serial, second.serial);
    assert_eq!(own.issuer.renewal(&second, &own.order).await?.due, second.not_after);
    Ok(())
}

#[tokio::test]
async fn other_files_of_a_later_order_are_read_at_once() -> ContractResult {
    let (before, after) = (Own::new()?, Own::new()?);
    before.put(&["a.test"])?;
    after.put(&["a.test"])?;
    let cert = before.issuer.issue(&before.order, &[]).await?;
    let renewal = before.issuer.renewal(&cert, &after.order).await?;
    assert!(renewal.due <= SystemClock.wall(), "{renewal:?}");
    Ok(())
}

#[tokio::test]
async fn a_certificate_in_files_that_has_expired_is_refused_with_its_end_and_what_the_clock_shows()
-> ContractResult {
    let own = Own::new()?;
    own.put_of(&["a.test"], Timestamp::from_second(1_000_000_000)?)?;
    let error = own.issuer.issue(&own.order, &[]).await.err().ok_or("it was taken")?;
    assert_eq!(error.kind, PortErrorKind::Invalid);
    let told = format!("{error}; {}", error.fix.as_deref().unwrap_or("no fix"));
    assert!(told.contains("the certificate expired at 20") && told.contains("clock shows"), "{told}");
    assert!(told.contains("renew it, or set the clock if that is wrong"), "{told}");
    Ok(())
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_with_the_reason() -> ContractResult {
    let own = Own::new()?;
    let refused = async || match own.issuer.issue(&own.order, &[]).await {
        Ok(cert) => Err(format!("{} was taken", cert.serial)),
        Err(error) => Ok((error.kind, format!("{error}; {}", error.fix.as_deref().unwrap_or("no fix")))),
    };
    assert_eq!(refused().await?.0, PortErrorKind::NotFound);
    own.put(&["other.test"])?;
    let (kind, told) = refused().await?;
    assert_eq!(kind, PortErrorKind::Invalid);
    assert!(told.contains("is for other.test, not for a.test"), "{told}");
    own.put(&["a.test"])?;
    let chain = std::fs::read(&own.files.chain)?;
    own.put(&["a.test"])?;
    std::fs::write(&own.files.chain, chain)?;
    let (kind, told) = refused().await?;
    assert_eq!(kind, PortErrorKind::Invalid);
    assert!(told.contains("the private key is not that of the certificate for a.test"), "{told}");
    Ok(())
}
