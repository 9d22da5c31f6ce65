//! Bytes that name their own place, so that a lost, doubled or misplaced one is seen.
//!
//! The stream is made of 16-byte lines; each is the offset of its first byte as 15 hexadecimal digits and a newline.

const LINE: usize = 16;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Fills `buffer` with the pattern's bytes from `offset` on.
pub fn fill(offset: u64, buffer: &mut [u8]) {
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let within = (at % LINE as u64) as usize;
        let taken = rest.len().min(LINE - within);
        let (head, tail) = rest.split_at_mut(taken);
        for (to, from) in head.iter_mut().zip(line(at - within as u64).iter().skip(within)) {
            *to = *from;
        }
        at += taken as u64;
        rest = tail;
    }
}

/// Checks that `bytes` are the pattern's from `offset` on.
///
/// # Errors
/// The offset of the first byte that differs.
pub fn check(offset: u64, bytes: &[u8]) -> Result<(), u64> {
    let mut expected = vec![0; bytes.len()];
    fill(offset, &mut expected);
    match expected.iter().zip(bytes).position(|(a, b)| a != b) {
        Some(place) => Err(offset + place as u64),
        None => Ok(()),
    }
}

fn line(start: u64) -> [u8; LINE] {
    let mut line = [b'\n'; LINE];
    for (place, byte) in line.iter_mut().take(LINE - 1).rev().enumerate() {
        let digit = (start >> (4 * place)) & 15;
        *byte = HEX.get(digit as usize).copied().unwrap_or(b'?');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_the_offset_of_its_first_byte() {
        let mut buffer = [0; 48];
        fill(0, &mut buffer);
        assert_eq!(&buffer, b"000000000000000\n000000000000010\n000000000000020\n");
    }

    #[test]
    fn any_window_of_the_stream_equals_the_same_window_of_the_whole() {
        let mut whole = [0; 200];
        fill(0, &mut whole);
        for start in 0..60 {
            let mut window = [0; 77];
            fill(start as u64, &mut window);
            assert_eq!(window.as_slice(), whole.get(start..start + 77).unwrap());
        }
    }

    #[test]
    fn a_missing_byte_is_found_at_its_place() {
        let mut bytes = vec![0; 64];
        fill(1000, &mut bytes);
        assert_eq!(check(1000, &bytes), Ok(()));
        bytes.remove(30);
        assert!(check(1000, &bytes).is_err_and(|place| (1030..1050).contains(&place)));
    }
}
