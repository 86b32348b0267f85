//! `meta`: loads or sets metadata of the packet.
//!
//! ```text
//! NFTA_META_DREG  1  be32
//! NFTA_META_KEY   2  be32
//! NFTA_META_SREG  3  be32   to set
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_meta_attributes`, `nft_meta_keys`.

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_meta_keys")]
    MetaKey: u32 {
        Length = 0,
        Protocol = 1,
        Priority = 2,
        Mark = 3,
        InputIndex = 4,
        OutputIndex = 5,
        InputName = 6,
        OutputName = 7,
        InputType = 8,
        OutputType = 9,
        SocketUser = 10,
        SocketGroup = 11,
        Trace = 12,
        RoutingClass = 13,
        SecurityMark = 14,
        NetfilterProtocol = 15,
        Layer4Protocol = 16,
        BridgeInputName = 17,
        BridgeOutputName = 18,
        PacketType = 19,
        Cpu = 20,
        InputGroup = 21,
        OutputGroup = 22,
        Cgroup = 23,
        Random = 24,
        SecurityPath = 25,
        InputKind = 26,
        OutputKind = 27,
        BridgeInputPvid = 28,
        BridgeInputVlanProtocol = 29,
        TimeNanoseconds = 30,
        TimeDay = 31,
        TimeHour = 32,
        SlaveIndex = 33,
        SlaveName = 34,
        BridgeRoute = 35,
    }
}

attribute_table! {
    #[derive(Copy)]
    enum Meta {
        Load { key: MetaKey = 2, dreg: Register = 1 },
        Set { key: MetaKey = 2, sreg: Register = 3 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c oifname "eth0"'
        expression(
            Meta::Load { dreg: R1, key: MetaKey::OutputName },
            "24000180 09000100 6d657461 00000000 14000280 08000200 00000007 08000100 00000001",
        );
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta mark set 0x10'
        expression(
            Meta::Set { sreg: R1, key: MetaKey::Mark },
            "24000180 09000100 6d657461 00000000 14000280 08000200 00000003 08000300 00000001",
        );
    }
}
