//! From certificates as they are kept to what rustls speaks with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nd_types::Certificate;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, RootCertStore, ServerConfig};

use super::tickets::Tickets;

/// HTTP/2 is preferred (RFC 7301).
const HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// The protocol of a challenge (RFC 8737, section 6.1).
pub(super) const ACME: &[u8] = b"acme-tls/1";

/// Forward secrecy, authenticated encryption and SHA-256.
const AES_128: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];
/// What clients prefer whose processors do not know AES.
const CHACHA20: [CipherSuite; 3] = [
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What outlives each state: session tickets, and certificates that have been read.
#[derive(Debug)]
pub(crate) struct Keys {
    provider: Arc<CryptoProvider>,
    tickets: Arc<Tickets>,
    read: Mutex<HashMap<Chain, Read>>,
}

/// The text of a certificate.
type Chain = String;
/// A certificate, and what is spoken with.
type Read = (Arc<Certificate>, Arc<CertifiedKey>);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("read it as PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    Empty,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the authorities of clients: {0}")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

impl Keys {
    pub(crate) fn new(tickets: Arc<Tickets>) -> Self {
        let mut provider = default_provider();
        // AES-128 before AES-256: its hash is the one that processors know, which halves what a handshake hashes.
        provider.cipher_suites.sort_by_key(|known| !AES_128.contains(&known.suite()));
        Self { provider: Arc::new(provider), tickets, read: Mutex::default() }
    }

    /// Whose tickets are opened.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Forgets certificates that none of these is.
    pub(super) fn keep_only(&self, wanted: &[&Arc<Certificate>]) {
        let wanted: HashSet<&str> = wanted.iter().map(|certificate| certificate.chain.as_str()).collect();
        self.read.lock().retain(|chain, _| wanted.contains(chain.as_str()));
    }

    /// How a connection with this certificate is spoken.
    pub(super) fn serving(&self, certificate: &Arc<Certificate>) -> Result<Arc<ServerConfig>, KeysError> {
        let key = self.read(certificate)?;
        Ok(Arc::new(self.config(key, None, &HTTP)?))
    }

    /// The same, and clients are asked for a certificate of these authorities. One that has none gets through the handshake:
    /// it is told with the answer to its request, which a person can read.
    pub(super) fn guarded(
        &self,
        certificate: &Arc<Certificate>,
        authorities: &str,
    ) -> Result<Arc<ServerConfig>, KeysError> {
        let key = self.read(certificate)?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(authority?)?;
        }
        let provider = Arc::clone(&self.provider);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let clients = clients.allow_unauthenticated().build()?;
        Ok(Arc::new(self.config(key, Some(clients), &HTTP)?))
    }

    /// How a challenge is answered with this certificate.
    pub(super) fn challenge(&self, certificate: &Arc<Certificate>) -> Result<Arc<ServerConfig>, KeysError> {
        let (chain, key) = parse(certificate)?;
        // Not checked against each other: the extension that proves the name is critical, and rustls does not know it.
        let key = Arc::new(CertifiedKey::new(chain, self.provider.key_provider.load_private_key(key)?));
        Ok(Arc::new(self.config(key, None, &[ACME])?))
    }

    fn read(&self, certificate: &Arc<Certificate>) -> Result<Arc<CertifiedKey>, KeysError> {
        if let Some((_, key)) =
            self.read.lock().get(&certificate.chain).filter(|(known, _)| known == certificate)
        {
            return Ok(Arc::clone(key));
        }
        let (chain, key) = parse(certificate)?;
        let key = Arc::new(CertifiedKey::from_der(chain, key, &self.provider)?);
        let known = (Arc::clone(certificate), Arc::clone(&key));
        self.read.lock().insert(certificate.chain.clone(), known);
        Ok(key)
    }

    fn config(
        &self,
        key: Arc<CertifiedKey>,
        clients: Option<Arc<dyn ClientCertVerifier>>,
        protocols: &[&[u8]],
    ) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let tickets = clients.is_none();
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A client that was let in by authorities that are no longer asked for is not let in again by its ticket.
        if tickets {
            config.ticketer = Arc::clone(&self.tickets) as Arc<dyn ProducesTickets>;
            config.send_tls13_tickets = 1;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// How a client with these suites is spoken with: in our order, unless it would rather have ChaCha20 than any other.
pub(super) fn suited(config: Arc<ServerConfig>, offered: &[CipherSuite]) -> Arc<ServerConfig> {
    let known = &config.crypto_provider().cipher_suites;
    let first = offered.iter().find(|offered| known.iter().any(|known| known.suite() == **offered));
    if !first.is_some_and(|first| CHACHA20.contains(first)) {
        return config;
    }
    let mut theirs = ServerConfig::clone(&config);
    theirs.ignore_client_order = false;
    Arc::new(theirs)
}

fn parse(
    certificate: &Certificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), KeysError> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(KeysError::Empty);
    }
    Ok((chain, PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes())?))
}
