//! `domains`: list, add and rm.

use std::time::Duration;

use nd_api::v1::{
    CertState, DomainCheckQuery, DomainCheckView, DomainListQuery, DomainVerdict, DomainView, DomainsBody,
    DomainsQuery, DomainsView,
};
use nd_types::{AppName, HostPattern};

use super::certs::tone;
use super::{Context, Outcome};
use crate::args::{DomainAddArgs, DomainCheckArgs, DomainListArgs, DomainRmArgs, DomainsVerb, WaitFlags};
use crate::failure::{Exit, Failure};
use crate::render::table::{Text, render};
use crate::render::time;
use crate::targets;

pub(super) async fn run(verb: &DomainsVerb, context: &Context<'_>) -> Outcome {
    match verb {
        DomainsVerb::Ls(args) => list(args, context).await,
        DomainsVerb::Add(args) => add(args, context).await,
        DomainsVerb::Rm(args) => remove(args, context).await,
        DomainsVerb::Check(args) => check(args, context).await,
    }
}

async fn list(args: &DomainListArgs, context: &Context<'_>) -> Outcome {
    let app: Option<AppName> = args.app.as_deref().map(targets::parse).transpose()?;
    let domains = context.client.domains(&DomainListQuery { app }).await?;
    if context.output.json {
        context.output.list(&domains);
        return Ok(Exit::Ok);
    }
    let rows = domains.iter().map(|domain| {
        let state = match domain.state {
            Some(state) => Text(state.to_string(), tone(state)),
            None => Text::or_dash(None),
        };
        vec![
            Text::plain(format!("{}{}", domain.domain, domain.path)),
            Text::plain(domain.app.to_string()),
            state,
            Text::or_dash(domain.certificate.clone()),
        ]
    });
    let columns = ["domain", "app", "tls", "certificate"];
    context.output.result(&render(&columns, rows.collect(), context.output));
    Ok(Exit::Ok)
}

async fn add(args: &DomainAddArgs, context: &Context<'_>) -> Outcome {
    let (app, domains) = meant(&args.words, args.name.as_deref(), context)?;
    let body = DomainsBody { app, domains, wait_ms: wait_ms(&args.wait) };
    let view = context.client.add_domains(&body).await?;
    Ok(said(&view, &args.wait, context))
}

async fn remove(args: &DomainRmArgs, context: &Context<'_>) -> Outcome {
    let (app, domains) = meant(&args.words, args.name.as_deref(), context)?;
    let domains: Vec<&str> = domains.iter().map(HostPattern::as_str).collect();
    let query = DomainsQuery { app, domains: domains.join(","), wait_ms: wait_ms(&args.wait) };
    let view = context.client.remove_domains(&query).await?;
    Ok(said(&view, &args.wait, context))
}

async fn check(args: &DomainCheckArgs, context: &Context<'_>) -> Outcome {
    let query = match args.word.as_deref() {
        Some(word) if word.contains(['.', '*']) => {
            DomainCheckQuery { domain: Some(domain(word)?), ..DomainCheckQuery::default() }
        }
        Some(word) => DomainCheckQuery { app: Some(targets::parse(word)?), ..DomainCheckQuery::default() },
        None => DomainCheckQuery::default(),
    };
    let found = context.client.check_domains(&query).await?;
    let exit =
        if found.iter().any(|view| view.verdict == DomainVerdict::Fail) { Exit::Found } else { Exit::Ok };
    if context.output.json {
        context.output.list(&found);
        return Ok(exit);
    }
    if found.is_empty() {
        context.output.note("no domain leads to an app: nextdeploy domains add APP www.example.com");
        return Ok(exit);
    }
    let width = found.iter().map(|view| view.domain.as_str().len()).max().unwrap_or_default();
    let lines = found.iter().map(|view| judged(view, width, context));
    context.output.result(&lines.collect::<Vec<_>>().join("\n"));
    Ok(exit)
}

/// The verdict in one line, and what helps below it.
fn judged(view: &DomainCheckView, width: usize, context: &Context<'_>) -> String {
    let word = match view.verdict {
        DomainVerdict::Ok => context.output.good("ok  "),
        DomainVerdict::Warn => context.output.odd("warn"),
        DomainVerdict::Fail => context.output.bad("fail"),
    };
    let days = view.days_left.map(|days| format!(", {days} days left")).unwrap_or_default();
    let renewed = view.renewed_at.map(|at| format!(", renewed {}", time::date_clock(at))).unwrap_or_default();
    let life = if view.verdict == DomainVerdict::Ok { format!("{days}{renewed}") } else { String::new() };
    let fix: String = view.fix.iter().map(|fix| format!("\n      fix: {fix}")).collect();
    format!("{word}  {:width$}  {}{life}{fix}", view.domain.as_str(), view.why)
}

fn domain(text: &str) -> Result<HostPattern, Failure> {
    HostPattern::pattern(text).map_err(|error| Failure::usage(error.to_string()))
}

/// The app and its domains. The first word is the app unless that is known otherwise; no name of an app has a dot in it.
fn meant(
    words: &[String],
    flag: Option<&str>,
    context: &Context<'_>,
) -> Result<(AppName, Vec<HostPattern>), Failure> {
    let (word, domains) = match words {
        [first, domains @ ..] if flag.is_none() && !first.contains(['.', '*']) => (Some(&**first), domains),
        domains => (None, domains),
    };
    let app = targets::one(word, flag, context.global)?;
    if domains.is_empty() {
        return Err(
            Failure::usage("say which domain").fix(format!("nextdeploy domains add {app} www.example.com"))
        );
    }
    Ok((app, domains.iter().map(|text| domain(text)).collect::<Result<_, _>>()?))
}

fn wait_ms(wait: &WaitFlags) -> Option<u64> {
    wait.limit().map(|limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

/// Says what is different now, and what comes next.
fn said(view: &DomainsView, wait: &WaitFlags, context: &Context<'_>) -> Exit {
    let (app, output) = (&view.app, context.output);
    if output.json {
        output.object(view);
    } else {
        let added = view.domains.iter().map(|domain| leads(domain, view.settled));
        let gone = view.removed.iter().map(|host| match view.settled {
            true => format!("{host} no longer leads to {app}"),
            false => format!("{host} is about to lead to {app} no more"),
        });
        output.result(&added.chain(gone).collect::<Vec<_>>().join("\n"));
    }
    view.notes.iter().for_each(|note| output.warning(note));
    if view.settled || wait.no_wait {
        return Exit::Ok;
    }
    let limit = nd_types::format_duration(wait.wait_timeout);
    output.note(&format!(
        "the proxy has not taken it over after {limit}; it goes on: nextdeploy domains ls {app}"
    ));
    Exit::TimedOut
}

/// As in `www.example.com leads to shop: http://www.example.com, and https once letsencrypt has issued its certificate`.
fn leads(domain: &DomainView, settled: bool) -> String {
    let DomainView { domain: host, app, url, issuer, state, .. } = domain;
    let leads = if settled { "leads" } else { "is about to lead" };
    let url = url.as_ref().map(|url| format!(": {url}")).unwrap_or_default();
    let next = match (state, issuer) {
        (Some(CertState::Valid | CertState::Due), _) | (_, None) => String::new(),
        (Some(CertState::Failed), Some(_)) => {
            format!(", and https does not serve yet: nextdeploy certs show {host}")
        }
        (_, Some(issuer)) => format!(", and https once {issuer} has issued its certificate"),
    };
    format!("{host} {leads} to {app}{url}{next}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(domain: &str, more: &serde_json::Value) -> DomainView {
        let mut view = json!({"domain": domain, "path": "/", "app": "shop"});
        for (name, value) in more.as_object().unwrap() {
            view[name] = value.clone();
        }
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn what_comes_next_is_said_with_what_is_there() {
        let plain = view("www.test", &json!({"url": "http://www.test"}));
        assert_eq!(leads(&plain, true), "www.test leads to shop: http://www.test");
        let ordered = view(
            "www.test",
            &json!({"url": "http://www.test", "issuer": "letsencrypt", "state": "ordering"}),
        );
        assert!(leads(&ordered, true).ends_with(", and https once letsencrypt has issued its certificate"));
        let covered = view("*.test", &json!({"issuer": "letsencrypt", "state": "valid"}));
        assert_eq!(leads(&covered, false), "*.test is about to lead to shop");
    }
}
