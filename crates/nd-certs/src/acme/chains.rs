//! Of several chains for one certificate the one that is wanted (RFC 8555, section 7.4.2).

use instant_acme::Account;

use super::http::Session;
use crate::x509;

/// The chain whose last issuer has that common name, else the one that was sent.
pub(super) async fn choose(account: &Account, http: &Session, sent: String, wanted: &str) -> String {
    let leads = |chain: &str| x509::root_name(chain).is_some_and(|name| name == wanted);
    let others = http.chain().map(|(_, others)| others).unwrap_or_default();
    if leads(&sent) {
        return sent;
    }
    for url in others {
        // The library knows no request for a chain; this one asks as it wants it, and the answer is taken on its way.
        let _not_an_order = account.order(url).await;
        if let Some((chain, _)) = http.chain().filter(|(chain, _)| leads(chain)) {
            return chain;
        }
    }
    tracing::warn!(wanted, "the authority has no chain that ends there: using its usual one");
    sent
}
