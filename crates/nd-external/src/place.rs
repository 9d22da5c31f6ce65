//! Where an upstream is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nd_types::{Upstream, UpstreamHost};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::ExternalError;

/// How long one of several addresses may take to be connected to.
const CONNECT: Duration = Duration::from_secs(1);

/// How many addresses of a name are tried.
const TRIED: usize = 8;

/// The address of an upstream: of several ones the first where somebody listens, for `localhost` has two and a server
/// often listens at one of them alone.
///
/// # Errors
/// When the name has no address.
pub(crate) async fn find(upstream: &Upstream) -> Result<IpAddr, ExternalError> {
    let name = match upstream.host() {
        UpstreamHost::Address(ip) => return Ok(*ip),
        UpstreamHost::Name(name) => &**name,
    };
    let nowhere = |source| ExternalError::NoAddress { name: name.to_owned(), source };
    let found = lookup_host((name, upstream.port().get())).await.map_err(|error| nowhere(Some(error)))?;
    let found: Vec<SocketAddr> = found.take(TRIED).collect();
    let first = found.first().ok_or_else(|| nowhere(None))?;
    if found.len() > 1 {
        for address in &found {
            if let Ok(Ok(_)) = timeout(CONNECT, TcpStream::connect(address)).await {
                return Ok(address.ip());
            }
        }
    }
    Ok(first.ip())
}
