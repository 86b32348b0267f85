//! Queues to programs: `queue to 1-4`.

use crate::nft::model::prelude::*;
use std::ops::RangeInclusive;

use crate::wire::nft::expr::queue as wire;
use crate::wire::nft::expr::queue::QueueFlags;

/// The numbers of the queues from which programs read packets and decide on them: `queue to 1-4`.
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
#[must_use = "a value does nothing until a rule gets it"]
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

    /// Returns several queues. Each connection is assigned to one of them.
    pub fn range(numbers: RangeInclusive<u16>) -> Self {
        let (first, last) = numbers.into_inner();
        Self { first, last, flags: QueueFlags::empty() }
    }

    /// Accepts packets while no program listens. Default: the kernel drops them.
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
}

impl Rule {
    /// Queues the packet for a program, which decides on it: `queue`.
    #[doc(alias = "NFQUEUE")]
    pub fn queue(self, queue: Queue) -> Self {
        self.with(queue)
    }
}

impl Statement for Queue {
    one_expression!(self => {
        let total = self.last.wrapping_sub(self.first).wrapping_add(1);
        wire::Queue::Numbers { first: self.first, total, flags: self.flags }
    }, Expr::Queue(wire::Queue::Numbers { first, total, flags }) => {
        let last = first.checked_add(total.checked_sub(1)?)?;
        Some(Self { first: *first, last, flags: *flags })
    });

    fn check(&self, _: Context) -> Result<(), String> {
        match self.last.checked_sub(self.first) {
            None => Err("the range of queues is empty".into()),
            Some(u16::MAX) => Err("at most 65,535 queues are possible".into()),
            Some(_) => Ok(()),
        }
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
        display::flags(f, " flags ", names.map(|(flag, name)| (self.flags.contains(flag), name)))?;
        write!(f, " to {}", display::Range(self.first, self.last))
    }
}
