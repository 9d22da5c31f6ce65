//! Fetching an image from its registry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyper::Method;
use hyper::header::HeaderValue;
use nd_core::ports::{PortError, PortErrorKind, PortResult, Progress, RegistryAuth};
use nd_supervise::{Backoff, jitter};
use nd_types::format_duration;

use super::progress::{PullMessage, PullProgress};
use super::reference::Reference;
use crate::engine::{EngineError, JsonLines, query_value, request};
use crate::failure::{plain, port_error};
use crate::runtime::Shared;

/// A pull that says nothing for so long is stuck: an engine reports each layer several times a second.
const STALL: Duration = Duration::from_secs(90);

/// Between tries while a registry cannot be reached.
const RETRY: Backoff = Backoff { first: Duration::from_millis(500), factor: 2, cap: Duration::from_secs(5) };

/// How often progress is passed on.
const SAY_EVERY: Duration = Duration::from_millis(250);

/// Fetches an image within the deadline for pulls.
pub(super) async fn pull(
    shared: &Arc<Shared>,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> PortResult<()> {
    if reference.is_id() {
        let context = format!("image {reference} is not on this engine, and an id cannot be fetched");
        return Err(PortError::new(PortErrorKind::NotFound, context).with_fix("name the image instead"));
    }
    let deadline = shared.settings.pull_timeout;
    let pulled = tokio::time::timeout(deadline, insist(shared, reference, auth, progress)).await;
    pulled.unwrap_or_else(|_| {
        Err(too_slow(reference, &format!("not done after {}", format_duration(deadline))))
    })
}

/// Tries again for a while what may pass. When that is over the answer is final: whoever waits is told, instead of being
/// kept waiting until the deployment's own deadline. Only an engine that went away may be asked again later.
async fn insist(
    shared: &Arc<Shared>,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> PortResult<()> {
    let (begin, patience) = (Instant::now(), shared.settings.pull_retry_timeout);
    let mut tries = 0;
    loop {
        let error = match follow(shared, reference, auth, progress).await {
            Ok(()) => return Ok(()),
            Err(Failure::Engine(error)) => return Err(error),
            Err(Failure::Registry(error)) if !error.kind.may_pass() => return Err(error),
            Err(Failure::Registry(error)) => error,
        };
        let pause = RETRY.delay(tries, jitter());
        if begin.elapsed() + pause >= patience {
            let tried = format_duration(Duration::from_secs(begin.elapsed().as_secs().max(1)));
            let times = tries.saturating_add(1);
            let context = format!("{}; given up after {tried} (try {times})", error.context);
            return Err(PortError { kind: PortErrorKind::NotFound, context, ..error });
        }
        progress.say(format!("{}; trying again", error.context));
        tries = tries.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

/// Why a pull failed.
enum Failure {
    /// Between us and the engine.
    Engine(PortError),
    /// Between the engine and the registry.
    Registry(PortError),
}

async fn follow(
    shared: &Arc<Shared>,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> Result<(), Failure> {
    let path = format!(
        "/images/create?fromImage={}&tag={}",
        query_value(reference.name()),
        query_value(reference.version())
    );
    let mut request = request(Method::POST, &path).map_err(|error| failed(reference, auth, error))?;
    if let Some(auth) = auth {
        request.headers_mut().insert("x-registry-auth", login(reference, auth).map_err(Failure::Engine)?);
    }
    // The engine answers when the registry has: no sooner than names are resolved and a login is checked.
    let body = shared.engine.open_within(shared.settings.pull_timeout, request).await;
    let mut messages = JsonLines::<PullMessage>::new(body.map_err(|error| failed(reference, auth, error))?);
    let mut layers = PullProgress::default();
    let mut said = None;
    loop {
        let next = tokio::time::timeout(STALL, messages.next()).await;
        let stalled = |_| {
            let what = format!("nothing came for {}", format_duration(STALL));
            Failure::Registry(too_slow(reference, &what))
        };
        let message = next.map_err(stalled)?.map_err(|error| failed(reference, auth, error))?;
        let Some(message) = message else { return Ok(()) };
        if let Some(failure) = message.failure() {
            return Err(Failure::Registry(classify(reference, auth.is_some(), failure)));
        }
        if layers.update(&message) && said.is_none_or(|said: Instant| said.elapsed() >= SAY_EVERY) {
            progress.say(layers.text());
            said = Some(Instant::now());
        }
    }
}

/// The user name that logins bear whose secret is an identity token, which stands for user and password
/// (docker/docker-credential-helpers, `get`).
const TOKEN_USER: &str = "<token>";

/// The login as the engine wants it: JSON in the URL-safe alphabet.
fn login(reference: &Reference, auth: &RegistryAuth) -> PortResult<HeaderValue> {
    let server = reference.registry().unwrap_or("https://index.docker.io/v1/");
    let login = if auth.username == TOKEN_USER {
        serde_json::json!({ "identitytoken": auth.password, "serveraddress": server })
    } else {
        serde_json::json!({ "username": auth.username, "password": auth.password, "serveraddress": server })
    };
    let header =
        serde_json::to_vec(&login).ok().and_then(|json| HeaderValue::from_str(&URL_SAFE.encode(json)).ok());
    let mut header =
        header.ok_or_else(|| PortError::new(PortErrorKind::Internal, "the registry login cannot be sent"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn too_slow(reference: &Reference, what: &str) -> PortError {
    PortError::new(PortErrorKind::Timeout, format!("pull image {reference}: {what}"))
        .with_fix("check the host's connection to the registry, or raise `pull_timeout`")
}

fn failed(reference: &Reference, auth: Option<&RegistryAuth>, error: EngineError) -> Failure {
    match error {
        EngineError::Refused { message, .. } => {
            Failure::Registry(classify(reference, auth.is_some(), &message))
        }
        error => Failure::Engine(port_error(&format!("pull image {reference}"), error)),
    }
}

/// Registries say what is wrong in many words, and the engine passes them on with one status for all.
fn classify(reference: &Reference, logged_in: bool, message: &str) -> PortError {
    let registry = reference.registry();
    let login = match registry {
        Some(registry) => format!("docker login {registry}"),
        None => "docker login".to_owned(),
    };
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    let host = registry.unwrap_or("registry-1.docker.io");
    // For a name that it does not know, Docker Hub says that access is denied.
    let unknown = says(&["manifest unknown", "name unknown", "not found", "repository does not exist"]);
    let (kind, fix) = if says(&["toomanyrequests", "too many requests", "rate limit"]) {
        (PortErrorKind::Transient, format!("wait, or log in: `{login}`"))
    } else if says(&["no space left on device"]) {
        (PortErrorKind::Exhausted, "free disk space; `docker system df` shows what takes it".to_owned())
    } else if says(&["no matching manifest", "does not match the specified platform"]) {
        (PortErrorKind::Invalid, "use an image that is built for this host's processor".to_owned())
    } else if unknown && !logged_in {
        (PortErrorKind::NotFound, format!("check name and tag; for a private image log in first: `{login}`"))
    } else if unknown {
        (PortErrorKind::NotFound, "check name and tag, and that this login may read it".to_owned())
    } else if says(&["unauthorized", "authentication required", "no basic auth", "denied", "forbidden"]) {
        (PortErrorKind::Denied, format!("log in and deploy again: `{login}`"))
    } else if says(&["no such host", "server misbehaving", "name resolution", "lookup "]) {
        (
            PortErrorKind::Unavailable,
            format!("the host cannot resolve {host}: check its DNS, or build the image here"),
        )
    } else if says(&["http response to https client", "x509", "certificate"]) {
        (
            PortErrorKind::Invalid,
            format!("make {host}'s certificate known to the engine, or list it in its `insecure-registries`"),
        )
    } else if says(&["timeout", "deadline exceeded"]) {
        (PortErrorKind::Timeout, format!("check the host's connection to {host}"))
    } else if says(&["connection refused", "unreachable", "no route to host", "connection reset", "eof"]) {
        (PortErrorKind::Unavailable, format!("check that {host} can be reached from this host"))
    } else {
        (
            PortErrorKind::Transient,
            "try again; the engine's own log says more: `journalctl -u docker`".to_owned(),
        )
    };
    PortError::new(kind, format!("pull image {reference}: {}", plain(message))).with_fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(reference: &str, logged_in: bool, message: &str) -> (PortErrorKind, String) {
        let error = classify(&Reference::parse(reference).unwrap(), logged_in, message);
        (error.kind, error.fix.unwrap())
    }

    #[test]
    fn a_registrys_words_tell_what_to_do() {
        use PortErrorKind::{Denied, Exhausted, Invalid, NotFound, Timeout, Transient, Unavailable};
        let private = "reg.example.com/shop:1";
        for (message, expected) in [
            ("manifest for reg.example.com/shop:1 not found: manifest unknown: manifest unknown", NotFound),
            (
                "pull access denied for nosuch, repository does not exist or may require 'docker login'",
                NotFound,
            ),
            ("Get \"https://reg.example.com/v2/\": no basic auth credentials", Denied),
            ("Head \"https://x/v2/y\": unauthorized: authentication required", Denied),
            ("denied: requested access to the resource is denied", Denied),
            ("Get \"https://x/v2/\": dial tcp: lookup x on 10.255.255.53:53: no such host", Unavailable),
            (
                "Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                Unavailable,
            ),
            ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", Timeout),
            ("toomanyrequests: You have reached your pull rate limit", Transient),
            ("write /var/lib/docker/tmp/x: no space left on device", Exhausted),
            ("no matching manifest for linux/amd64 in the manifest list entries", Invalid),
            ("http: server gave HTTP response to HTTPS client", Invalid),
            ("something new", Transient),
        ] {
            assert_eq!(kind(private, false, message).0, expected, "{message}");
        }
    }

    #[test]
    fn a_login_is_named_with_its_registry() {
        assert!(kind("reg.example.com/a", false, "unauthorized").1.contains("docker login reg.example.com"));
        assert!(kind("acme/a", false, "unauthorized").1.contains("`docker login`"));
        assert!(!kind("acme/a", true, "manifest unknown").1.contains("docker login"));
    }

    #[test]
    fn a_password_of_any_characters_reaches_the_engine() {
        let reference = Reference::parse("reg.example.com/a").unwrap();
        let sent = |username: &str, key: &str| {
            let auth = RegistryAuth { username: username.to_owned(), password: ">>>???~~~".to_owned() };
            let header = login(&reference, &auth).unwrap();
            assert!(header.is_sensitive());
            let json = URL_SAFE.decode(header.as_bytes()).unwrap();
            let login: serde_json::Value = serde_json::from_slice(&json).unwrap();
            login.get(key).and_then(|value| value.as_str()).map(str::to_owned)
        };
        assert_eq!(sent("me", "password").as_deref(), Some(">>>???~~~"));
        assert_eq!(sent("me", "serveraddress").as_deref(), Some("reg.example.com"));
        assert_eq!(sent("<token>", "identitytoken").as_deref(), Some(">>>???~~~"));
        assert_eq!((sent("<token>", "username"), sent("<token>", "password")), (None, None));
    }
}
