//! Queues to programs: `queue to 1-4`.

use crate::nft::model::prelude::*;
use std::ops::RangeInclusive;

use crate::wire::nft::expr::queue as wire;
use crate::wire::nft::expr::queue::QueueFlags;

/// The queue, or queues, of programs that decide about packets: `queue to 1-4`.
///
/// ```
/// use netloom::nft::{Queue, Rule};
///
/// let rule = Rule::new().tcp().dport(80).queue(Queue::range(1..=4).bypass());
/// assert_eq!(rule.to_string(), "meta l4proto tcp th dport 80 queue flags bypass to 1-4");
/// ```
///
/// Source: nft(8), "QUEUE STATEMENT"; `linux/netfilter/nfnetlink_queue.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it is said to a rule"]
pub struct Queue {
    first: u16,
    last: u16,
    flags: QueueFlags,
}

impl Queue {
    /// Returns the queue with this number.
    #[doc(alias("NFQUEUE", "queue num"))]
    pub fn new(number: u16) -> Self {
        Self::range(number..=number)
    }

    /// Returns several queues, among which connections are distributed.
    pub fn range(numbers: RangeInclusive<u16>) -> Self {
        let (first, last) = numbers.into_inner();
        Self { first, last, flags: QueueFlags::empty() }
    }

    /// Accepts packets while no program listens. Default: they are dropped.
    #[doc(alias = "NFT_QUEUE_FLAG_BYPASS")]
    pub fn bypass(mut self) -> Self {
        self.flags |= QueueFlags::BYPASS;
        self
    }

    /// Distributes packets by CPU among several queues. Default: by connection.
    #[doc(alias = "NFT_QUEUE_FLAG_CPU_FANOUT")]
    pub fn fanout(mut self) -> Self {
        self.flags |= QueueFlags::CPU_FANOUT;
        self
    }

    pub(crate) fn check_values(self) -> Result<(), String> {
        match self.last.checked_sub(self.first) {
            None => Err("the range of queues is empty".into()),
            Some(u16::MAX) => Err("65,535 queues at most".into()),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn to_wire(self) -> wire::Queue {
        let total = self.last.wrapping_sub(self.first).wrapping_add(1);
        wire::Queue::Numbers { first: self.first, total, flags: self.flags }
    }

    /// Decodes a queue expression; `None` if it takes the number from a register.
    pub(crate) fn from_wire(queue: wire::Queue) -> Option<Self> {
        let wire::Queue::Numbers { first, total, flags } = queue else { return None };
        let last = first.checked_add(total.checked_sub(1)?)?;
        Some(Self { first, last, flags })
    }
}

impl Rule {
    /// Hands the packet to a program, which decides about it: `queue`.
    #[doc(alias = "NFQUEUE")]
    pub fn queue(self, queue: Queue) -> Self {
        self.with(queue)
    }
}

impl Statement for Queue {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(self.to_wire());
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Queue(wire) = expr else { return None };
        Self::from_wire(*wire)
    }

    fn check(&self, _: Context) -> Result<(), String> {
        self.check_values()
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats the queue as `nft` does.
impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("queue")?;
        let names = [(QueueFlags::BYPASS, "bypass"), (QueueFlags::CPU_FANOUT, "fanout")];
        let said = names.into_iter().filter(|(flag, _)| self.flags.contains(*flag));
        for (at, (_, name)) in said.enumerate() {
            write!(f, "{}{name}", if at == 0 { " flags " } else { "," })?;
        }
        write!(f, " to {}", self.first)?;
        if self.last == self.first { Ok(()) } else { write!(f, "-{}", self.last) }
    }
}
