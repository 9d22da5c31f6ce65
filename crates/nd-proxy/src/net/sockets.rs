//! Listening sockets as one value, so that one process can hand them to the next and no connection is refused between.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::bind::{BindError, bind_set};

/// The sockets of one address: one for each worker, all listening.
///
/// The kernel spreads connections over all of them (`SO_REUSEPORT`, socket(7)) and resets what waits in one that is
/// closed. So a set is handed on whole, and lives until its address is given up.
#[derive(Debug)]
pub struct SocketSet {
    address: SocketAddr,
    listeners: Vec<TcpListener>,
}

impl SocketSet {
    /// Opens `count` sockets on one address; with port 0 the system chooses a port for all of them.
    ///
    /// # Errors
    /// [`BindError`], which names the holder of a taken port where the system tells.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Self, BindError> {
        let listeners = bind_set(address, count)?;
        let address = listeners.first().and_then(|first| first.local_addr().ok()).unwrap_or(address);
        Ok(Self { address, listeners })
    }

    /// Takes sockets that another process has opened.
    ///
    /// # Errors
    /// When there are none, or they do not listen on one and the same address.
    pub fn from_fds(fds: Vec<OwnedFd>) -> io::Result<Self> {
        let listeners: Vec<TcpListener> = fds.into_iter().map(TcpListener::from).collect();
        let mut addresses = listeners.iter().map(TcpListener::local_addr);
        let address = addresses.next().ok_or_else(|| io::Error::other("a set of no sockets"))??;
        for other in addresses {
            if other? != address {
                return Err(io::Error::other(format!("sockets of one set on {address} and elsewhere")));
            }
        }
        Ok(Self { address, listeners })
    }

    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, to be sent to another process.
    pub fn fds(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(AsFd::as_fd)
    }

    /// The same sockets once more: they stay open until every clone is dropped.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let listeners = self.listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { address: self.address, listeners })
    }

    /// How many workers can listen.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    pub(crate) fn into_listeners(self) -> Vec<TcpListener> {
        self.listeners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anywhere(count: usize) -> SocketSet {
        SocketSet::bind("127.0.0.1:0".parse().unwrap(), count).unwrap()
    }

    #[test]
    fn a_set_that_was_handed_on_listens_where_it_did() {
        let set = anywhere(2);
        let fds = set.fds().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
        let taken = SocketSet::from_fds(fds).unwrap();
        drop(set.try_clone().unwrap());
        let address = set.address();
        drop(set);
        assert_eq!((taken.address(), taken.len()), (address, 2));
        std::net::TcpStream::connect(address).unwrap();
    }

    #[test]
    fn sockets_of_two_addresses_are_no_set() {
        let fds = [anywhere(1), anywhere(1)]
            .into_iter()
            .flat_map(|set| set.fds().map(|fd| fd.try_clone_to_owned().unwrap()).collect::<Vec<_>>());
        assert!(SocketSet::from_fds(fds.collect()).is_err());
        assert!(SocketSet::from_fds(Vec::new()).is_err());
    }
}
