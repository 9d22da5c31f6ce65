//! A stream to an app as the connection it stands for: the request is written to it, its answer read from it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{append, put_fields};
use super::inlet::{Coding, Inlet, Text, broken};
use super::outlet::{Framing, Outlet};
use super::session::Place;
use super::stalls::Stall;
use crate::http1::chunked::ChunkReader;
use crate::http1::field::Name;
use crate::http1::forward::put;
use crate::http1::request::{BodyLength, RequestHead, field_space};

/// A request on its way to the app and its answer on the way back.
#[derive(Debug)]
pub(crate) struct AppStream {
    session: SendRequest<Bytes>,
    upload: Upload,
    answer: Answer,
    is_head: bool,
    /// The app has not begun to process it, and never will.
    is_refused: bool,
    _place: Place,
}

#[derive(Debug)]
enum Upload {
    /// What there is of the head, while it has not been sent.
    Head(Vec<u8>),
    Body(Outlet),
    Done,
}

#[derive(Debug)]
enum Answer {
    /// Nobody has asked yet.
    None,
    Awaited(ResponseFuture, Text),
    Body(Inlet),
    /// The request could not be sent, or there will be no answer.
    Failed,
}

impl AppStream {
    pub(crate) fn new(session: SendRequest<Bytes>, place: Place) -> Self {
        Self {
            session,
            upload: Upload::Head(Vec::new()),
            answer: Answer::None,
            is_head: false,
            is_refused: false,
            _place: place,
        }
    }

    /// Whether the app has said that it has not begun with the request, so that it may be sent again whatever it asks
    /// for (RFC 9113, section 8.7).
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Takes bytes of the head; sends it once it is complete. Returns how many bytes belong to it.
    fn poll_head(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Poll<io::Result<usize>> {
        let Upload::Head(begun) = &mut self.upload else { return Poll::Ready(Ok(0)) };
        let text = [begun.as_slice(), input].concat();
        let Some(end) = memchr::memmem::find(&text, b"\r\n\r\n") else {
            *begun = text;
            return Poll::Ready(Ok(input.len()));
        };
        if let Err(error) = ready!(self.session.poll_ready(cx)) {
            self.is_refused = true;
            self.answer = Answer::Failed;
            return Poll::Ready(Err(broken(error)));
        }
        let (length, held) = (end + 4, begun.len());
        let sent = self.send(text.get(..length).unwrap_or_default());
        if sent.is_err() {
            self.answer = Answer::Failed;
        }
        Poll::Ready(sent.map(|()| length - held))
    }

    fn send(&mut self, text: &[u8]) -> io::Result<()> {
        let mut space = field_space();
        let head = RequestHead::parse(text, &mut space).map_err(|_| io::ErrorKind::InvalidData)?;
        let request = request(&head).ok_or(io::ErrorKind::InvalidData)?;
        let framing = match head.body {
            BodyLength::None | BodyLength::Exactly(0) => Framing::Done,
            BodyLength::Exactly(length) => Framing::Exactly(length),
            BodyLength::Chunked => Framing::Chunked(ChunkReader::keeping_trailers()),
        };
        let is_whole = matches!(framing, Framing::Done);
        self.is_head = head.method == "HEAD";
        let (answer, stream) = self.session.send_request(request, is_whole).map_err(broken)?;
        self.answer = Answer::Awaited(answer, Text::default());
        self.upload = match is_whole {
            true => Upload::Done,
            false => Upload::Body(Outlet::new(stream, framing, Stall::new(&Rc::default()), Reason::CANCEL)),
        };
        Ok(())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever waits for an answer sends the request first, and looks again then.
        let Answer::Awaited(answer, text) = &mut self.answer else { return Poll::Pending };
        if let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
            write_head(text.write(), &interim, "");
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(answer).poll(cx)) {
            Ok(response) => {
                self.answer = Answer::Body(self.inlet(response));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
                self.is_refused = is_refused && error.is_remote();
                self.answer = Answer::Failed;
                Poll::Ready(Err(broken(error)))
            }
        }
    }

    fn inlet(&self, response: Response<RecvStream>) -> Inlet {
        let is_declared = response.headers().contains_key(CONTENT_LENGTH);
        let (head, stream) = response.into_parts();
        let (framing, coding) = match (is_declared || self.is_head, stream.is_end_stream()) {
            (true, _) => ("", Coding::Plain),
            (false, true) => ("Content-Length: 0\r\n", Coding::Plain),
            (false, false) => ("Transfer-Encoding: chunked\r\n", Coding::Chunked),
        };
        let may_have_content =
            head.status != StatusCode::NO_CONTENT && head.status != StatusCode::NOT_MODIFIED;
        let mut text = Vec::with_capacity(512);
        let head = Response::from_parts(head, ());
        write_head(&mut text, &head, if may_have_content { framing } else { "" });
        Inlet::new(stream, if may_have_content { coding } else { Coding::Plain }, text)
    }
}

/// A head as HTTP/2 has it; `None` where it cannot be said in it.
fn request(head: &RequestHead<'_, '_>) -> Option<Request<()>> {
    let mut uri = Uri::default().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(Authority::try_from(head.host?.value).ok()?);
    uri.path_and_query = Some(PathAndQuery::try_from(head.target).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    let fields: &mut HeaderMap = request.headers_mut();
    fields.reserve(head.fields.len() + 1);
    for field in head.fields.iter().filter(|field| Name::of(field.name) != Name::Host) {
        append(fields, field.name, field.value)?;
    }
    // We pass trailers on; gRPC insists on being told (RFC 9110, section 10.1.4).
    fields.insert(TE, HeaderValue::from_static("trailers"));
    Some(request)
}

fn write_head(out: &mut Vec<u8>, head: &Response<()>, framing: &str) {
    put(out, &["HTTP/1.1 ", head.status().as_str(), " \r\n"]);
    put_fields(out, head.headers());
    put(out, &[framing, "\r\n"]);
}

impl AsyncRead for AppStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.answer {
                Answer::Body(inlet) => return inlet.poll_read(cx, buf),
                Answer::Awaited(_, text) if !text.is_empty() => {
                    text.read(buf);
                    return Poll::Ready(Ok(()));
                }
                Answer::Failed => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                Answer::Awaited(..) | Answer::None => ready!(self.poll_answer(cx))?,
            }
        }
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, input: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.upload {
            Upload::Head(_) => self.poll_head(cx, input),
            Upload::Body(outlet) => outlet.poll_write(cx, input),
            Upload::Done => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // whoever drives the connection sends what it has
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
