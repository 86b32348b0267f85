//! The new addresses of a NAT rule.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::input::{is_of_no_machine, network, sealed};
use crate::nft::Interval;

/// The new addresses of a NAT rule: one address, a range to choose from, or a prefix that replaces
/// the network part of the old address.
///
/// Given as text: `"198.51.100.7"`, `"198.51.100.7-198.51.100.9"` or `"198.51.100.0/28"`. Given as
/// values: [`IpAddr`], a [`RangeInclusive`] of addresses, [`IpNet`], and the types of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NatTarget(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Address(IpAddr),
    Range(IpAddr, IpAddr),
    Prefix(IpNet),
}

impl NatTarget {
    /// Returns the first address, and the last if there are several.
    pub(super) fn ends(self) -> (IpAddr, Option<IpAddr>) {
        match self.0 {
            Kind::Address(address) => (address, None),
            Kind::Range(first, last) => (first, Some(last)),
            Kind::Prefix(net) => (net.network(), Some(net.broadcast())),
        }
    }

    /// Returns the prefix, if the target is a prefix.
    pub(super) fn prefix(self) -> Option<IpNet> {
        match self.0 {
            Kind::Prefix(net) => Some(net),
            _ => None,
        }
    }

    /// Returns the address or the range of addresses.
    pub(super) fn interval(self) -> Interval {
        let (first, last) = self.ends();
        Interval::from(first..=last.unwrap_or(first))
    }

    pub(super) fn is_ipv4(self) -> bool {
        self.ends().0.is_ipv4()
    }

    /// Returns whether the target begins or ends with an address that no machine has.
    pub(super) fn is_of_no_machine(self) -> bool {
        let (first, last) = self.ends();
        is_of_no_machine(first) || last.is_some_and(is_of_no_machine)
    }

    fn range(first: IpAddr, last: IpAddr) -> Result<Self, &'static str> {
        match (first, last) {
            _ if first.is_ipv4() != last.is_ipv4() => {
                Err("the first and the last address have different families")
            }
            _ if first > last => Err("the range ends before it starts"),
            _ if first == last => Ok(Self(Kind::Address(first))),
            _ => Ok(Self(Kind::Range(first, last))),
        }
    }
}

/// Formats the target as `nft` writes it.
impl fmt::Display for NatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Address(address) => write!(f, "{address}"),
            Kind::Range(first, last) => write!(f, "{first}-{last}"),
            Kind::Prefix(net) => write!(f, "{net}"),
        }
    }
}

type Read = Result<NatTarget, (String, String)>;

impl sealed::Input<NatTarget> for NatTarget {
    fn read(self) -> Read {
        Ok(self)
    }
}

impl sealed::Input<NatTarget> for &str {
    fn read(self) -> Read {
        let wrong = |reason: String| (self.to_owned(), reason);
        if self.contains('/') {
            let net: IpNet = sealed::Input::<IpNet>::read(self)?;
            return net.read();
        }
        let address = |text: &str| -> Result<IpAddr, _> {
            text.trim().parse().map_err(|error| wrong(format!("{error}")))
        };
        match self.split_once('-') {
            None => Ok(NatTarget(Kind::Address(address(self)?))),
            Some((first, last)) => NatTarget::range(address(first)?, address(last)?)
                .map_err(|reason| wrong(reason.to_owned())),
        }
    }
}

impl sealed::Input<NatTarget> for String {
    fn read(self) -> Read {
        self.as_str().read()
    }
}

impl sealed::Input<NatTarget> for &String {
    fn read(self) -> Read {
        self.as_str().read()
    }
}

macro_rules! from {
    ($name:ident => $read:expr, $($from:ty),+) => {$(
        impl sealed::Input<NatTarget> for $from {
            #[allow(clippy::useless_conversion, reason = "one of the types is the wanted one")]
            fn read(self) -> Read {
                let $name = self;
                $read
            }
        }
    )+};
}

from!(address => Ok(NatTarget(Kind::Address(address.into()))), IpAddr, Ipv4Addr, Ipv6Addr);
from!(net => match network(net.into()) {
    Ok(net) => Ok(NatTarget(Kind::Prefix(net))),
    Err(reason) => Err((net.to_string(), reason)),
}, IpNet, Ipv4Net, Ipv6Net);
from!(range => {
    let (first, last) = range.into_inner();
    NatTarget::range(first.into(), last.into())
        .map_err(|reason| (format!("{first}-{last}"), reason.to_owned()))
}, RangeInclusive<IpAddr>, RangeInclusive<Ipv4Addr>, RangeInclusive<Ipv6Addr>);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<NatTarget> {
        sealed::Input::<NatTarget>::read(text).ok()
    }

    #[test]
    fn literals_read_back_as_they_are_written() {
        for good in ["10.0.0.1", "fd00::1", "10.0.0.1-10.0.0.9", "fd00::1-fd00::9", "10.0.0.0/28"] {
            assert_eq!(read(good).unwrap().to_string(), good);
        }
        assert_eq!(read("10.0.0.1-10.0.0.1"), read("10.0.0.1"));
        for bad in ["", "-", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.1/28", "10.0.0.300"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_has_its_ends() {
        let ends = |text| read(text).unwrap().ends();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(ends("10.0.0.0/28"), (address("10.0.0.0"), Some(address("10.0.0.15"))));
        assert_eq!(ends("10.0.0.7"), (address("10.0.0.7"), None));
    }
}
