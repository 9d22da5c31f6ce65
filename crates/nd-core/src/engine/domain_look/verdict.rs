//! What a look at a domain means: one line, and what helps.

use std::cmp::Reverse;

use nd_types::Timestamp;

use super::{Answers, DomainLook, PortLook};

/// How a domain stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Visitors come, and see what they should.
    Good,
    /// They do, or may, and somebody should look at something.
    Odd,
    /// They do not.
    Bad,
}

/// A judgement of a domain: one line for people, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In a word.
    pub standing: Standing,
    /// Why.
    pub why: String,
    /// What helps.
    pub fix: Vec<String>,
}

/// A certificate that ends so soon has not been renewed when it should have been.
const SOON_DAYS: i64 = 7;

impl DomainLook {
    /// Judges what was seen: what keeps visitors away first.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        let steps = [self.dns_verdict(), self.http_verdict(), self.https_verdict(), self.cert_verdict(now)];
        let mut found: Vec<Verdict> = steps.into_iter().flatten().chain(self.ownerless()).collect();
        // Of two that are as bad, the one that comes first on a visitor's way.
        found.sort_by_key(|verdict| Reverse(verdict.standing));
        found.into_iter().next().unwrap_or_else(|| Verdict {
            standing: Standing::Good,
            why: self.good(),
            fix: Vec::new(),
        })
    }

    fn dns_verdict(&self) -> Option<Verdict> {
        if let Some(trouble) = self.dns.troubles.first() {
            let fix = self.dns.troubles.iter().filter_map(|trouble| trouble.fix.clone()).collect();
            return Some(Verdict { standing: Standing::Bad, why: trouble.to_string(), fix });
        }
        let unknown = self.dns.unknown.as_ref()?;
        Some(odd(format!("the DNS gives no answer about it: {unknown}")))
    }

    fn http_verdict(&self) -> Option<Verdict> {
        self.http
            .iter()
            .find_map(|port| self.port_verdict(port, "open it in the firewall, and let it lead to the proxy"))
    }

    fn https_verdict(&self) -> Option<Verdict> {
        self.https
            .iter()
            .find_map(|port| self.port_verdict(port, "open it in the firewall, and let it lead to the proxy"))
    }

    /// Another server is bad wherever it is. Nobody is bad at an address of this machine; elsewhere there may be a router
    /// that lets in the world and not us.
    fn port_verdict(&self, port: &PortLook, open: &str) -> Option<Verdict> {
        let (address, number) = (port.at.ip(), port.at.port());
        match &port.answers {
            Answers::Ours | Answers::Somebody => None,
            Answers::Another(what) => Some(Verdict {
                standing: Standing::Bad,
                why: format!("port {number} of {address} is answered by another server: {what}"),
                fix: vec![format!(
                    "let port {number} of {address} lead to this daemon's proxy, or take that address out of the DNS"
                )],
            }),
            Answers::Nobody(why) if self.dns.ours.contains(&address) => Some(Verdict {
                standing: Standing::Bad,
                why: format!("nobody answers at port {number} of {address}: {why}"),
                fix: vec![format!("{open}: port {number} of {address}")],
            }),
            Answers::Nobody(why) => Some(odd(format!(
                "port {number} of {address} cannot be reached from this machine ({why}); the world may reach it through a router"
            ))),
        }
    }

    fn cert_verdict(&self, now: Timestamp) -> Option<Verdict> {
        let status = self.cert.as_ref()?;
        let name = &self.host;
        if let Some(cert) = &status.cert {
            let days = cert.not_after.duration_since(now).as_hours() / 24;
            let fix = vec![format!("nextdeploy certs renew {name}")];
            if cert.not_after < now {
                return Some(Verdict {
                    standing: Standing::Bad,
                    why: "its certificate has expired".to_owned(),
                    fix,
                });
            }
            let late = status.error.as_ref().filter(|_| days < SOON_DAYS);
            return late.map(|error| Verdict {
                standing: Standing::Odd,
                why: format!("its certificate ends in {days} days, and the last order failed: {error}"),
                fix,
            });
        }
        let (standing, why) = match &status.error {
            Some(error) => (Standing::Bad, format!("it has no certificate: {error}")),
            None => (Standing::Odd, "its certificate is being ordered".to_owned()),
        };
        Some(Verdict { standing, why, fix: vec![format!("nextdeploy certs show {name}")] })
    }

    fn ownerless(&self) -> Option<Verdict> {
        let none = self.app.is_none().then(|| odd("it is well, and no app has it yet".to_owned()))?;
        Some(Verdict { fix: vec![format!("nextdeploy domains add APP {}", self.host)], ..none })
    }

    fn good(&self) -> String {
        let secure = self.https.iter().find_map(|port| port.shown.as_ref());
        match secure {
            Some(shown) => format!("leads here, and is served with a certificate of {}", shown.signed_by),
            None => "leads here, and is served without TLS".to_owned(),
        }
    }
}

fn odd(why: String) -> Verdict {
    Verdict { standing: Standing::Odd, why, fix: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use nd_types::HostPattern;

    use super::*;
    use crate::ports::{DnsReport, PortError, PortErrorKind};

    const HERE: [u8; 4] = [192, 0, 2, 7];

    fn port(number: u16, answers: Answers) -> PortLook {
        PortLook { at: SocketAddr::from((HERE, number)), answers, shown: None }
    }

    /// A domain of an app, whose address is this machine's or is not.
    fn look(http: Answers, is_ours: bool) -> DomainLook {
        let address = IpAddr::from(HERE);
        let ours = if is_ours { vec![address] } else { Vec::new() };
        DomainLook {
            host: HostPattern::new("shop.example.com").unwrap(),
            app: "shop".parse().ok(),
            dns: DnsReport { addresses: vec![address], ours, ..DnsReport::default() },
            http: vec![port(80, http)],
            https: Vec::new(),
            issuer: None,
            cert: None,
        }
    }

    fn judged(look: &DomainLook) -> (Standing, String, Vec<String>) {
        let Verdict { standing, why, fix } = look.verdict(Timestamp::UNIX_EPOCH);
        (standing, why, fix)
    }

    #[test]
    fn a_domain_that_our_proxy_answers_is_good() {
        let (standing, why, fix) = judged(&look(Answers::Ours, true));
        assert_eq!(
            (standing, why.as_str(), fix.len()),
            (Standing::Good, "leads here, and is served without TLS", 0)
        );
    }

    #[test]
    fn nobody_is_bad_here_and_may_be_behind_a_router_elsewhere() {
        let refused = || Answers::Nobody("connection refused".to_owned());
        let (standing, why, fix) = judged(&look(refused(), true));
        assert_eq!(standing, Standing::Bad);
        assert!(why.starts_with("nobody answers at port 80 of 192.0.2.7"), "{why}");
        assert_eq!(fix.len(), 1);
        assert_eq!(judged(&look(refused(), false)).0, Standing::Odd);
    }

    #[test]
    fn another_server_at_the_address_is_bad_wherever_it_is() {
        let (standing, why, _) = judged(&look(Answers::Another("HTTP 404 from Apache".to_owned()), false));
        assert_eq!(standing, Standing::Bad);
        assert!(why.contains("another server: HTTP 404 from Apache"), "{why}");
    }

    #[test]
    fn what_the_dns_says_comes_before_what_answers() {
        let mut look = look(Answers::Nobody("connection refused".to_owned()), true);
        let elsewhere =
            PortError::new(PortErrorKind::Transient, "it leads elsewhere").with_fix("create a record");
        look.dns.troubles.push(elsewhere);
        let (standing, why, fix) = judged(&look);
        assert_eq!((standing, why.as_str()), (Standing::Bad, "it leads elsewhere"));
        assert_eq!(fix, ["create a record"]);
    }

    #[test]
    fn a_domain_of_nobody_is_told_how_to_be_somebodys() {
        let (standing, _, fix) = judged(&DomainLook { app: None, ..look(Answers::Ours, true) });
        assert_eq!(
            (standing, fix),
            (Standing::Odd, vec!["nextdeploy domains add APP shop.example.com".to_owned()])
        );
    }
}
