//! Rate limits: `limit rate 10/second`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::limit as wire;

/// A rate of packets or bytes, and a burst beyond it.
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
#[must_use = "it is said to a rule"]
pub struct Limit {
    rate: u64,
    seconds: u64,
    burst: Option<u32>,
    is_of_bytes: bool,
    over: bool,
}

/// The burst that the kernel uses for a burst of 0 (`NFT_LIMIT_PKT_BURST_DEFAULT`).
const DEFAULT_BURST: u32 = 5;

impl Limit {
    /// Returns a limit of packets each second. Default burst: 5 packets.
    #[doc(alias = "limit rate")]
    pub fn packets(rate: u64) -> Self {
        Self { rate, seconds: 1, burst: None, is_of_bytes: false, over: false }
    }

    /// Returns a limit of bytes each second. Default burst: none.
    pub fn bytes(rate: u64) -> Self {
        Self { is_of_bytes: true, ..Self::packets(rate) }
    }

    /// Counts the rate for each minute, not each second.
    pub fn per_minute(mut self) -> Self {
        self.seconds = 60;
        self
    }

    /// Counts the rate for each hour, not each second.
    pub fn per_hour(mut self) -> Self {
        self.seconds = 60 * 60;
        self
    }

    /// Counts the rate for each day, not each second.
    pub fn per_day(mut self) -> Self {
        self.seconds = 24 * 60 * 60;
        self
    }

    /// Sets the packets or bytes that may pass at once beyond the rate.
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Inverts the limit: the rule matches packets *over* it.
    pub fn over(mut self) -> Self {
        self.over = true;
        self
    }

    pub(crate) fn check_values(self) -> Result<(), String> {
        if self.rate == 0 { Err("a limit of 0 each second".into()) } else { Ok(()) }
    }

    pub(crate) fn to_wire(self) -> wire::Limit {
        use wire::{LimitFlags, LimitType};
        wire::Limit {
            rate: self.rate,
            seconds: self.seconds,
            burst: self.burst_or_default(),
            kind: if self.is_of_bytes { LimitType::Bytes } else { LimitType::Packets },
            flags: if self.over { LimitFlags::INVERTED } else { LimitFlags::empty() },
        }
    }

    pub(crate) fn from_wire(limit: wire::Limit) -> Self {
        let is_of_bytes = limit.kind == wire::LimitType::Bytes;
        let default = if is_of_bytes { 0 } else { DEFAULT_BURST };
        Self {
            rate: limit.rate,
            seconds: limit.seconds,
            burst: (limit.burst != default).then_some(limit.burst),
            is_of_bytes,
            over: limit.flags.contains(wire::LimitFlags::INVERTED),
        }
    }

    fn burst_or_default(self) -> u32 {
        self.burst.unwrap_or(if self.is_of_bytes { 0 } else { DEFAULT_BURST })
    }

    /// The limit as it is read back.
    pub(crate) fn normal(self) -> Self {
        Self::from_wire(self.to_wire())
    }
}

impl Rule {
    /// Matches while a rate is kept: `limit rate 10/second`.
    pub fn limit(self, limit: Limit) -> Self {
        self.with(limit.normal())
    }
}

impl Statement for Limit {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(self.to_wire());
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Limit(wire) = expr else { return None };
        Some(Self::from_wire(*wire))
    }

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
        let unit = match self.seconds {
            1 => "second",
            60 => "minute",
            3600 => "hour",
            86_400 => "day",
            _ => "week",
        };
        let over = if self.over { "over " } else { "" };
        let of = if self.is_of_bytes { " bytes" } else { "" };
        write!(f, "limit rate {over}{}{of}/{unit}", self.rate)?;
        match self.burst_or_default() {
            0 => Ok(()),
            burst if self.is_of_bytes => write!(f, " burst {burst} bytes"),
            burst => write!(f, " burst {burst} packets"),
        }
    }
}
