//! `queue`: passes the packet to a program, which returns the verdict.
//!
//! ```text
//! NFTA_QUEUE_NUM        1  be16   the first queue
//! NFTA_QUEUE_TOTAL      2  be16   the number of queues
//! NFTA_QUEUE_FLAGS      3  be16   bypass 1, one for each CPU 2
//! NFTA_QUEUE_SREG_QNUM  4  be32   register with the number, instead of the first two
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_queue_attributes`.

use super::prelude::*;

wire_flags! {
    #[doc(alias = "NFT_QUEUE_FLAG_BYPASS")]
    QueueFlags: u16 {
        /// Accepts the packet if no program listens.
        BYPASS = 1,
        /// Chooses the queue by CPU instead of by flow.
        CPU_FANOUT = 2,
    }
}

attribute_table! {
    #[derive(Copy)]
    enum Queue {
        Numbers { first: u16 = 1, total: u16 = 2, flags: QueueFlags = 3 unless_default },
        Register { flags: QueueFlags = 3 unless_default, sreg: Register = 4 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c queue'
        expression(
            Queue::Numbers { first: 0, total: 1, flags: QueueFlags::empty() },
            "24000180 0a000100 71756575 65000000 14000280 06000100 00000000 06000200 00010000",
        );
        // The same with: queue flags fanout,bypass to 1-4
        expression(
            Queue::Numbers { first: 1, total: 4, flags: QueueFlags::all() },
            "2c000180 0a000100 71756575 65000000 1c000280
             06000100 00010000 06000200 00040000 06000300 00030000",
        );
        // The same with: queue to numgen inc mod 4
        expression(
            Queue::Register { sreg: R1, flags: QueueFlags::empty() },
            "1c000180 0a000100 71756575 65000000 0c000280 08000400 00000001",
        );
    }
}
