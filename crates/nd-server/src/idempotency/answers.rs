//! The answers that are kept, and the requests under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use nd_supervise::Mono;
use parking_lot::Mutex;

use super::{Hash, KEPT, Keyed, used_otherwise};
use crate::refusal::Refusal;

/// Says that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How many bytes of answers are kept: about 4,000 of them.
const BYTES: usize = 4 << 20;

/// What one answer takes beside its body.
const OVERHEAD: usize = 256;

/// Answers by the keys of their requests.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    known: BTreeMap<Hash, Entry>,
    /// Kept answers, oldest first, with the time they came and what they take.
    kept: VecDeque<(Mono, Hash, usize)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    wish: Hash,
    /// Absent while the request is under way.
    answer: Option<Answer>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    location: Option<HeaderValue>,
    body: Bytes,
}

/// What is to be done with a request.
pub(crate) enum Claim {
    /// It is the first one: do it, and keep its answer.
    First(Turn),
    /// It was done: this is its answer.
    Done(Answer),
}

/// The right to do a request. Dropped without an answer, it leaves the key free.
pub(crate) struct Turn {
    answers: Arc<Answers>,
    id: Hash,
}

impl Answers {
    /// Whether a request is to be done.
    ///
    /// # Errors
    /// When the same one is under way, or the key was used for another one.
    pub(crate) fn claim(self: &Arc<Self>, keyed: Keyed, now: Mono) -> Result<Claim, Refusal> {
        let mut book = self.book.lock();
        book.forget(now);
        match book.known.get(&keyed.id) {
            Some(entry) if entry.wish != keyed.wish => Err(used_otherwise()),
            Some(Entry { answer: Some(answer), .. }) => Ok(Claim::Done(answer.clone())),
            Some(Entry { answer: None, .. }) => {
                let title = "the first request with this Idempotency-Key is still under way; ask again later";
                Err(Refusal::new(StatusCode::CONFLICT, "ND1014", title))
            }
            None => {
                book.known.insert(keyed.id, Entry { wish: keyed.wish, answer: None });
                Ok(Claim::First(Turn { answers: Arc::clone(self), id: keyed.id }))
            }
        }
    }
}

impl Turn {
    /// Keeps the answer for whoever sends the request again, unless asking again may end otherwise.
    pub(crate) fn end(self, answer: &Answer, now: Mono) {
        if answer.says_not_now() {
            return;
        }
        let mut book = self.answers.book.lock();
        let Some(entry) = book.known.get_mut(&self.id) else { return };
        entry.answer = Some(answer.clone());
        let bytes = answer.body.len() + OVERHEAD;
        book.bytes += bytes;
        book.kept.push_back((now, self.id, bytes));
        book.forget(now);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut book = self.answers.book.lock();
        if book.known.get(&self.id).is_some_and(|entry| entry.answer.is_none()) {
            book.known.remove(&self.id);
        }
    }
}

impl Book {
    /// Drops what was kept long enough, and the oldest while there is too much.
    fn forget(&mut self, now: Mono) {
        while let Some((at, id, bytes)) = self.kept.front().copied()
            && (self.bytes > BYTES || now.saturating_since(at) >= KEPT)
        {
            self.kept.pop_front();
            self.known.remove(&id);
            self.bytes -= bytes;
        }
    }
}

impl Answer {
    /// Takes in a response, which was made in memory and so is whole at once.
    ///
    /// # Errors
    /// When its body breaks off.
    pub(crate) async fn of(response: Response) -> Result<Self, axum::Error> {
        let (parts, body) = response.into_parts();
        let header = |name| parts.headers.get(name).cloned();
        let (kind, location) = (header(header::CONTENT_TYPE), header(header::LOCATION));
        Ok(Self { status: parts.status, kind, location, body: body.collect().await?.to_bytes() })
    }

    /// Whether it is a refusal that changed nothing and may be different the next time.
    fn says_not_now(&self) -> bool {
        matches!(
            self.status,
            StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::INSUFFICIENT_STORAGE
        )
    }

    /// The answer for a request that was sent again.
    pub(crate) fn replayed(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = [(header::CONTENT_TYPE, self.kind), (header::LOCATION, self.location)];
        response.headers_mut().extend(headers.into_iter().filter_map(|(name, value)| Some((name, value?))));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Mono = Mono(Duration::from_secs(100));

    fn keyed(key: u8) -> Keyed {
        Keyed { id: [key; 32], wish: [1; 32] }
    }

    fn answer(status: StatusCode, bytes: usize) -> Answer {
        Answer { status, kind: None, location: None, body: vec![b'x'; bytes].into() }
    }

    fn do_it(answers: &Arc<Answers>, keyed: Keyed, answer: &Answer) -> bool {
        match answers.claim(keyed, START) {
            Ok(Claim::First(turn)) => {
                turn.end(answer, START);
                true
            }
            Ok(Claim::Done(_)) | Err(_) => false,
        }
    }

    #[test]
    fn an_answer_is_kept_for_a_day() {
        let answers = Arc::new(Answers::default());
        assert!(do_it(&answers, keyed(1), &answer(StatusCode::ACCEPTED, 10)));
        let late = START + KEPT.saturating_sub(Duration::from_secs(1));
        assert!(matches!(answers.claim(keyed(1), late), Ok(Claim::Done(_))));
        assert!(matches!(answers.claim(keyed(1), START + KEPT), Ok(Claim::First(_))));
    }

    #[test]
    fn the_oldest_answers_go_when_there_are_too_many() {
        let answers = Arc::new(Answers::default());
        for key in 0..5 {
            assert!(do_it(&answers, keyed(key), &answer(StatusCode::OK, BYTES / 4)));
        }
        assert!(matches!(answers.claim(keyed(4), START), Ok(Claim::Done(_))));
        assert!(matches!(answers.claim(keyed(0), START), Ok(Claim::First(_))));
        assert!(answers.book.lock().bytes <= BYTES);
    }

    #[test]
    fn a_request_that_was_given_up_leaves_its_key_free() {
        let answers = Arc::new(Answers::default());
        let turn = answers.claim(keyed(1), START);
        assert!(
            matches!(answers.claim(keyed(1), START), Err(refusal) if refusal.status == StatusCode::CONFLICT)
        );
        drop(turn);
        assert!(do_it(&answers, keyed(1), &answer(StatusCode::INSUFFICIENT_STORAGE, 0)));
        assert!(
            do_it(&answers, keyed(1), &answer(StatusCode::OK, 0)),
            "a refusal for want of space is not kept"
        );
    }
}
