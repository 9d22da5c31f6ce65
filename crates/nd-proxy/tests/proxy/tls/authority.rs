//! A certificate authority of the tests, and clients with different opinions of it.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;

use nd_types::{Certificate, HostPattern, KeyPem};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::support::within;

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(Error::other)?;
        Ok(Self(CertifiedIssuer::self_signed(params, key).map_err(Error::other)?))
    }

    /// A certificate for these names.
    pub(crate) fn certificate(&self, names: &[&str]) -> Result<Arc<Certificate>> {
        self.certificate_with(names, Vec::new())
    }

    /// A certificate that proves a name, by an extension that nobody may overlook (RFC 8737, section 3).
    pub(crate) fn proof(&self, name: &str) -> Result<Arc<Certificate>> {
        self.certificate_with(&[name], vec![CustomExtension::new_acme_identifier(&[7; 32])])
    }

    /// A certificate that ended long ago.
    pub(crate) fn expired(&self, name: &str) -> Result<Arc<Certificate>> {
        self.issue(&[name], |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        })
    }

    fn certificate_with(&self, names: &[&str], extensions: Vec<CustomExtension>) -> Result<Arc<Certificate>> {
        self.issue(names, |params| params.custom_extensions = extensions)
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Result<Arc<Certificate>> {
        let text: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().map_err(Error::other)?;
        let mut params = CertificateParams::new(text).map_err(Error::other)?;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).map_err(Error::other)?;
        let names = names.iter().map(|name| HostPattern::pattern(name).map_err(Error::other));
        let names = names.collect::<Result<_>>()?;
        Ok(Arc::new(Certificate { names, chain: certificate.pem(), key: KeyPem::new(key.serialize_pem()) }))
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A client; what it has learnt of a server it uses again.
pub(crate) struct Visitor(ClientConfig);

impl Visitor {
    pub(crate) fn trusting(authority: &Authority) -> Result<Self> {
        Self::speaking(authority, rustls::ALL_VERSIONS)
    }

    /// The same, with these versions alone.
    pub(crate) fn speaking(
        authority: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<Self> {
        Ok(Self(Self::roots(authority, versions)?.with_no_client_auth()))
    }

    /// The same, with these suites alone, in this order.
    pub(super) fn preferring(authority: &Authority, suites: &[CipherSuite]) -> Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        let all = std::mem::take(&mut provider.cipher_suites);
        let known = |suite: &CipherSuite| all.iter().copied().find(|known| known.suite() == *suite);
        provider.cipher_suites = suites.iter().filter_map(known).collect();
        Ok(Self(Self::roots_with(authority, rustls::ALL_VERSIONS, provider)?.with_no_client_auth()))
    }

    /// The same, with a certificate that `issuer` has issued.
    pub(crate) fn showing(authority: &Authority, issuer: &Authority) -> Result<Self> {
        Self::with(authority, &*issuer.certificate(&["client.test"])?)
    }

    /// The same, with one that ended long ago.
    pub(crate) fn showing_expired(authority: &Authority, issuer: &Authority) -> Result<Self> {
        Self::with(authority, &*issuer.expired("client.test")?)
    }

    fn with(authority: &Authority, own: &Certificate) -> Result<Self> {
        let chain = vec![CertificateDer::from_pem_slice(own.chain.as_bytes()).map_err(Error::other)?];
        let key = PrivateKeyDer::from_pem_slice(own.key.expose().as_bytes()).map_err(Error::other)?;
        Ok(Self(
            Self::roots(authority, rustls::ALL_VERSIONS)?
                .with_client_auth_cert(chain, key)
                .map_err(Error::other)?,
        ))
    }

    /// Takes any certificate.
    pub(crate) fn careless() -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(Error::other)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Careless(provider)));
        Ok(Self(builder.with_no_client_auth()))
    }

    /// Offers these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// A connection to `address`, which is asked for `name`.
    pub(crate) async fn connect(&self, address: SocketAddr, name: &str) -> Result<TlsStream<TcpStream>> {
        let stream = within("connect", TcpStream::connect(address)).await??;
        let name = ServerName::try_from(name.to_owned()).map_err(Error::other)?;
        within("the handshake", TlsConnector::from(Arc::new(self.0.clone())).connect(name, stream)).await?
    }

    fn roots(
        authority: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
        Self::roots_with(authority, versions, aws_lc_rs::default_provider())
    }

    fn roots_with(
        authority: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
        provider: CryptoProvider,
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).map_err(Error::other)?;
        roots.add(root).map_err(Error::other)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(versions).map_err(Error::other)?;
        Ok(builder.with_root_certificates(roots))
    }

    /// How it speaks.
    pub(crate) fn into_config(self) -> ClientConfig {
        self.0
    }
}

impl From<ClientConfig> for Visitor {
    fn from(config: ClientConfig) -> Self {
        Self(config)
    }
}

/// The name that the server's certificate is for, as it stands in there.
pub(crate) fn name_of(stream: &TlsStream<TcpStream>) -> Result<String> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let der = certificates.first().ok_or_else(|| Error::other("no certificate"))?;
    let text = String::from_utf8_lossy(der);
    let found = ["*.app.test", "a.app.test", "app.test"].into_iter().find(|name| text.contains(name));
    found.map(str::to_owned).ok_or_else(|| Error::other("another name"))
}

#[derive(Debug)]
struct Careless(Arc<CryptoProvider>);

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
