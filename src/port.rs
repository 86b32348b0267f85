//! Ports: one, or one after the other.

use std::fmt;
use std::ops::RangeInclusive;

/// One port, or a range of them with both ends: `80` or `8000..=8010`.
///
/// ```
/// use netloom::PortRange;
///
/// assert_eq!(PortRange::from(80).to_string(), "80");
/// assert_eq!(PortRange::from(8000..=8010).to_string(), "8000-8010");
/// assert_eq!(PortRange::from(8000..=8010).len(), 11);
/// ```
///
/// Port 0 and a range that ends before it starts are refused by the builder that is given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port, which is in it.
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports it has.
    pub fn len(self) -> usize {
        (usize::from(self.last) + 1).saturating_sub(self.first.into())
    }

    /// Whether it has none, as it ends before it starts.
    pub fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// Every port of it.
    pub fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    pub(crate) fn is_one(self) -> bool {
        self.first == self.last
    }

    /// What is wrong with it.
    pub(crate) fn check(self) -> Result<Self, &'static str> {
        match self {
            Self { first: 0, .. } => Err("there is no port 0"),
            range if range.is_empty() => Err("the range ends before it starts"),
            range => Ok(range),
        }
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

/// In the words of `nft`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.is_one() { Ok(()) } else { write!(f, "-{}", self.last) }
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
    }
}
