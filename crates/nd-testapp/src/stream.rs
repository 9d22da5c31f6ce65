//! Answers that take their time: downloads at a rate, and server-sent events.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Framing, write_chunk};
use crate::pattern;
use crate::server::Exchange;

/// The most bytes that are written at once.
const BLOCK: u64 = 64 * 1024;

/// `/download`: the pattern's first bytes, at full speed or evenly at a rate.
///
/// # Errors
/// The error of the connection.
pub fn download(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let bytes = exchange.head.number("bytes");
    let rate = exchange.head.number("rate");
    exchange.begin("200 OK", "application/octet-stream", Framing::Length(bytes))?;
    if exchange.head.method == "HEAD" {
        return Ok(());
    }
    // At a rate: about 20 writes a second.
    let block = if rate == 0 { BLOCK } else { (rate / 20).clamp(1, BLOCK) };
    let mut buffer = vec![0; usize::try_from(block).unwrap_or_default()];
    let started = Instant::now();
    let mut sent = 0;
    while sent < bytes {
        let count = usize::try_from(block.min(bytes - sent)).unwrap_or_default();
        let part = buffer.get_mut(..count).unwrap_or_default();
        pattern::fill(sent, part);
        exchange.out.write_all(part)?;
        sent += count as u64;
        if rate > 0 {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}

/// `/sse`: numbered events (WHATWG HTML, section 9.2), until their count or the application's stop.
///
/// # Errors
/// The error of the connection.
pub fn events(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let every = Duration::from_millis(exchange.head.number("ms").max(1));
    let count = match exchange.head.number("count") {
        0 => u64::MAX,
        count => count,
    };
    exchange.begin("200 OK", "text/event-stream", Framing::Chunked)?;
    for number in 0..count {
        let event =
            format!("id: {number}\ndata: {{\"n\":{number},\"release\":\"{}\"}}\n\n", exchange.app.release);
        write_chunk(&mut exchange.out, event.as_bytes())?;
        if number + 1 < count && exchange.app.gate.pause(every) {
            // The connection was promised before the stop; a client must not send another request on it.
            exchange.close = true;
            break;
        }
    }
    exchange.out.write_all(b"0\r\n\r\n")
}
