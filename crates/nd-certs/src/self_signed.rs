//! The certificate for names that have none: it signs itself, so clients warn instead of meeting a broken connection.

use std::time::Duration;

use nd_core::ports::{IssuedCert, PortResult};
use nd_types::{HostPattern, KeyPem, Timestamp};

use crate::mint::{self, KeyKind, MintError};
use crate::x509;

/// How long it lives: longer than a daemon runs, which makes a new one at each start.
pub(crate) const LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A certificate for these names that nobody trusts, and which is kept nowhere.
///
/// # Errors
/// When the system gives no random numbers.
pub fn self_signed(names: &[HostPattern], now: Timestamp) -> PortResult<IssuedCert> {
    let (chain, key) = make(names, now)?;
    let made = x509::read(&chain, &KeyPem::new(key));
    made.map_err(|error| error.at_port("read the certificate that was just made"))
}

fn make(names: &[HostPattern], now: Timestamp) -> Result<(String, String), MintError> {
    let key = KeyKind::default().generate()?;
    let certificate = mint::server(names, now, LIFE)?.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
