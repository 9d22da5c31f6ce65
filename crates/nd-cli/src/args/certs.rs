//! `certs`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::candidates;

/// What to do with certificates.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CertsVerb {
    /// List certificates: who issued them, until when they are valid, and when they are renewed
    #[command(visible_alias = "list")]
    Ls,
    /// Show one with its orders
    Show(CertArg),
    /// Get a new one now, and wait until it serves
    Renew(CertArg),
    /// Serve one that you bring; what is ordered for its names stands back
    Import(CertImportArgs),
    /// Write one with its private key into files that you alone can read
    Export(CertExportArgs),
    /// Have its authority make it worthless, as after the loss of its key; a new one is ordered
    Revoke(CertRevokeArgs),
    /// Make this machine trust the daemon's own authority (`ssl.provider: internal`), or write its root for others
    Trust(CertTrustArgs),
    /// Take that back
    Untrust(CertUntrustArgs),
}

/// Which certificate.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertArg {
    /// A name that it is for
    #[arg(value_name = "DOMAIN", add = ArgValueCandidates::new(candidates::certs))]
    pub(crate) domain: String,
}

/// `certs import`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertImportArgs {
    /// The certificate and those that lead to its root, as PEM
    #[arg(value_name = "CHAIN")]
    pub(crate) chain: PathBuf,
    /// Its private key, as PEM
    #[arg(value_name = "KEY")]
    pub(crate) key: PathBuf,
}

/// `certs export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertExportArgs {
    #[command(flatten)]
    pub(crate) cert: CertArg,
    /// Where DOMAIN.pem and DOMAIN.key are written, which must not be there yet
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// `certs trust`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertTrustArgs {
    /// Write the root into a file for another machine or program, and change nothing here; `-` prints it
    #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
    pub(crate) output: Option<PathBuf>,
    /// Where this machine's own roots lie, where that is not found out
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `certs untrust`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertUntrustArgs {
    /// Every root that was put there by `certs trust`, also of daemons that are gone
    #[arg(long)]
    pub(crate) all: bool,
    /// Where this machine's own roots lie, where that is not found out
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `certs revoke`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CertRevokeArgs {
    #[command(flatten)]
    pub(crate) cert: CertArg,
    /// Why, for its authority and all who ask it
    #[arg(long, value_name = "WHY")]
    pub(crate) reason: Option<RevokeWhy>,
}

/// Why a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RevokeWhy {
    /// Somebody else has the key
    KeyCompromise,
    /// Another one took its place
    Superseded,
    /// The names are not served any more
    Cessation,
}
