//! The file that nginx includes.
//!
//! Whatever stands in it was validated by type (hosts, addresses, numbers) or is quoted: a path cannot end its directive.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nd_types::{Challenge, EdgeState, HostPattern, HostPort, Hsts, PathPrefix};

use super::files::Files;
use crate::beside::table::{self, Absence, Host, Meets, Place, Upstream};
use crate::beside::tls;

/// Who asks for this host is told the generation.
pub(super) const PROBE: &str = "generation.nextdeploy.invalid";

/// nginx has one clock for the head of an answer and for pauses within it, WebSockets included: as long as the embedded proxy
/// allows for pauses.
const IDLE: Duration = Duration::from_secs(600);

/// Longer names do not fit into nginx's table of names as it is by default, and are compared one by one.
const LONG: usize = 40;

/// Mozilla's intermediate ones: whatever browsers of the last ten years have, with forward secrecy and authenticated.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                       ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// What is compressed, beside HTML.
const TYPES: &str = "text/plain text/css text/xml text/javascript application/javascript application/json \
                     application/xml application/wasm image/svg+xml";

/// Where our apps are served.
#[derive(Clone, Copy)]
pub(super) struct Listen {
    pub(super) at: SocketAddr,
    /// Whether the user has sites there too.
    pub(super) is_shared: bool,
}

/// Where they are served over TLS.
pub(super) struct Secure<'f> {
    pub(super) listen: Listen,
    /// Whether HTTP/2 may be spoken there.
    pub(super) http2: bool,
    pub(super) files: &'f Files,
}

/// The whole file.
pub(super) fn file(
    state: &EdgeState,
    hosts: &[Host<'_>],
    ports: &[&HostPort],
    http: Listen,
    secure: Option<&Secure<'_>>,
) -> String {
    let mut file = File::default();
    let Listen { at, is_shared } = http;
    let is_long = hosts.iter().any(|host| host.pattern.as_str().len() > LONG);
    file.line(0, "# Written by NextDeploy, and written anew with each change.");
    file.line(0, "map $http_upgrade $nextdeploy_upgrade { ~*^websocket$ websocket; default ''; }");
    file.line(0, "map $nextdeploy_upgrade $nextdeploy_connection { websocket upgrade; default ''; }");
    if !is_shared {
        // Whoever asks for an unknown host gets no app.
        file.open(&format!("listen {at} default_server; server_name _;"));
        file.challenges(state);
        file.line(1, "location / { return 404; }");
        file.close();
    }
    file.open(&format!("listen {at}; server_name {PROBE};"));
    file.line(1, &format!("default_type text/plain; return 200 'generation {}';", state.generation.0));
    file.close();
    if let Some(secure) = secure.filter(|secure| !secure.listen.is_shared) {
        file.unknown(secure, state);
    }
    for host in hosts {
        let secured = secure.and_then(|secure| Some((secure, tls::certificate(state, host)?)));
        let name = name(host.pattern, is_long);
        file.open(&format!("listen {at}; server_name {name};"));
        file.challenges(state);
        file.places(host, Entry { at, tls: secured.map(|(secure, _)| secure.listen.at), is_tls: false });
        file.close();
        if let Some((secure, certificate)) = secured {
            file.open(&format!("listen {}; server_name {name};", secure.words()));
            file.certificate(&secure.files.path(certificate));
            let at = secure.listen.at;
            file.places(host, Entry { at, tls: Some(at), is_tls: true });
            file.close();
        }
    }
    for port in ports {
        if let Some(service) = state.services.iter().find(|service| service.app == port.app) {
            file.open(&format!("listen {} default_server; server_name _;", port.bind));
            file.location("location /", &table::meets(service, None), port.bind, None);
            file.close();
        }
    }
    file.head + &file.servers
}

impl Secure<'_> {
    fn words(&self) -> String {
        format!("{} ssl{}", self.listen.at, if self.http2 { " http2" } else { "" })
    }
}

/// How visitors come to a server.
#[derive(Clone, Copy)]
struct Entry {
    at: SocketAddr,
    /// Where the same host is served over TLS.
    tls: Option<SocketAddr>,
    /// Whether that is here.
    is_tls: bool,
}

/// Groups of units come first, whoever uses them.
#[derive(Default)]
struct File {
    head: String,
    servers: String,
    groups: usize,
}

impl File {
    fn line(&mut self, depth: usize, line: &str) {
        let into = if depth == 0 { &mut self.head } else { &mut self.servers };
        // Writing to a string cannot fail.
        writeln!(into, "{:indent$}{line}", "", indent = depth * 4).ok();
    }

    fn open(&mut self, directives: &str) {
        self.servers.push_str("server {\n");
        self.line(1, directives);
        self.line(
            1,
            "client_header_timeout 10s; client_body_timeout 60s; send_timeout 60s; server_tokens off;",
        );
    }

    fn close(&mut self) {
        self.servers.push_str("}\n");
    }

    /// What certificate authorities ask for (RFC 8555, section 8.3), whatever else the host has there.
    fn challenges(&mut self, state: &EdgeState) {
        for challenge in &state.tls.challenges {
            if let Challenge::Http01 { token, answer } = challenge {
                let path = quoted(&format!("/.well-known/acme-challenge/{token}"));
                let answer = quoted(&answer.replace('$', ""));
                self.line(
                    1,
                    &format!("location = {path} {{ default_type text/plain; return 200 {answer}; }}"),
                );
            }
        }
    }

    /// Names that nobody has come over TLS: no app answers them. With a certificate of nobody, where there is one, so that
    /// visitors see a warning and not a broken connection.
    fn unknown(&mut self, secure: &Secure<'_>, state: &EdgeState) {
        self.open(&format!("listen {} default_server; server_name _;", secure.words()));
        match &state.tls.fallback {
            Some(fallback) => self.certificate(&secure.files.path(fallback)),
            None => self.line(1, "ssl_reject_handshake on;"),
        }
        self.line(1, "location / { return 404; }");
        self.close();
    }

    /// A certificate that lies there with its key, and how TLS is spoken.
    fn certificate(&mut self, file: &Path) {
        let file = quoted(&file.to_string_lossy());
        self.line(1, &format!("ssl_certificate {file}; ssl_certificate_key {file};"));
        self.line(1, &format!("ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {CIPHERS};"));
        self.line(
            1,
            "ssl_session_cache shared:nextdeploy:4m; ssl_session_timeout 1d; ssl_session_tickets off;",
        );
    }

    /// What is under a host.
    fn places(&mut self, host: &Host<'_>, entry: Entry) {
        for place in &host.paths {
            self.place(place, entry);
        }
        if host.paths.iter().all(|place| *place.path != PathPrefix::root()) {
            self.line(1, "location / { return 404; }");
        }
    }

    /// A path and everything below it.
    fn place(&mut self, place: &Place<'_>, entry: Entry) {
        let path = place.path.as_str();
        let matches = match *place.path == PathPrefix::root() {
            true => vec!["location /".to_owned()],
            false => vec![
                format!("location = {}", quoted(path)),
                format!("location ^~ {}", quoted(&format!("{path}/"))),
            ],
        };
        let to = entry.tls.filter(|_| place.tls.redirect && !entry.is_tls);
        let hsts = place.tls.hsts.filter(|_| entry.is_tls);
        for matches in matches {
            match to {
                Some(to) => {
                    let to = tls::port(to);
                    self.line(1, &format!("{matches} {{ return 308 https://$host{to}$request_uri; }}"));
                }
                None => self.location(&matches, &place.meets, entry.at, hsts),
            }
        }
    }

    fn location(&mut self, matches: &str, meets: &Meets<'_>, at: SocketAddr, hsts: Option<Hsts>) {
        self.line(1, &format!("{matches} {{"));
        if let Some(hsts) = hsts {
            let value = tls::hsts(hsts);
            self.line(2, &format!("add_header Strict-Transport-Security \"{value}\" always;"));
            self.line(2, "proxy_hide_header Strict-Transport-Security;");
        }
        match meets {
            Meets::Units(upstream) => self.units(upstream),
            Meets::Moved(host) => {
                let port =
                    if matches!(at.port(), 80 | 443) { String::new() } else { format!(":{}", at.port()) };
                self.line(2, &format!("return 308 $scheme://{host}{port}$request_uri;"));
            }
            Meets::Nobody(absence) => self.nobody(absence),
        }
        self.line(1, "}");
    }

    fn units(&mut self, upstream: &Upstream<'_>) {
        let group = self.group(&upstream.addresses);
        let rest = upstream.strip.map(|prefix| self.rest(&group, prefix));
        let idle = upstream.idle_timeout.unwrap_or(IDLE).as_millis().max(1);
        for line in [
            format!("proxy_pass http://{group}{};", rest.unwrap_or_default()),
            "proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;".to_owned(),
            "proxy_set_header Host $http_host;".to_owned(),
            "proxy_set_header Upgrade $nextdeploy_upgrade;".to_owned(),
            "proxy_set_header Connection $nextdeploy_connection;".to_owned(),
            "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Real-IP $remote_addr;"
                .to_owned(),
            "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;"
                .to_owned(),
            "proxy_set_header Forwarded '';".to_owned(),
            format!("proxy_connect_timeout 5s; proxy_send_timeout 60s; proxy_read_timeout {idle}ms;"),
            format!("client_max_body_size {};", upstream.body_bytes.max(1)),
            format!("gzip on; gzip_min_length 1024; gzip_proxied any; gzip_vary on; gzip_types {TYPES};"),
        ] {
            self.line(2, &line);
        }
        // In a value a dollar sign would begin a variable.
        if let Some(prefix) = upstream.strip.filter(|prefix| !prefix.as_str().contains('$')) {
            self.line(2, &format!("proxy_set_header X-Forwarded-Prefix {};", quoted(prefix.as_str())));
        }
    }

    /// A group of units with connections that are kept. None is left out for a while after a failure: whether it is well is
    /// looked at elsewhere.
    fn group(&mut self, addresses: &[SocketAddr]) -> String {
        let name = format!("nextdeploy_{}", self.groups);
        self.groups += 1;
        let servers: String =
            addresses.iter().map(|address| format!(" server {address} max_fails=0;")).collect();
        self.line(
            0,
            &format!("upstream {name} {{ least_conn;{servers} keepalive 32; keepalive_timeout 4s; }}"),
        );
        name
    }

    /// What is left of the path as it was sent, without a prefix: nginx itself would decode it on the way.
    fn rest(&mut self, group: &str, prefix: &PathPrefix) -> String {
        let variable = format!("${group}_rest");
        let prefix = literal(prefix.as_str());
        let below = quoted(&format!("~^{prefix}(/.*)$"));
        let itself = quoted(&format!("~^{prefix}(\\?.*)?$"));
        self.line(
            0,
            &format!("map $request_uri {variable} {{ {below} $1; {itself} /$1; default $request_uri; }}"),
        );
        variable
    }

    fn nobody(&mut self, absence: &Absence) {
        self.line(2, "default_type text/plain; add_header Cache-Control no-store always;");
        if let Some(seconds) = absence.retry_after_s {
            self.line(2, &format!("add_header Retry-After {seconds} always;"));
        }
        self.line(2, &format!("return 503 {};", quoted(&absence.why.replace('$', ""))));
    }
}

/// A host as nginx compares it: its own patterns reach as deep as ours. Where one is long, every pattern is compared one by
/// one, in the order of this file.
fn name(pattern: &HostPattern, is_long: bool) -> String {
    let regex = |text: String| quoted(&format!("~^{text}$"));
    match pattern.parent() {
        None if pattern.as_str().len() > LONG => regex(literal(pattern.as_str())),
        None => pattern.as_str().to_owned(),
        Some("") => regex(".*".to_owned()),
        Some(parent) if is_long => regex(format!(".+\\.{}", literal(parent))),
        Some(_) => pattern.as_str().to_owned(),
    }
}

/// A text as one word of the file.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text as a pattern that matches nothing else (PCRE).
fn literal(text: &str) -> String {
    let escaped = |c: char| if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] };
    text.chars().flat_map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Listen {
        Listen { at: SocketAddr::from(([127, 0, 0, 1], 80)), is_shared: false }
    }

    #[test]
    fn a_path_cannot_end_its_directive() {
        assert_eq!(quoted("/a\"; } server { \\"), "\"/a\\\"; } server { \\\\\"");
    }

    #[test]
    fn a_challenge_is_answered_under_every_host() {
        let challenge = Challenge::Http01 { token: "a-b_c".to_owned(), answer: "a-b_c.xyz".to_owned() };
        let tls = nd_types::TlsState { challenges: vec![challenge], ..Default::default() };
        let state = EdgeState { tls: std::sync::Arc::new(tls), ..EdgeState::default() };
        let text = file(&state, &[], &[], plain(), None);
        let line = "location = \"/.well-known/acme-challenge/a-b_c\" { default_type text/plain; return 200 \"a-b_c.xyz\"; }";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn names_are_compared_one_by_one_where_one_is_long() {
        let host = |text: &str| HostPattern::pattern(text).unwrap();
        assert_eq!(name(&host("a.example"), true), "a.example");
        assert_eq!(name(&host("*.a.example"), false), "*.a.example");
        assert_eq!(name(&host("*.a.example"), true), "\"~^.+\\\\.a\\\\.example$\"");
        assert_eq!(name(&host("*"), false), "\"~^.*$\"");
        let long = format!("{}.example", "a".repeat(LONG));
        assert!(name(&host(&long), true).starts_with("\"~^a"));
    }
}
