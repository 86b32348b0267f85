//! A rule: expressions that are evaluated in order until one does not match.
//!
//! ```text
//! NFTA_RULE_TABLE         1  string
//! NFTA_RULE_CHAIN         2  string
//! NFTA_RULE_HANDLE        3  be64
//! NFTA_RULE_EXPRESSIONS   4  list of expressions, see expr/mod.rs
//! NFTA_RULE_COMPAT        5  nest     in rules of iptables-nft; not read
//! NFTA_RULE_POSITION      6  be64     handle of the rule to add before or after
//! NFTA_RULE_USERDATA      7  bytes
//! NFTA_RULE_ID            9  be32     number of a rule in this batch
//! NFTA_RULE_POSITION_ID  10  be32     number, in this batch, of the rule to add before or after
//! NFTA_RULE_CHAIN_ID     11  be32     number of a chain in this batch; never listed, and not read
//! ```
//!
//! With `NLM_F_APPEND` a rule is added after the rule at `NFTA_RULE_POSITION`, or at the end of the
//! chain. Without, it is added before that rule, or at the beginning.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_rule_attributes`.

use super::codec::attribute_table;
use super::expr::Expr;
use super::userdata::UserData;

attribute_table! {
    /// A rule in a message.
    ///
    /// A new rule needs a chain and expressions; a deletion needs a handle. A deletion without a
    /// handle deletes all rules of the chain; without a chain too, all rules of the table.
    #[derive(Default)]
    lenient struct Rule {
        table: String = 1,
        chain: Option<String> = 2,
        handle: Option<u64> = 3,
        expressions: Vec<Expr> = 4 unless_default,
        /// In a request, the handle of the rule before or after which to add. In a list, the handle
        /// of the preceding rule.
        position: Option<u64> = 6,
        userdata: Option<UserData> = 7,
        id: Option<u32> = 9,
        position_id: Option<u32> = 10,
    }
}

impl Rule {
    pub(crate) fn new(table: &str, chain: &str, expressions: Vec<Expr>) -> Self {
        Self {
            table: table.to_owned(),
            chain: Some(chain.to_owned()),
            expressions,
            ..Self::default()
        }
    }

    pub(crate) fn by_handle(table: &str, chain: &str, handle: u64) -> Self {
        Self { handle: Some(handle), ..Self::new(table, chain, Vec::new()) }
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
}
