//! Certificates and keys that are made here (RFC 5280).

use std::time::Duration;

use jiff::Timestamp;
use nd_core::ports::{PortError, PortErrorKind};
use nd_types::HostPattern;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, SerialNumber, SignatureAlgorithm,
};
use serde::Deserialize;
use x509_parser::time::ASN1Time;

/// The kind of key of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA on P-256: what every client of the last ten years knows, and the cheapest to serve.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA of 2048 bits, for clients that know nothing else. Three times the work per handshake.
    Rsa2048,
}

/// Making a certificate failed.
#[derive(Debug, thiserror::Error)]
#[error("make a certificate: {0}")]
pub(crate) struct MintError(String);

impl From<rcgen::Error> for MintError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<MintError> for PortError {
    fn from(error: MintError) -> Self {
        Self::new(PortErrorKind::Internal, error.0)
    }
}

impl KeyKind {
    pub(crate) fn generate(self) -> Result<KeyPair, MintError> {
        let algorithm: &'static SignatureAlgorithm = match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        };
        Ok(KeyPair::generate_for(algorithm)?)
    }
}

/// What every certificate of a server says, for these names and this long from a little before `now`.
pub(crate) fn server(
    names: &[HostPattern],
    now: Timestamp,
    life: Duration,
) -> Result<CertificateParams, MintError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let common = names.iter().find(|name| name.len() <= 64).cloned();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(common) = common {
        params.distinguished_name.push(DnType::CommonName, common);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(serial()?);
    valid(&mut params, now, life)?;
    Ok(params)
}

/// Sets the time: from an hour before `now`, for clients whose clock is late.
pub(crate) fn valid(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Result<(), MintError> {
    let at = |time: Timestamp| {
        let asn1 =
            ASN1Time::from_timestamp(time.as_second()).map_err(|error| MintError(error.to_string()))?;
        Ok::<_, MintError>(asn1.to_datetime())
    };
    params.not_before = at(now.saturating_sub(Duration::from_secs(3600)).unwrap_or(now))?;
    params.not_after = at(now.saturating_add(life).unwrap_or(now))?;
    Ok(())
}

/// A serial number that nobody can guess, and positive (RFC 5280, section 4.1.2.2).
pub(crate) fn serial() -> Result<SerialNumber, MintError> {
    let mut bytes = [0_u8; 16];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| MintError("the system gives no random numbers".to_owned()))?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

/// The certificate that proves a name over TLS (RFC 8737, section 3): its chain and its key.
pub(crate) fn tls_alpn(
    name: &HostPattern,
    digest: &[u8],
    now: Timestamp,
) -> Result<(String, String), MintError> {
    let mut params = server(std::slice::from_ref(name), now, Duration::from_secs(24 * 60 * 60))?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyKind::default().generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
