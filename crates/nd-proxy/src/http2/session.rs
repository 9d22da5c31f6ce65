//! Connections to one address of an app that carry many requests at once.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Mutex;

use super::app::AppStream;

/// Requests at once on one connection, even if the app allows more.
pub(crate) const MAX_STREAMS: usize = 100;

/// The connections of one worker to one address.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: RefCell<Vec<Session>>,
    /// Held by whoever opens one: the others wait for it instead of opening more.
    pub(crate) opening: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Session {
    requests: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
}

/// A request's place on its connection.
#[derive(Debug)]
pub(crate) struct Place(Rc<Cell<usize>>);

impl Sessions {
    /// A stream on a connection that takes another one; ended connections are forgotten.
    pub(crate) async fn stream(&self) -> Option<AppStream> {
        loop {
            let has_room = |session: &&Session| {
                session.streams.get() < MAX_STREAMS.min(session.requests.current_max_send_streams())
            };
            let mut session = self.open.borrow().iter().find(has_room).cloned()?;
            let is_open =
                poll_fn(|cx| Poll::Ready(matches!(session.requests.poll_ready(cx), Poll::Ready(Ok(())))))
                    .await;
            if is_open {
                return Some(session.stream());
            }
            self.open.borrow_mut().retain(|other| !Rc::ptr_eq(&other.streams, &session.streams));
        }
    }

    /// Adds a connection, and gives a stream on it.
    pub(crate) fn add(&self, requests: SendRequest<Bytes>) -> AppStream {
        let session = Session { requests, streams: Rc::default() };
        let stream = session.stream();
        self.open.borrow_mut().push(session);
        stream
    }

    /// Starts nothing more on them: each ends with its last request.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }
}

impl Session {
    fn stream(&self) -> AppStream {
        self.streams.set(self.streams.get() + 1);
        AppStream::new(self.requests.clone(), Place(Rc::clone(&self.streams)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
