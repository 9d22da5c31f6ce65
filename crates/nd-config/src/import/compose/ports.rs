//! `ports:` and `expose:`.

use super::scalar;
use super::service::Service;
use crate::import::draft::{Origin, Out};
use crate::node::{Node, Value};

/// The widest range of ports that is written out one by one.
const WIDEST: u16 = 64;

/// Ports on which databases, queues, mail and shells listen, which speak no HTTP.
const RAW: [u16; 31] = [
    21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1025, 1433, 1521, 1883, 2181, 3306, 4222, 5432,
    5672, 6379, 7687, 8883, 9042, 9092, 11211, 26257, 27017, 33060, 61616,
];

/// A published port, as far as Compose's forms go.
#[derive(Debug, Default, PartialEq)]
struct Published {
    address: Option<String>,
    host: Option<(u16, u16)>,
    container: (u16, u16),
    udp: bool,
    http: bool,
}

pub(super) fn published(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::List(items) = &node.value else {
        return service.app.lose(at, "it is no list of ports");
    };
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index, item);
        let read = match &item.value {
            Value::Map(_) => long(service, item, &at),
            _ => match service.text(item, &at) {
                Some(text) => short(&text).ok_or_else(|| format!("`{text}` is no published port")),
                None => continue,
            },
        };
        match read {
            Ok(port) => publish(service, &port, &at),
            Err(reason) => service.app.lose(&at, reason),
        }
    }
}

/// The first exposed port is where the app listens; the proxy reaches it without more.
pub(super) fn exposed(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::List(items) = &node.value else { return service.app.lose(at, "it is no list of ports") };
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index, item);
        let Some(text) = service.text(item, &at) else { continue };
        if index == 0 && !service.app.has("app.port") && !service.app.has("deployment.container.ports") {
            service.app.set("app.port", Out::text(text.trim_end_matches("/tcp")), &at);
        } else {
            service.app.lose(
                &at,
                "apps reach every port of each other; `app.port` is the one that the proxy serves",
            );
        }
    }
}

fn publish(service: &mut Service<'_>, port: &Published, at: &Origin) {
    if port.udp {
        return service.app.lose(at, "UDP cannot be published");
    }
    let (first, last) = port.container;
    let Some((from, to)) = port.host else {
        if first == last && !service.app.has("app.port") && !service.app.has("deployment.container.ports") {
            service.app.set("app.port", Out::text(first.to_string()), at);
        } else {
            service.app.lose(at, "a port of the host must be written, as in \"3000:3000\"");
        }
        return;
    };
    if to - from != last - first || to - from >= WIDEST {
        return service
            .app
            .lose(at, format!("a range of ports has the same length on both sides, at most {WIDEST}"));
    }
    // Without an address Compose listens on every one, NextDeploy on 127.0.0.1.
    let address = port.address.as_deref().unwrap_or("0.0.0.0");
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    for (host, container) in (from..=to).zip(first..=last) {
        // Compose passes bytes; the proxy speaks HTTP unless it is told to do the same.
        let protocol = match (port.http, RAW.contains(&container)) {
            (true, _) => "/http",
            (false, true) => "/tcp",
            (false, false) => "",
        };
        let text = format!("{address}:{host}:{container}{protocol}");
        service.app.push("deployment.container.ports", Out::text(text), at);
    }
}

/// `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`, each of the two ports a range perhaps.
fn short(text: &str) -> Option<Published> {
    let (ports, protocol) = text.split_once('/').map_or((text, "tcp"), |(ports, protocol)| (ports, protocol));
    let (rest, container) =
        ports.rsplit_once(':').map_or((None, ports), |(rest, container)| (Some(rest), container));
    let (address, host) = match rest {
        None => (None, None),
        Some(rest) => match rest.rsplit_once(':') {
            Some((address, host)) => (Some(address), Some(host)),
            None => (None, Some(rest)),
        },
    };
    let address = address.map(|address| address.trim_start_matches('[').trim_end_matches(']').to_owned());
    let host = match host.filter(|host| !host.is_empty()) {
        Some(host) => Some(range(host)?),
        None => None,
    };
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return None,
    };
    Some(Published { address, host, container: range(container)?, udp, http: false })
}

fn long(service: &mut Service<'_>, node: &Node, at: &Origin) -> Result<Published, String> {
    let Value::Map(entries) = &node.value else { return Err("it is no published port".to_owned()) };
    let mut port = Published::default();
    let mut target = None;
    for entry in entries {
        let below = at.below(entry);
        let text = service.text(&entry.value, &below).unwrap_or_default();
        let ports = || range(&text).ok_or_else(|| format!("{} must be a port, found {text}", entry.key));
        match entry.key.as_str() {
            "target" => target = Some(ports()?),
            "published" => port.host = Some(ports()?),
            "host_ip" => port.address = Some(text),
            "protocol" => port.udp = text == "udp",
            "app_protocol" => port.http = text == "http",
            "name" => {}
            "mode" if scalar(&entry.value) == Some("host") => {}
            _ => service.app.lose(&below, "the proxy publishes every port in one way"),
        }
    }
    port.container = target.ok_or("it has no `target`")?;
    Ok(port)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (0 < from && from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_form_is_read() {
        let port = |address: Option<&str>, host, container, udp| {
            Some(Published { address: address.map(str::to_owned), host, container, udp, http: false })
        };
        assert_eq!(short("3000"), port(None, None, (3000, 3000), false));
        assert_eq!(short("8080:80"), port(None, Some((8080, 8080)), (80, 80), false));
        assert_eq!(short("9090-9091:8080-8081"), port(None, Some((9090, 9091)), (8080, 8081), false));
        assert_eq!(
            short("127.0.0.1:5000:5001/udp"),
            port(Some("127.0.0.1"), Some((5000, 5000)), (5001, 5001), true)
        );
        assert_eq!(short("[::1]:80:80"), port(Some("::1"), Some((80, 80)), (80, 80), false));
        assert_eq!(short("127.0.0.1::80"), port(Some("127.0.0.1"), None, (80, 80), false));
        for bad in ["", "a:80", "80:0", "80:70000", "80:90-80", "80:80/sctp"] {
            assert_eq!(short(bad), None, "{bad}");
        }
    }
}
