//! `flow_offload`: adds the packet's connection to a flowtable; later packets bypass the rules.
//!
//! ```text
//! NFTA_FLOW_TABLE_NAME  1  string
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_offload_attributes`.

use super::prelude::*;

attribute_table! {
    strict struct FlowOffload {
        flowtable: String = 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add flowtable ip t f { hook ingress priority 0; devices = { lo }; }' \
        //   'add rule ip t c flow add @f'
        expression(
            FlowOffload { flowtable: "f".to_owned() },
            "24000180 11000100 666c6f77 5f6f6666 6c6f6164 00000000
             0c000280 06000100 66000000",
        );
    }
}
