//! Certificates as files, which nginx's master reads when it begins with a configuration.
//!
//! Each lies in a file with its key, under a name of its own: a configuration and its certificates are replaced together.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use nd_types::Certificate;

/// Their directory, which nobody else may enter.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where a certificate lies.
    pub(super) fn path(&self, certificate: &Certificate) -> PathBuf {
        self.folder.join(name(certificate))
    }

    /// Puts those there that are not yet.
    pub(super) fn put<'c>(&self, certificates: impl IntoIterator<Item = &'c Certificate>) -> io::Result<()> {
        for certificate in certificates {
            let path = self.path(certificate);
            let text = format!("{}\n{}\n", certificate.chain.trim_end(), certificate.key.expose().trim_end());
            if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let temporary = self.folder.join(format!(".{}.new", name(certificate)));
            // What is left of an earlier attempt may be of another mode.
            fs::remove_file(&temporary).or_else(absent_is_fine)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
        }
        Ok(())
    }

    /// Removes all others.
    pub(super) fn keep_only<'c>(
        &self,
        certificates: impl IntoIterator<Item = &'c Certificate>,
    ) -> io::Result<()> {
        let kept: BTreeSet<PathBuf> = certificates.into_iter().map(|one| self.path(one)).collect();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if !kept.contains(&path) {
                fs::remove_file(&path).or_else(absent_is_fine)?;
            }
        }
        Ok(())
    }
}

/// Its first name, and a number that another certificate of that name does not have.
fn name(certificate: &Certificate) -> String {
    let mut number = DefaultHasher::new();
    certificate.chain.hash(&mut number);
    let first = certificate.names.first().map_or("certificate", |name| name.as_str());
    let usual = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    format!("{}-{:016x}.pem", first.chars().map(usual).collect::<String>(), number.finish())
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nd_types::{HostPattern, KeyPem};

    use super::*;

    fn certificate(name: &str, chain: &str) -> Certificate {
        let names = vec![HostPattern::pattern(name).unwrap()];
        Certificate { names, chain: chain.to_owned(), key: KeyPem::new("the key") }
    }

    #[test]
    fn nobody_else_may_read_them_and_what_is_not_used_goes() {
        let place = tempfile::tempdir().unwrap();
        let files = Files::in_folder(place.path().join("certificates"));
        let [old, new, other] =
            [("*.a.test", "old"), ("*.a.test", "new"), ("b.test", "b")].map(|(n, c)| certificate(n, c));
        files.put([&old, &other]).unwrap();
        files.put([&new, &other]).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.folder.clone()), mode(files.path(&new))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(files.path(&new)).unwrap(), "new\nthe key\n");
        assert!(files.path(&new).ends_with(name(&new)) && name(&new).starts_with("_.a.test-"));
        files.keep_only([&new, &other]).unwrap();
        assert!(!files.path(&old).exists() && files.path(&new).exists() && files.path(&other).exists());
        files.keep_only([]).unwrap();
        assert_eq!(fs::read_dir(&files.folder).unwrap().count(), 0);
        Files::in_folder(place.path().join("none")).keep_only([]).unwrap();
    }
}
