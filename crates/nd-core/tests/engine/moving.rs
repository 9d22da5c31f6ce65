//! Apps that move from one ingress to another.

use std::time::Duration;

use nd_core::engine::EngineError;
use nd_core::ports::PortErrorKind;
use nd_core::spec::AppSpec;
use nd_testkit::fake::{Fault, IngressCall};
use nd_types::{Gate, IngressKind, Timestamp};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn an_app_that_moves_is_served_by_the_new_ingress_before_the_old_one_lets_go() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, web("")).await?;
    let units = vec![unit(&shop, &release, 1)];
    assert!(world.caddy.history().len() == 1, "nobody has asked anything of it");

    world.caddy.faults().once(IngressCall::Apply, Fault::Hang);
    let revision = daemon.engine.set_ingress(&shop, IngressKind::Caddy, "me").await?;
    while world.caddy.faults().hanging(IngressCall::Apply) == 0 {
        pass(Duration::from_millis(10)).await;
    }
    assert_eq!(world.ingress.backends(&shop), units, "it serves on meanwhile");
    world.caddy.faults().clear(IngressCall::Apply);
    daemon.settled(&shop, revision).await?;
    assert_eq!((world.caddy.backends(&shop), world.ingress.service(&shop)), (units.clone(), None));
    assert_eq!(world.docker.running(), units, "nothing was started anew");

    daemon.kill();
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert_eq!((world.caddy.backends(&shop), world.ingress.service(&shop)), (units, None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_ingress_that_is_being_started_anew_is_waited_for() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    world.caddy.faults().set(IngressCall::Check, Fault::Fail(PortErrorKind::Unavailable));
    let restart = async {
        pass(Duration::from_secs(2)).await;
        world.caddy.faults().clear(IngressCall::Check);
    };
    let (revision, ()) = tokio::join!(daemon.engine.set_ingress(&shop, IngressKind::Caddy, "me"), restart);
    daemon.settled(&shop, revision?).await?;
    assert!(world.caddy.service(&shop).is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_stays_where_it_is_while_the_new_ingress_does_not_take_it() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, web("")).await?;
    world.caddy.faults().set(IngressCall::Check, Fault::Fail(PortErrorKind::Unavailable));
    let refused = daemon.engine.set_ingress(&shop, IngressKind::Caddy, "me").await;
    assert!(matches!(refused, Err(EngineError::Ingress(_))), "{refused:?}");

    world.caddy.faults().clear(IngressCall::Check);
    world.caddy.faults().set(IngressCall::Apply, Fault::Fail(PortErrorKind::Unavailable));
    let revision = daemon.engine.set_ingress(&shop, IngressKind::Caddy, "me").await?;
    pass(Duration::from_secs(5)).await;
    assert_eq!(world.ingress.backends(&shop), vec![unit(&shop, &release, 1)]);
    world.caddy.faults().clear(IngressCall::Apply);
    daemon.settled(&shop, revision).await?;
    assert_eq!(world.caddy.backends(&shop), vec![unit(&shop, &release, 1)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_an_ingress_cannot_do_is_refused() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let asleep = AppSpec { sleep_after: Some(Duration::from_secs(60)), ..web("") };
    daemon.serve(&shop, asleep.clone()).await?;
    let refused = daemon.engine.set_ingress(&shop, IngressKind::Caddy, "me").await;
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(said, "caddy cannot do proxy.sleep_after; take it out, or use `proxy_type: embedded`");

    let mut request = request(&shop, web(""));
    request.ingress = Some(IngressKind::Caddy);
    daemon.deploy_as(request).await?;
    assert!(matches!(daemon.engine.plan(&shop, &asleep, None, None), Err(EngineError::IngressLacks { .. })));
    let until = Timestamp::now() + Duration::from_secs(30);
    let paused = daemon.engine.set_gate(&shop, Gate::Paused { until }, "me").await;
    assert!(matches!(paused, Err(EngineError::IngressLacks { .. })), "{paused:?}");
    daemon.engine.set_gate(&shop, Gate::Maintenance { retry_after_s: 5 }, "me").await?;
    Ok(())
}
