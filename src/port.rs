//! Ranges of ports.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::Error;

/// A port, or a range with both ends: `80` or `8000..=8010`.
///
/// ```
/// use netloom::PortRange;
///
/// assert_eq!(PortRange::from(80).to_string(), "80");
/// assert_eq!(PortRange::from(8000..=8010).to_string(), "8000-8010");
/// assert_eq!(PortRange::from(8000..=8010).len(), 11);
/// assert_eq!("8000-8010".parse::<PortRange>()?, PortRange::from(8000..=8010));
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Builders refuse a range that ends before it starts. Matches take port 0, which packets can have;
/// published ports and targets of NAT don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Returns the first port of the range.
    pub fn first(self) -> u16 {
        self.first
    }

    /// Returns the last port of the range.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Returns the number of ports.
    pub fn len(self) -> usize {
        (usize::from(self.last) + 1).saturating_sub(self.first.into())
    }

    /// Returns whether the range ends before it starts.
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// Returns the ports one by one.
    pub fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    pub(crate) fn is_one(self) -> bool {
        self.first == self.last
    }

    /// Refuses a range that cannot be published or be a target of NAT.
    pub(crate) fn check(self) -> Result<Self, &'static str> {
        if self.first == 0 { Err("no service has port 0") } else { self.check_match() }
    }

    /// Refuses a range that no packet can match.
    pub(crate) fn check_match(self) -> Result<Self, &'static str> {
        if self.is_empty() { Err("the range ends before it starts") } else { Ok(self) }
    }
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { first: *range.start(), last: *range.end() }
    }
}

/// Writes the range in the words of `nft`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.is_one() { Ok(()) } else { write!(f, "-{}", self.last) }
    }
}

/// Parses `80` and `8000-8010`.
impl FromStr for PortRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range =
            first.parse().ok().zip(last.parse().ok()).map(|(first, last)| Self { first, last });
        let reason =
            "a port is a number up to 65535, a range is two of them in order, as in 8000-8010";
        range
            .filter(|range| !range.is_empty())
            .ok_or_else(|| Error::invalid("read ports", text, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_and_refused() {
        assert_eq!(PortRange::from(65_535).len(), 1);
        assert_eq!(PortRange::from(1..=65_535).len(), 65_535);
        assert_eq!(PortRange::from(7..=9).iter().collect::<Vec<_>>(), [7, 8, 9]);
        let empty = PortRange::from(RangeInclusive::new(9, 8));
        assert!(empty.is_empty());
        assert!(empty.check().is_err());
        assert!(PortRange::from(0).check().is_err());
        assert!(PortRange::from(0..=9).check().is_err());
        assert!(PortRange::from(1..=65_535).check().is_ok());
        for all in [PortRange::from(0), PortRange::from(0..=1023), PortRange::from(0..=65_535)] {
            assert!(all.check_match().is_ok() && all.check().is_err(), "{all}");
            assert_eq!(all.to_string().parse::<PortRange>().unwrap(), all);
        }
        assert!(empty.check_match().is_err());
        for bad in ["", "-", "80-", "9-8", "65536", "http"] {
            assert!(bad.parse::<PortRange>().unwrap_err().is_invalid_input(), "{bad}");
        }
    }
}
