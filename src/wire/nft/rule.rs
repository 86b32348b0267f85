//! A rule: expressions, one after the other, until one says no.
//!
//! ```text
//! NFTA_RULE_TABLE         1  string
//! NFTA_RULE_CHAIN         2  string
//! NFTA_RULE_HANDLE        3  be64
//! NFTA_RULE_EXPRESSIONS   4  list of expressions, see expr/mod.rs
//! NFTA_RULE_COMPAT        5  nest     of rules made by iptables-nft; not read
//! NFTA_RULE_POSITION      6  be64     handle of the rule to go before or after
//! NFTA_RULE_USERDATA      7  bytes
//! NFTA_RULE_ID            9  be32     number of a rule in this batch
//! NFTA_RULE_POSITION_ID  10  be32     number of the rule in this batch to go before or after
//! NFTA_RULE_CHAIN_ID     11  be32     number of a chain in this batch
//! ```
//!
//! With `NLM_F_APPEND` a rule goes to the end, or after the one at its position; without, to the
//! beginning, or before it.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_rule_attributes`.

use super::codec::Codec;
use super::data::ChainRef;
use super::expr::{self, Expr};
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Attributes, Writer};

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_POSITION: u16 = 6;
const NFTA_RULE_USERDATA: u16 = 7;
const NFTA_RULE_ID: u16 = 9;
const NFTA_RULE_POSITION_ID: u16 = 10;
const NFTA_RULE_CHAIN_ID: u16 = 11;

/// What a message says of a rule: to make one a chain and expressions, to delete one a handle; a
/// deletion without a handle takes all rules of the chain, without a chain all of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) table: String,
    pub(crate) chain: Option<ChainRef>,
    pub(crate) handle: Option<u64>,
    pub(crate) expressions: Vec<Expr>,
    /// In what the kernel lists: the handle of the rule before this one.
    pub(crate) position: Option<u64>,
    pub(crate) userdata: Option<UserData>,
    pub(crate) id: Option<u32>,
    pub(crate) position_id: Option<u32>,
}

impl Rule {
    pub(crate) fn new(table: &str, chain: &str, expressions: Vec<Expr>) -> Self {
        Self { table: table.to_owned(), chain: Some(chain.into()), expressions, ..Self::default() }
    }

    pub(crate) fn by_handle(table: &str, chain: &str, handle: u64) -> Self {
        Self { handle: Some(handle), ..Self::new(table, chain, Vec::new()) }
    }
}

impl Codec for Rule {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_RULE_TABLE, &self.table);
        match &self.chain {
            Some(ChainRef::Name(name)) => out.field(NFTA_RULE_CHAIN, name),
            Some(ChainRef::Id(id)) => out.field(NFTA_RULE_CHAIN_ID, id),
            None => {}
        }
        out.optional(NFTA_RULE_HANDLE, self.handle.as_ref());
        if !self.expressions.is_empty() {
            out.nested(NFTA_RULE_EXPRESSIONS, |list| expr::encode_list(&self.expressions, list));
        }
        out.optional(NFTA_RULE_POSITION, self.position.as_ref());
        out.optional(NFTA_RULE_USERDATA, self.userdata.as_ref());
        out.optional(NFTA_RULE_ID, self.id.as_ref());
        out.optional(NFTA_RULE_POSITION_ID, self.position_id.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let id = || attributes.field(NFTA_RULE_CHAIN_ID).map(ChainRef::Id);
        let expressions = attributes.get(NFTA_RULE_EXPRESSIONS).map(Attribute::nested);
        Some(Self {
            table: attributes.field(NFTA_RULE_TABLE)?,
            chain: attributes.field(NFTA_RULE_CHAIN).map(ChainRef::Name).or_else(id),
            handle: attributes.field(NFTA_RULE_HANDLE),
            expressions: expressions.map(expr::decode_list).unwrap_or_default(),
            position: attributes.field(NFTA_RULE_POSITION),
            userdata: attributes.field(NFTA_RULE_USERDATA),
            id: attributes.field(NFTA_RULE_ID),
            position_id: attributes.field(NFTA_RULE_POSITION_ID),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::data::{Value, Verdict};
    use crate::wire::nft::expr::cmp::{Cmp, Comparison};
    use crate::wire::nft::expr::counter::Counter;
    use crate::wire::nft::expr::immediate::Immediate;
    use crate::wire::nft::expr::masq::Masq;
    use crate::wire::nft::expr::meta::{Meta, MetaKey};
    use crate::wire::nft::expr::payload::{Payload, PayloadBase};
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::object;

    #[test]
    fn a_whole_rule_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c oifname "eth0" ip saddr 10.0.0.0/24 counter masquerade comment "hi"'
        let source = Payload::load(R1, PayloadBase::Network, 12, 3);
        let equals = |value| Cmp { sreg: R1, op: Comparison::Equal, data: value };
        let masquerade = Rule {
            userdata: UserData::comment("hi"),
            ..Rule::new(
                "t",
                "c",
                vec![
                    Meta::Load { dreg: R1, key: MetaKey::OutputName }.into(),
                    equals(Value::interface("eth0").unwrap()).into(),
                    source.into(),
                    equals(Value::new(&[10, 0, 0]).unwrap()).into(),
                    Counter::default().into(),
                    Masq::default().into(),
                ],
            )
        };
        object(
            &masquerade,
            "06000100 74000000 06000200 63000000 e8000480
             24000180 09000100 6d657461 00000000 14000280 08000200 00000007 08000100 00000001
             38000180 08000100 636d7000 2c000280 08000100 00000001 08000200 00000000
             18000380 14000100 65746830 00000000 00000000 00000000
             34000180 0c000100 7061796c 6f616400 24000280
             08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000003
             2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000
             0c000380 07000100 0a000000
             14000180 0c000100 636f756e 74657200 04000280
             14000180 09000100 6d617371 00000000 04000280
             09000700 00036869 00000000",
        );
    }

    #[test]
    fn a_place_in_the_chain_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c handle 7 return'
        let after = Rule {
            position: Some(7),
            ..Rule::new("t", "c", vec![Immediate::verdict(Verdict::Return).into()])
        };
        object(
            &after,
            "06000100 74000000 06000200 63000000 34000480 30000180 0e000100 696d6d65 64696174
             65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 fffffffb
             0c000600 00000000 00000007",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'replace rule ip t c handle 3 accept'
        let replaced = Rule {
            expressions: vec![Immediate::verdict(Verdict::Accept).into()],
            ..Rule::by_handle("t", "c", 3)
        };
        object(
            &replaced,
            "06000100 74000000 06000200 63000000 0c000300 00000000 00000003
             34000480 30000180 0e000100 696d6d65 64696174
             65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000001",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'delete rule ip t c handle 3'
        object(
            &Rule::by_handle("t", "c", 3),
            "06000100 74000000 06000200 63000000 0c000300 00000000 00000003",
        );
    }

    #[test]
    fn a_rule_of_a_chain_made_in_the_same_batch() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c jump { accept; }'
        let bound = Rule {
            table: "t".to_owned(),
            chain: Some(ChainRef::Id(5)),
            expressions: vec![Immediate::verdict(Verdict::Accept).into()],
            ..Rule::default()
        };
        object(
            &bound,
            "06000100 74000000 08000b00 00000005 34000480 30000180 0e000100 696d6d65 64696174
             65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000001",
        );
    }
}
