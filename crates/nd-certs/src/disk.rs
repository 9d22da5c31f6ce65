//! [`CertStore`] in a directory: one directory a certificate, with what other programs read (`chain.pem`, `key.pem`) and what
//! only we know (`meta.json`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use async_trait::async_trait;
use nd_core::ports::{
    CertFault, CertStore, IssuedCert, IssuerName, KeptCert, KeptCerts, PortError, PortErrorKind, PortResult,
};
use nd_supervise::{Clock, blocking};
use nd_types::{HostPattern, KeyPem};
use serde::{Deserialize, Serialize};

use crate::{files, x509};

const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";
const META: &str = "meta.json";

/// Where the directories of certificates stand, in the certificates directory.
const SITES: &str = "sites";

/// Certificates on disk.
pub struct CertsOnDisk {
    sites: PathBuf,
    clock: Arc<dyn Clock>,
}

/// What is kept beside a certificate, for us.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    version: u32,
    /// Nobody where it was imported.
    issuer: Option<String>,
    /// For people who look into the directory.
    names: Vec<String>,
    not_after: String,
}

impl CertsOnDisk {
    /// Those in `certs_dir/sites`, which need not be there yet.
    #[must_use]
    pub fn new(certs_dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { sites: certs_dir.join(SITES), clock }
    }

    fn dir(&self, name: &HostPattern) -> PathBuf {
        // `_` is in no host name, and `*` is in the way of shells.
        self.sites.join(name.as_str().replace('*', "_"))
    }
}

#[async_trait]
impl CertStore for CertsOnDisk {
    async fn load(&self) -> PortResult<KeptCerts> {
        let sites = self.sites.clone();
        on_disk(move || load(&sites)).await
    }

    async fn save(&self, kept: &KeptCert) -> PortResult<()> {
        let certificate = &kept.cert.certificate;
        let name = certificate.names.first().ok_or_else(|| {
            PortError::new(PortErrorKind::Invalid, "keep a certificate that is for no name")
        })?;
        let meta = Meta {
            version: 1,
            issuer: kept.issuer.as_ref().map(ToString::to_string),
            names: certificate.names.iter().map(ToString::to_string).collect(),
            not_after: kept.cert.not_after.to_string(),
        };
        let meta = serde_json::to_string_pretty(&meta).map_err(internal)?;
        let (dir, certificate) = (self.dir(name), certificate.clone());
        on_disk(move || {
            let files = [(CHAIN, &*certificate.chain), (KEY, certificate.key.expose()), (META, &*meta)];
            files::write_dir(&dir, &files)
                .map_err(|error| files::at_port("keep the certificate in", &dir, error))
        })
        .await
    }

    async fn remove(&self, name: &HostPattern) -> PortResult<()> {
        let dir = self.dir(name);
        on_disk(move || match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(files::at_port("remove the certificate in", &dir, error))
            }
            _ => Ok(()),
        })
        .await
    }

    fn read(&self, chain: &str, key: &KeyPem) -> PortResult<IssuedCert> {
        let cert = x509::read(chain, key).map_err(|error| error.at_port("read the certificate"))?;
        x509::check_time(&cert, self.clock.wall()).map_err(|error| error.at_port("read the certificate"))?;
        Ok(cert)
    }
}

fn load(sites: &Path) -> PortResult<KeptCerts> {
    let mut kept = KeptCerts::default();
    let entries = match fs::read_dir(sites) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
        entries => entries.map_err(|error| files::at_port("look into", sites, error))?,
    };
    for entry in entries {
        let dir = entry.map_err(|error| files::at_port("look into", sites, error))?.path();
        if dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(files::DRAFT)) {
            // Of a daemon that ended while it wrote; the certificate that counts is the one before it.
            fs::remove_dir_all(&dir).ok();
            continue;
        }
        match load_one(&dir) {
            Ok(cert) => kept.certs.push(cert),
            Err(error) => {
                let fix = error.fix.as_deref().map(|fix| format!("; {fix}")).unwrap_or_default();
                let error = format!("{error}{fix}");
                kept.faults.push(CertFault { place: dir.display().to_string(), error });
            }
        }
    }
    kept.certs.sort_by(|a, b| a.cert.certificate.names.cmp(&b.cert.certificate.names));
    kept.faults.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(kept)
}

fn load_one(dir: &Path) -> PortResult<KeptCert> {
    let text = |file: &str| {
        let path = dir.join(file);
        fs::read_to_string(&path).map_err(|error| files::at_port("read", &path, error))
    };
    let (chain, key, meta) = (text(CHAIN)?, KeyPem::new(text(KEY)?), text(META)?);
    let context = || format!("read the certificate in {}", dir.display());
    let damaged = |error: &dyn std::fmt::Display| {
        PortError::new(PortErrorKind::Invalid, format!("{}: {META}: {error}", context()))
            .with_fix("remove that directory; a new certificate takes its place")
    };
    let meta: Meta = serde_json::from_str(&meta).map_err(|error| damaged(&error))?;
    let issuer = meta.issuer.map(|name| name.parse::<IssuerName>()).transpose();
    let cert = x509::read(&chain, &key).map_err(|error| error.at_port(&context()))?;
    Ok(KeptCert { issuer: issuer.map_err(|error| damaged(&error))?, cert })
}

async fn on_disk<T: Send + 'static>(f: impl FnOnce() -> PortResult<T> + Send + 'static) -> PortResult<T> {
    blocking("certificates on disk", f).await.map_err(internal)?
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::new(PortErrorKind::Internal, "keep certificates on disk").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Made, Maker};
    use nd_supervise::SystemClock;

    fn store(dir: &Path) -> CertsOnDisk {
        CertsOnDisk::new(dir, Arc::new(SystemClock))
    }

    fn kept(names: &[&str]) -> KeptCert {
        let Made { chain, key } = Maker::default().names(names).chain().make();
        let cert = x509::read(&chain, &KeyPem::new(key)).unwrap();
        KeptCert { issuer: Some("internal".parse().unwrap()), cert }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_for_the_next_daemon_until_it_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let (one, two) = (kept(&["*.a.test", "a.test"]), kept(&["b.test"]));
        for kept in [&one, &two] {
            store(place.path()).save(kept).await.unwrap();
        }
        let loaded = store(place.path()).load().await.unwrap();
        assert_eq!((loaded.certs, loaded.faults), (vec![one.clone(), two], vec![]));
        store(place.path()).remove(&one.cert.certificate.names[0]).await.unwrap();
        store(place.path()).remove(&one.cert.certificate.names[0]).await.unwrap();
        assert_eq!(store(place.path()).load().await.unwrap().certs.len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_one_keeps_nobody_from_the_others() {
        let place = tempfile::tempdir().unwrap();
        for name in ["a.test", "b.test"] {
            store(place.path()).save(&kept(&[name])).await.unwrap();
        }
        fs::write(place.path().join("sites/a.test/chain.pem"), "torn").unwrap();
        fs::create_dir(place.path().join("sites/.draft-1-1")).unwrap();
        let loaded = store(place.path()).load().await.unwrap();
        assert_eq!(loaded.certs.len(), 1);
        assert!(loaded.faults[0].place.ends_with("sites/a.test"), "{:?}", loaded.faults);
        assert!(loaded.faults[0].error.contains("no certificate"), "{:?}", loaded.faults);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_said_and_the_old_certificate_stays() {
        let place = tempfile::tempdir().unwrap();
        let old = kept(&["a.test"]);
        store(place.path()).save(&old).await.unwrap();
        // Not even root writes into it: where the draft would go there is no directory any more.
        let broken = place.path().join("sites/file");
        fs::write(&broken, "").unwrap();
        let error = store(&broken).save(&kept(&["a.test"])).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Denied);
        assert!(error.to_string().contains(&broken.display().to_string()), "{error}");
        let fix = error.fix.unwrap_or_default();
        assert!(fix.contains("move the file away that stands where a directory belongs"), "{fix}");
        assert_eq!(store(place.path()).load().await.unwrap().certs, vec![old]);
    }

    #[test]
    fn an_expired_certificate_is_not_taken_in_nor_one_from_the_future() {
        let place = tempfile::tempdir().unwrap();
        let Made { chain, key } = Maker::default().make();
        for (clock, says) in [
            ("4190-01-02T00:00:00Z", "the certificate expired at "),
            ("1970-01-02T00:00:00Z", "the certificate is valid from "),
        ] {
            let store = CertsOnDisk::new(place.path(), Arc::new(At(clock.parse().unwrap())));
            let error = store.read(&chain, &KeyPem::new(key.clone())).unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Invalid);
            let shows = format!("this machine's clock shows {clock}");
            assert!(error.to_string().contains(says) && error.to_string().contains(&shows), "{error}");
        }
    }

    struct At(nd_types::Timestamp);

    impl Clock for At {
        fn mono(&self) -> nd_supervise::Mono {
            nd_supervise::Mono::default()
        }
        fn wall(&self) -> nd_types::Timestamp {
            self.0
        }
    }
}
