//! Rate limits: `limit rate 10/second`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::limit as wire;

/// A rate limit in packets or bytes, with a burst.
///
/// Replaces `limit rate 10/second burst 5 packets`.
///
/// ```
/// use netloom::nft::{Limit, Rule};
///
/// let rule = Rule::new().icmp_echo().limit(Limit::packets(10).burst(5)).accept();
/// assert_eq!(rule.to_string(), "icmp type 8 limit rate 10/second burst 5 packets accept");
/// let flood = Rule::new().limit(Limit::bytes(1_000_000).over()).drop();
/// assert_eq!(flood.to_string(), "limit rate over 1000000 bytes/second drop");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a value does nothing until a rule gets it"]
pub struct Limit(pub(crate) wire::Limit);

impl Limit {
    /// Returns a limit of packets each second. Default burst: 5 packets.
    #[doc(alias = "limit rate")]
    pub fn packets(rate: u64) -> Self {
        Self(wire::Limit { rate, burst: wire::Limit::DEFAULT_BURST, ..wire::Limit::default() })
    }

    /// Returns a limit of bytes each second. Default burst: none.
    pub fn bytes(rate: u64) -> Self {
        Self(wire::Limit { rate, kind: wire::LimitType::Bytes, ..wire::Limit::default() })
    }

    /// Counts the rate for each minute, not each second.
    pub fn per_minute(mut self) -> Self {
        self.0.seconds = 60;
        self
    }

    /// Counts the rate for each hour, not each second.
    pub fn per_hour(mut self) -> Self {
        self.0.seconds = 60 * 60;
        self
    }

    /// Counts the rate for each day, not each second.
    pub fn per_day(mut self) -> Self {
        self.0.seconds = 24 * 60 * 60;
        self
    }

    /// Sets how many packets or bytes may exceed the rate at once.
    pub fn burst(mut self, burst: u32) -> Self {
        self.0.burst = burst;
        self
    }

    /// Inverts the limit: the rule matches packets that exceed the limit.
    pub fn over(mut self) -> Self {
        self.0.inverted = true;
        self
    }

    pub(crate) fn check_values(self) -> Result<(), String> {
        if self.0.rate == 0 { Err("the rate is 0".into()) } else { Ok(()) }
    }
}

impl Rule {
    /// Matches while the rate is below the limit: `limit rate 10/second`.
    pub fn limit(self, limit: Limit) -> Self {
        self.with(limit)
    }
}

impl Statement for Limit {
    one_expression!(self => self.0, Expr::Limit(limit) => Some(Self(*limit)));

    fn check(&self, _: Context) -> Result<(), String> {
        self.check_values()
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats the limit as `nft` does.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire::Limit { rate, seconds, burst, kind, inverted } = self.0;
        let unit = match seconds {
            1 => "second",
            60 => "minute",
            3600 => "hour",
            86_400 => "day",
            _ => "week",
        };
        let (of, what) = match kind {
            wire::LimitType::Packets => ("", "packets"),
            wire::LimitType::Bytes => (" bytes", "bytes"),
        };
        write!(f, "limit rate {}{rate}{of}/{unit}", Over(inverted))?;
        if burst == 0 { Ok(()) } else { write!(f, " burst {burst} {what}") }
    }
}
