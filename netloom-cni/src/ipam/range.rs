//! Ranges of addresses, as the reference `host-local` plugin describes them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::failure::Failure;
use crate::fields::{Fields, items};
use serde_json::Value;

/// The addresses of a subnet from the first to the last, except the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) subnet: IpNet,
    pub(crate) gateway: IpAddr,
    pub(crate) first: IpAddr,
    pub(crate) last: IpAddr,
}

impl Range {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        const EXPECTED: &str = "a network, as 10.0.0.0/24";
        let subnet: Option<IpNet> = fields.parsed("subnet", EXPECTED)?;
        let subnet = subnet.ok_or_else(|| fields.refuse("subnet", EXPECTED))?;
        if subnet != subnet.trunc() {
            let expected = format!("a network, without host bits: {}", subnet.trunc());
            return Err(fields.refuse("subnet", expected));
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(fields.refuse("subnet", "large enough to assign addresses from"));
        }
        let address = |name: &str, default: IpAddr| -> Result<IpAddr, Failure> {
            let given: Option<IpAddr> = fields.parsed(name, "an address")?;
            match given {
                Some(address) if !subnet.contains(&address) => {
                    Err(fields.refuse(name, format_args!("in {subnet}")))
                }
                given => Ok(given.unwrap_or(default)),
            }
        };
        let base = number(subnet.network());
        // The last address of an IPv4 subnet is its broadcast address.
        let end = number(subnet.broadcast()) - u128::from(subnet.addr().is_ipv4());
        let of = |number| of_number(number, subnet.addr().is_ipv4());
        let range = Self {
            subnet,
            gateway: address("gateway", of(base + 1))?,
            first: address("rangeStart", of(base + 1))?,
            last: address("rangeEnd", of(end))?,
        };
        if number(range.first) > number(range.last) {
            let expected = format!("at or after rangeStart {}", range.first);
            return Err(fields.refuse("rangeEnd", expected));
        }
        Ok(range)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && (number(self.first)..=number(self.last)).contains(&number(address))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Returns the number of addresses, or the largest `u128` if there are more.
    fn len(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Ranges of one family, from which a container gets one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeSet(pub(crate) Vec<Range>);

impl RangeSet {
    pub(crate) fn read(value: &Value, path: &str) -> Result<Self, Failure> {
        let mut ranges: Vec<Range> = Vec::new();
        for (path, value) in items(value, path)? {
            let range = Range::read(&Fields::at(value, path.clone())?)?;
            if let Some(other) = ranges.iter().find(|other| other.overlaps(&range)) {
                let expected = format!("apart from {other}: the two overlap");
                return Err(crate::fields::wrong(&path, value, expected));
            }
            if ranges.iter().any(|other| other.first.is_ipv4() != range.first.is_ipv4()) {
                let expected = "of the family of the others in its set";
                return Err(crate::fields::wrong(&path, value, expected));
            }
            ranges.push(range);
        }
        if ranges.is_empty() {
            return Err(crate::fields::wrong(path, value, "a list of ranges"));
        }
        Ok(Self(ranges))
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|one| other.0.iter().any(|two| one.overlaps(two)))
    }

    /// Returns the range that contains an address.
    pub(crate) fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.0.iter().find(|range| range.contains(address))
    }

    /// Returns the number of addresses.
    pub(crate) fn len(&self) -> u128 {
        self.0.iter().map(Range::len).fold(0, u128::saturating_add)
    }

    /// Returns each address once, starting after the one that was assigned last. So a released
    /// address is not assigned again immediately.
    pub(crate) fn addresses_after(&self, last: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let start = last.and_then(|last| {
            let at = self.0.iter().position(|range| range.contains(last))?;
            Some((at, number(last)))
        });
        let (at, behind) = start.map_or((0, None), |(at, last)| (at, Some(last)));
        let span = |range: &Range, from: u128, to: u128| {
            let is_ipv4 = range.first.is_ipv4();
            (from..=to).map(move |number| of_number(number, is_ipv4))
        };
        let whole = move |range: &Range| span(range, number(range.first), number(range.last));
        let head = self.0.get(at).map(|range| {
            let from = behind.map_or(number(range.first), |last| last.saturating_add(1));
            span(range, from, number(range.last))
        });
        let tail =
            self.0.get(at).zip(behind).map(|(range, last)| span(range, number(range.first), last));
        let others = self.0.iter().cycle().skip(at + 1).take(self.0.len().saturating_sub(1));
        head.into_iter()
            .flatten()
            .chain(others.flat_map(whole))
            .chain(tail.into_iter().flatten())
            .filter(|address| self.0.iter().all(|range| range.gateway != *address))
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn of_number(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => IpAddr::V4(number.into()),
        _ => IpAddr::V6(number.into()),
    }
}
