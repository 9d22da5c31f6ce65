use std::path::PathBuf;

use super::*;

/// A machine, and the clock that the test turns.
struct World {
    machine: Machine,
    now: Duration,
    done: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        let options = Options::new(vec!["app".to_owned()], PathBuf::from("/"));
        let mut machine = Machine::new(options);
        machine.handle(&Event::Started, Duration::ZERO);
        Self { machine, now: Duration::ZERO, done: Vec::new() }
    }

    fn on(&mut self, event: &Event) -> Vec<Effect> {
        let effects = self.machine.handle(event, self.now);
        self.done.extend(effects.iter().cloned());
        effects
    }

    fn after(&mut self, seconds: u64) -> Vec<Effect> {
        self.now += Duration::from_secs(seconds);
        self.on(&Event::Time)
    }

    fn crash(&mut self) -> Vec<Effect> {
        self.on(&Event::Ended { exit: ExitStatus::Code(3), rest: false })
    }

    fn said(&self) -> String {
        let said = self.done.iter().filter_map(|effect| match effect {
            Effect::Say(text) => Some(text.as_str()),
            _ => None,
        });
        said.collect::<Vec<_>>().join("\n")
    }
}

fn ended(rest: bool) -> Event {
    Event::Ended { exit: ExitStatus::Signal(15), rest }
}

#[test]
fn a_crash_is_answered_by_a_start_after_a_second() {
    let mut world = World::new();
    assert_eq!(world.crash().first(), Some(&Effect::Clean), "what is left goes before the next start");
    assert_eq!(world.machine.wake_at(), Duration::from_secs(1));
    assert_eq!(world.after(1), [Effect::Start]);
    assert_eq!(world.machine.stats(world.now).restarts, 1);
    assert!(world.said().contains("the command ended with exit code 3"));
}

#[test]
fn the_fifth_crash_ends_with_1_and_the_last_statistics() {
    let mut world = World::new();
    for _ in 0..4 {
        world.crash();
        assert_eq!(world.after(1), [Effect::Start]);
    }
    assert_eq!(world.crash().last(), Some(&Effect::End(1)));
    assert!(world.said().contains("giving up: 5 crashes within 1m0s"));
    assert!(world.said().ends_with(r#""restarts":4,"crashes":5,"status":"failed"}"#));
}

#[test]
fn a_start_that_fails_counts_as_a_crash() {
    let mut world = World::new();
    world.crash();
    world.after(1);
    world.on(&Event::NotStarted("execute app: not there".to_owned()));
    assert_eq!(world.machine.stats(world.now).crashes, 2);
    assert_eq!(world.after(1), [Effect::Start]);
}

#[test]
fn success_ends_with_0() {
    let mut world = World::new();
    let effects = world.on(&Event::Ended { exit: ExitStatus::Code(0), rest: false });
    assert_eq!(effects.last(), Some(&Effect::End(0)));
}

#[test]
fn a_command_that_stops_in_time_is_not_killed() {
    let mut world = World::new();
    let effects = world.on(&Event::Stop("SIGTERM"));
    assert_eq!(effects, [say("Received SIGTERM, starting graceful shutdown..."), Effect::Terminate]);
    world.now += Duration::from_secs(4);
    assert_eq!(world.on(&ended(false)).last(), Some(&Effect::End(0)));
    assert!(!world.done.contains(&Effect::Kill));
    assert!(world.said().ends_with(r#"{"uptime":"4s","restarts":0,"crashes":0,"status":"stopped"}"#));
}

#[test]
fn its_group_has_five_seconds_even_when_the_command_itself_is_gone() {
    let mut world = World::new();
    world.on(&Event::Stop("SIGINT"));
    assert_eq!(world.on(&ended(true)), []);
    assert_eq!(world.after(4), []);
    assert_eq!(world.after(1).last(), Some(&Effect::Kill));
    assert_eq!(world.on(&ended(false)).last(), Some(&Effect::End(0)));
}

#[test]
fn who_asks_twice_gets_it_at_once() {
    let mut world = World::new();
    world.on(&Event::Stop("SIGINT"));
    assert_eq!(world.on(&Event::Stop("SIGINT")).last(), Some(&Effect::Kill));
}

#[test]
fn what_cannot_be_killed_is_given_up() {
    let mut world = World::new();
    world.on(&Event::Stop("SIGTERM"));
    world.after(5);
    assert_eq!(world.after(5).last(), Some(&Effect::End(0)));
}

#[test]
fn a_reload_starts_anew_without_delay_and_is_no_crash() {
    let mut world = World::new();
    assert_eq!(world.on(&Event::Reload).last(), Some(&Effect::Terminate));
    assert_eq!(world.on(&ended(false)), [Effect::Clean, Effect::Start]);
    let stats = world.machine.stats(world.now);
    assert_eq!((stats.restarts, stats.crashes, stats.status), (1, 0, Status::Running));
    world.crash();
    assert_eq!(world.on(&Event::Reload).last(), Some(&Effect::Start), "no waiting for the delay");
}

#[test]
fn a_stop_is_heard_whatever_is_under_way() {
    let mut world = World::new();
    world.crash();
    assert_eq!(world.on(&Event::Stop("SIGTERM")).last(), Some(&Effect::End(0)));

    let mut world = World::new();
    world.on(&Event::Reload);
    world.on(&Event::Stop("SIGTERM"));
    assert_eq!(world.on(&ended(false)).last(), Some(&Effect::End(0)));
}

#[test]
fn statistics_are_logged_every_five_minutes() {
    let mut world = World::new();
    assert_eq!(world.machine.wake_at(), Duration::from_secs(300));
    assert_eq!(world.after(299), []);
    let line = |uptime: &str| {
        say(&format!(r#"Daemon Stats: {{"uptime":"{uptime}","restarts":0,"crashes":0,"status":"running"}}"#))
    };
    assert_eq!(world.after(1), [line("5m0s")]);
    assert_eq!(world.after(300), [line("10m0s")]);
}
