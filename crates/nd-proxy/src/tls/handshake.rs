//! The handshake of a client's connection, by the name it asks for.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use nd_types::ServiceTls;
use rustls::server::{Acceptor, ClientHello};
use tokio_rustls::LazyConfigAcceptor;

use super::config::suited;
use super::prefixed::Prefixed;
use super::table::Choice;
use crate::net::accepted::Accepted;

/// The first byte of a handshake (RFC 8446, section 5.1): nothing else that a client may begin with has it.
const HANDSHAKE: u8 = 22;

/// A connection behind its handshake.
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<Prefixed>;

/// What a handshake has found out.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) stream: Box<TlsStream>,
    /// The name the client asked for, in lower case and without a final dot.
    pub(crate) name: Option<Box<str>>,
    /// Whose authorities have issued the certificate that the client has shown, if it has shown one.
    pub(crate) verified_for: Option<Arc<ServiceTls>>,
    pub(crate) is_http2: bool,
}

/// Whether the first byte can be that of a handshake.
pub(crate) fn begins(read: &[u8]) -> bool {
    read.first() == Some(&HANDSHAKE)
}

/// Carries out the handshake of a client of which `read` was read already; `None` for a name for which `choose` has
/// nothing (`unrecognized_name` would tell no client more than a closed connection does).
pub(crate) async fn shake(
    stream: Accepted,
    read: BytesMut,
    choose: impl FnOnce(&ClientHello<'_>) -> Option<Choice>,
) -> io::Result<Option<Handshake>> {
    let begun = LazyConfigAcceptor::new(Acceptor::default(), Prefixed::new(stream, read)).await?;
    let (choice, name) = {
        let hello = begun.client_hello();
        let name =
            hello.server_name().map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let choice =
            choose(&hello).map(|Choice { config, guard }| (suited(config, hello.cipher_suites()), guard));
        (choice, name.map(Into::into))
    };
    let Some((config, guard)) = choice else { return Ok(None) };
    let stream = Box::new(begun.into_stream(config).await?);
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let verified_for = guard.filter(|_| session.peer_certificates().is_some());
    Ok(Some(Handshake { stream, name, verified_for, is_http2 }))
}

/// Makes the coming close a reset.
pub(crate) fn set_zero_linger(stream: &TlsStream) -> io::Result<()> {
    stream.get_ref().0.tcp().set_zero_linger()
}
