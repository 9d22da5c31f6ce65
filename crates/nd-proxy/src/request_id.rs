//! Request ids: 20 characters of Crockford's base 32, or what the client brought.

use std::cell::Cell;

/// The alphabet of [`nd_types::RequestId`].
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The longest id taken from a client.
const MAX: usize = 128;

/// One request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdText {
    bytes: [u8; MAX],
    length: u8,
}

impl IdText {
    /// Takes over a client's id, whose form was checked.
    pub(crate) fn given(id: &str) -> Option<Self> {
        let mut bytes = [0; MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id.as_bytes());
        Some(Self { bytes, length: u8::try_from(id.len()).ok()? })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.length)).and_then(|b| str::from_utf8(b).ok()).unwrap_or_default()
    }
}

/// One worker's source of ids: unique, not secret, and without a system call per request.
#[derive(Debug)]
pub(crate) struct IdSource(Cell<u64>);

impl IdSource {
    /// Seeds from the system's random source.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self(Cell::new(getrandom::u64()?)))
    }

    /// A new id.
    pub(crate) fn next(&self) -> IdText {
        let mut bytes = [0; MAX];
        let bits = u128::from(self.number()) << 64 | u128::from(self.number());
        for (at, byte) in bytes.iter_mut().take(20).enumerate() {
            let digit = usize::try_from(bits >> (at * 5) & 31).unwrap_or(0);
            *byte = ALPHABET.get(digit).copied().unwrap_or(b'0');
        }
        IdText { bytes, length: 20 }
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
    pub(crate) fn number(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_request_ids_and_differ() {
        let source = IdSource::new().unwrap();
        let (a, b) = (source.next(), source.next());
        assert_ne!(a.as_str(), b.as_str());
        assert!(a.as_str().parse::<nd_types::RequestId>().is_ok());
    }
}
