//! Domains: given to apps and taken from them, over `/api/v1`.

use serde_json::{Value, json};

use crate::support::{At, TestResult, World, image, with};

/// A server with an app that is known by this domain.
async fn with_shop() -> TestResult<World> {
    let world = World::start().await?;
    world.deployed("shop", with(image("shop", "i:1"), "/app/domain", json!("shop.example.com"))).await?;
    Ok(world)
}

async fn add(world: &World, app: &str, domains: &[&str]) -> TestResult<(u16, Value)> {
    let body = json!({ "app": app, "domains": domains, "wait_ms": 10_000 }).to_string();
    let answer = world.ask("POST", "/api/v1/domains", &body).await?;
    Ok((answer.status, answer.json()?))
}

async fn remove(world: &World, app: &str, domains: &str) -> TestResult<(u16, Value)> {
    let path = format!("/api/v1/domains?app={app}&domains={domains}&wait_ms=10000");
    let answer = world.ask("DELETE", &path, "").await?;
    Ok((answer.status, answer.json()?))
}

/// The domains of an app as they are listed.
async fn listed(world: &World, app: &str) -> TestResult<Vec<String>> {
    let list = world.ask("GET", &format!("/api/v1/domains?app={app}"), "").await?.json()?;
    let items = list.at("/items").as_array().cloned().unwrap_or_default();
    Ok(items.iter().filter_map(|item| item.at("/domain").as_str()).map(str::to_owned).collect())
}

#[tokio::test]
async fn a_domain_that_is_added_is_served_and_gets_a_certificate() -> TestResult {
    let world = with_shop().await?;
    let (status, view) = add(&world, "shop", &["www.example.com", "shop.example.com"]).await?;
    assert_eq!((status, view.at("/settled")), (200, &json!(true)), "{view}");
    let www = view.at("/domains/1");
    let said = (www.at("/domain"), www.at("/added"), www.at("/issuer"));
    assert_eq!(said, (&json!("www.example.com"), &json!(true), &json!("authority")), "{view}");
    assert_eq!(view.at("/domains/0/added"), &json!(false), "{view}");
    assert_eq!(view.at("/notes").as_array().map(Vec::len), Some(1), "{view}");
    assert_eq!(listed(&world, "shop").await?, ["shop.example.com", "shop.localhost", "www.example.com"]);
    let renewed = world.ask("POST", "/api/v1/certs/www.example.com/renew", "").await?;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let app = world.ask("GET", "/api/v1/apps/shop", "").await?.json()?;
    assert!(app.at("/urls").to_string().contains("https://www.example.com"), "{app}");
    Ok(())
}

#[tokio::test]
async fn a_domain_that_is_removed_comes_back_with_a_deployment_that_lists_it() -> TestResult {
    let world = with_shop().await?;
    add(&world, "shop", &["www.example.com"]).await?;
    let (status, view) = remove(&world, "shop", "shop.example.com").await?;
    assert_eq!((status, view.at("/removed/0")), (200, &json!("shop.example.com")), "{view}");
    assert!(view.at("/notes/0").as_str().is_some_and(|note| note.contains("comes back")), "{view}");
    assert_eq!(listed(&world, "shop").await?, ["shop.localhost", "www.example.com"]);
    // What is left out stays as the app has it.
    let swapped = world.ask("POST", "/swap?wait=true", r#"{"app_name":"shop","image":"i:2"}"#).await?;
    assert_eq!(swapped.status, 200, "{}", swapped.body);
    assert_eq!(listed(&world, "shop").await?, ["shop.localhost", "www.example.com"]);
    remove(&world, "shop", "www.example.com").await?;
    add(&world, "shop", &["www.example.com"]).await?;
    let manifest = with(image("shop", "i:3"), "/app/domain", json!("shop.example.com"));
    let plan =
        world.ask("POST", "/api/v1/plan", &json!({ "manifest": manifest }).to_string()).await?.json()?;
    assert!(plan.at("/notes").to_string().contains("www.example.com leads to shop as well"), "{plan}");
    world.deployed("shop", manifest).await?;
    assert_eq!(listed(&world, "shop").await?, ["shop.example.com", "shop.localhost", "www.example.com"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() -> TestResult {
    let world = with_shop().await?;
    world.deployed("blog", image("blog", "i:1")).await?;
    let (status, taken) = add(&world, "blog", &["shop.example.com"]).await?;
    assert_eq!((status, taken.at("/code")), (409, &json!("ND1102")), "{taken}");
    assert!(taken.at("/title").as_str().is_some_and(|title| title.contains("app `shop`")), "{taken}");
    assert_eq!(taken.at("/fix/0"), "nextdeploy domains rm shop shop.example.com");
    let (status, wildcard) = add(&world, "blog", &["*.example.com"]).await?;
    assert_eq!((status, wildcard.at("/code")), (422, &json!("ND1123")), "{wildcard}");
    assert!(wildcard.at("/fix/0").as_str().is_some_and(|fix| fix.contains("[certs.exec]")), "{wildcard}");
    let (status, unknown) = add(&world, "nobody", &["a.example.com"]).await?;
    assert_eq!((status, unknown.at("/code")), (404, &json!("ND1003")), "{unknown}");
    for wrong in ["https://a.example.com", "a b", ""] {
        let (status, refused) = add(&world, "blog", &[wrong]).await?;
        assert!(status == 400 && refused.to_string().contains("not a host name"), "{status} {refused}");
    }
    let (status, missing) = remove(&world, "blog", "a.example.com").await?;
    assert_eq!((status, missing.at("/code")), (404, &json!("ND1018")), "{missing}");
    assert_eq!(listed(&world, "blog").await?, ["blog.localhost"]);
    Ok(())
}
