//! What the kernel's log says about kills for memory.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nd_types::Timestamp;

/// One record of the log is never longer.
const RECORD_BYTES: usize = 8192;

/// More records than any log holds: its ring is at most a few MiB.
const RECORDS: usize = 200_000;

/// By how much the clock of the log may be off: nobody corrects it.
const CLOCK: Duration = Duration::from_secs(10);

/// The run of a container that SIGKILL ended.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The container's id, which is part of its control group's name.
    pub(super) container: String,
    /// When it began.
    pub(super) started: Timestamp,
    /// When it ended.
    pub(super) finished: Timestamp,
    /// Whether the container has a memory limit.
    pub(super) limited: bool,
}

/// Whether the kernel killed something of this run for memory. `false` where the log cannot be read. Blocks for a few
/// milliseconds.
///
/// Before a process dies, the kernel writes which control group it belongs to and for which one's limit it dies; but
/// that only for the first ten kills in five seconds. Of each further one it writes the process alone: then a kill that
/// no group is known of, in the time of this run, is taken for this one.
pub(super) fn killed_for_memory(run: &Run) -> bool {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let log = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg");
    let (Ok(log), Some(uptime)) = (log, uptime()) else { return false };
    let now = Timestamp::now();
    let since_boot = |time: Timestamp| uptime.saturating_sub(now.duration_since(time).unsigned_abs());
    let time = since_boot(run.started).saturating_sub(CLOCK)..=since_boot(run.finished) + CLOCK;
    judge(&records(log), run, &time)
}

fn judge(records: &[Record], run: &Run, time: &RangeInclusive<Duration>) -> bool {
    let mut grouped = BTreeSet::new();
    for record in records {
        if let What::Group { text, process } = &record.what {
            if text.contains(&run.container) && time.contains(&record.at) {
                return true;
            }
            grouped.insert(process);
        }
    }
    run.limited
        && records.iter().any(|record| match &record.what {
            What::Process(process) => time.contains(&record.at) && !grouped.contains(process),
            What::Group { .. } => false,
        })
}

/// What the log says about kills for memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    /// When, since boot.
    at: Duration,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Which groups were concerned, and the number of the process.
    Group { text: String, process: String },
    /// The number of a process that was killed for its group's limit.
    Process(String),
}

/// The records about kills, oldest first.
fn records(mut log: File) -> Vec<Record> {
    let mut records = Vec::new();
    let mut buffer = [0; RECORD_BYTES];
    // Each read gives one record.
    for _ in 0..RECORDS {
        match log.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let record = buffer.get(..length).unwrap_or_default();
                records.extend(parse(&String::from_utf8_lossy(record)));
            }
            // The record was overwritten before it was read; the next read goes on with the oldest one.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    records
}

/// Reads a record if it is about a kill: `4,1234,98765432,-;oom-kill:…,task_memcg=/docker/<id>,task=app,pid=99,uid=0`
/// or `3,1235,98765440,-;Memory cgroup out of memory: Killed process 99 (app) …`. Before the semicolon stand level and
/// facility, the record's number, and microseconds.
fn parse(record: &str) -> Option<Record> {
    let (head, text) = record.split_once(';')?;
    let what = if text.starts_with("oom-kill:") {
        let process = text.rsplit_once(",pid=")?.1.split(',').next()?.to_owned();
        What::Group { text: text.to_owned(), process }
    } else {
        let process = text.strip_prefix("Memory cgroup out of memory: Killed process ")?;
        What::Process(process.split_whitespace().next()?.to_owned())
    };
    let mut head = head.split(',');
    // Processes may write to the log too, with a facility of their own.
    let from_kernel = head.next()?.parse::<u32>().ok()? < 8;
    let at = head.nth(1)?.parse().ok().map(Duration::from_micros)?;
    from_kernel.then_some(Record { at, what })
}

fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: &str = "4,16990,11596899673,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ea615c,mems_allowed=0,\
         oom_memcg=/docker/ea615c,task_memcg=/docker/ea615c,task=leak,pid=5386,uid=0\n";

    const KILLED: &str = "3,16991,11596899680,-;Memory cgroup out of memory: Killed process 5386 (leak) total-vm:6000kB, UID:0";

    fn judged(log: &[&str], container: &str, seconds: RangeInclusive<u64>, limited: bool) -> bool {
        let records: Vec<Record> = log.iter().filter_map(|record| parse(record)).collect();
        let now = Timestamp::now();
        let run = Run { container: container.to_owned(), started: now, finished: now, limited };
        let time = Duration::from_secs(*seconds.start())..=Duration::from_secs(*seconds.end());
        judge(&records, &run, &time)
    }

    #[test]
    fn a_kill_belongs_to_the_container_whose_group_it_names() {
        let log = [RECORD, KILLED];
        assert!(judged(&log, "ea615c", 11_590..=11_600, true));
        assert!(!judged(&log, "7eb9fd", 11_590..=11_600, true));
        assert!(!judged(&log, "ea615c", 11_600..=11_700, true), "it was an earlier run");
    }

    #[test]
    fn a_kill_without_a_group_is_taken_for_the_limited_container_that_ended_then() {
        let log = [KILLED];
        assert!(judged(&log, "7eb9fd", 11_590..=11_600, true));
        assert!(!judged(&log, "7eb9fd", 11_590..=11_600, false));
        assert!(!judged(&log, "7eb9fd", 11_600..=11_700, true));
    }

    #[test]
    fn what_a_process_wrote_to_the_log_proves_nothing() {
        assert_eq!(parse(&RECORD.replacen('4', "12", 1)), None);
    }

    proptest! {
        #[test]
        fn any_record_is_survived(record in ".{0,120}") {
            parse(&record);
        }
    }
}
