//! `nat`: rewrites the source or destination to the content of registers.
//!
//! ```text
//! NFTA_NAT_TYPE           1  be32   source 0, destination 1
//! NFTA_NAT_FAMILY         2  be32   ip or ip6
//! NFTA_NAT_REG_ADDR_MIN   3  be32   register of the first address
//! NFTA_NAT_REG_ADDR_MAX   4  be32   register of the last address
//! NFTA_NAT_REG_PROTO_MIN  5  be32   register of the first port
//! NFTA_NAT_REG_PROTO_MAX  6  be32   register of the last port
//! NFTA_NAT_FLAGS          7  be32
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_nat_attributes`; flags: `nf_nat.h`.

use super::prelude::*;
use crate::wire::nft::message::Family;

wire_enum! {
    #[doc(alias = "nft_nat_types")]
    NatType: u32 {
        Source = 0,
        Destination = 1,
    }
}

wire_flags! {
    /// The flags of `nat`, `masq` and `redir`.
    #[doc(alias = "NF_NAT_RANGE_MAP_IPS")]
    NatFlags: u32 {
        MAP_ADDRESSES = 1,
        /// Registers have a port.
        PORT_SPECIFIED = 1 << 1,
        RANDOM = 1 << 2,
        /// A client gets the same address for all its connections.
        PERSISTENT = 1 << 3,
        FULLY_RANDOM = 1 << 4,
        PORT_OFFSET = 1 << 5,
        /// Maps one prefix to another and keeps the host part.
        #[doc(alias = "NF_NAT_RANGE_NETMAP")]
        PREFIX = 1 << 6,
    }
}

attribute_table! {
    #[derive(Copy)]
    strict struct Nat {
        kind: NatType = 1,
        family: Family = 2,
        address_min: Option<Register> = 3,
        address_max: Option<Register> = 4,
        port_min: Option<Register> = 5,
        port_max: Option<Register> = 6,
        flags: NatFlags = 7 unless_default,
    }
}

impl Nat {
    /// Rewrites to the address in a register.
    pub(crate) fn to_address(kind: NatType, family: Family, address: Register) -> Self {
        Self {
            kind,
            family,
            address_min: Some(address),
            address_max: None,
            port_min: None,
            port_max: None,
            flags: NatFlags::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2, R3, Slot1};
    use crate::wire::nft::testing::expression;

    #[test]
    fn addresses_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c snat to 10.0.0.1'
        let source = Nat::to_address(NatType::Source, Family::Ip, R1);
        expression(
            source,
            "28000180 08000100 6e617400 1c000280
             08000100 00000000 08000200 00000002 08000300 00000001",
        );
        // The same with: snat to 10.0.0.1-10.0.0.5 persistent
        expression(
            Nat { address_max: Some(R2), flags: NatFlags::PERSISTENT, ..source },
            "38000180 08000100 6e617400 2c000280
             08000100 00000000 08000200 00000002 08000300 00000001 08000400 00000002
             08000700 00000008",
        );
        // The same with: snat prefix to ip saddr map { 10.0.0.0/24 : 10.1.0.0/24 }
        expression(
            Nat { address_max: Some(Slot1), flags: NatFlags::PREFIX, ..source },
            "38000180 08000100 6e617400 2c000280
             08000100 00000000 08000200 00000002 08000300 00000001 08000400 00000009
             08000700 00000040",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c dnat ip6 to fd00::1'
        expression(
            Nat::to_address(NatType::Destination, Family::Ip6, R1),
            "28000180 08000100 6e617400 1c000280
             08000100 00000001 08000200 0000000a 08000300 00000001",
        );
    }

    #[test]
    fn ports_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c ip protocol tcp dnat to 10.0.0.1:80-90 random'
        let destination = Nat::to_address(NatType::Destination, Family::Ip, R1);
        expression(
            Nat {
                port_min: Some(R2),
                port_max: Some(R3),
                flags: NatFlags::PORT_SPECIFIED | NatFlags::RANDOM,
                ..destination
            },
            "40000180 08000100 6e617400 34000280
             08000100 00000001 08000200 00000002 08000300 00000001 08000500 00000002
             08000600 00000003 08000700 00000006",
        );
        // The same with: dnat to tcp dport map { 80 : 10.0.0.1 . 8080 }
        expression(
            Nat { port_min: Some(Slot1), ..destination },
            "30000180 08000100 6e617400 24000280
             08000100 00000001 08000200 00000002 08000300 00000001 08000500 00000009",
        );
    }
}
