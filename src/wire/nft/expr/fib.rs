//! `fib`: looks up the packet's addresses in the routing table.
//!
//! ```text
//! NFTA_FIB_DREG    1  be32
//! NFTA_FIB_RESULT  2  be32   interface index 1, interface name 2, address type 3
//! NFTA_FIB_FLAGS   3  be32
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_fib_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_fib_result")]
    FibResult: u32 {
        OutputIndex = 1,
        OutputName = 2,
        /// The route type, a number of `RTN_*` in host byte order: local 2, broadcast 3.
        AddressType = 3,
    }
}

wire_flags! {
    /// The fields of the packet that the route look-up uses, and a flag.
    #[doc(alias = "nft_fib_flags")]
    FibFlags: u32 {
        SOURCE = 1,
        DESTINATION = 1 << 1,
        MARK = 1 << 2,
        INPUT = 1 << 3,
        OUTPUT = 1 << 4,
        /// Loads only whether there is a route.
        PRESENT = 1 << 5,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Fib {
        flags: FibFlags = 3,
        result: FibResult = 2,
        dreg: Register = 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c fib daddr type local'
        expression(
            Fib { dreg: R1, result: FibResult::AddressType, flags: FibFlags::DESTINATION },
            "28000180 08000100 66696200 1c000280
             08000300 00000002 08000200 00000003 08000100 00000001",
        );
        // The same with: fib saddr . iif oif missing
        let flags = FibFlags::SOURCE | FibFlags::INPUT | FibFlags::PRESENT;
        expression(
            Fib { dreg: R1, result: FibResult::OutputIndex, flags },
            "28000180 08000100 66696200 1c000280
             08000300 00000029 08000200 00000001 08000100 00000001",
        );
        // The same with: fib saddr . mark oifname eth0
        let flags = FibFlags::SOURCE | FibFlags::MARK;
        expression(
            Fib { dreg: R1, result: FibResult::OutputName, flags },
            "28000180 08000100 66696200 1c000280
             08000300 00000005 08000200 00000002 08000100 00000001",
        );
    }
}
