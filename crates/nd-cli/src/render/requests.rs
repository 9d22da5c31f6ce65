//! Requests that were served.

use nd_types::{AccessEnd, AccessRecord};

use super::log::shown;
use super::time;
use crate::output::Output;

/// One request: `15:04:05.120 200 GET app.example.com/cart 12.3 ms 1.2K 192.0.2.7 shop-8f3k2a-1`.
pub(crate) fn line(record: &AccessRecord, output: &Output) -> String {
    let status = record.status.to_string();
    let status = match record.status {
        500.. => output.bad(&status),
        400.. => output.odd(&status),
        _ => output.good(&status),
    };
    let instance = record.instance.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let mut text = format!(
        "{} {status} {} {}{} {} {} {} {instance}",
        output.dim(&time::clock_millis(record.time)),
        shown(&record.method),
        shown(&record.host),
        shown(&record.path),
        millis(record.total_ms),
        bytes(record.bytes_out),
        record.client,
    );
    match record.end {
        AccessEnd::Complete => {}
        AccessEnd::Refused => text.push_str(&output.dim(" by the proxy")),
        AccessEnd::Cut => text.push_str(&output.bad(" cut")),
        AccessEnd::ClientGone => text.push_str(&output.dim(" the client left")),
    }
    if record.retries > 0 {
        text.push_str(&output.odd(&format!(" sent {} times", record.retries + 1)));
    }
    text
}

fn millis(ms: f64) -> String {
    if ms >= 1000.0 { format!("{:.2}s", ms / 1000.0) } else { format!("{ms:.1}ms") }
}

/// Bytes in a unit in which they are easily read.
fn bytes(count: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.into_iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => format!("{:.1}{name}", count as f64 / unit as f64),
        None => format!("{count}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_easily_read() {
        assert_eq!((millis(12.34), millis(1234.0)), ("12.3ms".to_owned(), "1.23s".to_owned()));
        assert_eq!((bytes(12), bytes(1536)), ("12B".to_owned(), "1.5K".to_owned()));
    }
}
