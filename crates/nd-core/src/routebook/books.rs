//! The books of all ingresses: an app stands in one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use nd_types::{AppName, IngressKind};

use super::RouteBook;
use crate::model::RoutesServing;
use crate::ports::PortResult;
use crate::registry::Registry;
use crate::routes::AppRoutes;

/// One book for each ingress.
pub(crate) struct Books {
    books: BTreeMap<IngressKind, RouteBook>,
    default: IngressKind,
}

impl Books {
    /// A book for each ingress, as [`RouteBook::new`].
    pub(crate) fn new(registry: &Registry, known: &[AppName]) -> Self {
        let book = |(kind, ingress): (_, &Arc<_>)| {
            (kind, RouteBook::new(Arc::clone(ingress), known.iter().cloned()))
        };
        Self { books: registry.ingresses().map(book).collect(), default: registry.default_ingress() }
    }

    /// The kinds there are.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = IngressKind> {
        self.books.keys().copied()
    }

    /// The book of an ingress.
    pub(crate) fn of(&self, kind: IngressKind) -> Option<&RouteBook> {
        self.books.get(&kind)
    }

    /// The book of the proxy that is part of the daemon. It alone serves the certificates that we order.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub(crate) fn own(&self) -> PortResult<&RouteBook> {
        self.of(IngressKind::Embedded).ok_or_else(|| Registry::no_ingress(IngressKind::Embedded))
    }

    /// Replaces the routes of an app, or takes them away, and returns when that serves. An app that moves is served by the new
    /// ingress first; then the one before lets go of it.
    ///
    /// # Errors
    /// What the ingress of the app says. What another one says that should let go of an app that has moved is only logged: it is
    /// asked again, and nobody waits for it.
    pub(crate) async fn set(&self, app: &AppName, routes: Option<AppRoutes>) -> PortResult<RoutesServing> {
        let Some(routes) = routes else {
            for book in self.books.values() {
                book.let_go(app).await?;
            }
            return Ok(RoutesServing::default());
        };
        let kind = routes.ingress.unwrap_or(self.default);
        let book = self.books.get(&kind).ok_or_else(|| Registry::no_ingress(kind))?;
        let serving = book.set(app, Some(routes)).await?;
        for (other, book) in self.books.iter().filter(|(other, _)| **other != kind) {
            if let Err(error) = book.let_go(app).await {
                tracing::warn!(%app, ingress = %other, %error, "let go of an app that has moved");
            }
        }
        Ok(serving)
    }
}
