//! Certificates: seen by everybody who may ask, their keys by nobody who is not on the unix socket.

use std::time::{Duration, Instant};

use nd_core::ports::{PortError, PortErrorKind};
use nd_testkit::fake::fake_cert;
use nd_types::{HostPattern, Timestamp};
use serde_json::{Value, json};

use crate::support::{At, PATIENCE, TOKEN, TestResult, World, image, with};

const SHOP: &str = "shop.example.com";

/// A server with an app that is known by [`SHOP`].
async fn with_shop() -> TestResult<World> {
    let world = World::start().await?;
    let manifest = with(image("shop", "i:1"), "/app/domain", json!(SHOP));
    world.deployed("shop", manifest).await?;
    Ok(world)
}

/// Waits until the certificate of [`SHOP`] is in that state.
async fn until(world: &World, state: &str) -> TestResult<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = world.ask("GET", &format!("/api/v1/certs/{SHOP}"), "").await?;
        if answer.status == 200 && answer.json()?.at("/state") == state {
            return answer.json();
        }
        if Instant::now() > deadline {
            return Err(format!("never {state}: {}", answer.body).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_certificate_is_listed_and_shown_without_its_key() -> TestResult {
    let world = with_shop().await?;
    let shown = until(&world, "valid").await?;
    assert_eq!((shown.at("/app"), shown.at("/issuer")), (&json!("shop"), &json!("authority")), "{shown}");
    assert_eq!(shown.at("/orders/0/serial"), shown.at("/served/serial"));
    assert!(shown.at("/served/serial").is_string());
    let list = world.ask("GET", "/api/v1/certs", "").await?;
    assert_eq!(list.json()?.at("/items/0/name"), SHOP, "{}", list.body);
    assert!(!list.body.contains("PRIVATE") && !shown.to_string().contains("PRIVATE"), "{}", list.body);
    let unknown = world.ask("GET", "/api/v1/certs/other.example.com", "").await?;
    assert_eq!((unknown.status, unknown.json()?.at("/code")), (404, &json!("ND1017")), "{}", unknown.body);
    let wrong = world.ask("GET", "/api/v1/certs/a%20b", "").await?;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    Ok(())
}

#[tokio::test]
async fn rotating_answers_with_the_new_serial_number() -> TestResult {
    let world = with_shop().await?;
    let before = until(&world, "valid").await?;
    let body = json!({ "domain": SHOP }).to_string();
    let rotated = world.ask("POST", "/certs/rotate", &body).await?;
    let answer = rotated.json()?;
    assert_eq!((rotated.status, answer.at("/success")), (200, &json!(true)), "{}", rotated.body);
    let serial = answer.at("/payload/serial");
    assert!(serial.is_string() && serial != before.at("/served/serial"), "{}", rotated.body);
    assert_eq!(until(&world, "valid").await?.at("/served/serial"), serial);
    let unknown = world.ask("POST", "/certs/rotate", r#"{"domain":"other.example.com"}"#).await?;
    assert_eq!((unknown.status, unknown.json()?.at("/success")), (404, &json!(false)), "{}", unknown.body);
    for wrong in ["{}", r#"{"domain":"http://a.b"}"#, r#"{"domain":"a.b","force":true}"#] {
        assert_eq!(world.ask("POST", "/certs/rotate", wrong).await?.status, 400, "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn a_renewal_is_the_same_and_tells_why_there_is_none() -> TestResult {
    let world = with_shop().await?;
    let before = until(&world, "valid").await?;
    let path = format!("/api/v1/certs/{SHOP}/renew");
    let renewed = world.ask("POST", &path, "").await?;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    assert_ne!(renewed.json()?.at("/served/serial"), before.at("/served/serial"));
    world.issuer.refuse(
        PortError::new(PortErrorKind::Exhausted, "too many certificates")
            .with_retry_after(Duration::from_secs(3600)),
    );
    let limited = world.ask("POST", &path, "").await?;
    assert_eq!((limited.status, limited.json()?.at("/code")), (429, &json!("ND1113")), "{}", limited.body);
    let shown = until(&world, "valid").await?;
    assert!(shown.at("/error").as_str().is_some_and(|why| why.contains("too many")), "{shown}");
    assert!(shown.at("/retry_at").is_string(), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_key_leaves_through_the_unix_socket_alone() -> TestResult {
    let world = with_shop().await?;
    until(&world, "valid").await?;
    let path = format!("/api/v1/certs/{SHOP}/export");
    let exported = world.ask("GET", &path, "").await?;
    assert_eq!((exported.status, exported.header("cache-control")), (200, Some("no-store")));
    assert!(exported.json()?.at("/key").as_str().is_some_and(|key| key.contains("PRIVATE KEY")));
    let headers = format!("host: {}\r\nauthorization: Bearer {TOKEN}\r\n", world.tcp);
    let refused = world.ask_tcp(&path, &headers).await?;
    assert_eq!((refused.status, refused.json()?.at("/code")), (403, &json!("ND1006")), "{}", refused.body);
    assert!(!refused.body.contains("PRIVATE KEY"));
    Ok(())
}

#[tokio::test]
async fn ones_own_certificate_takes_the_place_of_the_ordered_one() -> TestResult {
    let world = with_shop().await?;
    until(&world, "valid").await?;
    let own =
        fake_cert(&[HostPattern::new(SHOP)?], "somebody", Timestamp::now(), Duration::from_secs(86_400));
    world.shelf.knows(own.clone());
    let (chain, key) = (own.certificate.chain.clone(), own.certificate.key.clone());
    let body = json!({ "chain": chain, "key": key }).to_string();
    let imported = world.ask("POST", "/api/v1/certs", &body).await?;
    let view = imported.json()?;
    assert_eq!((imported.status, view.at("/served/serial")), (200, &json!(own.serial)), "{}", imported.body);
    assert!(view.at("/issuer").is_null() && !imported.body.contains("PRIVATE"), "{}", imported.body);
    let foreign = json!({ "chain": chain, "key": "another" }).to_string();
    let refused = world.ask("POST", "/api/v1/certs", &foreign).await?;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(!refused.body.contains("another"), "{}", refused.body);
    let removed = world.ask("DELETE", &format!("/api/v1/certs/{SHOP}"), "").await?;
    assert_eq!(removed.json()?.at("/served/serial"), &json!(own.serial), "{}", removed.body);
    Ok(())
}

#[tokio::test]
async fn a_revoked_certificate_is_followed_by_a_new_one() -> TestResult {
    let world = with_shop().await?;
    let first = until(&world, "valid").await?;
    let path = format!("/api/v1/certs/{SHOP}/revoke");
    let wrong = world.ask("POST", &path, r#"{"reason":"boredom"}"#).await?;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let revoked = world.ask("POST", &path, r#"{"reason":"key_compromise"}"#).await?;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert_eq!(revoked.json()?.at("/served/serial"), first.at("/served/serial"));
    assert_eq!(world.issuer.revoked().len(), 1);
    let next = until(&world, "valid").await?;
    assert_ne!(next.at("/served/serial"), first.at("/served/serial"));
    Ok(())
}
