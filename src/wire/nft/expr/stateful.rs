//! Stateful expressions: the expressions that a set, an element or a `dynset` can have.
//!
//! Source: `NFT_EXPR_STATEFUL` in `include/net/netfilter/nf_tables.h`.

use super::connlimit::Connlimit;
use super::counter::Counter;
use super::frame::expressions;
use super::limit::Limit;
use super::quota::Quota;
use crate::wire::attribute::{Attribute, Writer};
use crate::wire::nft::codec::{EitherField, Field};

expressions! {
    /// A stateful expression, such as a counter.
    Stateful {
        connlimit: Connlimit,
        counter: Counter unless_default,
        limit: Limit,
        quota: Quota,
    }
}

impl Stateful {
    pub(crate) fn counter(&self) -> Option<Counter> {
        match self {
            Self::Counter(counter) => Some(*counter),
            _ => None,
        }
    }
}

/// Reads and writes the expressions: one expression in the older attribute, several as a list in
/// the newer.
impl EitherField for Vec<Stateful> {
    fn read(one: Option<Attribute<'_>>, several: Option<Attribute<'_>>) -> Option<Self> {
        match (one, several) {
            (Some(one), None) => Some(vec![Stateful::read(one)?]),
            (None, Some(several)) => Field::read(several),
            (None, None) => Some(Self::new()),
            (Some(_), Some(_)) => None,
        }
    }

    fn write(&self, out: &mut Writer<'_>, one: u16, several: u16) {
        match self.as_slice() {
            [] => {}
            [expr] => expr.write(out, one),
            _ => Field::write(self, out, several),
        }
    }
}
