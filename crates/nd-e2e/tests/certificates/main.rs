//! A domain in `nextdeploy.yml` is all it takes: a real authority issues its certificate, and the daemon serves and renews it.

mod clients;
mod in_the_dns;
mod shop;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nd_e2e::{Result, WAIT, until_some};
use serde_json::{Value, json};

use shop::{By, SHOP, Shop, YEAR};

#[test]
fn a_domain_gets_a_certificate_by_http_that_can_be_rotated_and_whose_key_stays_where_it_is() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    tell("http-01", shop.deploy("", SHOP)?);
    let (before, first) = (shop.ask(SHOP)?, shop.serial()?);
    let rotated = shop.daemon.api_post("/certs/rotate", &json!({ "domain": SHOP }).to_string())?;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let serial = rotated.json()?.pointer("/payload/serial").cloned().unwrap_or_default();
    assert!(serial.is_string() && serial != first, "{}", rotated.text());
    assert_eq!(shop.serial()?, serial);
    assert_ne!(shop.ask(SHOP)?, before, "what the answer names is what serves");
    shop.key_is_nowhere()
}

#[test]
fn the_commands_show_it_renew_it_and_give_its_key_to_its_owner_alone() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    shop.deploy("", SHOP)?;
    let listed = shop.daemon.cli("certs ls --json")?.ok()?.json()?;
    assert_eq!(listed.pointer("/0/state"), Some(&json!("valid")), "{listed}");
    let domains = shop.daemon.cli("domains ls shop --json")?.ok()?.stdout;
    assert!(domains.contains(r#""state": "valid""#), "{domains}");
    let shown = shop.daemon.cli(&format!("certs show {SHOP}"))?.ok()?.stdout;
    let first = shop.serial()?;
    assert!(shown.contains(first.as_str().unwrap_or("no serial")) && !shown.contains("KEY"), "{shown}");
    shop.daemon.cli(&format!("certs renew {SHOP}"))?.ok()?;
    assert_ne!(shop.serial()?, first);
    shop.daemon.cli(&format!("certs export {SHOP}"))?.ok()?;
    let [chain, key] = ["pem", "key"].map(|end| shop.daemon.site().folder().join(format!("{SHOP}.{end}")));
    assert_eq!(fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    let words = ["certs", "import", &chain.display().to_string(), &key.display().to_string()];
    shop.daemon.cli_words(&words)?.ok()?;
    assert_eq!(shop.cert()?.get("issuer"), None, "it is somebody's own now");
    shop.ask(SHOP)?;
    shop.daemon.cli("certs show other.example.com")?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_domain_that_is_added_later_gets_its_own_while_the_first_one_serves_on() -> Result {
    let (shop, www) = (Shop::open(By::Http, YEAR)?, "www.example.com");
    shop.deploy("", SHOP)?;
    let first = shop.ask(SHOP)?;
    let said = shop.daemon.cli(&format!("domains add shop {www}"))?.ok()?.stdout;
    assert!(said.contains("https once pebble has issued its certificate"), "{said}");
    until_some("an answer over TLS", WAIT, || shop.ask(www).ok())?;
    assert_eq!(shop.ask(SHOP)?, first);
    let listed = shop.daemon.cli("domains ls shop --json=domain,state,url")?.ok()?.stdout;
    assert!(listed.contains(&format!("https://{www}:{}", shop.https)), "{listed}");
    // Nobody may prove it by a record in the DNS here.
    let refused = shop.daemon.cli("domains add shop *.example.com")?.expect_code(2)?;
    assert!(refused.stderr.contains("dns-01") && refused.stderr.contains("[certs.exec]"), "{refused:?}");
    Ok(())
}

#[test]
fn a_check_tells_what_keeps_visitors_away() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    shop.deploy("", SHOP)?;
    // The name leads here, and the world comes to a port that is not this proxy's.
    let found = shop.daemon.cli(&format!("domains check {SHOP}"))?.expect_code(8)?.stdout;
    assert!(found.starts_with("fail  ") && found.contains("port 80 of 127.0.0.1"), "{found}");
    let json = shop.daemon.cli(&format!("domains check {SHOP} --json"))?.expect_code(8)?.json()?;
    assert_eq!(json.pointer("/0/addresses/0"), Some(&json!("127.0.0.1")), "{json}");
    assert!(json.pointer("/0/days_left").and_then(Value::as_i64).is_some_and(|days| days > 300), "{json}");
    shop.daemon.cli("domains check nobody")?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_domain_gets_a_certificate_where_port_443_alone_is_open() -> Result {
    let shop = Shop::open(By::TlsAlpn, YEAR)?;
    tell("tls-alpn-01", shop.deploy("", SHOP)?);
    shop.key_is_nowhere()
}

#[test]
fn a_wildcard_is_proven_by_a_program_that_writes_into_the_dns() -> Result {
    let shop = Shop::open(By::Dns, YEAR)?;
    let took = shop.deploy(
        "ssl: {wildcard: true}\nproxy: {routes: [{host: shop.example.com}, {host: '*.shop.example.com'}]}\n",
        "eu.shop.example.com",
    )?;
    tell("dns-01", took);
    shop.ask(SHOP)?;
    shop.key_is_nowhere()
}

#[test]
fn a_certificate_of_a_short_life_is_renewed_by_itself_and_no_handshake_fails() -> Result {
    let shop = Shop::open(By::Http, Duration::from_secs(45))?;
    shop.deploy("", SHOP)?;
    let (first, before) = (shop.ask(SHOP)?, shop.serial()?);
    let mut asked = 0;
    let mut failures = Vec::new();
    until_some("a renewal", Duration::from_secs(90), || {
        asked += 1;
        match shop.ask(SHOP) {
            Ok(shown) => (shown != first).then_some(()),
            Err(error) => {
                failures.push(error.to_string());
                None
            }
        }
    })?;
    assert!(failures.is_empty() && asked > 1, "{asked} handshakes: {failures:?}\n{}", shop.cert()?);
    let cert = shop.cert()?;
    assert_ne!(cert.pointer("/served/serial"), Some(&before), "{cert}");
    assert_eq!(cert.get("orders").and_then(Value::as_array).map(Vec::len), Some(2), "{cert}");
    Ok(())
}

/// Shows a time that is worth knowing and depends on the machine.
#[allow(clippy::print_stderr, reason = "a measurement, for people")]
fn tell(what: &str, took: Duration) {
    eprintln!("{what}: {:.2} s from the deployment to the first answer over TLS", took.as_secs_f64());
}
