//! One order from the first look to the certificate (RFC 8555, section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use nd_core::ports::{
    CertOrder, ChallengeKind, ChallengeSolver, PortError, PortErrorKind, PortResult, Proof,
};
use nd_types::{Certificate, Challenge, HostPattern, KeyPem};
use rcgen::{CertificateParams, DistinguishedName};
use tokio::time::timeout;

use super::{Acme, Session, chains, problem, renewal_info};
use crate::mint::{self, MintError};
use crate::{dns, reach};

/// A certificate as it came.
pub(super) struct Made {
    pub(super) chain: String,
    pub(super) key: String,
}

/// What was shown, and by whom: to be cleaned up.
type Shown = Vec<(Arc<dyn ChallengeSolver>, Proof)>;

/// Refuses what no authority would take, or nobody here can prove; `allowed` are the ways that may be used, all where it is
/// empty.
pub(super) fn check(
    order: &CertOrder,
    solvers: &[Arc<dyn ChallengeSolver>],
    allowed: &[ChallengeKind],
) -> PortResult<()> {
    let invalid =
        |context: String, fix: &str| Err(PortError::new(PortErrorKind::Invalid, context).with_fix(fix));
    if order.names.is_empty() {
        return invalid("order a certificate for no name".to_owned(), "add a domain to the app");
    }
    for name in &order.names {
        let last = name.as_str().rsplit('.').next().unwrap_or_default();
        if name.parent() == Some("") || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return invalid(
                format!("order a certificate for `{name}`, which is no domain"),
                "use a name as `app.example.com`, or `ssl.provider: internal`",
            );
        }
        let can = |kind| solvers.iter().any(|solver| solver.kinds().contains(&kind));
        if name.parent().is_some() && !can(ChallengeKind::Dns01) {
            return invalid(
                format!(
                    "order a certificate for `{name}`: a wildcard can only be proven in the DNS (dns-01)"
                ),
                "set up who writes into it (`[certs.dns_provider]` or `[certs.exec]`, docs/guide/certificates.md), name one of several in `ssl.dns_provider`, or name each host",
            );
        }
        if solvers.is_empty() {
            return invalid(
                format!("order a certificate for {name}: nobody here can prove it"),
                "open port 80 or 443",
            );
        }
        if !allowed.is_empty() && !allowed.iter().any(|kind| can(*kind)) {
            let able = solvers.iter().flat_map(|solver| solver.kinds()).copied().collect::<Vec<_>>();
            return invalid(
                format!(
                    "order a certificate for {name}: `challenges` allows {} alone, and what serves the name can only do {}",
                    listed(allowed),
                    listed(&able)
                ),
                "allow one of those it can do (`challenges` of the issuer, docs/guide/certificates.md)",
            );
        }
    }
    Ok(())
}

fn listed(kinds: &[ChallengeKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" and ") }
}

/// Looks at the DNS before anybody is asked.
pub(super) async fn look_first(
    acme: &Acme,
    session: &Session,
    order: &CertOrder,
    solvers: &[Arc<dyn ChallengeSolver>],
) -> PortResult<()> {
    if order.unchecked || !acme.settings.check_dns {
        return Ok(());
    }
    let usual = solvers.iter().find_map(|solver| solver.kinds().first());
    let preferred = acme.settings.challenges.first().or(usual);
    for name in &order.names {
        reach::may_issue(&acme.dns, name, &session.directory.meta.caa_identities).await?;
        if name.parent().is_none() && preferred != Some(&ChallengeKind::Dns01) {
            reach::leads_here(&acme.dns, name, &acme.settings.addresses).await?;
        }
    }
    Ok(())
}

/// Orders, proves, and fetches; cleans up after itself however it ends.
pub(super) async fn place(
    acme: &Acme,
    session: &Session,
    order: &CertOrder,
    solvers: &[Arc<dyn ChallengeSolver>],
) -> PortResult<Made> {
    let mut shown = Shown::new();
    let limit = acme.settings.timeout;
    let work = Box::pin(run(acme, session, order, solvers, &mut shown));
    let made = timeout(limit, work).await.unwrap_or_else(|_| {
        let context = format!("order {}: not finished within {limit:?}", named(&order.names));
        Err(PortError::new(PortErrorKind::Timeout, context)
            .with_fix("give it more time: `timeout` of the issuer"))
    });
    for (solver, proof) in shown {
        if let Err(error) = solver.cleanup(&proof).await {
            tracing::warn!(name = %proof.name(), kind = proof.kind().as_str(), %error, "a proof is left behind");
        }
    }
    made
}

async fn run(
    acme: &Acme,
    session: &Session,
    wanted: &CertOrder,
    solvers: &[Arc<dyn ChallengeSolver>],
    shown: &mut Shown,
) -> PortResult<Made> {
    let tried = format!("order {}", named(&wanted.names));
    let mut order = new_order(acme, session, wanted).await?;
    prove_all(acme, session, &mut order, solvers, shown).await?;
    let patience = RetryPolicy::new().initial_delay(Duration::from_millis(100)).backoff(1.6);
    let patience = patience.timeout(acme.settings.timeout);
    let status = match order.poll_ready(&patience).await {
        Ok(status) => status,
        // The order itself says less than the challenge that failed.
        Err(error @ instant_acme::Error::Api(_)) => {
            let failed = session.failed(&tried, error);
            return Err(what_failed(&mut order).await.unwrap_or(failed));
        }
        Err(error) => return Err(session.failed(&tried, error)),
    };
    if status == OrderStatus::Invalid {
        let unknown = || {
            PortError::new(
                PortErrorKind::Transient,
                format!("{tried}: the authority refused without a reason"),
            )
        };
        return Err(what_failed(&mut order).await.unwrap_or_else(unknown));
    }
    let (request, key) = request(acme, &wanted.names)?;
    order.finalize_csr(&request).await.map_err(|error| session.failed(&tried, error))?;
    let chain = order.poll_certificate(&patience).await;
    let chain = chain.map_err(|error| session.failed(&tried, error))?;
    let preferred = wanted.preferred_chain.as_ref().or(acme.settings.preferred_chain.as_ref());
    let chain = match preferred {
        Some(preferred) => chains::choose(&session.account, &session.http, chain, preferred).await,
        None => chain,
    };
    Ok(Made { chain, key })
}

async fn new_order(acme: &Acme, session: &Session, wanted: &CertOrder) -> PortResult<Order> {
    let tried = format!("order {}", named(&wanted.names));
    let profile = wanted.profile.as_deref().or(acme.settings.profile.as_deref());
    if let Some(profile) = profile {
        let offered: Vec<&str> = session.account.profiles().map(|offered| offered.name).collect();
        if !offered.contains(&profile) {
            let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
            let context = format!("{tried}: the authority has no profile `{profile}` (it has {offered})");
            return Err(PortError::new(PortErrorKind::Invalid, context)
                .with_fix("choose one that it offers, or none"));
        }
    }
    let names: Vec<_> = wanted.names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
    let follows = session.directory.renewal_info.as_ref().and(wanted.replaces.as_ref());
    let placed = match follows.and_then(renewal_info::identifier) {
        None => session.account.new_order(&newly(&names, profile)).await,
        Some(identifier) => {
            match session.account.new_order(&newly(&names, profile).replaces(identifier)).await {
                // It only helps with the limits: an order without it is as good.
                Err(error) if problem::dislikes_replaces(&error) => {
                    session.account.new_order(&newly(&names, profile)).await
                }
                placed => placed,
            }
        }
    };
    placed.map_err(|error| session.failed(&tried, error))
}

fn newly<'n>(names: &'n [Identifier], profile: Option<&'n str>) -> NewOrder<'n> {
    let order = NewOrder::new(names);
    if let Some(profile) = profile { order.profile(profile) } else { order }
}

/// Shows everything first, and says so then: a name and its wildcard are two values of one record, of which a resolver that
/// was asked too soon would keep the first one alone.
async fn prove_all(
    acme: &Acme,
    session: &Session,
    order: &mut Order,
    solvers: &[Arc<dyn ChallengeSolver>],
    shown: &mut Shown,
) -> PortResult<()> {
    let unknown = |error| session.failed("ask what is to be proven", error);
    let mut shows = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization.map_err(unknown)?;
        match authorization.status {
            AuthorizationStatus::Valid => shows.push(None),
            AuthorizationStatus::Pending => {
                shows.push(Some(show(acme, authorization, solvers, shown).await?));
            }
            status => {
                let context =
                    format!("prove {}: the authorization is {status:?}", authorization.identifier());
                return Err(PortError::new(PortErrorKind::Transient, context).with_fix("order again"));
            }
        }
    }
    let (mut authorizations, mut shows) = (order.authorizations(), shows.into_iter());
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization.map_err(unknown)?;
        if let Some(kind) = shows.next().flatten() {
            ready(session, authorization, kind).await?;
        }
    }
    Ok(())
}

/// Shows what is asked for one name; the kind of challenge that this answers.
async fn show(
    acme: &Acme,
    mut authorization: AuthorizationHandle<'_>,
    solvers: &[Arc<dyn ChallengeSolver>],
    shown: &mut Shown,
) -> PortResult<ChallengeKind> {
    let identifier = identifier(&authorization);
    let tried = format!("prove {identifier}");
    let name = HostPattern::new(&identifier)
        .map_err(|error| PortError::new(PortErrorKind::Internal, &*tried).with_source(error))?;
    let offered: Vec<ChallengeKind> =
        authorization.challenges.iter().filter_map(|one| known(&one.r#type)).collect();
    let Some((solver, kind)) = choose(solvers, &offered, &acme.settings.challenges) else {
        let offered: Vec<_> = offered.into_iter().map(ChallengeKind::as_str).collect();
        let context = format!(
            "{tried}: the authority accepts {} alone, which nobody here can or may do",
            offered.join(" and ")
        );
        return Err(PortError::new(PortErrorKind::Invalid, context)
            .with_fix("set up who writes into the DNS for dns-01 (docs/guide/certificates.md), open ports 80 and 443, or widen `challenges`"));
    };
    let proof = proof(acme, name, kind, &challenge(&mut authorization, kind)?)?;
    shown.push((solver.clone(), proof.clone()));
    solver.present(&proof).await?;
    Ok(kind)
}

/// Tells the authority that it may look.
async fn ready(
    session: &Session,
    mut authorization: AuthorizationHandle<'_>,
    kind: ChallengeKind,
) -> PortResult<()> {
    let identifier = identifier(&authorization);
    match challenge(&mut authorization, kind)?.set_ready().await {
        // One that was answered before.
        Err(instant_acme::Error::Api(error)) => {
            Err(problem::of_challenge(&identifier, kind.as_str(), &error))
        }
        Err(error) => Err(session.failed(&format!("prove {identifier}"), error)),
        Ok(()) => Ok(()),
    }
}

fn identifier(authorization: &AuthorizationHandle<'_>) -> String {
    authorization.identifier().identifier.authorized(false).to_string()
}

fn challenge<'a>(
    authorization: &'a mut AuthorizationHandle<'a>,
    kind: ChallengeKind,
) -> PortResult<instant_acme::ChallengeHandle<'a>> {
    let tried = format!("prove {}", identifier(authorization));
    let challenge = authorization.challenge(wire(kind));
    challenge
        .ok_or_else(|| PortError::new(PortErrorKind::Internal, format!("{tried}: the challenge is gone")))
}

/// The first solver that can do one of these, and its preferred one of them; where the operator wants them in an order of
/// his own, the first of those.
fn choose<'s>(
    solvers: &'s [Arc<dyn ChallengeSolver>],
    offered: &[ChallengeKind],
    wanted: &[ChallengeKind],
) -> Option<(&'s Arc<dyn ChallengeSolver>, ChallengeKind)> {
    if !wanted.is_empty() {
        return wanted.iter().filter(|kind| offered.contains(kind)).find_map(|kind| {
            let solver = solvers.iter().find(|solver| solver.kinds().contains(kind))?;
            Some((solver, *kind))
        });
    }
    solvers.iter().find_map(|solver| {
        let kind = solver.kinds().iter().find(|kind| offered.contains(kind))?;
        Some((solver, *kind))
    })
}

fn proof(
    acme: &Acme,
    name: HostPattern,
    kind: ChallengeKind,
    challenge: &instant_acme::ChallengeHandle<'_>,
) -> PortResult<Proof> {
    let authorization = challenge.key_authorization();
    Ok(match kind {
        ChallengeKind::Http01 => {
            let (token, answer) = (challenge.token.clone(), authorization.as_str().to_owned());
            Proof::Edge { name, challenge: Challenge::Http01 { token, answer } }
        }
        ChallengeKind::TlsAlpn01 => {
            let (chain, key) = mint::tls_alpn(&name, authorization.digest().as_ref(), acme.clock.wall())?;
            let names = vec![name.clone()];
            let certificate = Arc::new(Certificate { names, chain, key: KeyPem::new(key) });
            Proof::Edge { name, challenge: Challenge::TlsAlpn01 { certificate } }
        }
        ChallengeKind::Dns01 => {
            Proof::Dns01 { record: dns::record_of(&name), name, value: authorization.dns_value() }
        }
    })
}

/// The challenge that failed, where one tells.
async fn what_failed(order: &mut Order) -> Option<PortError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().identifier.authorized(false).to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        for challenge in &state.challenges {
            if let (Some(error), Some(kind)) = (&challenge.error, known(&challenge.r#type)) {
                return Some(problem::of_challenge(&name, kind.as_str(), error));
            }
        }
    }
    None
}

/// The request for the certificate (RFC 2986) and the key it is for.
fn request(acme: &Acme, names: &[HostPattern]) -> Result<(Vec<u8>, String), MintError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let key = acme.settings.key.generate()?;
    Ok((params.serialize_request(&key)?.der().to_vec(), key.serialize_pem()))
}

fn known(kind: &ChallengeType) -> Option<ChallengeKind> {
    match kind {
        ChallengeType::Http01 => Some(ChallengeKind::Http01),
        ChallengeType::TlsAlpn01 => Some(ChallengeKind::TlsAlpn01),
        ChallengeType::Dns01 => Some(ChallengeKind::Dns01),
        _ => None,
    }
}

fn wire(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
    }
}

fn named(names: &[HostPattern]) -> String {
    names.iter().map(HostPattern::as_str).collect::<Vec<_>>().join(", ")
}
