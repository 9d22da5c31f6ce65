//! The certificate that all of them serve with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Result, process};

/// A certificate and its key in files, gone when dropped.
pub(super) struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    /// A new one for `host`, of the kind that authorities issue by default, which signs itself.
    pub(super) fn make(host: &str) -> Result<Self> {
        let this = Self { folder: tempfile::tempdir()? };
        let (subject, names) = (format!("/CN={host}"), format!("subjectAltName=DNS:{host}"));
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "90",
        ]);
        command.args(["-subj", &subject, "-addext", &names]);
        process::output(command.arg("-keyout").arg(this.key()).arg("-out").arg(this.chain()))?;
        let both = [fs::read(this.chain())?, fs::read(this.key())?].concat();
        fs::write(this.both(), both)?;
        Ok(this)
    }

    pub(super) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Both in one file, as HAProxy wants it.
    pub(super) fn both(&self) -> PathBuf {
        self.folder.path().join("both.pem")
    }
}
