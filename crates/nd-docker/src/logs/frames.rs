//! The engine's framing of two outputs on one connection: eight bytes of head, then the message.
//!
//! A message is passed on as it arrives, so that no length that a head claims is ever allocated.

use nd_core::ports::OutputStream;

/// Takes frames apart.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; 8],
    have: usize,
    /// Bytes of the current message that have not come yet.
    left: u32,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The container.
    Output(OutputStream),
    /// The engine, which cannot go on.
    Engine,
}

/// A part of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A message begins.
    Begin(Source),
    /// Some of its bytes.
    Data(&'a [u8]),
    /// It is complete.
    End,
}

/// What arrived is not framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output is not framed as the engine's API says")]
pub(crate) struct Unframed;

impl Frames {
    /// Takes in what arrived and hands out the parts of it.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut part: impl FnMut(Part<'_>)) -> Result<(), Unframed> {
        while !bytes.is_empty() {
            if self.have < self.head.len() {
                bytes = self.fill_head(bytes);
                if self.have < self.head.len() {
                    return Ok(());
                }
                part(Part::Begin(self.begin()?));
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (data, rest) = bytes.split_at(length);
            if !data.is_empty() {
                part(Part::Data(data));
            }
            bytes = rest;
            self.left = self.left.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
            if self.left == 0 {
                self.have = 0;
                part(Part::End);
            }
        }
        Ok(())
    }

    fn fill_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = self.head.get_mut(self.have..).unwrap_or_default();
        let length = missing.len().min(bytes.len());
        let (head, rest) = bytes.split_at(length);
        missing.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        self.have += length;
        rest
    }

    fn begin(&mut self) -> Result<Source, Unframed> {
        let [kind, 0, 0, 0, a, b, c, d] = self.head else { return Err(Unframed) };
        let source = match kind {
            0 | 1 => Source::Output(OutputStream::Stdout),
            2 => Source::Output(OutputStream::Stderr),
            3 => Source::Engine,
            _ => return Err(Unframed),
        };
        self.left = u32::from_be_bytes([a, b, c, d]);
        Ok(source)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Messages = Vec<(Source, Vec<u8>)>;

    fn frame(kind: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length[..], message].concat()
    }

    fn decode(chunks: &[&[u8]]) -> Result<Messages, Unframed> {
        let mut frames = Frames::default();
        let (mut whole, mut open) = (Messages::new(), None);
        for chunk in chunks {
            frames.feed(chunk, |part| match part {
                Part::Begin(source) => open = Some((source, Vec::new())),
                Part::Data(data) => open.as_mut().unwrap().1.extend_from_slice(data),
                Part::End => whole.push(open.take().unwrap()),
            })?;
        }
        Ok(whole)
    }

    #[test]
    fn messages_of_both_outputs_come_apart() {
        let bytes = [frame(1, b"out\n"), frame(2, b"err\n"), frame(1, b"")].concat();
        let stdout = Source::Output(OutputStream::Stdout);
        let expected =
            vec![(stdout, b"out\n".to_vec()), (Source::Output(OutputStream::Stderr), b"err\n".to_vec())];
        let messages = decode(&[&bytes, &frame(1, b"x")]).unwrap();
        assert_eq!(messages.get(..2), Some(expected.as_slice()));
    }

    #[test]
    fn what_has_no_frame_is_refused() {
        assert_eq!(decode(&[b"hello from a terminal\r\n"]), Err(Unframed));
        assert_eq!(decode(&[&frame(7, b"x")]), Err(Unframed));
    }

    #[test]
    fn a_message_that_claims_four_gigabytes_is_passed_on_as_it_comes() {
        let mut frames = Frames::default();
        let mut seen = 0;
        frames
            .feed(&[1, 0, 0, 0, 255, 255, 255, 255, b'a', b'b'], |part| {
                if let Part::Data(data) = part {
                    seen += data.len();
                }
            })
            .unwrap();
        assert_eq!(seen, 2);
    }

    proptest! {
        #[test]
        fn the_cut_between_chunks_makes_no_difference(
            messages in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 1..40)), 1..10),
            size in 1usize..50,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(kind, message)| frame(*kind, message)).collect();
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let decoded = decode(&chunks).unwrap();
            prop_assert_eq!(decoded.len(), messages.len());
            prop_assert!(decoded.iter().zip(&messages).all(|((_, got), (_, sent))| got == sent));
        }

        #[test]
        fn garbage_never_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..10)) {
            let mut frames = Frames::default();
            for chunk in &chunks {
                if frames.feed(chunk, |_| ()).is_err() {
                    break;
                }
            }
        }
    }
}
