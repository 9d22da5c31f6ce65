//! Bytes of one pipe into lines.

use super::MAX_LINE;

/// A buffer larger than this is given back once its line is complete.
const KEEP: usize = 16 << 10;

/// Cuts what comes out of a pipe into lines without their ends (`\n` or `\r\n`).
///
/// A line over [`MAX_LINE`] comes in pieces of that size. Only the beginning of an unfinished line is held.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    held: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and hands each line that is complete by them to `line`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = bytes.split_at(end);
            self.hold(head, &mut line);
            line(self.held.strip_suffix(b"\r").unwrap_or(&self.held));
            self.clear();
            bytes = tail.get(1..).unwrap_or_default();
        }
        self.hold(bytes, &mut line);
    }

    /// Hands out what is held of a line that will have no end.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            line(&self.held);
            self.clear();
        }
    }

    /// Adds to the held line; never holds more than one piece.
    fn hold(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) {
        while self.held.len() + bytes.len() > MAX_LINE {
            let (head, tail) = bytes.split_at(MAX_LINE - self.held.len());
            self.held.extend_from_slice(head);
            line(&self.held);
            self.held.clear();
            bytes = tail;
        }
        self.held.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.held.clear();
        if self.held.capacity() > KEEP {
            self.held = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for part in parts {
            splitter.push(part, |line| lines.push(line.to_vec()));
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        assert_eq!(split(&[b"a\r\n\nb"]), [b"a".to_vec(), vec![], b"b".to_vec()]);
        assert_eq!(split(&[b"a\r", b"\n", b"\n", b"b"]), [b"a".to_vec(), vec![], b"b".to_vec()]);
        assert_eq!(split(&[b""]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_line_over_the_limit_comes_in_pieces() {
        let long = vec![b'x'; MAX_LINE * 2 + 5];
        let lines = split(&[&long, b"\nnext\n"]);
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE, 5, 4]);
        assert_eq!(split(&[long.get(..MAX_LINE).unwrap(), b"\n"]).len(), 1);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut joined = split(&[head, tail]).join(&b'\n');
            if bytes.ends_with(b"\n") {
                joined.push(b'\n');
            }
            let mut plain = Vec::new();
            for (index, byte) in bytes.iter().enumerate() {
                if *byte == b'\r' && bytes.get(index + 1) == Some(&b'\n') {
                    continue;
                }
                plain.push(*byte);
            }
            prop_assert_eq!(joined, plain);
        }
    }
}
