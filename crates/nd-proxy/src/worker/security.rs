//! What TLS means for a request: names that must agree, certificates of clients, the way from plain HTTP, and proofs for
//! certificate authorities.

use std::rc::Rc;
use std::sync::Arc;

use nd_types::{Hsts, ServiceTls};

use super::Worker;
use super::client::Introduced;
use super::entry::Entry;
use super::plan::Origin;
use super::policy;
use super::service::Service;
use crate::http1::request::RequestHead;
use crate::pages::Refusal;

/// What an app wants of TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    wants: Arc<ServiceTls>,
    /// The line of its answers, where there is one.
    hsts: Option<Rc<str>>,
}

impl Secured {
    /// Nothing for an app that wants nothing.
    pub(crate) fn of(wants: &Arc<ServiceTls>) -> Option<Rc<Self>> {
        let hsts = wants.hsts.map(|hsts| line(hsts).into());
        (!wants.is_default()).then(|| Rc::new(Self { wants: Arc::clone(wants), hsts }))
    }

    /// The line that tells browsers to come with TLS alone; said over TLS alone (RFC 6797, section 7.2).
    pub(crate) fn line(&self, is_https: bool) -> Option<Rc<str>> {
        self.hsts.clone().filter(|_| is_https)
    }
}

/// The answer that is given before anybody looks at the app's rules, if any.
pub(crate) fn decide(
    worker: &Worker,
    head: &RequestHead<'_, '_>,
    from: Origin<'_>,
    service: Option<&Service>,
) -> Option<Refusal> {
    if !matches!(from.entry, Entry::HostPort(_))
        && let Some(answer) = worker.table().tls().answer(head.path())
    {
        return Some(Refusal::Proof { answer: answer.to_owned() });
    }
    let asked = from.tls.and_then(|tls| tls.name.as_deref());
    // A proxy in front may have one connection for all names: it has kept them apart itself.
    let asked = asked.filter(|_| !from.trust.is_proxy());
    if asked.is_some_and(|asked| head.host.is_some_and(|host| !host.name.eq_ignore_ascii_case(asked))) {
        return Some(Refusal::Misdirected);
    }
    let wants = &service?.tls.as_ref()?.wants;
    if wants.client_ca.is_some() && from.tls.and_then(Introduced::authorities) != wants.client_ca.as_deref() {
        return Some(Refusal::Unverified);
    }
    if wants.redirect && matches!(from.entry, Entry::Main) && policy::scheme(head, from) != "https" {
        return secure_address(worker, head).map(|location| Refusal::Moved { status: 308, location });
    }
    None
}

/// The same address with TLS, where that is spoken with a certificate that visitors trust.
fn secure_address(worker: &Worker, head: &RequestHead<'_, '_>) -> Option<String> {
    let (table, name) = (worker.table(), head.host?.name);
    if !head.host?.with_lower_case(|name| table.tls().has(name)) {
        return None;
    }
    Some(match worker.tls_port()? {
        443 => format!("https://{name}{}", head.target),
        port => format!("https://{name}:{port}{}", head.target),
    })
}

fn line(hsts: Hsts) -> String {
    let Hsts { max_age, include_subdomains, preload } = hsts;
    let mut line = format!("Strict-Transport-Security: max-age={}", max_age.as_secs());
    line.push_str(if include_subdomains { "; includeSubDomains" } else { "" });
    line.push_str(if preload { "; preload" } else { "" });
    line.push_str("\r\n");
    line
}
