//! What `proxy:` of `nextdeploy.yml` says is what visitors meet, with the proxy in a process of its own.

use std::fs;
use std::time::Duration;

use nd_e2e::{Answer, Connection, Daemon, Options, Programs, Result, Site, runs_as_root};

/// `ana:open sesame`, as RFC 7617 writes it.
const ANA: (&str, &str) = ("authorization", "Basic YW5hOm9wZW4gc2VzYW1l");
const BROWSER: (&str, &str) = ("accept", "text/html");

/// An app with options for its proxy.
struct Shop {
    daemon: Daemon,
}

impl Shop {
    /// `options` are the lines below `proxy:`.
    fn deploy(options: &str) -> Result<Self> {
        let daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())?;
        fs::write(daemon.site().folder().join("gone.html"), "<p>{{status}} of {{app}}</p>")?;
        let shop = Self { daemon };
        shop.redeploy(options)?;
        Ok(shop)
    }

    fn redeploy(&self, options: &str) -> Result {
        let program = self.daemon.programs().testapp.display();
        let user = if runs_as_root() { "user: root\n" } else { "" };
        let options: String = options.lines().map(|line| format!("  {line}\n")).collect();
        let file = format!("app: {{name: shop}}\ncommand: [{program}]\n{user}proxy:\n{options}");
        fs::write(self.daemon.site().folder().join("nextdeploy.yml"), file)?;
        self.daemon.cli("deploy")?.ok().map(drop)
    }

    fn ask(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("http://{host}:{}{path}", self.daemon.site().http.port());
        let (target, host, path) = self.daemon.route(&url)?;
        let mut connection = Connection::open(&target, &host, Duration::from_secs(15))?;
        Ok(connection.request("GET", &path, fields, b"")?)
    }

    fn status(&self, path: &str, fields: &[(&str, &str)]) -> Result<u16> {
        Ok(self.ask("shop.localhost", path, fields)?.status)
    }
}

#[test]
fn names_and_passwords_guard_their_paths_and_stand_nowhere() -> Result {
    let shop = Shop::deploy("basic_auth: {paths: [/health], users: {ana: open sesame}}")?;
    assert_eq!(shop.status("/", &[])?, 200);
    let refused = shop.ask("shop.localhost", "/health", &[])?;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(shop.status("/health", &[("authorization", "Basic YW5hOndyb25n")])?, 401);
    assert_eq!(shop.status("//x/../%68ealth", &[])?, 401);
    assert_eq!(shop.status("/health", &[ANA])?, 200);
    let shown = shop.daemon.api_get("/api/v1/apps/shop")?.to_string();
    assert!(!shown.contains("open sesame"), "{shown}");
    Ok(())
}

#[test]
fn a_page_of_ones_own_stands_for_what_the_proxy_answers() -> Result {
    let shop =
        Shop::deploy("error_pages: {4xx: ./gone.html}\naccess: {deny: [127.0.0.1], paths: [/health]}")?;
    let page = shop.ask("shop.localhost", "/health", &[BROWSER])?;
    assert_eq!((page.status, page.text().as_str()), (403, "<p>403 of shop</p>"));
    let line = shop.ask("shop.localhost", "/health", &[])?;
    assert!(!line.text().contains('<'), "a program gets a line of text: {}", line.text());
    Ok(())
}

#[test]
fn redirects_stripped_paths_and_fields_are_as_the_file_says() -> Result {
    let shop = Shop::deploy(
        "routes: [{host: shop.localhost}, {path: /api, strip: true}, {host: www.localhost, redirect: shop.localhost}]\n\
         redirects: [{from: /old/*, to: /new/$1, code: 301}]\n\
         headers: {add: {X-Frame-Options: DENY}, remove: [X-Release]}",
    )?;
    let moved = shop.ask("shop.localhost", "/old/a?b=c", &[])?;
    assert_eq!((moved.status, moved.header("location")), (301, Some("/new/a?b=c")));
    let canonical = shop.ask("www.localhost", "/a", &[])?;
    assert_eq!(canonical.status, 308);
    assert!(canonical.header("location").is_some_and(|to| to.contains("//shop.localhost:")), "{canonical:?}");
    let stripped = shop.ask("shop.localhost", "/api/headers", &[])?;
    assert!(stripped.text().to_lowercase().contains("x-forwarded-prefix: /api"), "{}", stripped.text());
    assert_eq!((stripped.header("x-frame-options"), stripped.header("x-release")), (Some("DENY"), None));
    Ok(())
}

#[test]
fn a_limit_that_a_deployment_leaves_alone_forgives_nothing() -> Result {
    let limited = "rate_limit: [{path: /health, limit: 2/h}]";
    let shop = Shop::deploy(limited)?;
    assert_eq!([shop.status("/health", &[])?, shop.status("/health", &[])?], [200, 200]);
    let refused = shop.ask("shop.localhost", "/health", &[])?;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some() && refused.header("ratelimit").is_some(), "{refused:?}");
    shop.redeploy(limited)?;
    assert_eq!(shop.status("/health", &[])?, 429);
    assert_eq!(shop.status("/", &[])?, 200);
    shop.redeploy("sticky: cookie")?;
    let free = shop.ask("shop.localhost", "/health", &[])?;
    assert_eq!(free.status, 200);
    assert!(free.header("set-cookie").is_some_and(|cookie| cookie.starts_with("nd-sticky-")), "{free:?}");
    Ok(())
}
