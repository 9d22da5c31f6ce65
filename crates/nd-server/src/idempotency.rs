//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is sent again is not done again.
//!
//! The key belongs to whoever sends it. Under one key the first request is done, to its end even when its client is
//! gone by then, and its answer is kept for a day; the same request again gets that answer, another one is refused. A
//! refusal that says "not now" (a conflict, no space) has changed nothing and is not kept: asking again is right.
//!
//! Answers are kept in memory, and the oldest go first when there are too many. A deployment keeps its key itself, stored
//! in one step with its acceptance, so that it is begun once whatever happens to the daemon.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use nd_core::records::DeploymentRecord;
use nd_supervise::Mono;
use nd_types::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::identity::Caller;
use crate::refusal::Refusal;

/// The header of a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many bytes of answers are kept: about 4,000 of them.
const BYTES: usize = 4 << 20;

/// What one answer takes beside its body.
const OVERHEAD: usize = 256;

/// The longest key.
const LONGEST: usize = 255;

/// A SHA-256.
type Hash = [u8; 32];

/// A request that must not be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    /// Who sends it, under which key.
    id: Hash,
    /// What it asks for.
    wish: Hash,
}

impl Keyed {
    /// The key of a request's head, if it has one that counts.
    pub(crate) fn key_of(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
        if method != Method::POST {
            return Ok(None);
        }
        let mut keys = headers.get_all(KEY).iter();
        match (keys.next(), keys.next()) {
            (None, _) => Ok(None),
            (Some(key), None) => parse(key).map(Some),
            (Some(_), Some(_)) => Err(Refusal::invalid("there is more than one Idempotency-Key")),
        }
    }

    pub(crate) fn new(key: &str, caller: &Caller, head: &Parts, body: &[u8]) -> Self {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            id: hash(&[caller.actor().as_bytes(), key.as_bytes()]),
            wish: hash(&[head.method.as_str().as_bytes(), target.as_bytes(), body]),
        }
    }

    /// The deployment that this request has begun, maybe of an earlier daemon.
    ///
    /// # Errors
    /// When the key was used for another one.
    pub(crate) fn begun(
        self,
        deployments: impl IntoIterator<Item = DeploymentRecord>,
        now: Timestamp,
    ) -> Result<Option<DeploymentRecord>, Refusal> {
        let (own, id) = (self.to_string(), hex(&self.id));
        let used = deployments.into_iter().find(|deployment| {
            let recent = now.duration_since(deployment.created_at).unsigned_abs() < KEPT;
            recent && deployment.request.as_ref().is_some_and(|request| request.starts_with(&id))
        });
        match used {
            Some(deployment) if deployment.request.as_ref() != Some(&own) => Err(used_otherwise()),
            found => Ok(found),
        }
    }
}

/// As a deployment keeps it.
impl fmt::Display for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", hex(&self.id), hex(&self.wish))
    }
}

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

fn used_otherwise() -> Refusal {
    let title = "this Idempotency-Key was used for another request; use a new one";
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "ND1013", title)
}

/// A key as a string of structured fields (RFC 9651, section 3.3.3), or bare as most clients write it.
fn parse(value: &HeaderValue) -> Result<String, Refusal> {
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').map_or(Some(text), |rest| rest.strip_suffix('"')).unwrap_or_default();
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if key.is_empty() || key.len() > LONGEST || !plain {
        let reason = format!("Idempotency-Key must be 1 to {LONGEST} visible characters, as in a UUID");
        return Err(Refusal::invalid(reason));
    }
    Ok(key.to_owned())
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of all parts, each with its length, so that no two lists of parts are the same text.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_key_may_be_quoted_and_must_be_plain() {
        let parsed = |text: &str| HeaderValue::from_str(text).ok().and_then(|value| parse(&value).ok());
        assert_eq!(parsed("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(parsed("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        for bad in ["", "\"", "\"\"", "\"a", "a b", "a\\b", &"x".repeat(256)] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
