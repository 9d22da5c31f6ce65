//! The combined log format of Apache and nginx, which every log analyser reads.

use std::fmt::Write as _;

use nd_types::AccessRecord;

/// One record as a line: `192.0.2.7 - - [21/Nov/2026:15:04:05 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"`.
pub(crate) fn line(record: &AccessRecord) -> String {
    let mut line = String::with_capacity(256);
    line.push_str(&record.client);
    line.push_str(" - - [");
    line.push_str(&record.time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string());
    line.push_str("] \"");
    if record.method.is_empty() {
        line.push('-');
    } else {
        put(&mut line, &record.method);
        line.push(' ');
        put(&mut line, &record.path);
        line.push(' ');
        put(&mut line, &record.protocol);
    }
    // Writing to a String does not fail.
    write!(line, "\" {} {} \"", record.status, record.bytes_out).ok();
    put_or_dash(&mut line, &record.referrer);
    line.push_str("\" \"");
    put_or_dash(&mut line, &record.user_agent);
    line.push_str("\"\n");
    line
}

fn put_or_dash(line: &mut String, value: &str) {
    if value.is_empty() { line.push('-') } else { put(line, value) }
}

/// As nginx has it: quotes, backslashes and what is not printable as `\xHH`.
fn put(line: &mut String, value: &str) {
    for c in value.chars() {
        if matches!(c, '"' | '\\') || c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(line, "\\x{byte:02X}").ok(); // as above
            }
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_log_analysers_read_and_nothing_in_it_ends_it_early() {
        let json = r#"{"time":"2026-11-21T15:04:05.120Z","id":"r1","client":"192.0.2.7","method":"GET","protocol":"HTTP/1.1",
            "host":"a.b","path":"/x\"y","user_agent":"curl\n8","status":200,"bytes_in":0,"bytes_out":12,"total_ms":1.5,
            "end":"complete"}"#;
        assert_eq!(
            line(&serde_json::from_str(json).unwrap()),
            "192.0.2.7 - - [21/Nov/2026:15:04:05 +0000] \"GET /x\\x22y HTTP/1.1\" 200 12 \"-\" \"curl\\x0A8\"\n"
        );
    }
}
