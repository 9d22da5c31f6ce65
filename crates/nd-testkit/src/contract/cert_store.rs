//! The contract of [`CertStore`].

use std::sync::Arc;

use nd_core::ports::{CertStore, KeptCert, KeptCerts, PortErrorKind};
use nd_types::KeyPem;

use super::ContractResult;

/// Runs the whole contract. Each call of `open` answers a store on the same place, as a daemon that starts finds it; `kept` are
/// two certificates of different first names and a second one for the first of these.
///
/// # Errors
/// The first error of the store.
///
/// # Panics
/// When the store breaks the contract.
pub async fn run(open: impl Fn() -> Arc<dyn CertStore>, kept: [KeptCert; 3]) -> ContractResult {
    let [one, other, newer] = kept;
    assert_eq!(open().load().await?, KeptCerts::default(), "nothing is kept in the beginning");
    open().save(&one).await?;
    open().save(&other).await?;
    assert_eq!(names(&open().load().await?), names_of(&[&one, &other]));
    open().save(&newer).await?;
    let loaded = open().load().await?;
    assert_eq!(loaded.certs.len(), 2);
    assert!(loaded.certs.contains(&newer) && loaded.certs.contains(&other), "the newer one takes the place");
    let name = newer.cert.certificate.names.first().ok_or("a certificate without a name")?;
    for _ in 0..2 {
        open().remove(name).await?;
        assert_eq!(names(&open().load().await?), names_of(&[&other]));
    }
    let (chain, key) = (&other.cert.certificate.chain, &other.cert.certificate.key);
    assert_eq!(open().read(chain, key)?, other.cert, "what is brought is told as what was issued");
    for (chain, key) in [("nothing", key), (chain, &KeyPem::new("nothing"))] {
        assert_eq!(open().read(chain, key).map_err(|error| error.kind), Err(PortErrorKind::Invalid));
    }
    Ok(())
}

fn names(kept: &KeptCerts) -> Vec<String> {
    assert_eq!(kept.faults, []);
    names_of(&kept.certs.iter().collect::<Vec<_>>())
}

fn names_of(kept: &[&KeptCert]) -> Vec<String> {
    let first = |kept: &&KeptCert| kept.cert.certificate.names.first().map(ToString::to_string);
    let mut names: Vec<String> = kept.iter().filter_map(first).collect();
    names.sort();
    names
}
