//! One function for each path of the crate's table.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use crate::digest::Fnv1a;
use crate::faults;
use crate::server::Exchange;
use crate::settings::Unhealthy;
use crate::{stream, websocket};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Answers one request, and leaves the connection at the beginning of the next one.
///
/// # Errors
/// The error of the connection, which then is of no more use.
pub fn answer(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let path = exchange.head.path();
    if exchange.app.unhealthy == Unhealthy::All
        || (path == "/health" && (exchange.app.unhealthy == Unhealthy::Health || faults::is_sick()))
    {
        exchange.body()?.skip()?;
        return exchange.answer("503 Service Unavailable", TEXT, b"unhealthy\n");
    }
    match path {
        "/upload" => return upload(exchange),
        "/ws" => return websocket::serve(exchange),
        _ => exchange.body()?.skip()?,
    };
    match path {
        "/" => root(exchange),
        "/health" => exchange.answer("200 OK", TEXT, b"ok\n"),
        "/slow" => slow(exchange),
        "/download" => stream::download(exchange),
        "/sse" => stream::events(exchange),
        "/echo" => echo(exchange),
        "/headers" => headers(exchange),
        "/leak" => leak(exchange),
        "/sicken" => sicken(exchange),
        "/exit" => exit(exchange),
        "/crash" => std::process::abort(),
        _ => exchange.answer("404 Not Found", TEXT, b"no such path\n"),
    }
}

fn root(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let body = format!("hello from release {}\n", exchange.app.release);
    exchange.answer("200 OK", TEXT, body.as_bytes())
}

fn slow(exchange: &mut Exchange<'_>) -> io::Result<()> {
    thread::sleep(Duration::from_millis(exchange.head.number("ms")));
    exchange.answer("200 OK", TEXT, b"done\n")
}

fn upload(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let mut sum = Fnv1a::default();
    let mut bytes = 0_u64;
    let mut buffer = vec![0; 64 * 1024];
    let mut body = exchange.body()?;
    loop {
        let count = body.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        sum.update(buffer.get(..count).unwrap_or_default());
        bytes += count as u64;
    }
    let answer = format!("{{\"bytes\":{bytes},\"fnv1a\":\"{}\"}}\n", sum.hex());
    exchange.answer("200 OK", JSON, answer.as_bytes())
}

fn echo(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let head = exchange.head;
    let headers: Vec<String> =
        head.headers.iter().map(|(name, value)| format!("[{},{}]", quoted(name), quoted(value))).collect();
    let body = format!(
        "{{\"method\":{},\"target\":{},\"version\":{},\"headers\":[{}]}}\n",
        quoted(&head.method),
        quoted(&head.target),
        quoted(&head.version),
        headers.join(",")
    );
    exchange.answer("200 OK", JSON, body.as_bytes())
}

fn headers(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let head = exchange.head;
    let mut body = format!("{} {} {}\n", head.method, head.target, head.version);
    for (name, value) in &head.headers {
        body.push_str(&format!("{name}: {value}\n"));
    }
    exchange.answer("200 OK", TEXT, body.as_bytes())
}

fn leak(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let count = usize::try_from(exchange.head.number("mb")).unwrap_or(usize::MAX);
    let body = format!("{{\"leaked_mb\":{}}}\n", faults::leak_mb(count));
    exchange.answer("200 OK", JSON, body.as_bytes())
}

fn sicken(exchange: &mut Exchange<'_>) -> io::Result<()> {
    faults::sicken();
    exchange.answer("200 OK", TEXT, b"sick from now on\n")
}

fn exit(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let code = u8::try_from(exchange.head.number("code")).unwrap_or(u8::MAX);
    exchange.close = true;
    exchange.answer("200 OK", TEXT, b"exiting\n")?;
    faults::exit(code)
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if u32::from(c) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_escape_quotes_and_control_characters() {
        assert_eq!(quoted("a\"b\\c\td"), r#""a\"b\\c\u0009d""#);
    }
}
