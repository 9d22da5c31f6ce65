//! Certificates as they stand in files: read, checked, and told about (RFC 5280, RFC 7468).

use std::sync::Arc;

use jiff::Timestamp;
use nd_core::ports::{IssuedCert, RootCert, ShownCert};
use nd_types::{Certificate, HostPattern, KeyPem};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::CertError;

/// Reads a certificate with its chain and its key, and checks all that can be checked without asking anybody, but for the
/// time.
///
/// # Errors
/// [`CertError`] says what is wrong with it.
pub fn read(chain: &str, key: &KeyPem) -> Result<IssuedCert, CertError> {
    let ders = certificates(chain)?;
    let parsed = parse_all(&ders)?;
    let (leaf, leaf_der) = parsed.first().zip(ders.first()).ok_or(CertError::NoCertificate)?;
    if leaf.is_ca() && parsed.len() > 1 {
        return Err(CertError::AuthorityFirst(shown(leaf.subject())));
    }
    in_order(&parsed)?;
    let names = names(leaf);
    let first = names.first().ok_or(CertError::NoNames)?.to_string();
    let fingerprint = hex(&Sha256::digest(leaf_der));
    belongs(&ders, key, first)?;
    Ok(IssuedCert {
        serial: hex(leaf.raw_serial()),
        signed_by: shown(leaf.issuer()),
        fingerprint,
        not_before: time(leaf.validity().not_before.timestamp()),
        not_after: time(leaf.validity().not_after.timestamp()),
        certificate: Arc::new(Certificate { names, chain: chain.to_owned(), key: key.clone() }),
    })
}

/// Whether a certificate is valid at that time.
///
/// # Errors
/// [`CertError::Expired`] and [`CertError::NotYetValid`].
pub fn check_time(cert: &IssuedCert, now: Timestamp) -> Result<(), CertError> {
    if now > cert.not_after {
        return Err(CertError::Expired { at: cert.not_after, now });
    }
    if now < cert.not_before {
        return Err(CertError::NotYetValid { from: cert.not_before, now });
    }
    Ok(())
}

/// Whether a certificate is for all these names; a wildcard stands for one label (RFC 9525, section 6.3).
///
/// # Errors
/// [`CertError::WrongNames`] with the first name that it is not for.
pub fn check_names(cert: &IssuedCert, wanted: &[HostPattern]) -> Result<(), CertError> {
    let found = &cert.certificate.names;
    let is_for = |name: &HostPattern| {
        let one_label_up = name.as_str().split_once('.').map(|(_, parent)| format!("*.{parent}"));
        found.iter().any(|found| found == name || Some(found.as_str()) == one_label_up.as_deref())
    };
    match wanted.iter().find(|name| !is_for(name)) {
        None => Ok(()),
        Some(missing) => Err(CertError::WrongNames {
            wanted: missing.to_string(),
            found: found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The certificates of a chain, in DER.
pub(crate) fn certificates(chain: &str) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let ders: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .enumerate()
        .map(|(index, der)| der.map_err(|error| damaged(index, &error)))
        .collect::<Result<_, _>>()?;
    if ders.is_empty() { Err(CertError::NoCertificate) } else { Ok(ders) }
}

/// The common name of the issuer of the last certificate: which root a chain leads to.
pub(crate) fn root_name(chain: &str) -> Option<String> {
    let ders = certificates(chain).ok()?;
    let parsed = parse_all(&ders).ok()?;
    parsed.last().map(|last| shown(last.issuer()))
}

/// Until when the first certificate is valid.
pub(crate) fn not_after(chain: &str) -> Option<Timestamp> {
    let ders = certificates(chain).ok()?;
    let parsed = parse_all(&ders).ok()?;
    parsed.first().map(|first| time(first.validity().not_after.timestamp()))
}

/// What people want to know of a root.
///
/// # Errors
/// As [`read`].
pub(crate) fn root(pem: String) -> Result<RootCert, CertError> {
    let ders = certificates(&pem)?;
    let parsed = parse_all(&ders)?;
    let (root, der) = parsed.first().zip(ders.first()).ok_or(CertError::NoCertificate)?;
    let (name, not_after) = (shown(root.subject()), time(root.validity().not_after.timestamp()));
    let fingerprint = hex(&Sha256::digest(der));
    Ok(RootCert { name, fingerprint, not_after, pem })
}

/// What people want to know of a certificate that a server shows.
///
/// # Errors
/// As [`read`].
pub(crate) fn shown_cert(der: &CertificateDer<'_>) -> Result<ShownCert, CertError> {
    let parsed = parse_all(std::slice::from_ref(der))?;
    let leaf = parsed.first().ok_or(CertError::NoCertificate)?;
    Ok(ShownCert {
        fingerprint: hex(&Sha256::digest(der)),
        signed_by: shown(leaf.issuer()),
        names: names(leaf).iter().map(ToString::to_string).collect(),
        not_after: time(leaf.validity().not_after.timestamp()),
    })
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn parse_all<'a>(ders: &'a [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'a>>, CertError> {
    let parse = |(index, der): (usize, &'a CertificateDer<'_>)| {
        let parsed = X509Certificate::from_der(der).map_err(|error| damaged(index, &error));
        parsed.map(|(_, certificate)| certificate)
    };
    ders.iter().enumerate().map(parse).collect()
}

fn in_order(chain: &[X509Certificate<'_>]) -> Result<(), CertError> {
    for (index, pair) in chain.windows(2).enumerate() {
        let [below, above] = pair else { continue };
        let named = below.issuer().as_raw() == above.subject().as_raw();
        if !named || below.verify_signature(Some(above.public_key())).is_err() {
            return Err(CertError::ChainOrder {
                place: index + 2,
                issuer: shown(above.subject()),
                wanted: shown(below.issuer()),
            });
        }
    }
    Ok(())
}

fn belongs(chain: &[CertificateDer<'static>], key: &KeyPem, name: String) -> Result<(), CertError> {
    let key = match PrivateKeyDer::from_pem_slice(key.expose().as_bytes()) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) if key.expose().contains("ENCRYPTED PRIVATE KEY") => {
            return Err(CertError::EncryptedKey);
        }
        Err(pem::Error::NoItemsFound) => return Err(CertError::NoKey),
        Err(error) => return Err(CertError::BadKey(error.to_string())),
    };
    let provider = aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.to_vec(), key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(CertError::KeyMismatch(name)),
        Err(error) => Err(CertError::BadKey(error.to_string())),
    }
}

fn names(leaf: &X509Certificate<'_>) -> Vec<HostPattern> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => HostPattern::pattern(name).ok(),
        _ => None,
    });
    names.collect()
}

/// The common name, else everything.
fn shown(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    common.map_or_else(|| name.to_string(), ToOwned::to_owned)
}

fn time(unix: i64) -> Timestamp {
    Timestamp::from_second(unix).unwrap_or(if unix < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn damaged(index: usize, why: &dyn std::fmt::Display) -> CertError {
    CertError::Damaged { place: index + 1, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Made, Maker};

    fn refused(chain: &str, key: &str) -> CertError {
        read(chain, &KeyPem::new(key)).unwrap_err()
    }

    #[test]
    fn a_certificate_tells_its_names_its_time_and_who_signed_it() {
        let Made { chain, key } = Maker::default().names(&["a.example.com", "*.example.com"]).chain().make();
        let cert = read(&chain, &KeyPem::new(key)).unwrap();
        let names: Vec<_> = cert.certificate.names.iter().map(HostPattern::as_str).collect();
        assert_eq!(names, ["a.example.com", "*.example.com"]);
        assert_eq!(cert.signed_by, "test authority");
        assert_eq!(cert.fingerprint.len(), 64);
        assert!(cert.not_before < cert.not_after);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (Maker::default().make(), Maker::default().make());
        assert_eq!(refused(&one.chain, &other.key), CertError::KeyMismatch("a.test".to_owned()));
    }

    #[test]
    fn what_is_no_certificate_and_what_is_no_key_are_told_apart() {
        let Made { chain, key } = Maker::default().make();
        assert_eq!(refused("hello", &key), CertError::NoCertificate);
        assert_eq!(refused(&key, &key), CertError::NoCertificate);
        assert_eq!(refused(&chain, "hello"), CertError::NoKey);
        assert_eq!(refused(&chain, &chain), CertError::NoKey);
        let torn: String =
            chain.lines().take(3).chain(["-----END CERTIFICATE-----"]).collect::<Vec<_>>().join("\n");
        assert!(
            matches!(refused(&torn, &key), CertError::Damaged { place: 1, .. }),
            "{:?}",
            refused(&torn, &key)
        );
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(refused(&chain, locked), CertError::EncryptedKey);
    }

    #[test]
    fn a_chain_in_the_wrong_order_is_refused() {
        let Made { chain, key } = Maker::default().chain().make();
        let end = "-----END CERTIFICATE-----\n";
        let (leaf, rest) = chain.split_at(chain.find(end).unwrap() + end.len());
        let turned = refused(&format!("{rest}{leaf}"), &key);
        assert_eq!(turned, CertError::AuthorityFirst("test authority".to_owned()));
        let strange = Maker::default().make().chain;
        let strange = refused(&format!("{leaf}{strange}"), &key);
        assert!(matches!(strange, CertError::ChainOrder { place: 2, .. }), "{strange:?}");
    }

    #[test]
    fn a_chain_whose_issuer_has_the_right_name_but_another_key_is_refused() {
        let (one, other) = (Maker::default().chain().make(), Maker::default().chain().make());
        let end = "-----END CERTIFICATE-----\n";
        let cut = |chain: &str| chain.find(end).unwrap() + end.len();
        let mixed = format!("{}{}", &one.chain[..cut(&one.chain)], &other.chain[cut(&other.chain)..]);
        assert!(matches!(refused(&mixed, &one.key), CertError::ChainOrder { place: 2, .. }));
    }

    #[test]
    fn an_expired_one_and_one_from_the_future_say_what_the_clock_shows() {
        let Made { chain, key } = Maker::default().make();
        let cert = read(&chain, &KeyPem::new(key)).unwrap();
        let year = std::time::Duration::from_secs(366 * 24 * 60 * 60);
        let (late, early) = (cert.not_after + year, cert.not_before - year);
        assert_eq!(check_time(&cert, late), Err(CertError::Expired { at: cert.not_after, now: late }));
        assert_eq!(
            check_time(&cert, early),
            Err(CertError::NotYetValid { from: cert.not_before, now: early })
        );
        assert_eq!(check_time(&cert, cert.not_before), Ok(()));
    }

    #[test]
    fn a_wildcard_is_for_one_label() {
        let Made { chain, key } = Maker::default().names(&["*.example.com"]).make();
        let cert = read(&chain, &KeyPem::new(key)).unwrap();
        let named = |name| check_names(&cert, &[HostPattern::pattern(name).unwrap()]).is_ok();
        assert!(named("a.example.com") && named("*.example.com"));
        assert!(!named("example.com") && !named("a.b.example.com"));
    }
}
