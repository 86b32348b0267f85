//! `ct`: loads or sets a property of the packet's connection.
//!
//! ```text
//! NFTA_CT_DREG       1  be32
//! NFTA_CT_KEY        2  be32
//! NFTA_CT_DIRECTION  3  u8     original 0, reply 1
//! NFTA_CT_SREG       4  be32   to set
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_ct_attributes`, `nft_ct_keys`; bits:
//! `nf_conntrack_common.h`.

use bitflags::bitflags;

use super::prelude::*;

wire_enum! {
    #[doc(alias = "nft_ct_keys")]
    CtKey: u32 {
        /// See [`CtState`].
        State = 0,
        Direction = 1,
        /// See [`CtStatus`].
        Status = 2,
        Mark = 3,
        SecurityMark = 4,
        Expiration = 5,
        Helper = 6,
        Layer3Protocol = 7,
        Source = 8,
        Destination = 9,
        Protocol = 10,
        SourcePort = 11,
        DestinationPort = 12,
        Labels = 13,
        Packets = 14,
        Bytes = 15,
        AveragePacket = 16,
        Zone = 17,
        EventMask = 18,
        SourceIp = 19,
        DestinationIp = 20,
        SourceIp6 = 21,
        DestinationIp6 = 22,
        Id = 23,
    }
}

bitflags! {
    /// The state of a packet in its connection, a set of bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "NF_CT_STATE_BIT")]
    pub struct CtState: u32 {
        /// The packet belongs to no valid connection.
        const INVALID = 1;
        /// Packets of the connection were seen in both directions.
        const ESTABLISHED = 1 << 1;
        /// The packet is the first of an expected connection, or an ICMP error about a connection.
        const RELATED = 1 << 2;
        /// Packets of the connection were seen in one direction only.
        const NEW = 1 << 3;
        /// The packet is exempt from connection tracking.
        const UNTRACKED = 1 << 6;
    }
}

bitflags! {
    /// The status of a connection, a set of bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "ip_conntrack_status")]
    pub struct CtStatus: u32 {
        /// Another connection announced this connection, for example FTP its data connection.
        const EXPECTED = 1;
        /// Packets were seen in both directions.
        const SEEN_REPLY = 1 << 1;
        /// The kernel keeps the entry even if the table is full.
        const ASSURED = 1 << 2;
        /// The first packet was accepted and left the machine.
        const CONFIRMED = 1 << 3;
        /// The source was translated (SNAT).
        const SOURCE_NAT = 1 << 4;
        /// The destination was translated (DNAT).
        const DESTINATION_NAT = 1 << 5;
        /// The entry is being deleted.
        const DYING = 1 << 9;
    }
}

wire_enum! {
    #[doc(alias = "IP_CT_DIR_ORIGINAL")]
    Direction: u8 {
        Original = 0,
        Reply = 1,
    }
}

attribute_table! {
    #[derive(Copy)]
    enum Ct {
        Load { key: CtKey = 2, dreg: Register = 1, direction: Option<Direction> = 3 },
        Set { key: CtKey = 2, direction: Option<Direction> = 3, sreg: Register = 4 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::R1;
    use crate::wire::nft::testing::expression;

    #[test]
    fn states_have_the_bits_nft_masks_with() {
        // The masks of: ct state established,related; ct status dnat; ct state
        // new,invalid,untracked
        let state = CtState::ESTABLISHED | CtState::RELATED;
        assert_eq!(Value::host_u32(state.bits()).as_slice(), [6, 0, 0, 0]);
        assert_eq!(Value::host_u32(CtStatus::DESTINATION_NAT.bits()).as_slice(), [0x20, 0, 0, 0]);
        let state = CtState::NEW | CtState::INVALID | CtState::UNTRACKED;
        assert_eq!(Value::host_u32(state.bits()).as_slice(), [0x49, 0, 0, 0]);
    }

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c ct state established,related accept'
        expression(
            Ct::Load { dreg: R1, key: CtKey::State, direction: None },
            "20000180 07000100 63740000 14000280 08000200 00000000 08000100 00000001",
        );
        // The same with: ct original ip saddr 10.0.0.1
        let direction = Some(Direction::Original);
        expression(
            Ct::Load { dreg: R1, key: CtKey::SourceIp, direction },
            "28000180 07000100 63740000 1c000280 08000200 00000013 08000100 00000001
             05000300 00000000",
        );
        // The same with: ct mark set 5
        expression(
            Ct::Set { sreg: R1, key: CtKey::Mark, direction: None },
            "20000180 07000100 63740000 14000280 08000200 00000003 08000400 00000001",
        );
        // The same with: ct original zone set 7
        expression(
            Ct::Set { sreg: R1, key: CtKey::Zone, direction },
            "28000180 07000100 63740000 1c000280 08000200 00000011 05000300 00000000
             08000400 00000001",
        );
    }
}
