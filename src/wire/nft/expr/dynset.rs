//! `dynset`: adds an element to a set, or deletes one, for each packet.
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
//! NFTA_DYNSET_EXPRESSIONS 10  list of them, when there are several
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_dynset_attributes`.

use std::time::Duration;

use bitflags::bitflags;

use super::stateful::Stateful;
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, EitherField, Field, flags_field, up_to, wire_enum};
use crate::wire::nft::register::Register;

const NFTA_DYNSET_SET_NAME: u16 = 1;
const NFTA_DYNSET_SET_ID: u16 = 2;
const NFTA_DYNSET_OP: u16 = 3;
const NFTA_DYNSET_SREG_KEY: u16 = 4;
const NFTA_DYNSET_SREG_DATA: u16 = 5;
const NFTA_DYNSET_TIMEOUT: u16 = 6;
const NFTA_DYNSET_EXPR: u16 = 7;
const NFTA_DYNSET_FLAGS: u16 = 9;
const NFTA_DYNSET_EXPRESSIONS: u16 = 10;

wire_enum! {
    #[doc(alias = "nft_dynset_ops")]
    DynsetOp: u32 {
        Add = 0,
        /// Adds the element, or restarts its timeout.
        Update = 1,
        Delete = 2,
    }
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_dynset_flags")]
    pub(crate) struct DynsetFlags: u32 {
        /// Matches if the set is full.
        const INVERTED = 1;
        /// Derived from the number of expressions.
        const SEVERAL_EXPRESSIONS = 2;
    }
}
flags_field!(DynsetFlags: u32);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dynset {
    pub(crate) op: DynsetOp,
    pub(crate) set: String,
    pub(crate) set_id: Option<u32>,
    pub(crate) key: Register,
    pub(crate) data: Option<Register>,
    /// The timeout, if it differs from the set's.
    pub(crate) timeout: Option<Duration>,
    pub(crate) inverted: bool,
    pub(crate) expressions: Vec<Stateful>,
}

impl Dynset {
    pub(crate) fn new(op: DynsetOp, set: &str, key: Register) -> Self {
        Self {
            op,
            set: set.to_owned(),
            set_id: None,
            key,
            data: None,
            timeout: None,
            inverted: false,
            expressions: Vec::new(),
        }
    }

    fn flags(&self) -> DynsetFlags {
        let mut flags = DynsetFlags::empty();
        flags.set(DynsetFlags::INVERTED, self.inverted);
        flags.set(DynsetFlags::SEVERAL_EXPRESSIONS, self.expressions.len() > 1);
        flags
    }
}

impl Codec for Dynset {
    const KNOWN: u64 = up_to(NFTA_DYNSET_EXPRESSIONS);

    fn encode(&self, out: &mut Writer<'_>) {
        self.key.write(out, NFTA_DYNSET_SREG_KEY);
        self.data.write(out, NFTA_DYNSET_SREG_DATA);
        self.op.write(out, NFTA_DYNSET_OP);
        self.timeout.write(out, NFTA_DYNSET_TIMEOUT);
        self.set.write(out, NFTA_DYNSET_SET_NAME);
        self.set_id.write(out, NFTA_DYNSET_SET_ID);
        EitherField::write(&self.expressions, out, NFTA_DYNSET_EXPR, NFTA_DYNSET_EXPRESSIONS);
        if !self.flags().is_empty() {
            self.flags().write(out, NFTA_DYNSET_FLAGS);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let one = attributes.get(NFTA_DYNSET_EXPR);
        let several = attributes.get(NFTA_DYNSET_EXPRESSIONS);
        let flags: Option<DynsetFlags> = attributes.strict(NFTA_DYNSET_FLAGS)?;
        let timeout: Option<Duration> = attributes.strict(NFTA_DYNSET_TIMEOUT)?;
        Some(Self {
            op: attributes.strict(NFTA_DYNSET_OP)?,
            set: attributes.strict(NFTA_DYNSET_SET_NAME)?,
            set_id: attributes.strict(NFTA_DYNSET_SET_ID)?,
            key: attributes.strict(NFTA_DYNSET_SREG_KEY)?,
            data: attributes.strict(NFTA_DYNSET_SREG_DATA)?,
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            inverted: flags.is_some_and(|flags| flags.contains(DynsetFlags::INVERTED)),
            expressions: EitherField::read(one, several)?,
        })
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
            Dynset { timeout: Some(Duration::from_secs(60)), ..dynset(DynsetOp::Update) },
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
            Dynset { expressions: one, ..dynset(DynsetOp::Update) },
            "78000180 0b000100 64796e73 65740000 68000280 08000400 00000001 08000300 00000001
             06000100 73000000 08000200 00000001
             44000780 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
             0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000",
        );
        // … add @s { ip saddr counter limit rate 5/second }
        let several = vec![Counter::default().into(), limit.into()];
        expression(
            Dynset { expressions: several, ..dynset(DynsetOp::Add) },
            "98000180 0b000100 64796e73 65740000 88000280 08000400 00000001 08000300 00000000
             06000100 73000000 08000200 00000001
             5c000a80 14000180 0c000100 636f756e 74657200 04000280
             44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
             0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000
             08000900 00000002",
        );
    }
}
