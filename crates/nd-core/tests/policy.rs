//! What the restart policy promises, whatever happens: one implementation for both runtimes.

use std::time::Duration;

use nd_core::model::{CrashHistory, Verdict};
use nd_core::spec::{RestartPolicy, RestartSpec};
use nd_supervise::Mono;
use nd_types::ExitStatus;
use proptest::prelude::*;

/// One exit: how, after what uptime, and how long after the one before.
type Exit = (ExitStatus, Duration, Duration);

fn exits() -> impl Strategy<Value = Vec<Exit>> {
    let exit = prop_oneof![
        Just(ExitStatus::Code(0)),
        (1i32..256).prop_map(ExitStatus::Code),
        Just(ExitStatus::Signal(9)),
        Just(ExitStatus::OutOfMemory),
        Just(ExitStatus::Unknown),
    ];
    let seconds = |most: u64| (0..most * 1000).prop_map(Duration::from_millis);
    prop::collection::vec((exit, seconds(40), seconds(90)), 1..40)
}

fn specs() -> impl Strategy<Value = RestartSpec> {
    let policy = prop::sample::select(vec![
        RestartPolicy::Always,
        RestartPolicy::OnFailure,
        RestartPolicy::UnlessStopped,
        RestartPolicy::Never,
    ]);
    let limits = (prop::option::of(0u32..10), 0u32..8, 1u64..120, 0u64..20);
    let delays = (1u64..5_000, any::<bool>(), 1u32..4, 100u64..60_000);
    let codes = prop::collection::vec(1i32..256, 0..3);
    (policy, limits, delays, codes).prop_map(|(policy, limits, delays, stop_exit_codes)| {
        let (max_restarts, crash_threshold, window, min_uptime) = limits;
        let (delay, delay_declared, backoff_factor, max_delay) = delays;
        RestartSpec {
            policy,
            max_restarts,
            crash_threshold,
            crash_window: Duration::from_secs(window),
            min_uptime: Duration::from_secs(min_uptime),
            delay: Duration::from_millis(delay),
            delay_declared,
            backoff_factor,
            max_delay: Duration::from_millis(max_delay),
            stop_exit_codes,
            ..RestartSpec::default()
        }
    })
}

/// What the policy says after each of the exits, with the time of it.
fn verdicts(spec: &RestartSpec, exits: &[Exit], jitter: f64) -> Vec<(Mono, Verdict)> {
    let (mut history, mut now) = (CrashHistory::default(), Mono(Duration::from_secs(1_000)));
    let mut answers = Vec::new();
    for (exit, uptime, pause) in exits {
        now = now + *pause + *uptime;
        answers.push((now, history.record(*exit, *uptime, now, spec, jitter)));
        history.started();
    }
    answers
}

fn is_restart(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Final | Verdict::Free)
}

proptest! {
    #[test]
    fn what_is_not_to_be_restarted_never_is(spec in specs(), exits in exits()) {
        for ((exit, ..), (_, verdict)) in exits.iter().zip(verdicts(&spec, &exits, 0.5)) {
            let stop_code = matches!(exit, ExitStatus::Code(code) if spec.stop_exit_codes.contains(code));
            let forbidden = match spec.policy {
                RestartPolicy::Never => true,
                RestartPolicy::OnFailure => exit.is_success(),
                RestartPolicy::Always | RestartPolicy::UnlessStopped => false,
            };
            if stop_code || forbidden {
                prop_assert_eq!(verdict, Verdict::Final);
            }
        }
    }

    #[test]
    fn an_app_that_may_always_restart_always_gets_another_attempt(spec in specs(), exits in exits()) {
        let spec = RestartSpec {
            policy: RestartPolicy::Always,
            max_restarts: None,
            stop_exit_codes: Vec::new(),
            ..spec
        };
        for (_, verdict) in verdicts(&spec, &exits, 0.5) {
            prop_assert!(is_restart(verdict));
        }
    }

    #[test]
    fn there_are_never_more_restarts_than_allowed(spec in specs(), exits in exits()) {
        let restarts = verdicts(&spec, &exits, 0.5).into_iter().filter(|(_, verdict)| is_restart(*verdict));
        if let Some(max) = spec.max_restarts {
            prop_assert!(u32::try_from(restarts.count()).unwrap() <= max);
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_longest_one_and_chance_takes_at_most_a_quarter(
        spec in specs(), exits in exits(), jitter in 0.0f64..1.0,
    ) {
        let calm = verdicts(&spec, &exits, 0.0);
        for ((now, verdict), (_, full)) in verdicts(&spec, &exits, jitter).into_iter().zip(calm) {
            let (Verdict::At(at), Verdict::At(full)) = (verdict, full) else { continue };
            let (wait, full) = (at.saturating_since(now), full.saturating_since(now));
            prop_assert!(wait <= spec.max_delay && wait <= full);
            prop_assert!(wait >= full.mul_f64(0.74), "{wait:?} of {full:?}");
        }
    }

    #[test]
    fn a_unit_that_ran_long_enough_is_no_part_of_a_crash_loop(spec in specs(), exits in exits()) {
        for ((_, uptime, _), (now, verdict)) in exits.iter().zip(verdicts(&spec, &exits, 0.5)) {
            if *uptime >= spec.min_uptime && spec.crash_threshold > 0 && !spec.delay_declared {
                let at_once = matches!(verdict, Verdict::At(at) if at == now);
                prop_assert!(at_once || verdict == Verdict::Final, "{verdict:?}");
            }
        }
    }

    #[test]
    fn a_crash_loop_is_declared_exactly_when_the_window_is_full(spec in specs(), exits in exits()) {
        let spec = RestartSpec { policy: RestartPolicy::Always, max_restarts: None, ..spec };
        let mut short: Vec<Mono> = Vec::new();
        for ((exit, uptime, _), (now, verdict)) in exits.iter().zip(verdicts(&spec, &exits, 0.5)) {
            if matches!(exit, ExitStatus::Code(code) if spec.stop_exit_codes.contains(code)) {
                continue;
            }
            if *uptime >= spec.min_uptime {
                short.clear();
            } else {
                short.push(now);
            }
            short.retain(|at| now.saturating_since(*at) <= spec.crash_window);
            let full = spec.crash_threshold > 0
                && u32::try_from(short.len()).unwrap() >= spec.crash_threshold;
            prop_assert_eq!(matches!(verdict, Verdict::Loop { .. }), full, "{:?} after {:?}", verdict, short);
        }
    }
}
