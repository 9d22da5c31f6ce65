//! How things stand, for whoever looks.

use std::sync::Arc;

use nd_types::HostPattern;

use super::Worker;
use crate::certs::status::CertStatus;
use crate::ports::{PortError, PortErrorKind, PortResult};
use crate::records::CertOrderEnd;

impl Worker {
    /// Tells everybody who looks how things stand.
    pub(super) fn tell(&self) {
        let names = self.kept.keys().chain(self.wishes.keys().filter(|name| !self.kept.contains_key(name)));
        let all: Vec<CertStatus> = names.filter_map(|name| self.status(name).ok()).collect();
        self.shared.certs.statuses.send_if_modified(|told| {
            let is_new = **told != all;
            *told = Arc::new(all);
            is_new
        });
    }

    pub(super) fn status(&self, name: &HostPattern) -> PortResult<CertStatus> {
        let (kept, wish) = (self.kept.get(name), self.wishes.get(name));
        if kept.is_none() && wish.is_none() {
            let context = format!("there is no certificate under the name {name}");
            return Err(PortError::new(PortErrorKind::NotFound, context));
        }
        let record = self.records.get(name);
        let last = record.and_then(|record| record.orders.last());
        let names = kept.map(|kept| kept.cert.certificate.names.clone());
        Ok(CertStatus {
            names: names.or_else(|| wish.map(|(_, wish)| wish.names.clone())).unwrap_or_default(),
            app: wish.map(|(app, _)| app.clone()),
            issuer: match kept {
                Some(kept) => kept.issuer.clone(),
                None => wish.map(|(_, wish)| wish.issuer.clone()),
            },
            cert: kept.map(|kept| kept.cert.clone()),
            renewal: self
                .renewals
                .get(name)
                .filter(|_| wish.is_none_or(|(_, wish)| wish.auto_renew))
                .cloned(),
            is_ordered: self.busy.get(name).is_some_and(|busy| busy.is_order),
            error: last.and_then(|last| match &last.end {
                CertOrderEnd::Failed { error } => Some(error.clone()),
                CertOrderEnd::Issued { .. } => None,
            }),
            retry_at: record.and_then(|record| record.retry_at),
            orders: record.map(|record| record.orders.clone()).unwrap_or_default(),
        })
    }
}
