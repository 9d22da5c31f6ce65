//! How a client that knows that we speak HTTP/2 opens its connection (RFC 9113, section 3.4).

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Too few bytes to tell.
    Open,
    /// The whole preface, at least.
    Http2,
    /// Anything else.
    Other,
}

/// Looks at all bytes a new connection has brought so far.
pub(crate) fn opening(bytes: &[u8]) -> Opening {
    if bytes.starts_with(PREFACE) {
        Opening::Http2
    } else if PREFACE.starts_with(bytes) {
        Opening::Open
    } else {
        Opening::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_however_slowly_it_comes() {
        for length in 0..PREFACE.len() {
            assert_eq!(opening(PREFACE.get(..length).unwrap()), Opening::Open, "{length}");
        }
        assert_eq!(opening(&[PREFACE, b"\0\0\0\x04"].concat()), Opening::Http2);
    }

    #[test]
    fn methods_that_begin_alike_are_told_apart_at_the_first_byte_that_differs() {
        for text in ["G", "PO", "PU", "PA", "PROPFIND", "PRI /", "PRI * HTTP/2.0\r\n\r\nGET"] {
            assert_eq!(opening(text.as_bytes()), Opening::Other, "{text}");
        }
        assert_eq!(opening(b"PR"), Opening::Open);
    }
}
