//! Certificates that somebody brings.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nd_types::KeyPem;

/// A file as users have it, certificates and key in one; and the same bytes as what stands within a block.
pub(crate) fn certificate(bytes: &[u8]) {
    read(&String::from_utf8_lossy(bytes));
    let block = BASE64_STANDARD.encode(bytes);
    read(&format!("-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n"));
}

fn read(text: &str) {
    match nd_certs::read(text, &KeyPem::new(text)) {
        Ok(cert) => {
            assert!(!cert.certificate.names.is_empty(), "a certificate for no name was taken");
            assert_eq!(cert.fingerprint.len(), 64);
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.fix().is_empty()),
    }
}
