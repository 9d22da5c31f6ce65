//! The books of all ingresses: an app stands in one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use nd_types::{AppName, HostPattern, IngressKind, TlsState};
use tokio::sync::watch;

use super::RouteBook;
use crate::certs::CertWish;
use crate::model::RoutesServing;
use crate::ports::{Applied, IssuerName, PortResult};
use crate::registry::Registry;
use crate::routes::AppRoutes;

/// One book for each ingress.
pub(crate) struct Books {
    books: BTreeMap<IngressKind, RouteBook>,
    default: IngressKind,
    /// Told after every change of an app's routes.
    edited: watch::Sender<()>,
}

impl Books {
    /// A book for each ingress, as [`RouteBook::new`].
    pub(crate) fn new(registry: &Registry, known: &[AppName]) -> Self {
        let edited = watch::Sender::new(());
        let book = |(kind, ingress): (_, &Arc<_>)| {
            let known = known.iter().cloned();
            (kind, RouteBook::that_tells(edited.clone(), Arc::clone(ingress), known))
        };
        let books = registry.ingresses().map(book).collect();
        Self { books, default: registry.default_ingress(), edited }
    }

    /// The kinds there are.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = IngressKind> {
        self.books.keys().copied()
    }

    /// The book of an ingress.
    pub(crate) fn of(&self, kind: IngressKind) -> Option<&RouteBook> {
        self.books.get(&kind)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IngressKind, &RouteBook)> {
        self.books.iter().map(|(kind, book)| (*kind, book))
    }

    /// Changes whenever the routes of an app do.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.edited.subscribe()
    }

    /// The certificates that apps want, as [`RouteBook::wishes`].
    pub(crate) fn wishes(&self, default: Option<&IssuerName>) -> BTreeMap<HostPattern, (AppName, CertWish)> {
        let mut all = BTreeMap::new();
        for (name, wish) in self.books.values().flat_map(|book| book.wishes(default)) {
            all.entry(name).or_insert(wish);
        }
        all
    }

    /// Changes TLS of an ingress, as [`RouteBook::edit_tls`].
    ///
    /// # Errors
    /// `NotFound` where there is none of this kind, or what it says.
    pub(crate) async fn edit_tls(
        &self,
        kind: IngressKind,
        change: impl FnOnce(&mut TlsState),
    ) -> PortResult<Applied> {
        let book = self.of(kind).ok_or_else(|| Registry::no_ingress(kind))?;
        book.edit_tls(change).await
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
