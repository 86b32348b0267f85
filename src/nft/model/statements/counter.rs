//! The counter: `counter`.

use crate::counter;
use crate::nft::model::prelude::*;
pub(super) use crate::wire::nft::expr::counter::Counter;

impl Rule {
    /// Counts packets and bytes: `counter`.
    /// [`RuleHandle::counter`](crate::nft::RuleHandle::counter) returns the counts.
    pub fn counter(self) -> Self {
        self.with(Counter::default())
    }
}

impl Statement for Counter {
    one_expression!(self => *self, Expr::Counter(_) => Some(Self::default()));

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counter")
    }
}

/// Returns the counts of a rule's first counter.
pub(crate) fn counted(expressions: &[Expr]) -> Option<counter::Counter> {
    expressions.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(counter::Counter::new(counter.packets, counter.bytes)),
        _ => None,
    })
}
