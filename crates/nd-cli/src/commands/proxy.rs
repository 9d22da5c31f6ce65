//! `proxy show` and `proxy test`.

use nd_api::v1::{ProxiedAppView, ProxyTestQuery, RouteView};

use super::{Context, Outcome};
use crate::args::{ProxyTestArgs, ProxyVerb};
use crate::failure::Exit;
use crate::render::table::{Text, Tone, render};
use crate::render::time;

pub(super) async fn run(verb: &ProxyVerb, context: &Context<'_>) -> Outcome {
    match verb {
        ProxyVerb::Show => show(context).await,
        ProxyVerb::Test(args) => test(args, context).await,
    }
}

async fn show(context: &Context<'_>) -> Outcome {
    let view = context.client.proxy().await?;
    if context.output.json {
        context.output.object(&view);
        return Ok(Exit::Ok);
    }
    context.output.note(&format!("{}, table {}", view.http, view.generation));
    let routes = view.routes.iter().map(|route| {
        vec![
            Text::plain(format!("{}{}", route.host, route.path)),
            Text::plain(route.app.to_string()),
            Text::or_dash(on_the_way(route)),
        ]
    });
    let routes = render(&["route", "app", "on the way"], routes.collect(), context.output);
    let apps = view.apps.iter().map(|app| {
        let tone = match app.state.as_str() {
            "serving" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Odd,
        };
        vec![
            Text::plain(app.app.to_string()),
            Text::plain(app.release.clone()),
            Text(app.state.clone(), tone),
            Text::or_dash(backends(app)),
            Text::plain(limits(app)),
        ]
    });
    let apps = render(&["app", "ver", "state", "instances", "limits"], apps.collect(), context.output);
    context.output.result(&format!("{routes}\n\n{apps}"));
    Ok(Exit::Ok)
}

async fn test(args: &ProxyTestArgs, context: &Context<'_>) -> Outcome {
    let query = ProxyTestQuery { url: args.url.clone(), from: args.from };
    let view = context.client.proxy_test(&query).await?;
    if context.output.json {
        context.output.object(&view);
        return Ok(Exit::Ok);
    }
    let outcome = match (view.outcome.as_str(), &view.app) {
        ("app", Some(app)) => format!("goes to {}", app.app),
        ("wait", Some(app)) => format!("waits for {}", app.app),
        (status, _) => format!("gets {status} from the proxy"),
    };
    let mut lines = vec![format!("{}{} {outcome}", view.host, view.path)];
    if let Some(route) = &view.route {
        let way = on_the_way(route).map(|way| format!(" ({way})")).unwrap_or_default();
        lines.push(format!("route      {}{} → {}{way}", route.host, route.path, route.app));
    }
    lines.extend(view.why.iter().map(|why| format!("why        {why}")));
    if let Some(app) = &view.app {
        lines.extend(backends(app).map(|backends| format!("instances  {backends}")));
        lines.push(format!("limits     {}", limits(app)));
    }
    context.output.result(&lines.join("\n"));
    Ok(Exit::Ok)
}

fn on_the_way(route: &RouteView) -> Option<String> {
    let happens = [
        route.strip.then(|| format!("{} stripped", route.path)),
        route.port.map(|port| format!("to port {port}")),
        route.timeout_ms.map(|timeout| format!("within {}", time::took(timeout))),
        route.redirect.as_ref().map(|host| format!("308 to {host}")),
    ];
    let happens: Vec<String> = happens.into_iter().flatten().collect();
    (!happens.is_empty()).then(|| happens.join(", "))
}

fn backends(app: &ProxiedAppView) -> Option<String> {
    let backends = app.backends.iter().map(|backend| format!("{} {}", backend.instance, backend.address));
    let backends: Vec<String> = backends.collect();
    (!backends.is_empty()).then(|| backends.join(", "))
}

fn limits(app: &ProxiedAppView) -> String {
    let body = nd_types::ByteSize(app.body_limit);
    let (answer, hold) = (time::took(app.response_timeout_ms), time::took(app.hold_ms));
    format!("body {body}, answer {answer}, wait {hold} ({} requests)", app.hold_requests)
}
