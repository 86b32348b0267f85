//! `rt`: loads a property of the packet's route.
//!
//! ```text
//! NFTA_RT_DREG  1  be32
//! NFTA_RT_KEY   2  be32
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_rt_attributes`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_rt_keys")]
    RtKey: u32 {
        Class = 0,
        NextHopIp = 1,
        NextHopIp6 = 2,
        /// The maximum segment size that fits the route's MTU, in host byte order.
        TcpMss = 3,
        Xfrm = 4,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Rt {
        key: RtKey = 2,
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
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c rt nexthop 10.0.0.1'
        expression(
            Rt { dreg: R1, key: RtKey::NextHopIp },
            "20000180 07000100 72740000 14000280 08000200 00000001 08000100 00000001",
        );
        // The same with: tcp option maxseg size set rt mtu
        expression(
            Rt { dreg: R1, key: RtKey::TcpMss },
            "20000180 07000100 72740000 14000280 08000200 00000003 08000100 00000001",
        );
    }
}
