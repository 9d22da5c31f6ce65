//! From the engine's messages to the lines that the app wrote.
//!
//! Each message is `<time> <text>`. The engine cuts a line after 16 KiB into messages without a line end, which all bear
//! the time of the first; a message without a line end that is not followed by one of the same time is the end of what
//! the app wrote before it ended.

use nd_core::ports::OutputStream;
use nd_types::Timestamp;

use super::frames::{Part, Source};

/// Longest line that is passed on; what is longer is cut.
const LINE_BYTES: usize = 256 * 1024;

/// Where the engine cuts a line.
const ENGINE_CUT: usize = 16 * 1024;

/// Longest text of a time.
const TIME_BYTES: usize = 64;

/// One line with its time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stream: OutputStream,
    pub(super) at: Timestamp,
    pub(super) text: Vec<u8>,
    /// Whether the engine had cut it; its time is that of its beginning.
    pub(super) joined: bool,
}

/// Puts lines together, for both outputs.
#[derive(Debug)]
pub(super) struct Lines {
    stdout: Output,
    stderr: Output,
    source: Source,
}

impl Default for Lines {
    fn default() -> Self {
        let source = Source::Output(OutputStream::Stdout);
        Self { stdout: Output::default(), stderr: Output::default(), source }
    }
}

impl Lines {
    /// Takes in one part of the stream and adds the lines that it completes to `lines`.
    pub(super) fn take(&mut self, part: &Part<'_>, lines: &mut Vec<Line>) {
        if let Part::Begin(source) = part {
            self.source = *source;
        }
        let Source::Output(stream) = self.source else { return };
        let output = self.of(stream);
        let mut emit = |whole: Whole| lines.push(whole.of(stream));
        match part {
            Part::Begin(_) => output.begin(),
            Part::Data(data) => output.data(data, &mut emit),
            Part::End => output.end(&mut emit),
        }
    }

    /// The stream is over: what has no line end yet will not get one.
    pub(super) fn finish(&mut self, lines: &mut Vec<Line>) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let whole = self.of(stream).take();
            lines.extend(whole.map(|whole| whole.of(stream)));
        }
    }

    fn of(&mut self, stream: OutputStream) -> &mut Output {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }
}

/// One output.
#[derive(Debug, Default)]
struct Output {
    /// The text of the time at the head of the current message, while it is being read.
    time: Vec<u8>,
    in_time: bool,
    /// The line being put together, and its time; `None` between lines.
    at: Option<Timestamp>,
    text: Vec<u8>,
    joined: bool,
    /// Whether a line end came, after which nothing more belongs to the line.
    complete: bool,
    /// Bytes of the current or last message.
    message_bytes: usize,
}

/// A line before it is said whose it is.
struct Whole {
    at: Timestamp,
    text: Vec<u8>,
    joined: bool,
}

impl Whole {
    fn of(self, stream: OutputStream) -> Line {
        let Self { at, text, joined } = self;
        Line { stream, at, text, joined }
    }
}

type Emit<'a> = &'a mut dyn FnMut(Whole);

impl Output {
    fn begin(&mut self) {
        self.time.clear();
        self.in_time = true;
    }

    fn data(&mut self, mut data: &[u8], emit: Emit<'_>) {
        if self.in_time {
            let end = data.iter().position(|byte| *byte == b' ');
            let (time, rest) = data.split_at(end.unwrap_or(data.len()));
            self.time.extend(time.iter().take(TIME_BYTES.saturating_sub(self.time.len())));
            data = rest.get(1..).unwrap_or_default();
            if end.is_none() {
                return;
            }
            self.in_time = false;
            self.begin_text(emit);
        }
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.append(piece, emit);
        }
    }

    /// The time is known: does this message go on with the line before it?
    fn begin_text(&mut self, emit: Emit<'_>) {
        let time = std::str::from_utf8(&self.time).ok().and_then(|time| time.parse::<Timestamp>().ok());
        let goes_on = time.is_none() || time == self.at || self.message_bytes >= ENGINE_CUT;
        if !goes_on || self.complete {
            self.flush(emit);
        }
        self.joined = self.at.is_some();
        self.at = self.at.or(time);
        self.message_bytes = 0;
    }

    fn append(&mut self, piece: &[u8], emit: Emit<'_>) {
        if self.complete {
            let at = self.at;
            self.flush(emit);
            self.at = at;
        }
        self.message_bytes += piece.len();
        self.complete = piece.ends_with(b"\n");
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        let room = LINE_BYTES.saturating_sub(self.text.len());
        self.text.extend(text.iter().take(room));
    }

    fn end(&mut self, emit: Emit<'_>) {
        if self.complete {
            self.flush(emit);
        }
    }

    fn flush(&mut self, emit: Emit<'_>) {
        if let Some(line) = self.take() {
            emit(line);
        }
    }

    fn take(&mut self) -> Option<Whole> {
        self.complete = false;
        let joined = std::mem::take(&mut self.joined);
        let mut text = std::mem::take(&mut self.text);
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        self.at.take().map(|at| Whole { at, text, joined })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T1: &str = "2026-11-21T04:58:08.127823420Z";
    const T2: &str = "2026-11-21T04:58:08.390199708Z";

    fn messages(messages: &[(OutputStream, &str, &[u8])]) -> Vec<Line> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for (stream, time, text) in messages {
            let message = [time.as_bytes(), b" ", text].concat();
            lines.take(&Part::Begin(Source::Output(*stream)), &mut found);
            // In two parts, cut within the time.
            let (head, tail) = message.split_at(7);
            lines.take(&Part::Data(head), &mut found);
            lines.take(&Part::Data(tail), &mut found);
            lines.take(&Part::End, &mut found);
        }
        lines.finish(&mut found);
        found
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    use OutputStream::{Stderr, Stdout};

    #[test]
    fn a_message_is_a_line_with_its_time() {
        let lines = messages(&[(Stdout, T1, b"hi\n"), (Stderr, T2, b"\n")]);
        let line = |stream, at: &str, text: &[u8]| Line {
            stream,
            at: at.parse().unwrap(),
            text: text.to_vec(),
            joined: false,
        };
        assert_eq!(lines, [line(Stdout, T1, b"hi"), line(Stderr, T2, b"")]);
    }

    #[test]
    fn a_long_line_is_joined_though_the_other_output_comes_between() {
        let part = vec![b'a'; ENGINE_CUT];
        let lines = messages(&[
            (Stdout, T1, &part),
            (Stderr, T2, b"err\n"),
            (Stdout, T1, &part),
            (Stdout, T1, b"end\n"),
        ]);
        assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [3, 2 * ENGINE_CUT + 3]);
        assert_eq!(lines.iter().map(|line| line.joined).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_one_run_left_without_a_line_end_is_not_joined_with_the_next_run() {
        let lines = messages(&[(Stdout, T1, b"partial"), (Stdout, T2, b"new run\n")]);
        assert_eq!(texts(&lines), ["partial", "new run"]);
    }

    #[test]
    fn an_engine_that_gives_each_part_a_time_of_its_own_is_understood_as_well() {
        let part = vec![b'a'; ENGINE_CUT];
        assert_eq!(messages(&[(Stdout, T1, &part), (Stdout, T2, b"end\n")]).len(), 1);
    }

    #[test]
    fn the_last_words_without_a_line_end_are_a_line() {
        assert_eq!(texts(&messages(&[(Stdout, T1, b"one\r\n"), (Stdout, T2, b"last")])), ["one", "last"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let part = vec![b'a'; ENGINE_CUT];
        let many: Vec<(OutputStream, &str, &[u8])> = (0..40).map(|_| (Stdout, T1, part.as_slice())).collect();
        let lines = messages(&many);
        assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [LINE_BYTES]);
    }

    #[test]
    fn a_message_with_several_lines_is_taken_apart() {
        assert_eq!(texts(&messages(&[(Stdout, T1, b"a\nb\nc\n")])), ["a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(parts in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..80)), 0..40)) {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for (kind, bytes) in &parts {
                let part = match kind {
                    0 => Part::Begin(Source::Output(Stdout)),
                    1 => Part::Begin(Source::Engine),
                    2 => Part::Data(bytes),
                    _ => Part::End,
                };
                lines.take(&part, &mut found);
            }
            lines.finish(&mut found);
        }
    }
}
