//! The generation of a ruleset: a number that changes with each transaction.
//!
//! ```text
//! NFTA_GEN_ID         1  be32
//! NFTA_GEN_PROC_PID   2  be32     process id of the program that changed the ruleset, in a notification
//! NFTA_GEN_PROC_NAME  3  string
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_gen_attributes`.

use super::codec::attribute_table;

attribute_table! {
    #[derive(Default)]
    lenient struct Generation {
        id: u32 = 1,
        process: Option<u32> = 2,
        process_name: Option<String> = 3,
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
