//! The file that nginx includes.
//!
//! Whatever stands in it was validated by type (hosts, addresses, numbers) or is quoted: a path cannot end its directive.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use nd_types::{Challenge, EdgeState, HostPattern, HostPort, PathPrefix};

use crate::beside::table::{self, Absence, Host, Meets, Place, Upstream};

/// Who asks for this host is told the generation.
pub(super) const PROBE: &str = "generation.nextdeploy.invalid";

/// nginx has one clock for the head of an answer and for pauses within it, WebSockets included: as long as the embedded proxy
/// allows for pauses.
const IDLE: Duration = Duration::from_secs(600);

/// Longer names do not fit into nginx's table of names as it is by default, and are compared one by one.
const LONG: usize = 40;

/// What is compressed, beside HTML.
const TYPES: &str = "text/plain text/css text/xml text/javascript application/javascript application/json \
                     application/xml application/wasm image/svg+xml";

/// The whole file. `http` is where our apps are served, which is `shared` where the user has sites there too.
pub(super) fn file(
    state: &EdgeState,
    hosts: &[Host<'_>],
    ports: &[&HostPort],
    http: SocketAddr,
    shared: bool,
) -> String {
    let mut file = File::default();
    let is_long = hosts.iter().any(|host| host.pattern.as_str().len() > LONG);
    file.line(0, "# Written by NextDeploy, and written anew with each change.");
    file.line(0, "map $http_upgrade $nextdeploy_upgrade { ~*^websocket$ websocket; default ''; }");
    file.line(0, "map $nextdeploy_upgrade $nextdeploy_connection { websocket upgrade; default ''; }");
    if !shared {
        // Whoever asks for an unknown host gets no app.
        file.open(&format!("listen {http} default_server; server_name _;"));
        file.challenges(state);
        file.line(1, "location / { return 404; }");
        file.close();
    }
    file.open(&format!("listen {http}; server_name {PROBE};"));
    file.line(1, &format!("default_type text/plain; return 200 'generation {}';", state.generation.0));
    file.close();
    for host in hosts {
        file.open(&format!("listen {http}; server_name {};", name(host.pattern, is_long)));
        file.challenges(state);
        for place in &host.paths {
            file.place(place, http);
        }
        if host.paths.iter().all(|place| *place.path != PathPrefix::root()) {
            file.line(1, "location / { return 404; }");
        }
        file.close();
    }
    for port in ports {
        if let Some(service) = state.services.iter().find(|service| service.app == port.app) {
            file.open(&format!("listen {} default_server; server_name _;", port.bind));
            file.location("location /", &table::meets(service, None), port.bind);
            file.close();
        }
    }
    file.head + &file.servers
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

    /// A path and everything below it.
    fn place(&mut self, place: &Place<'_>, at: SocketAddr) {
        if *place.path == PathPrefix::root() {
            return self.location("location /", &place.meets, at);
        }
        let path = place.path.as_str();
        self.location(&format!("location = {}", quoted(path)), &place.meets, at);
        self.location(&format!("location ^~ {}", quoted(&format!("{path}/"))), &place.meets, at);
    }

    fn location(&mut self, matches: &str, meets: &Meets<'_>, at: SocketAddr) {
        self.line(1, &format!("{matches} {{"));
        match meets {
            Meets::Units(upstream) => self.units(upstream),
            Meets::Moved(host) => {
                let port = if at.port() == 80 { String::new() } else { format!(":{}", at.port()) };
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

    #[test]
    fn a_path_cannot_end_its_directive() {
        assert_eq!(quoted("/a\"; } server { \\"), "\"/a\\\"; } server { \\\\\"");
    }

    #[test]
    fn a_challenge_is_answered_under_every_host() {
        let challenge = Challenge::Http01 { token: "a-b_c".to_owned(), answer: "a-b_c.xyz".to_owned() };
        let tls = nd_types::TlsState { challenges: vec![challenge], ..Default::default() };
        let state = EdgeState { tls: std::sync::Arc::new(tls), ..EdgeState::default() };
        let text = file(&state, &[], &[], SocketAddr::from(([127, 0, 0, 1], 80)), false);
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
