//! `flow_offload`: puts the packet's connection into a flowtable, so that what follows goes past the
//! rules.
//!
//! ```text
//! NFTA_FLOW_TABLE_NAME  1  string
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_offload_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};

const NFTA_FLOW_TABLE_NAME: u16 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowOffload {
    pub(crate) flowtable: String,
}

impl Codec for FlowOffload {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_FLOW_TABLE_NAME, &self.flowtable);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_FLOW_TABLE_NAME)?;
        Some(Self { flowtable: fields.required(NFTA_FLOW_TABLE_NAME)? })
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
