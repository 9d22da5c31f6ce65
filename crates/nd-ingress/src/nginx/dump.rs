//! What `nginx -T` shows: which files there are, and what the user's own sites are called and listen on.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The user's own sites.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dump {
    /// Their names, patterns included.
    pub(super) names: Vec<String>,
    /// Where they listen, with what is written behind it.
    listens: Vec<String>,
}

/// The line before each file.
const FILE: &str = "# configuration file ";

impl Dump {
    /// Reads all but our own file.
    pub(super) fn read(text: &str, ours: &Path) -> Self {
        let mut dump = Self::default();
        for (_, content) in files(text).filter(|(file, _)| Path::new(file) != ours) {
            for (word, arguments) in directives(content) {
                match word {
                    "server_name" => {
                        let names = arguments.split_ascii_whitespace();
                        dump.names
                            .extend(names.map(|name| name.trim_matches(['"', '\'']).to_ascii_lowercase()));
                    }
                    "listen" => {
                        dump.listens.push(arguments.trim().to_owned());
                    }
                    _ => {}
                }
            }
        }
        dump
    }

    /// Whether one of them listens there too.
    pub(super) fn listens_on(&self, at: SocketAddr) -> bool {
        self.listens_with(at).next().is_some()
    }

    /// Whether one of them speaks HTTP/2 there: what one says of a socket holds for all that share it.
    pub(super) fn has_http2(&self, at: SocketAddr) -> bool {
        self.listens_with(at).any(|listen| listen.split_ascii_whitespace().any(|word| word == "http2"))
    }

    fn listens_with(&self, at: SocketAddr) -> impl Iterator<Item = &str> {
        let all = self.listens.iter().map(String::as_str);
        all.filter(move |listen| overlaps(listen.split_ascii_whitespace().next().unwrap_or_default(), at))
    }
}

/// Whether nginx reads this file.
pub(super) fn includes(text: &str, file: &Path) -> bool {
    files(text).any(|(name, _)| Path::new(name) == file)
}

fn files(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.find(FILE).and_then(|at| text.get(at..));
    std::iter::from_fn(move || {
        let (head, after) = rest?.split_once('\n').unwrap_or((rest?, ""));
        let name = head.strip_prefix(FILE)?.trim_end_matches(':');
        let end = after.find(&format!("\n{FILE}")).map_or(after.len(), |at| at + 1);
        let (content, next) = after.split_at_checked(end)?;
        rest = Some(next).filter(|next| !next.is_empty());
        Some((name, content))
    })
}

/// Words with what stands between them and their `;`.
fn directives(content: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = content.lines().map(|line| line.split('#').next().unwrap_or_default());
    let pieces = lines.flat_map(|line| line.split([';', '{', '}']));
    pieces.filter_map(|piece| piece.trim().split_once(char::is_whitespace))
}

/// Whether a `listen` takes this address too: `80`, `*:80`, `[::]:80`, `127.0.0.1`, `localhost:80`.
fn overlaps(listen: &str, at: SocketAddr) -> bool {
    if let Ok(port) = listen.parse::<u16>() {
        return port == at.port();
    }
    let (host, port) = match listen.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(80)),
        _ => (listen, 80),
    };
    let host = host.trim_matches(['[', ']']).replace("localhost", "127.0.0.1");
    let has_ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip == at.ip() || ip.is_unspecified() || at.ip().is_unspecified(),
        Err(_) => host == "*",
    };
    has_ip && port == at.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# configuration file /etc/nginx/nginx.conf:\nhttp {\n\tinclude conf.d/*.conf;\n}\n\n\
        # configuration file /etc/nginx/conf.d/nextdeploy.conf:\nserver { listen 81; server_name ours.example; }\n\n\
        # configuration file /etc/nginx/sites-enabled/default:\nserver {\n\tlisten 80 default_server; # listen 82;\n\tlisten 443 ssl http2;\n\
        \tserver_name A.example *.b.example;\n}\n";

    #[test]
    fn the_users_sites_are_told_from_ours() {
        let ours = Path::new("/etc/nginx/conf.d/nextdeploy.conf");
        let dump = Dump::read(TEXT, ours);
        assert_eq!(dump.names, ["a.example", "*.b.example"]);
        let listens = |port| dump.listens_on(SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(listens(80) && listens(443) && !listens(81) && !listens(82));
        let has_http2 = |port| dump.has_http2(SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(has_http2(443) && !has_http2(80));
        assert!(includes(TEXT, ours) && !includes(TEXT, Path::new("/etc/nginx/conf.d/other.conf")));
    }

    #[test]
    fn a_listener_is_recognised_however_it_is_written() {
        let at: SocketAddr = "127.0.0.1:80".parse().unwrap();
        for same in ["80", "*:80", "0.0.0.0:80", "[::]:80", "127.0.0.1", "127.0.0.1:80", "localhost:80"] {
            assert!(overlaps(same, at), "{same}");
        }
        for other in ["8080", "192.0.2.1:80", "unix:/run/x.sock", "127.0.0.1:8080"] {
            assert!(!overlaps(other, at), "{other}");
        }
    }
}
