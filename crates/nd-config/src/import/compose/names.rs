//! Under which names services reach each other: `networks:`, `links:` and `container_name:`.

use super::service::Service;
use super::{app_of, scalar, texts};
use crate::import::draft::{Origin, Out, literal};
use crate::node::{Entry, Node, Value};

const ONE_NETWORK: &str = "all apps are on one network of NextDeploy";

/// A name that one service gives to another.
pub(super) struct Link {
    /// The service that is called so.
    pub(super) service: String,
    alias: String,
    origin: Origin,
}

/// The names that services give to others: `links: [SERVICE:ALIAS]`.
pub(super) fn links(services: &[Entry]) -> Vec<Link> {
    let link = |(service, entry): (&Entry, &Entry)| {
        let origin = Origin::new(format!("services.{}", service.key), service.key_span.clone()).below(entry);
        let Value::List(items) = &entry.value.value else { return Vec::new() };
        let link = |(index, item): (usize, &Node)| {
            let (service, alias) = scalar(item)?.split_once(':')?;
            let origin = origin.item(index, item);
            Some(Link { service: service.to_owned(), alias: alias.to_owned(), origin })
        };
        items.iter().enumerate().filter_map(link).collect()
    };
    let written = services.iter().filter_map(|service| Some((service, service.value.get("links")?)));
    written.flat_map(link).collect()
}

/// The service's own name, where an app cannot be called so, and the names that others give to it.
pub(super) fn of_service(service: &mut Service<'_>, name: &str, origin: &Origin) {
    alias(service, name, origin);
    let context = service.context;
    for link in context.links.iter().filter(|link| link.service == name) {
        alias(service, &link.alias, &link.origin);
    }
}

/// What a service links to is up before it, as far as nothing else is said.
pub(super) fn linked(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::List(items) = &node.value else { return service.app.lose(at, "it is no list of services") };
    for (index, item) in items.iter().enumerate() {
        let at = at.item(index, item);
        let text = scalar(item).unwrap_or_default();
        let name = text.split_once(':').map_or(text, |(service, _)| service);
        if !service.app.has(&format!("depends_on.{}", app_of(name))) {
            service.dependency(name, "started", &at);
        }
    }
}

/// Names on networks are names on the one that there is; what else is said of networks is not kept.
pub(super) fn networks(service: &mut Service<'_>, node: &Node, at: &Origin) {
    let Value::Map(networks) = &node.value else {
        if texts(Some(node)) != ["default"] {
            service.app.lose(at, ONE_NETWORK);
        }
        return;
    };
    if networks.iter().any(|network| network.key != "default") {
        service.app.lose(at, ONE_NETWORK);
    }
    for network in networks {
        let at = at.below(network);
        let Value::Map(keys) = &network.value.value else { continue };
        for key in keys {
            let at = at.below(key);
            match (key.key.as_str(), &key.value.value) {
                ("aliases", Value::List(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        let at = at.item(index, item);
                        if let Some(name) = service.text(item, &at) {
                            alias(service, &name, &at);
                        }
                    }
                }
                ("priority" | "gw_priority", _) => {}
                _ => service.app.lose(&at, "an instance has the address that it is given"),
            }
        }
    }
}

/// The container is called after its release, because two of them run during a swap; the name leads to it all the same.
pub(super) fn container_name(service: &mut Service<'_>, node: &Node, at: &Origin) {
    if let Some(name) = service.text(node, at) {
        alias(service, &name, at);
    }
}

fn alias(service: &mut Service<'_>, name: &str, origin: &Origin) {
    // A name that another service has leads there.
    let is_app = service.context.services.iter().any(|other| app_of(other) == name);
    if is_app || service.app.names(name) {
        return;
    }
    if service.context.named.borrow_mut().insert(name.to_owned()) {
        service.app.push("deployment.container.aliases", Out::Text(literal(name)), origin);
    } else {
        service.app.lose(origin, format!("the name `{name}` leads to another app already"));
    }
}
