//! IPv4 subnets: which addresses units get, and whether two networks are in each other's way.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::Deserialize;

/// An IPv4 subnet, written `10.83.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Subnet {
    base: u32,
    prefix: u32,
}

/// Why a text is not a subnet that units can live in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subnet; write it as `10.83.0.0/16`, with a prefix from 8 to 28")]
pub struct InvalidSubnet(String);

impl Subnet {
    /// The subnet of `prefix` leading bits that `address` lies in.
    pub(crate) const fn around(address: Ipv4Addr, prefix: u32) -> Self {
        Self { base: address.to_bits() & mask(prefix), prefix }
    }

    /// The first address, which the engine's end of the bridge gets.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// The addresses that units get by our choice: the lower half, without the network's own and the gateway's.
    pub(crate) fn unit_addresses(self) -> std::ops::Range<u32> {
        self.base + 2..self.base + (self.size() / 2)
    }

    /// The half that the engine chooses from for containers that do not name an address, so that it never takes one
    /// that belongs to a stopped unit.
    pub(crate) fn engine_half(self) -> Self {
        Self { base: self.base + self.size() / 2, prefix: self.prefix + 1 }
    }

    /// Whether the two have an address in common.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let common = mask(self.prefix.min(other.prefix));
        self.base & common == other.base & common
    }

    const fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }
}

const fn mask(prefix: u32) -> u32 {
    // A shift by all 32 bits is no shift at all.
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: Ipv4Addr = address.parse().ok()?;
            // Fewer bits than 8 are no private network; more than 28 leave too few addresses for a swap.
            let prefix: u32 = prefix.parse().ok().filter(|prefix| (8..=28).contains(prefix))?;
            Some(Self::around(address, prefix))
        };
        parse().ok_or_else(|| InvalidSubnet(text.to_owned()))
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_engine_choose_from_different_halves() {
        let subnet: Subnet = "10.83.0.0/16".parse().unwrap();
        let ours = subnet.unit_addresses();
        assert_eq!(Ipv4Addr::from_bits(ours.start), Ipv4Addr::new(10, 83, 0, 2));
        assert_eq!(Ipv4Addr::from_bits(ours.end - 1), Ipv4Addr::new(10, 83, 127, 255));
        assert_eq!(subnet.engine_half().to_string(), "10.83.128.0/17");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 83, 0, 1));
    }

    #[test]
    fn a_subnet_overlaps_what_it_contains_and_what_contains_it() {
        let subnet: Subnet = "10.83.0.0/16".parse().unwrap();
        assert!(subnet.overlaps("10.83.4.0/24".parse().unwrap()));
        assert!(subnet.overlaps("10.0.0.0/8".parse().unwrap()));
        assert!(!subnet.overlaps("10.84.0.0/16".parse().unwrap()));
        assert!(subnet.overlaps(Subnet::around(Ipv4Addr::UNSPECIFIED, 0)));
    }

    #[test]
    fn what_is_too_small_or_no_subnet_is_refused() {
        for bad in ["", "10.83.0.0", "10.83.0.0/29", "10.83.0.0/0", "10.83.0/16", "fd00::/64"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        assert_eq!("10.83.7.9/16".parse::<Subnet>().unwrap().to_string(), "10.83.0.0/16");
    }
}
