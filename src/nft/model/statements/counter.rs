//! The counter: `counter`.

use crate::counter::Counter;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::counter as wire;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CounterStatement;

impl Rule {
    /// Counts packets and bytes: `counter`. [`RuleHandle::counter`](crate::nft::RuleHandle::counter)
    /// returns the counts.
    pub fn counter(self) -> Self {
        self.with(CounterStatement)
    }
}

impl Statement for CounterStatement {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(wire::Counter::default());
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        matches!(expr, Expr::Counter(_)).then_some(Self)
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counter")
    }
}

/// Returns the counts of a rule's first counter.
pub(crate) fn counted(expressions: &[Expr]) -> Option<Counter> {
    expressions.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(Counter::new(counter.packets, counter.bytes)),
        _ => None,
    })
}
