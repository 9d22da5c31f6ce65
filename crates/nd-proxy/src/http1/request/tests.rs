use super::*;
use proptest::prelude::*;

fn status(head: &str) -> u16 {
    match RequestHead::parse(head.as_bytes(), &mut field_space()) {
        Ok(_) => 200,
        Err(refused) => refused.status,
    }
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused() {
    for (lines, expected) in [
        ("Content-Length: 1\r\nContent-Length: 1", 400),
        ("Content-Length: 1, 1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 0x1", 400),
        ("Content-Length: ", 400),
        ("Content-Length: 1 2", 400),
        ("Content-Length: 99999999999999999999", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked,", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: \"chunked\"", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("A: b\r\n folded", 400),
        (" A: b", 400),
        ("A: b\0c", 400),
        ("A: b\rc", 400),
        ("A\0: b", 400),
        ("no colon", 400),
        (": empty", 400),
        ("Host: b", 400),
        ("Expect: 200-ok", 417),
        ("Transfer-Encoding: Chunked", 200),
        ("Content-Length: 10", 200),
    ] {
        assert_eq!(status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")), expected, "{lines:?}");
    }
}

#[test]
fn request_lines_are_checked() {
    for (line, expected) in [
        ("GET / HTTP/1.1", 200),
        ("GET http://a/x?y HTTP/1.1", 200),
        ("GET http://A:80 HTTP/1.1", 200),
        ("OPTIONS * HTTP/1.1", 200),
        ("GET * HTTP/1.1", 400),
        ("GET http://b/ HTTP/1.1", 400),
        ("GET http://u@a/ HTTP/1.1", 400),
        ("GET ftp://a/ HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET /#x HTTP/1.1", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / x HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("CONNECT a:1 HTTP/1.1", 405),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET /", 400),
    ] {
        assert_eq!(status(&format!("{line}\r\nHost: a\r\n\r\n")), expected, "{line:?}");
    }
}

#[test]
fn only_http_1_0_may_leave_out_the_host() {
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

#[test]
fn an_upgrade_is_offered_unless_it_is_h2c() {
    let upgrade = |lines: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        RequestHead::parse(head.as_bytes(), &mut field_space()).unwrap().upgrade.map(str::to_owned)
    };
    assert_eq!(
        upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: websocket").as_deref(),
        Some("websocket")
    );
    assert_eq!(upgrade("Upgrade: websocket"), None);
    assert_eq!(upgrade("Connection: Upgrade\r\nUpgrade: h2c"), None);
    assert_eq!(upgrade("Connection: Upgrade\r\nUpgrade: websocket, H2C"), None);
    assert_eq!(upgrade("Connection: Upgrade\r\nContent-Length: 1\r\nUpgrade: websocket"), None);
}

#[test]
fn persistence_follows_the_version() {
    let keeps = |head: &str| RequestHead::parse(head.as_bytes(), &mut field_space()).unwrap().keep_alive;
    assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        RequestHead::parse(&bytes, &mut field_space()).ok();
    }

    #[test]
    fn what_is_accepted_has_one_framing(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("Content-Length: 5"), Just("Transfer-Encoding: chunked"), Just("Host: a"),
                Just("content-length:5"), Just("Connection: close"), Just("X: y"),
            ],
            0..5,
        ),
    ) {
        let head = format!("POST / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
        let count = |name: &str| lines.iter().filter(|l| l.to_ascii_lowercase().starts_with(name)).count();
        let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
        let accepted = RequestHead::parse(head.as_bytes(), &mut field_space()).is_ok();
        prop_assert_eq!(accepted, count("host") == 1 && lengths + codings <= 1);
    }
}
