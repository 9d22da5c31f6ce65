//! Where a request head ends, found line by line as bytes arrive, refusing line ends other than CRLF.

use memchr::memchr;

/// The state of one search; heads that arrive in pieces are not read twice.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    line_start: usize,
}

/// A line feed without its carriage return (RFC 9112, section 2.2: a source of request smuggling).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BareLineFeed;

impl HeadScan {
    /// The length of the head with its final empty line, once all of it is in `buf`.
    ///
    /// `buf` must start with the same bytes on each call.
    pub(crate) fn find_end(&mut self, buf: &[u8]) -> Result<Option<usize>, BareLineFeed> {
        while let Some(rest) = buf.get(self.line_start..) {
            let Some(length) = memchr(b'\n', rest) else { return Ok(None) };
            let line = rest.get(..length).unwrap_or_default();
            if line.last() != Some(&b'\r') {
                return Err(BareLineFeed);
            }
            self.line_start += length + 1;
            if line.len() == 1 {
                return Ok(Some(self.line_start));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n";
        let (mut scan, mut arrived, end) = (HeadScan::default(), Vec::new(), head.len() - 5);
        for byte in head.iter().take(end) {
            assert_eq!(scan.find_end(&arrived), Ok(None));
            arrived.push(*byte);
        }
        assert_eq!(scan.find_end(&arrived), Ok(Some(end)));
        assert_eq!(HeadScan::default().find_end(head), Ok(Some(end)));
    }

    #[test]
    fn a_bare_line_feed_is_refused_wherever_it_stands() {
        for head in
            ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "G\r\nA: b\r\n\n", "\n"]
        {
            assert_eq!(HeadScan::default().find_end(head.as_bytes()), Err(BareLineFeed), "{head:?}");
        }
    }
}
