//! Where connections come in: the main listener, or a host port that belongs to one app.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use nd_types::HostPortProtocol;

use super::Worker;
use super::app::App;
use crate::http1::request::RequestHead;
use crate::routes::Passage;

/// A listener's purpose. It may change while its connections live, because a table may give a port to another app.
#[derive(Debug)]
pub(crate) enum Entry {
    /// All apps, by host and path.
    Main,
    /// The same, behind TLS.
    Secure,
    /// One app.
    HostPort(RefCell<PortRole>),
}

/// What a host port is for.
#[derive(Clone, Debug)]
pub(crate) struct PortRole {
    pub(crate) protocol: HostPortProtocol,
    /// `None` while no table says.
    pub(crate) app: Option<Rc<App>>,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The app that answers.
    pub(crate) app: Rc<App>,
    /// What happens on the way, if anything does.
    pub(crate) passage: Option<Arc<Passage>>,
}

impl Entry {
    /// Where this request goes.
    pub(crate) fn route(&self, worker: &Worker, head: &RequestHead<'_, '_>) -> Option<Destination> {
        match self {
            Self::Main | Self::Secure => worker.table().find(head.host, head.path()),
            Self::HostPort(role) => {
                let app = role.borrow().app.clone()?;
                Some(Destination { app, passage: None })
            }
        }
    }

    /// The app whose raw connections come in here; `None` where HTTP is spoken.
    pub(crate) fn raw(&self) -> Option<Option<Rc<App>>> {
        match self {
            Self::HostPort(role) if role.borrow().protocol == HostPortProtocol::Tcp => {
                Some(role.borrow().app.clone())
            }
            Self::HostPort(_) | Self::Main | Self::Secure => None,
        }
    }
}
