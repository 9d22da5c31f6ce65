//! The application that the tests, the demo and the benches deploy: small, static, and faulty on demand.
//!
//! It speaks HTTP/1.1 with keep-alive on plain blocking threads and says in each answer who gave it, so that a client
//! can tell on every request which release and which instance served it: `x-release` is `$TESTAPP_RELEASE`,
//! `x-instance` is `<$NEXTDEPLOY_UNIT or the host name>-<pid>`.
//!
//! It must never know the product: no crate of this workspace is below it, and only tests, demo and benches use it.
//! `cargo xtask testapp` builds it without any shared library, so that it runs as the only file of a container, and
//! prints where it is.
//!
//! # Paths
//!
//! | path | answer |
//! |---|---|
//! | `/` | a line of text that names the release |
//! | `/health` | 200, or 503 as `TESTAPP_UNHEALTHY` says |
//! | `/slow?ms=N` | 200 after N ms |
//! | `/download?bytes=N&rate=R` | N bytes of [`pattern`], at R bytes/s (0 or absent: at full speed) |
//! | `/upload` | reads the whole body: `{"bytes":…,"fnv1a":"…"}`, see [`digest::Fnv1a`] |
//! | `/echo` | method, target and headers of the request as JSON |
//! | `/headers` | the request's head as text, line by line as it came |
//! | `/sse?ms=N&count=C` | C server-sent events, one each N ms (0 or absent: without end) |
//! | `/ws` | a WebSocket that echoes each data frame, answers pings and closes properly |
//! | `/leak?mb=N` | keeps N MiB more memory, answers with the sum |
//! | `/sicken` | from then on `/health` answers 503 |
//! | `/exit?code=N` | answers, then exits with N |
//! | `/crash` | aborts at once, without an answer |
//!
//! # Environment
//!
//! | variable | effect |
//! |---|---|
//! | `PORT` | the port to listen on, 3000 by default |
//! | `TESTAPP_RELEASE` | the value of `x-release`, `unset` by default |
//! | `NEXTDEPLOY_UNIT` | the first part of `x-instance` in place of the host name |
//! | `TESTAPP_BIND` | the address to bind, `0.0.0.0` by default |
//! | `TESTAPP_IGNORE_PORT=P` | binds port P, whatever `PORT` says |
//! | `TESTAPP_START_DELAY_MS=N` | listens N ms after its start |
//! | `TESTAPP_NEVER_LISTEN=1` | runs, and never listens |
//! | `TESTAPP_UNHEALTHY=health\|all` | answers 503 on `/health`, or on every path |
//! | `TESTAPP_EXIT_CODE=N` | writes an error with a stack trace to stderr and exits with N at once |
//! | `TESTAPP_DIE_AFTER_MS=N` | the same N ms after its start, with exit code 1 |
//! | `TESTAPP_IGNORE_TERM=1` | goes on after SIGTERM and SIGINT |
//! | `TESTAPP_LEAK_MB_PER_S=N` | its memory grows by N MiB each second |
//! | `TESTAPP_LOG_LINES=N` | writes N numbered lines at its start, by turns to stdout and stderr |
//! | `TESTAPP_BINARY_LINES=N` | writes N lines that are not UTF-8 at its start, NUL and escape bytes among them |
//! | `TESTAPP_FLOOD_LINES_PER_S=N` | writes N lines each second for as long as it runs |
//! | `TESTAPP_FLOOD_LINES=N` | ends that after N lines |
//! | `TESTAPP_ZOMBIES=N` | starts N children that exit at once, and never waits for them |
//! | `TESTAPP_CHILDREN=N` | starts N children that sleep in sessions of their own, out of reach of its process group |
//!
//! On SIGTERM or SIGINT it stops accepting, says `Connection: close` on what is in flight, sends Close (1001) on each
//! WebSocket, ends its event streams, and exits with 0 when all is answered, after [`server::DRAIN`] at the latest.

pub mod children;
pub mod digest;
pub mod faults;
pub mod gate;
pub mod http;
pub mod pattern;
pub mod routes;
pub mod server;
pub mod settings;
pub mod stream;
pub mod websocket;
