//! One line of output as it lies on disk: a header of 16 bytes, then the line without its end.
//!
//! | bytes | |
//! |---|---|
//! | 0–3 | `nd1` and the stream, `o` or `e` |
//! | 4–7 | length of the line, little-endian |
//! | 8–15 | when it was written, in nanoseconds since 1970, little-endian |

use nd_core::ports::{LogPiece, OutputStream};
use nd_types::Timestamp;

/// The longest line that is kept in one piece.
pub(crate) const MAX_LINE: usize = 256 << 10;

/// Bytes before each line.
pub(super) const HEADER: usize = 16;

const MAGIC: &[u8; 3] = b"nd1";

/// What stands before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) stream: OutputStream,
    pub(super) length: usize,
    pub(super) nanos: u64,
}

impl Header {
    /// The header's bytes.
    pub(super) fn encode(self) -> [u8; HEADER] {
        let stream = match self.stream {
            OutputStream::Stdout => b'o',
            OutputStream::Stderr => b'e',
        };
        let [a, b, c] = *MAGIC;
        let [l0, l1, l2, l3] = u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.nanos.to_le_bytes();
        [a, b, c, stream, l0, l1, l2, l3, t0, t1, t2, t3, t4, t5, t6, t7]
    }

    /// Reads a header back; `None` when these bytes are none.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let [a, b, c, stream, l0, l1, l2, l3, time @ ..] = *bytes;
        if [a, b, c] != *MAGIC {
            return None;
        }
        let stream = match stream {
            b'o' => OutputStream::Stdout,
            b'e' => OutputStream::Stderr,
            _ => return None,
        };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        (length <= MAX_LINE).then_some(Self { stream, length, nanos: u64::from_le_bytes(time) })
    }

    /// The bytes of header and line together.
    pub(super) const fn record(self) -> usize {
        HEADER + self.length
    }
}

/// What the first bytes of a buffer are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A whole record.
    Whole(Header, &'a [u8]),
    /// The beginning of a record that needs this many bytes in all.
    Part(usize),
    /// No record.
    Damaged,
}

/// Looks at the record that begins `bytes`.
pub(super) fn first(bytes: &[u8]) -> Record<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else { return Record::Part(HEADER) };
    let Some(header) = Header::decode(head) else { return Record::Damaged };
    match rest.get(..header.length) {
        Some(line) => Record::Whole(header, line),
        None => Record::Part(header.record()),
    }
}

/// A record as the port shows it; `None` for a time beyond what can be shown.
pub(super) fn piece(header: Header, line: &[u8]) -> Option<LogPiece> {
    let at = Timestamp::from_nanosecond(i128::from(header.nanos)).ok()?;
    Some(LogPiece { at, stream: header.stream, line: line.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back(err: bool, nanos: u64, line in prop::collection::vec(any::<u8>(), 0..300)) {
            let stream = if err { OutputStream::Stderr } else { OutputStream::Stdout };
            let header = Header { stream, length: line.len(), nanos };
            let mut bytes = header.encode().to_vec();
            bytes.extend_from_slice(&line);
            for end in 0..bytes.len() {
                prop_assert!(matches!(first(bytes.get(..end).unwrap()), Record::Part(_)));
            }
            bytes.push(0);
            prop_assert_eq!(first(&bytes), Record::Whole(header, &line));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            first(&bytes);
        }
    }

    #[test]
    fn a_length_that_no_line_has_is_damage() {
        let mut bytes = Header { stream: OutputStream::Stdout, length: 0, nanos: 1 }.encode();
        bytes[6] = 0xff;
        assert_eq!(first(&bytes), Record::Damaged);
    }
}
