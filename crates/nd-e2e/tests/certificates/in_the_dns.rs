//! Names that are proven by whoever serves their zone.

use std::path::Path;

use nd_e2e::Result;
use nd_testkit::Knot;

use crate::shop::{By, SHOP, Shop, YEAR, holders};
use crate::tell;

#[test]
fn a_wildcard_is_proven_by_updates_of_the_zone_that_the_app_names() -> Result {
    let shop = Shop::open(By::Update, YEAR)?;
    let knot = shop.knot.as_ref().ok_or("no name server")?;
    let routes = "proxy: {routes: [{host: shop.example.com}, {host: '*.shop.example.com'}]}\n";
    shop.write(&format!("ssl: {{wildcard: true, dns_provider: nobody}}\n{routes}"))?;
    let refused = shop.daemon.cli("deploy")?.expect_code(2)?;
    let says = ["no DNS provider is called nobody", "write one of exec, lab into `ssl.dns_provider`"];
    assert!(says.iter().all(|says| refused.stderr.contains(says)), "{}", refused.stderr);
    let ssl = format!("ssl: {{wildcard: true, dns_provider: lab, email: shop@example.com}}\n{routes}");
    let took =
        shop.deploy(&ssl, "eu.shop.example.com").map_err(|error| format!("{error}\n{}", knot.log()))?;
    tell("dns-01 by updates", took);
    shop.ask(SHOP)?;
    let left = knot.txt(&format!("_acme-challenge.{SHOP}")).map_err(|error| error.to_string())?;
    assert!(left.is_empty() && knot.log().contains("DDNS"), "{left:?}\n{}", knot.log());
    shop.is_nowhere(Knot::KEY, Path::new("/nowhere"))?;
    let mut accounts = Vec::new();
    let mail = b"\"shop@example.com\"";
    holders(&shop.daemon.site().data().join("certs").join("accounts"), mail, &mut accounts)?;
    assert_eq!(accounts.len(), 1, "the authority writes to the address of the app: {accounts:?}");
    shop.key_is_nowhere()
}
