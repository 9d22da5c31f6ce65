//! What has become of the certificate of a name.

use nd_types::{HostPattern, Timestamp};
use serde::{Deserialize, Serialize};

/// Orders that are remembered of each name.
const KEPT: usize = 20;

/// The orders of a certificate, and when the next one may be placed. The certificate itself is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertRecord {
    /// Its first name.
    pub name: HostPattern,
    /// What the last order was for, to find out whether something has changed since.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wish: String,
    /// Orders that failed since one succeeded.
    #[serde(default)]
    pub failures: u32,
    /// Nothing is ordered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Whether it was the authority that said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_to_wait: bool,
    /// At how many days before its end it was last said that it is about to expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_days: Option<u16>,
    /// Orders, the latest one last.
    #[serde(default)]
    pub orders: Vec<CertOrderRecord>,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertOrderRecord {
    /// When it ended.
    pub at: Timestamp,
    /// Of whom the certificate was ordered.
    pub issuer: String,
    /// What came of it.
    pub end: CertOrderEnd,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertOrderEnd {
    /// A certificate.
    Issued {
        /// Its serial number.
        serial: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// None.
    Failed {
        /// Why not, and what can be done about it.
        error: String,
    },
}

impl CertRecord {
    /// Nothing has been ordered for that name yet.
    #[must_use]
    pub fn new(name: HostPattern) -> Self {
        Self {
            name,
            wish: String::new(),
            failures: 0,
            retry_at: None,
            asked_to_wait: false,
            warned_days: None,
            orders: Vec::new(),
        }
    }

    /// Remembers an order.
    pub(crate) fn add(&mut self, order: CertOrderRecord) {
        self.orders.push(order);
        let surplus = self.orders.len().saturating_sub(KEPT);
        self.orders.drain(..surplus);
    }
}
