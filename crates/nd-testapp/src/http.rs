//! As much of HTTP/1.1 (RFC 9112) as a test application needs: heads, bodies with a length or in chunks, answers.

use std::io::{self, BufRead, Read, Write};

/// The most bytes a request's head may have.
pub const MAX_HEAD: u64 = 64 * 1024;

/// The head of a request, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The method, case as sent.
    pub method: String,
    /// The request target with its query.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Names and values in their order, names in the case they came in.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of the header `name`, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether one of the comma-separated tokens of header `name` is `token`.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The number that the query gives for `name`; 0 where there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok()).unwrap_or_default()
    }

    /// Whether the client wants the connection kept (RFC 9112, section 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        match self.version.as_str() {
            "HTTP/1.1" => !self.has_token("connection", "close"),
            _ => self.has_token("connection", "keep-alive"),
        }
    }
}

/// Reads the next head; `None` where the peer closed between two requests.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no head, else the error of the connection.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut limited = reader.take(MAX_HEAD);
    let Some(first) = read_line(&mut limited)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid("request line"));
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(invalid("version"));
    }
    let mut head = Head {
        method: method.to_owned(),
        target: target.to_owned(),
        version: version.to_owned(),
        headers: vec![],
    };
    loop {
        let line = read_line(&mut limited)?.ok_or_else(|| invalid("end of head"))?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("header"))?;
        head.headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// The body of a request: a reader that ends where the body ends.
#[derive(Debug)]
pub struct Body<'a, R> {
    reader: &'a mut R,
    /// Bytes left of the body, or of the chunk that is being read.
    left: u64,
    chunked: bool,
}

impl<'a, R: BufRead> Body<'a, R> {
    /// The body that follows `head` (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a length that is no number.
    pub fn new(head: &Head, reader: &'a mut R) -> io::Result<Self> {
        let chunked = head.has_token("transfer-encoding", "chunked");
        let left = match head.header("content-length") {
            Some(length) if !chunked => length.parse().map_err(|_| invalid("Content-Length"))?,
            _ => 0,
        };
        let mut body = Self { reader, left, chunked };
        if chunked {
            body.next_chunk()?;
        }
        Ok(body)
    }

    /// Reads on to the body's end, so that the next request can be read; gives the number of bytes.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn skip(&mut self) -> io::Result<u64> {
        io::copy(self, &mut io::sink())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let line = read_line(self.reader)?.ok_or_else(|| invalid("chunk"))?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| invalid("chunk size"))?;
        if self.left == 0 {
            self.chunked = false;
            while read_line(self.reader)?.is_some_and(|trailer| !trailer.is_empty()) {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let count = self.reader.take(self.left).read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        if self.left == 0 && self.chunked {
            if !read_line(self.reader)?.is_some_and(|line| line.is_empty()) {
                return Err(invalid("end of chunk"));
            }
            self.next_chunk()?;
        }
        Ok(count)
    }
}

/// How the body of an answer is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`.
    Length(u64),
    /// In chunks.
    Chunked,
    /// There is none: the connection becomes another protocol (101).
    Upgrade,
}

/// Writes one chunk (RFC 9112, section 7.1); an empty one would end the body, and is not written.
///
/// # Errors
/// The error of the connection.
pub fn write_chunk(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    out.write_all(&chunk)
}

/// A line without its end; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(MAX_HEAD).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            String::from_utf8(line).map(Some).map_err(|_| invalid("text"))
        }
        Some(_) => Err(invalid("end of line")),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bad request: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_path_query_and_headers() {
        let mut wire =
            b"GET /slow?ms=20&x=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n\r\nrest".as_slice();
        let head = read_head(&mut wire).unwrap().unwrap();
        assert_eq!((head.path(), head.number("ms"), head.number("none")), ("/slow", 20, 0));
        assert_eq!(head.header("HOST"), Some("a"));
        assert!(head.has_token("connection", "upgrade") && !head.keep_alive());
        assert_eq!(wire, b"rest");
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        let head = Head { headers: vec![("Transfer-Encoding".into(), "chunked".into())], ..Head::default() };
        let mut wire = b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\nnext".as_slice();
        let mut text = String::new();
        Body::new(&head, &mut wire).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), wire), ("abc0123456789", b"next".as_slice()));
    }

    #[test]
    fn a_body_that_is_cut_is_an_error() {
        let head = Head { headers: vec![("Content-Length".into(), "10".into())], ..Head::default() };
        let mut wire = b"short".as_slice();
        assert!(Body::new(&head, &mut wire).unwrap().skip().is_err());
    }

    #[test]
    fn the_end_between_two_requests_is_no_error() {
        assert_eq!(read_head(&mut b"".as_slice()).unwrap(), None);
        assert!(read_head(&mut b"GET / HT".as_slice()).is_err());
    }
}
