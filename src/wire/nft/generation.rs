//! The generation: a number that changes with each transaction, so that nobody writes over what he has
//! not read.
//!
//! ```text
//! NFTA_GEN_ID         1  be32
//! NFTA_GEN_PROC_PID   2  be32     of who made the transaction, in a notification
//! NFTA_GEN_PROC_NAME  3  string
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_gen_attributes`.

use super::codec::Codec;
use crate::wire::attribute::{Attributes, Writer};

const NFTA_GEN_ID: u16 = 1;
const NFTA_GEN_PROC_PID: u16 = 2;
const NFTA_GEN_PROC_NAME: u16 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) id: u32,
    pub(crate) process: Option<u32>,
    pub(crate) process_name: Option<String>,
}

impl Codec for Generation {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_GEN_ID, &self.id);
        out.optional(NFTA_GEN_PROC_PID, self.process.as_ref());
        out.optional(NFTA_GEN_PROC_NAME, self.process_name.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            id: attributes.field(NFTA_GEN_ID)?,
            process: attributes.field(NFTA_GEN_PROC_PID),
            process_name: attributes.field(NFTA_GEN_PROC_NAME),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::object;

    #[test]
    fn as_the_kernel_sends_it() {
        // unshare -n nft --debug=mnl list ruleset: the answer to NFT_MSG_GETGEN
        object(
            &Generation { id: 1, process: Some(0xafc8), process_name: Some("nft".to_owned()) },
            "08000100 00000001 08000200 0000afc8 08000300 6e667400",
        );
    }
}
