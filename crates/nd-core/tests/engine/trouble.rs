//! Ports that fail, hang, panic and lose their answers.

use std::time::Duration;

use nd_core::model::AppPhase;
use nd_core::ports::PortErrorKind;
use nd_core::records::DeploymentStatus;
use nd_testkit::fake::{Fault, IngressCall, RuntimeCall};
use nd_types::ExitStatus;

use crate::world::*;

const CALLS: [RuntimeCall; 7] = [
    RuntimeCall::Prepare,
    RuntimeCall::Create,
    RuntimeCall::Start,
    RuntimeCall::Signal,
    RuntimeCall::Wait,
    RuntimeCall::Observe,
    RuntimeCall::Listening,
];

const FAULTS: [Fault; 4] = [
    Fault::Fail(PortErrorKind::Transient),
    Fault::Fail(PortErrorKind::Timeout),
    Fault::LoseAnswer(PortErrorKind::Timeout),
    Fault::Panic,
];

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_over_one_failure_of_every_kind_at_every_call_of_the_runtime() -> TestResult {
    let shop = app("shop");
    for call in CALLS {
        for fault in FAULTS {
            let world = World::new();
            let daemon = world.daemon().await?;
            daemon.serve(&shop, web("")).await?;
            world.docker.faults().once(call, fault);
            let ended = daemon.deploy(&shop, web("ready-after:100ms")).await?;
            assert_eq!(ended.status, DeploymentStatus::Succeeded, "{call:?} {fault:?}: {:?}", ended.error);
            assert_eq!(world.docker.running(), [unit(&shop, &ended.release, 1)], "{call:?} {fault:?}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_over_one_failure_of_every_kind_at_every_call_of_the_ingress() -> TestResult {
    let shop = app("shop");
    for call in [IngressCall::Apply, IngressCall::Drain] {
        for fault in FAULTS {
            let world = World::new();
            let daemon = world.daemon().await?;
            daemon.serve(&shop, web("")).await?;
            world.ingress.faults().once(call, fault);
            let ended = daemon.deploy(&shop, web("")).await?;
            assert_eq!(ended.status, DeploymentStatus::Succeeded, "{call:?} {fault:?}: {:?}", ended.error);
            let serving = [unit(&shop, &ended.release, 1)];
            assert_eq!(world.ingress.backends(&shop), serving, "{call:?} {fault:?}");
            assert_eq!(world.docker.running(), serving, "{call:?} {fault:?}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_cannot_pass_ends_the_deployment() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    for call in [RuntimeCall::Prepare, RuntimeCall::Create, RuntimeCall::Start] {
        for kind in [PortErrorKind::Invalid, PortErrorKind::NotFound, PortErrorKind::Denied] {
            world.docker.faults().once(call, Fault::Fail(kind));
            let ended = daemon.deploy(&shop, web("")).await?;
            assert_eq!(ended.status, DeploymentStatus::Failed, "{call:?} {kind:?}");
            assert_eq!((world.docker.running(), world.docker.units().len()), (vec![old.clone()], 1));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn views_answer_while_the_runtime_hangs() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    daemon.serve(&blog, command("")).await?;
    for call in [RuntimeCall::Observe, RuntimeCall::Start, RuntimeCall::Signal, RuntimeCall::Stats] {
        world.docker.faults().set(call, Fault::Hang);
    }
    let revision = daemon.engine.restart(&shop, "tester").await?;
    pass(Duration::from_secs(40)).await;
    assert!(world.docker.faults().hanging(RuntimeCall::Observe) > 0, "it does hang");
    assert_eq!(daemon.engine.status(&shop).unwrap().revision, revision);
    assert_eq!(daemon.engine.list().len(), 2);
    let shop_unit = daemon.engine.status(&shop).unwrap().units[0].id.clone();
    let stats = daemon.engine.stats(&shop_unit).await.unwrap_err();
    assert_eq!(stats.kind, PortErrorKind::Timeout);

    let blog_unit = world.process.running()[0].clone();
    world.process.crash(&blog_unit, ExitStatus::Code(1));
    within(world.process.until(|_| world.process.starts(&blog_unit) == 2)).await?;

    for call in [RuntimeCall::Observe, RuntimeCall::Start, RuntimeCall::Signal] {
        world.docker.faults().clear(call);
    }
    assert_eq!(daemon.settled(&shop, revision).await?.phase, AppPhase::Running);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_ends_in_time_although_everything_hangs() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    for call in CALLS {
        world.docker.faults().set(call, Fault::Hang);
    }
    daemon.engine.deploy(request(&shop, web(""))).await?;
    pass(Duration::from_secs(5)).await;
    let begin = tokio::time::Instant::now();
    daemon.shut_down().await?;
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    assert_eq!(world.docker.running().len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_without_its_engine_runs_the_other_apps_and_waits_for_it() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    let shop_unit = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    daemon.serve(&blog, command("")).await?;
    daemon.kill();
    let absent = Fault::Fail(PortErrorKind::Unavailable);
    let calls = [RuntimeCall::Observe, RuntimeCall::Hints, RuntimeCall::Start];
    for call in calls {
        world.docker.faults().set(call, absent);
    }
    world.docker.crash(&shop_unit, ExitStatus::Unknown);

    let daemon = world.daemon().await?;
    daemon.until(&blog, |status| status.settled && status.ready == 1).await?;
    pass(Duration::from_secs(60)).await;
    assert_eq!(daemon.engine.status(&shop).unwrap().ready, 0);
    for call in calls {
        world.docker.faults().clear(call);
    }
    let begin = tokio::time::Instant::now();
    daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_ingress_that_cannot_say_what_it_serves_is_asked_again() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for _ in 0..40 {
        daemon.serve(&shop, web("")).await?;
    }
    daemon.kill();
    world.ingress.faults().set(IngressCall::Serving, Fault::Fail(PortErrorKind::Unavailable));
    let daemon = world.daemon().await?;
    pass(Duration::from_secs(2)).await;
    world.ingress.faults().clear(IngressCall::Serving);
    let begin = tokio::time::Instant::now();
    daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_may_jump() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    for hours in [-5, 9] {
        world.clock.set_ahead(jiff::SignedDuration::from_hours(hours));
        let starts = world.docker.starts(&serving);
        world.docker.crash(&serving, ExitStatus::Code(1));
        within(world.docker.until(|_| world.docker.starts(&serving) == starts + 1)).await?;
        daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
        let revision = daemon.engine.restart(&shop, "tester").await?;
        daemon.settled(&shop, revision).await?;
        assert_eq!(world.docker.starts(&serving), starts + 2, "restarted once after {hours} h");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_ends_at_once_while_it_only_waits_and_the_next_one_waits_on() -> TestResult {
    for script in ["prepare-takes:50s", "ready-after:50s"] {
        let (world, shop) = (World::new(), app("shop"));
        let daemon = world.daemon().await?;
        let accepted = daemon.engine.deploy(request(&shop, web(script))).await?;
        pass(Duration::from_secs(10)).await;
        let begin = tokio::time::Instant::now();
        daemon.shut_down().await?;
        assert!(begin.elapsed() < Duration::from_secs(1), "{script}: {:?}", begin.elapsed());
        let daemon = world.daemon().await?;
        assert_eq!(daemon.ended(&shop, &accepted).await?.status, DeploymentStatus::Succeeded, "{script}");
    }
    Ok(())
}
