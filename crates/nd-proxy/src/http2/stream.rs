//! A client's stream as the connection it stands for: its request is read from it, its answer written to it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{self, Follows};
use super::inlet::{Coding, Inlet, broken};
use super::outlet::{Framing, Outlet};
use super::stalls::{Stall, Stalls};
use crate::http1::chunked::ChunkReader;
use crate::http1::request::field_space;
use crate::http1::response::{ResponseBody, ResponseHead};
use crate::request_id::IdSource;

/// A request on its way in and its answer on its way out.
#[derive(Debug)]
pub(crate) struct ClientStream {
    inlet: Inlet,
    answer: Answer,
    is_head: bool,
    /// It will carry a WebSocket, should the app agree.
    is_socket: bool,
    stalls: Rc<Stalls>,
}

#[derive(Debug)]
enum Answer {
    /// No head has been sent; what there is of it.
    Head(SendResponse<Bytes>, Vec<u8>),
    Body(Outlet),
    Done,
}

impl ClientStream {
    /// Takes a stream over. The head of its request is written to `out`, the rest is read.
    pub(crate) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        stalls: &Rc<Stalls>,
        ids: &IdSource,
        out: &mut Vec<u8>,
    ) -> Self {
        let (head, stream) = request.into_parts();
        let protocol = head.extensions.get::<h2::ext::Protocol>();
        let is_socket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
        let follows = match (is_socket, stream.is_end_stream()) {
            (true, _) => Follows::Socket(ids.next()),
            (false, true) => Follows::Nothing,
            (false, false) => Follows::Content,
        };
        head::write_request(out, &head, follows);
        let is_declared = || head.headers.contains_key(http::header::CONTENT_LENGTH);
        let is_chunked = follows == Follows::Content && !is_declared();
        let coding = if is_chunked { Coding::Chunked } else { Coding::Plain };
        Self {
            inlet: Inlet::new(stream, coding, Vec::new()),
            answer: Answer::Head(respond, Vec::new()),
            is_head: head.method == Method::HEAD,
            is_socket,
            stalls: Rc::clone(stalls),
        }
    }

    /// Ends the stream as broken.
    pub(crate) fn reset(&mut self) {
        match std::mem::replace(&mut self.answer, Answer::Done) {
            Answer::Head(mut respond, _) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Body(_) | Answer::Done => {} // the outlet knows whether it was finished
        }
    }

    /// The client says nothing more, but may lose interest.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.answer {
            Answer::Head(respond, _) => Poll::Ready(Err(match ready!(respond.poll_reset(cx)) {
                Ok(reason) => broken(reason.into()),
                Err(error) => broken(error),
            })),
            Answer::Body(outlet) if !outlet.is_done() && !self.is_socket => outlet.poll_reset(cx).map(Err),
            Answer::Body(_) | Answer::Done => Poll::Ready(Ok(())),
        }
    }

    /// Takes bytes of a head; sends it once it is complete. Returns how many bytes belong to it.
    fn write_head(&mut self, input: &[u8]) -> io::Result<usize> {
        let Answer::Head(respond, begun) = &mut self.answer else { return Ok(0) };
        let held = begun.len();
        begun.extend_from_slice(if held == 0 { &[] } else { input });
        let mut space = field_space();
        let text: &[u8] = if held == 0 { input } else { &*begun };
        let parsed = ResponseHead::parse(text, &mut space, self.is_head);
        let Some(head) = parsed.map_err(|_| io::ErrorKind::InvalidData)? else {
            if held == 0 {
                begun.extend_from_slice(input);
            }
            return Ok(input.len());
        };
        let length = head.length - held;
        if let Some((stream, framing)) = send(respond, &head, self.is_socket)? {
            self.answer =
                Answer::Body(Outlet::new(stream, framing, Stall::new(&self.stalls), Reason::INTERNAL_ERROR));
        } else {
            begun.clear();
        }
        Ok(length)
    }
}

/// Sends a head; gives what follows after it, unless it is an interim one.
fn send(
    respond: &mut SendResponse<Bytes>,
    head: &ResponseHead<'_, '_>,
    is_socket: bool,
) -> io::Result<Option<(SendStream<Bytes>, Framing)>> {
    let status = StatusCode::from_u16(head.status).map_err(io::Error::other)?;
    let mut response = head::response(head, status).ok_or(io::ErrorKind::InvalidData)?;
    let framing = match head.body {
        _ if status == StatusCode::SWITCHING_PROTOCOLS => {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(http::header::SEC_WEBSOCKET_ACCEPT);
            Framing::UntilEnd
        }
        _ if status.is_informational() => {
            respond.send_informational(response).map_err(broken)?;
            return Ok(None);
        }
        // The client would take it for a yes (RFC 8441, section 4).
        _ if is_socket && status.is_success() => return Err(io::ErrorKind::InvalidData.into()),
        ResponseBody::None => Framing::Done,
        ResponseBody::Exactly(length) => Framing::Exactly(length),
        ResponseBody::Chunked => Framing::Chunked(ChunkReader::keeping_trailers()),
        ResponseBody::UntilClose => Framing::UntilEnd,
    };
    let is_whole = matches!(framing, Framing::Done);
    let stream = respond.send_response(response, is_whole).map_err(broken)?;
    Ok(Some((stream, framing)))
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        ready!(self.inlet.poll_read(cx, buf))?;
        if buf.remaining() < before { Poll::Ready(Ok(())) } else { self.poll_end(cx) }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, input: &[u8]) -> Poll<io::Result<usize>> {
        let mut used = 0;
        while used < input.len() {
            let rest = input.get(used..).unwrap_or_default();
            let step = match &mut self.answer {
                Answer::Head(..) => Poll::Ready(self.write_head(rest)),
                Answer::Body(outlet) => outlet.poll_write(cx, rest),
                Answer::Done => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
            match step {
                Poll::Ready(step) => used += step?,
                Poll::Pending if used > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(used))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut used = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.as_mut().poll_write(cx, buf) {
                Poll::Ready(written) => {
                    let written = written?;
                    used += written;
                    if written < buf.len() {
                        break;
                    }
                }
                Poll::Pending if used > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(used))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // whoever drives the connection sends what it has
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &mut self.answer {
            Answer::Body(outlet) => outlet.finish(),
            Answer::Head(..) | Answer::Done => Ok(()),
        })
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.reset();
    }
}
