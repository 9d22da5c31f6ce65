//! WebSocket frames by their headers alone (RFC 6455, section 5.2): where one ends, and whether it was a Close.

/// A Close frame's opcode.
const CLOSE: u8 = 0x8;

/// Follows frames through the bytes that carry them; payloads are counted, never looked at.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    header: [u8; 10],
    have: usize,
    /// Bytes until the frame ends, masking key included.
    left: u64,
    close_seen: bool,
    /// A length that cannot be: nobody knows where the next frame begins.
    is_lost: bool,
}

impl FrameReader {
    /// Takes bytes up to the end of the current frame; returns how many.
    pub(crate) fn advance(&mut self, input: &[u8]) -> usize {
        if self.is_lost {
            return input.len();
        }
        let mut taken = 0;
        while self.left == 0 {
            let Some(byte) = input.get(taken) else { return taken };
            taken += 1;
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *byte;
            }
            self.have += 1;
            if self.have >= 2 && self.have == self.header_length() {
                self.left = self.rest_length();
                if self.left == 0 {
                    self.end_frame();
                    return taken;
                }
            }
        }
        let rest = input.len() - taken;
        let step = rest.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= step as u64;
        if self.left == 0 {
            self.end_frame();
        }
        taken + step
    }

    /// Whether a frame of our own may be put in here.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.have == 0 && !self.is_lost
    }

    /// Whether a whole Close frame has passed.
    pub(crate) fn close_seen(&self) -> bool {
        self.close_seen
    }

    fn end_frame(&mut self) {
        self.close_seen |= self.header.first().is_some_and(|byte| byte & 0x0f == CLOSE);
        self.have = 0;
    }

    fn header_length(&self) -> usize {
        match self.header.get(1).map(|byte| byte & 0x7f) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        }
    }

    fn rest_length(&mut self) -> u64 {
        let [_, second, extended @ ..] = self.header;
        let [a, b, ..] = extended;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes(extended),
            short => u64::from(short),
        };
        self.is_lost = length > i64::MAX.unsigned_abs();
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        length.saturating_add(mask)
    }
}

/// A Close frame with a status code: bare, as a server sends it.
pub(crate) fn close_to_client(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | CLOSE, 2, high, low]
}

/// A Close frame with a status code: masked, as a client must (RFC 6455, section 5.3).
pub(crate) fn close_to_server(code: u16, mask: [u8; 4]) -> [u8; 8] {
    let [high, low] = code.to_be_bytes();
    let [a, b, c, d] = mask;
    [0x80 | CLOSE, 0x80 | 2, a, b, c, d, high ^ a, low ^ b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match payload {
            0..126 => frame.push(mask_bit | u8::try_from(payload).unwrap()),
            126..65536 => {
                frame.push(mask_bit | 126);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask_bit | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.resize(frame.len() + if masked { 4 } else { 0 } + payload, 0x88);
        frame
    }

    #[test]
    fn frames_of_every_size_end_where_they_end_however_the_bytes_arrive() {
        for payload in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            for masked in [false, true] {
                let bytes = [frame(2, masked, payload), frame(1, masked, 3)].concat();
                let first = frame(2, masked, payload).len();
                for piece in [1, 2, 3, 7, 4096, bytes.len()] {
                    let (mut reader, mut at, mut boundaries) = (FrameReader::default(), 0, vec![]);
                    while at < bytes.len() {
                        at += reader.advance(bytes.get(at..bytes.len().min(at + piece)).unwrap());
                        if reader.is_at_boundary() {
                            boundaries.push(at);
                        }
                    }
                    assert_eq!(boundaries, [first, bytes.len()], "{payload} {masked} {piece}");
                    assert!(!reader.close_seen());
                }
            }
        }
    }

    #[test]
    fn a_close_counts_once_all_of_it_has_passed() {
        let mut reader = FrameReader::default();
        let close = close_to_server(1012, [1, 2, 3, 4]);
        assert_eq!(reader.advance(&close[..7]), 7);
        assert!(!reader.close_seen());
        assert_eq!(reader.advance(&close[7..]), 1);
        assert!(reader.close_seen() && reader.is_at_boundary());
        let mut reader = FrameReader::default();
        reader.advance(&close_to_client(1012));
        assert!(reader.close_seen());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_stand_still(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            let (mut reader, mut rest) = (FrameReader::default(), bytes.as_slice());
            while !rest.is_empty() {
                let taken = reader.advance(rest);
                prop_assert!(taken > 0);
                rest = rest.get(taken..).unwrap();
            }
        }
    }

    #[test]
    fn an_impossible_length_leaves_no_boundary() {
        let mut reader = FrameReader::default();
        assert_eq!(reader.advance(&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]), 13);
        assert_eq!(reader.advance(&[0, 0]), 2);
        assert!(!reader.is_at_boundary());
    }
}
