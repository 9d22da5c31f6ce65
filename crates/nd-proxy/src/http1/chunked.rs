//! Chunked bodies (RFC 9112, section 7.1), read strictly: what passes here is read the same way by everyone behind us.

use super::field::Name;

/// A chunk-size line may not be longer, extension and all.
const MAX_SIZE_LINE: usize = 1024;
/// All trailer fields together may not be longer.
const MAX_TRAILERS: usize = 16 * 1024;

/// Follows a chunked body through the bytes that carry it.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    state: State,
    /// The lines of the trailer section, where somebody wants them.
    trailers: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    Done,
}

/// What the front of the input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// So many bytes of framing, followed by …
    pub(crate) framing: usize,
    /// … so many bytes of content. Both zero: more input is needed, unless the body is done.
    pub(crate) content: usize,
}

/// Bytes that are no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

impl ChunkReader {
    pub(crate) fn new() -> Self {
        Self { state: State::Size, trailers: None }
    }

    /// One that keeps the trailer section.
    pub(crate) fn keeping_trailers() -> Self {
        Self { state: State::Size, trailers: Some(Vec::new()) }
    }

    /// The trailer section that was kept, line by line.
    pub(crate) fn trailers(&self) -> &[u8] {
        self.trailers.as_deref().unwrap_or_default()
    }

    /// Whether the last chunk and its trailers have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads as far as the end of the next piece of content.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, BadChunk> {
        let mut step = Step::default();
        loop {
            let rest = input.get(step.framing..).unwrap_or_default();
            let taken = match self.state {
                State::Done => return Ok(step),
                State::Data(left) => {
                    step.content = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - step.content as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(step);
                }
                State::DataEnd => self.data_end(rest)?,
                State::Size => self.size_line(rest)?,
                State::Trailers(length) => self.trailer_line(rest, length)?,
            };
            if taken == 0 {
                return Ok(step);
            }
            step.framing += taken;
        }
    }

    fn data_end(&mut self, rest: &[u8]) -> Result<usize, BadChunk> {
        match rest {
            [b'\r', b'\n', ..] => {
                self.state = State::Size;
                Ok(2)
            }
            [] | [b'\r'] => Ok(0),
            _ => Err(BadChunk),
        }
    }

    fn size_line(&mut self, rest: &[u8]) -> Result<usize, BadChunk> {
        let Some(line) = complete_line(rest, MAX_SIZE_LINE)? else { return Ok(0) };
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits).ok_or(BadChunk)?;
        let extension_ok = match extension {
            [] => true,
            [b';', text @ ..] => text.iter().all(|b| matches!(b, b'\t' | 0x20..=0x7e)),
            _ => false,
        };
        if !extension_ok || digits > 16 {
            return Err(BadChunk);
        }
        let size = str::from_utf8(size).map_err(|_| BadChunk)?;
        let size = u64::from_str_radix(size, 16).map_err(|_| BadChunk)?;
        self.state = if size == 0 { State::Trailers(0) } else { State::Data(size) };
        Ok(line.len() + 2)
    }

    fn trailer_line(&mut self, rest: &[u8], before: usize) -> Result<usize, BadChunk> {
        let Some(line) = complete_line(rest, MAX_TRAILERS - before)? else { return Ok(0) };
        if line.is_empty() {
            self.state = State::Done;
            return Ok(2);
        }
        check_trailer(line)?;
        if let Some(kept) = &mut self.trailers {
            kept.extend_from_slice(line);
            kept.extend_from_slice(b"\r\n");
        }
        let length = before + line.len() + 2;
        self.state = State::Trailers(length.min(MAX_TRAILERS));
        Ok(line.len() + 2)
    }
}

/// The first line without its CRLF, or `None` while its end is missing.
fn complete_line(input: &[u8], limit: usize) -> Result<Option<&[u8]>, BadChunk> {
    match memchr::memchr(b'\n', input) {
        None if input.len() > limit => Err(BadChunk),
        None => Ok(None),
        Some(end) if end > limit => Err(BadChunk),
        Some(end) => match input.get(..end) {
            Some([line @ .., b'\r']) => Ok(Some(line)),
            _ => Err(BadChunk),
        },
    }
}

fn check_trailer(line: &[u8]) -> Result<(), BadChunk> {
    let colon = memchr::memchr(b':', line).ok_or(BadChunk)?;
    let (name, value) = line.split_at_checked(colon).ok_or(BadChunk)?;
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let is_value = |b: &u8| matches!(b, b'\t' | 0x20..=0x7e | 0x80..=0xff);
    let name_ok = !name.is_empty() && name.iter().all(is_token);
    let name = str::from_utf8(name).map_err(|_| BadChunk)?;
    if name_ok && value.iter().all(is_value) && !Name::of(name).is_forbidden_in_trailers() {
        Ok(())
    } else {
        Err(BadChunk)
    }
}

/// Feeds `body` in pieces of `piece` bytes; gives the content and how many bytes the body took, once its end is there.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn read(body: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, BadChunk> {
    let (mut reader, mut content, mut input, mut taken) = (ChunkReader::new(), Vec::new(), Vec::new(), 0);
    for piece in body.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            let step = reader.step(&input)?;
            input.drain(..step.framing);
            content.extend(input.drain(..step.content));
            taken += step.framing + step.content;
            if reader.is_done() {
                return Ok(Some((content, taken)));
            }
            if step == Step::default() {
                break;
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_is_found_however_the_bytes_arrive() {
        let body = b"5;name=\"v\"\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\nGET /";
        for piece in 1..body.len() {
            assert_eq!(read(body, piece), Ok(Some((b"hello world".to_vec(), body.len() - 5))), "{piece}");
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "\r\n",
            ";x\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;\0\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\n",
            "0\r\nContent-Length: 3\r\n\r\n",
            "0\r\nHost: x\r\n\r\n",
            "0\r\nX_Forwarded_For: x\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\n\n",
        ] {
            for piece in [1, 3, 100] {
                assert_eq!(read(body.as_bytes(), piece), Err(BadChunk), "{body:?} by {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), b'0'..b'4', Just(b';'), any::<u8>()], 0..60),
            piece in 1usize..10,
        ) {
            prop_assert_eq!(read(&body, piece), read(&body, 100));
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        assert_eq!(read(format!("1;{}", "x".repeat(5000)).as_bytes(), 100), Err(BadChunk));
        assert_eq!(read(format!("0\r\n{}", "A: b\r\n".repeat(5000)).as_bytes(), 100), Err(BadChunk));
    }

    #[test]
    fn an_unfinished_body_is_not_done() {
        assert_eq!(read(b"5\r\nhello\r\n0\r\n", 4), Ok(None));
    }
}
