//! Flags of eternal mode, which needs no daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use nd_eternal::Options;

/// `eternal`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EternalArgs {
    /// Go to the background once the command runs
    #[arg(long)]
    pub(crate) detach: bool,
    /// This is the one in the background
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) in_background: bool,
    #[command(flatten)]
    pub(crate) flags: EternalFlags,
    /// The command, after two dashes
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// `daemon`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DaemonVerb {
    /// Start a command in the background: this one, or the one it was last, or `nextdeployd run`
    Start {
        #[command(flatten)]
        flags: EternalFlags,
        /// The command, after two dashes
        #[arg(last = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Stop it, and wait until it has ended; exit code 3 when it does not run
    Stop(PidFile),
    /// Start its command anew; all of it when it does not run
    Restart(PidFile),
    /// Show how it is; exit code 3 when it does not run
    Status(PidFile),
}

/// Which one is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct PidFile {
    /// Its pid file [default: ./daemon.pid]
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

/// How a command is kept running.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct EternalFlags {
    /// Where its output is written, and what happens to it [default: ./logs/daemon.log]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Where the number of the watching process is written [default: ./daemon.pid]
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Starts after crashes in all; -1 and 0 mean no limit [default: no limit]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=1_000_000))]
    pub(crate) max_restarts: Option<i64>,
    /// From a crash to the next start; a bare number is seconds [default: 1s]
    #[arg(long, value_name = "D", value_parser = seconds)]
    pub(crate) restart_delay: Option<Duration>,
    /// So many crashes within the window end it with exit code 1 [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) crash_threshold: Option<u32>,
    /// The window; a bare number is seconds [default: 60s]
    #[arg(long, value_name = "D", value_parser = seconds)]
    pub(crate) crash_window: Option<Duration>,
    /// How long the command has to stop before its group is killed [default: 5s]
    #[arg(long, value_name = "D", value_parser = seconds)]
    pub(crate) kill_timeout: Option<Duration>,
    /// How often the statistics are logged [default: 5m]
    #[arg(long, value_name = "D", value_parser = positive)]
    pub(crate) stats_interval: Option<Duration>,
}

impl EternalFlags {
    /// These flags over what was said before.
    pub(crate) fn over(&self, base: Options) -> std::io::Result<Options> {
        let mut options = base;
        fn put<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        put(&mut options.log_file, absolute(&self.log_file)?);
        put(&mut options.pid_file, absolute(&self.pid_file)?);
        put(&mut options.kill_timeout, self.kill_timeout);
        put(&mut options.stats_interval, self.stats_interval);
        let policy = &mut options.policy;
        put(&mut policy.restart_delay, self.restart_delay);
        put(&mut policy.crash_threshold, self.crash_threshold);
        put(&mut policy.crash_window, self.crash_window);
        let most = |most: i64| u32::try_from(most).ok().filter(|most| *most > 0);
        put(&mut policy.max_restarts, self.max_restarts.map(most));
        Ok(options)
    }
}

/// The words by which the one in the background is told all of its options.
pub(crate) fn in_background(options: &Options) -> Vec<OsString> {
    let policy = &options.policy;
    let ms = |duration: Duration| OsString::from(format!("{}ms", duration.as_millis()));
    let most = policy.max_restarts.map_or(-1, i64::from);
    let flags: [(&str, OsString); 8] = [
        ("--log-file", options.log_file.clone().into()),
        ("--pid-file", options.pid_file.clone().into()),
        ("--max-restarts", most.to_string().into()),
        ("--restart-delay", ms(policy.restart_delay)),
        ("--crash-threshold", policy.crash_threshold.to_string().into()),
        ("--crash-window", ms(policy.crash_window)),
        ("--kill-timeout", ms(options.kill_timeout)),
        ("--stats-interval", ms(options.stats_interval)),
    ];
    let mut words: Vec<OsString> = vec!["eternal".into(), "--in-background".into()];
    words.extend(flags.into_iter().flat_map(|(flag, value)| [flag.into(), value]));
    words.push("--".into());
    words.extend(options.command.iter().map(OsString::from));
    words
}

fn seconds(text: &str) -> Result<Duration, nd_types::InvalidMeasure> {
    match text.trim().parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => nd_types::parse_duration(text),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(duration) if duration.is_zero() => Err("must be more than 0".to_owned()),
        read => read.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: EternalArgs,
    }

    fn read(words: &[&str]) -> Result<EternalArgs, clap::Error> {
        Line::try_parse_from(words).map(|line| line.args)
    }

    fn options(args: &EternalArgs) -> Options {
        args.flags.over(Options::new(args.command.clone(), "/srv".into())).unwrap()
    }

    #[test]
    fn the_defaults_are_those_that_were_promised() {
        let args = read(&["eternal", "--", "node", "--inspect"]).unwrap();
        let options = options(&args);
        assert_eq!(options.command, ["node", "--inspect"]);
        assert_eq!(options.log_file, PathBuf::from("/srv/logs/daemon.log"));
        assert_eq!(options.pid_file, PathBuf::from("/srv/daemon.pid"));
        let policy = &options.policy;
        assert_eq!((policy.restart_delay.as_secs(), policy.crash_window.as_secs()), (1, 60));
        assert_eq!((policy.crash_threshold, policy.max_restarts), (5, None));
        assert_eq!((options.kill_timeout.as_secs(), options.stats_interval.as_secs()), (5, 300));
    }

    #[test]
    fn the_one_in_the_background_reads_the_same_options() {
        let line = "eternal --max-restarts 3 --restart-delay=250ms --crash-threshold=2 --crash-window 9 \
                    --log-file /l --pid-file /p --kill-timeout 2s --stats-interval 1m -- sh -c x";
        let args = read(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        let words: Vec<String> =
            in_background(&options(&args)).into_iter().map(|word| word.into_string().unwrap()).collect();
        let again = read(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert!(again.in_background && options(&again) == options(&args));
    }

    #[test]
    fn minus_one_and_zero_are_no_limit() {
        for most in ["--max-restarts=-1", "--max-restarts=0"] {
            assert_eq!(options(&read(&["eternal", most, "--", "x"]).unwrap()).policy.max_restarts, None);
        }
    }

    #[test]
    fn absurd_values_are_refused() {
        for flag in [
            "--crash-threshold=0",
            "--max-restarts=-2",
            "--restart-delay=-1s",
            "--stats-interval=0",
            "--crash-window=x",
        ] {
            assert!(read(&["eternal", flag, "--", "x"]).is_err(), "{flag}");
        }
        assert!(read(&["eternal"]).is_err(), "a command is needed");
    }
}
