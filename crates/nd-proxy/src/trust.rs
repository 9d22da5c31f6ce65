//! Proxies in front of this one, and what of their words about a client is believed.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;

use nd_types::{InvalidNetwork, Network};
use serde::Deserialize;

/// The edge of Cloudflare, as published at <https://www.cloudflare.com/ips/>; this list has not changed there since
/// September 2023, and is that of September 2026.
const CLOUDFLARE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

static CLOUDFLARE_NETWORKS: LazyLock<Vec<Network>> =
    LazyLock::new(|| CLOUDFLARE.iter().filter_map(|network| network.parse().ok()).collect());

/// One of the proxies in front, as the operator names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TrustedProxy {
    /// All of its words are believed.
    Network(Network),
    /// `cloudflare`: its published networks. What it writes itself is believed, and nothing that it only passes on.
    Cloudflare,
}

/// Why a text names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, or `cloudflare` for its published networks")]
pub struct InvalidProxy(#[from] InvalidNetwork);

/// How far a peer is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is anybody.
    No,
    /// It replaces `CF-Connecting-IP` and `X-Forwarded-Proto`, and continues `X-Forwarded-For`. Anything else may have
    /// been written by a visitor.
    Cloudflare,
    /// It is a proxy of ours.
    Full,
}

impl Trust {
    /// How far this peer is believed.
    pub(crate) fn of(peer: IpAddr, proxies: &[TrustedProxy]) -> Self {
        let trust = |proxy: &TrustedProxy| match proxy {
            TrustedProxy::Network(network) if network.contains(peer) => Some(Self::Full),
            TrustedProxy::Cloudflare if CLOUDFLARE_NETWORKS.iter().any(|network| network.contains(peer)) => {
                Some(Self::Cloudflare)
            }
            TrustedProxy::Network(_) | TrustedProxy::Cloudflare => None,
        };
        let all = proxies.iter().filter_map(trust);
        all.max_by_key(|trust| *trust == Self::Full).unwrap_or(Self::No)
    }

    /// Whether it is one of those in front, and no visitor.
    pub(crate) fn is_proxy(self) -> bool {
        self != Self::No
    }

    /// Whether all of its words count.
    pub(crate) fn is_full(self) -> bool {
        self == Self::Full
    }
}

impl FromStr for TrustedProxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cloudflare" => Ok(Self::Cloudflare),
            network => Ok(Self::Network(network.parse()?)),
        }
    }
}

impl TryFrom<String> for TrustedProxy {
    type Error = InvalidProxy;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(peer: &str, proxies: &[&str]) -> Trust {
        let proxies: Vec<TrustedProxy> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        Trust::of(peer.parse().unwrap(), &proxies)
    }

    #[test]
    fn who_is_believed_how_far() {
        assert_eq!(CLOUDFLARE_NETWORKS.len(), CLOUDFLARE.len(), "each of them is a network");
        let both = ["cloudflare", "10.0.0.0/8"];
        assert_eq!(trust("104.16.1.1", &both), Trust::Cloudflare);
        assert_eq!(trust("::ffff:172.71.255.255", &both), Trust::Cloudflare);
        assert_eq!(trust("2606:4700::1", &both), Trust::Cloudflare);
        assert_eq!(trust("10.1.1.1", &both), Trust::Full);
        assert_eq!(trust("104.32.0.1", &both), Trust::No);
        assert_eq!(trust("104.16.1.1", &[]), Trust::No);
        assert_eq!(trust("104.16.1.1", &["cloudflare", "104.16.1.1"]), Trust::Full);
    }

    #[test]
    fn what_names_no_proxy_is_refused_with_what_would() {
        let error = "claudflare".parse::<TrustedProxy>().unwrap_err().to_string();
        assert!(error.contains("`claudflare`") && error.contains("`cloudflare`"), "{error}");
    }
}
