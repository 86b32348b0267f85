//! `dynset`: adds an element to a set or map, updates or deletes it, for each packet.
//!
//! ```text
//! NFTA_DYNSET_SET_NAME     1  string
//! NFTA_DYNSET_SET_ID       2  be32   number of a set in this batch
//! NFTA_DYNSET_OP           3  be32   add 0, update 1, delete 2
//! NFTA_DYNSET_SREG_KEY     4  be32
//! NFTA_DYNSET_SREG_DATA    5  be32   of a map
//! NFTA_DYNSET_TIMEOUT      6  be64   milliseconds
//! NFTA_DYNSET_EXPR         7  expression of the element
//! NFTA_DYNSET_PAD          8  padding
//! NFTA_DYNSET_FLAGS        9  be32   inverted 1, several expressions 2
//! NFTA_DYNSET_EXPRESSIONS 10  list of expressions, if there are several
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_dynset_attributes`.

use std::time::Duration;

use super::prelude::*;
use super::stateful::Stateful;
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, EitherField, Field};

wire_enum! {
    #[doc(alias = "nft_dynset_ops")]
    DynsetOp: u32 {
        Add = 0,
        /// Adds the element, or restarts its timeout if it exists.
        Update = 1,
        Delete = 2,
    }
}

wire_flags! {
    #[doc(alias = "nft_dynset_flags")]
    DynsetFlags: u32 {
        /// Matches if the set is full, instead of if the element was added.
        INVERTED = 1,
        /// The element has several expressions, as a list.
        SEVERAL_EXPRESSIONS = 2,
    }
}

attribute_table! {
    strict struct Dynset {
        key: Register = 4,
        data: Option<Register> = 5,
        op: DynsetOp = 3,
        /// The timeout, if it differs from the set's.
        timeout: Duration = 6 unless_default,
        set: String = 1,
        set_id: Option<u32> = 2,
        each: ElementExpressions = inline,
    } padding 8
}

impl Dynset {
    pub(crate) fn new(op: DynsetOp, set: &str, key: Register) -> Self {
        let (timeout, set, each) = (Duration::ZERO, set.to_owned(), ElementExpressions::default());
        Self { key, data: None, op, timeout, set, set_id: None, each }
    }
}

/// The expressions of the element, and the flags. One flag says that there are several expressions:
/// the kernel requires the flag, but does not list it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ElementExpressions {
    pub(crate) expressions: Vec<Stateful>,
    pub(crate) inverted: bool,
}

impl Codec for ElementExpressions {
    const KNOWN: u64 = 1 << 7 | 1 << 9 | 1 << 10;

    fn encode(&self, out: &mut Writer<'_>) {
        let mut flags = DynsetFlags::empty();
        flags.set(DynsetFlags::INVERTED, self.inverted);
        flags.set(DynsetFlags::SEVERAL_EXPRESSIONS, self.expressions.len() > 1);
        EitherField::write(&self.expressions, out, 7, 10);
        Some(flags).filter(|flags| !flags.is_empty()).write(out, 9);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let expressions = EitherField::read(attributes.get(7), attributes.get(10))?;
        let flags = attributes.strict::<Option<DynsetFlags>>(9)?.unwrap_or_default();
        Some(Self { expressions, inverted: flags.contains(DynsetFlags::INVERTED) })
    }
}

impl From<Vec<Stateful>> for ElementExpressions {
    fn from(expressions: Vec<Stateful>) -> Self {
        Self { expressions, inverted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::expr::counter::Counter;
    use crate::wire::nft::expr::limit::Limit;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
    //   'add set ip t s { type ipv4_addr; flags dynamic, timeout; }' 'add rule ip t c …'

    fn dynset(op: DynsetOp) -> Dynset {
        Dynset { set_id: Some(1), ..Dynset::new(op, "s", R1) }
    }

    #[test]
    fn elements_as_nft_sends_them() {
        // … add @s { ip saddr }
        expression(
            dynset(DynsetOp::Add),
            "34000180 0b000100 64796e73 65740000 24000280 08000400 00000001 08000300 00000000
             06000100 73000000 08000200 00000001",
        );
        // … update @s { ip saddr timeout 60s }
        expression(
            Dynset { timeout: Duration::from_secs(60), ..dynset(DynsetOp::Update) },
            "40000180 0b000100 64796e73 65740000 30000280 08000400 00000001 08000300 00000001
             0c000600 00000000 0000ea60 06000100 73000000 08000200 00000001",
        );
        // … delete @s { ip saddr }
        expression(
            dynset(DynsetOp::Delete),
            "34000180 0b000100 64796e73 65740000 24000280 08000400 00000001 08000300 00000002
             06000100 73000000 08000200 00000001",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add map ip t m { type ipv4_addr : inet_service; flags dynamic; }' \
        //   'add rule ip t c update @m { ip saddr : tcp dport }'
        let map = Dynset { set: "m".to_owned(), data: Some(R2), ..dynset(DynsetOp::Update) };
        expression(
            map,
            "3c000180 0b000100 64796e73 65740000 2c000280 08000400 00000001 08000500 00000002
             08000300 00000001 06000100 6d000000 08000200 00000001",
        );
    }

    #[test]
    fn elements_with_expressions_as_nft_sends_them() {
        // … update @s { ip saddr limit rate 5/second }
        let limit = Limit { rate: 5, burst: 5, ..Limit::default() };
        let one = vec![limit.into()];
        expression(
            Dynset { each: one.into(), ..dynset(DynsetOp::Update) },
            "78000180 0b000100 64796e73 65740000 68000280 08000400 00000001 08000300 00000001
             06000100 73000000 08000200 00000001
             44000780 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
             0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000",
        );
        // … add @s { ip saddr counter limit rate 5/second }
        let several = vec![Counter::default().into(), limit.into()];
        expression(
            Dynset { each: several.into(), ..dynset(DynsetOp::Add) },
            "98000180 0b000100 64796e73 65740000 88000280 08000400 00000001 08000300 00000000
             06000100 73000000 08000200 00000001
             5c000a80 14000180 0c000100 636f756e 74657200 04000280
             44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
             0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000
             08000900 00000002",
        );
    }
}
