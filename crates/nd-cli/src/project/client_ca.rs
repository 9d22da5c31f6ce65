//! Authorities of an app's clients: a file of the project, which the daemon cannot read.

use std::path::Path;

use nd_api::Manifest;

use crate::failure::Failure;

/// What stands at the beginning of a certificate (RFC 7468).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// Longer than the authorities of any app.
const LONGEST: u64 = 256 * 1024;

/// Puts the certificates themselves where the manifest names a file of them.
pub(super) fn fold_in(manifest: &mut Manifest, dir: &Path) -> Result<(), Failure> {
    let Some(written) = manifest.ssl.as_mut().and_then(|ssl| ssl.client_ca.as_mut()) else { return Ok(()) };
    if written.contains(CERTIFICATE) {
        return Ok(());
    }
    let path = dir.join(&*written);
    let failed = |error: String| Failure::usage(format!("read ssl.client_ca {}: {error}", path.display()));
    let length = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?.len();
    if length > LONGEST {
        return Err(failed("it is longer than 256 KiB".to_owned()));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    if !text.contains(CERTIFICATE) {
        return Err(failed("it holds no certificate as PEM".to_owned()));
    }
    *written = text;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nd_api::manifest::Ssl;

    use super::*;

    fn folded(client_ca: &str, dir: &Path) -> Result<Option<String>, Failure> {
        let mut manifest = Manifest::new("shop".parse().unwrap());
        manifest.ssl = Some(Box::new(Ssl { client_ca: Some(client_ca.to_owned()), ..Ssl::default() }));
        fold_in(&mut manifest, dir)?;
        Ok(manifest.ssl.and_then(|ssl| ssl.client_ca))
    }

    #[test]
    fn the_file_travels_and_not_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{CERTIFICATE}\nAAAA\n-----END CERTIFICATE-----\n");
        std::fs::write(dir.path().join("ca.pem"), &text).unwrap();
        std::fs::write(dir.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
        assert_eq!(folded("ca.pem", dir.path()).unwrap().as_ref(), Some(&text));
        assert_eq!(folded(&text, dir.path()).unwrap().as_ref(), Some(&text));
        assert!(folded("key.pem", dir.path()).is_err() && folded("nowhere.pem", dir.path()).is_err());
    }
}
