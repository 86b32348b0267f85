//! A chain: a list of rules. A chain with a hook is a base chain.
//!
//! ```text
//! NFTA_CHAIN_TABLE      1  string
//! NFTA_CHAIN_HANDLE     2  be64
//! NFTA_CHAIN_NAME       3  string
//! NFTA_CHAIN_HOOK       4  nest     see hook.rs
//! NFTA_CHAIN_POLICY     5  be32     drop 0, accept 1
//! NFTA_CHAIN_USE        6  be32     the number of rules and of jumps to it
//! NFTA_CHAIN_TYPE       7  string   filter, nat, route
//! NFTA_CHAIN_COUNTERS   8  nest     see expr/counter.rs
//! NFTA_CHAIN_FLAGS     10  be32     base 1, hardware offload 2, binding 4
//! NFTA_CHAIN_ID        11  be32     number of a chain in this batch
//! NFTA_CHAIN_USERDATA  12  bytes
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_chain_attributes`.

use super::codec::{Field, attribute_table, name, named_in_table, wire_enum, wire_flags};
use super::expr::counter::Counter;
use super::hook::ChainHook;
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Writer};

wire_enum! {
    /// The verdict on packets that no rule of a base chain decides on.
    pub Policy: u32 {
        /// Accepts the packet: it continues to the next base chain.
        Accept = 1 "accept",
        /// Drops the packet.
        Drop = 0 "drop",
    }
}

wire_enum! {
    /// The kind of a base chain.
    pub ChainKind {
        /// Accepts and drops packets.
        Filter = "filter",
        /// Translates addresses. Only the first packet of a connection passes these chains.
        Nat = "nat",
        /// Looks up the route again if a rule changed the packet's addresses or mark.
        Route = "route",
    }
}

/// Reads and writes a kind as its word, because messages have the word.
impl Field for ChainKind {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        let word = name(attribute)?;
        Self::ALL.iter().copied().find(|kind| kind.to_string() == word)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.string(kind, &self.to_string());
    }
}

wire_flags! {
    #[doc(alias = "nft_chain_flags")]
    ChainFlags: u32, 0xffff_ffff {
        BASE = 1,
        HARDWARE_OFFLOAD = 2,
        /// A chain without a name, which is created for one rule and deleted with that rule.
        BINDING = 4,
    }
}

attribute_table! {
    /// A chain in a message. A new chain needs a name; a deletion needs a name or a handle.
    #[derive(Default)]
    lenient struct Chain {
        table: String = 1,
        name: Option<String> = 3,
        handle: Option<u64> = 2,
        id: Option<u32> = 11,
        kind: Option<ChainKind> = 7,
        policy: Option<Policy> = 5,
        hook: Option<ChainHook> = 4,
        flags: Option<ChainFlags> = 10,
        userdata: Option<UserData> = 12,
        /// The counter of the packets that the policy decided on.
        counters: Option<Counter> = 8,
        /// The number of references; sent by the kernel only.
        use_count: Option<u32> = 6,
    }
}

named_in_table!(Chain);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::hook::{Hook, Priority};
    use crate::wire::nft::message::Family;
    use crate::wire::nft::testing::object;

    #[test]
    fn a_base_chain_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' \
        //   'add chain ip t c { type nat hook postrouting priority srcnat; }'
        let nat = Chain {
            kind: Some(ChainKind::Nat),
            hook: ChainHook::new(Family::Ip, Hook::Postrouting, Priority::SOURCE_NAT),
            ..Chain::by_name("t", "c")
        };
        object(
            &nat,
            "06000100 74000000 06000300 63000000 08000700 6e617400
             14000480 08000100 00000004 08000200 00000064",
        );
        // tools/nft-bytes 'add table inet t' \
        //   'add chain inet t d { type filter hook prerouting priority -5; policy drop; comment "c"; }'
        let filter = Chain {
            kind: Some(ChainKind::Filter),
            policy: Some(Policy::Drop),
            hook: ChainHook::new(Family::Inet, Hook::Prerouting, Priority(-5)),
            userdata: UserData::comment("c"),
            ..Chain::by_name("t", "d")
        };
        object(
            &filter,
            "06000100 74000000 06000300 64000000 0b000700 66696c74 65720000
             08000500 00000000 14000480 08000100 00000000 08000200 fffffffb
             08000c00 00026300",
        );
    }

    #[test]
    fn a_regular_chain_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c { comment "a chain"; }'
        let regular = Chain { userdata: UserData::comment("a chain"), ..Chain::by_name("t", "c") };
        object(&regular, "06000100 74000000 06000300 63000000 0e000c00 00086120 63686169 6e000000");
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c jump { accept; }'
        let bound = Chain {
            table: "t".to_owned(),
            id: Some(5),
            flags: Some(ChainFlags::BINDING),
            ..Chain::default()
        };
        object(&bound, "06000100 74000000 08000b00 00000005 08000a00 00000004");
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'delete chain ip t handle 1'
        object(&Chain::by_handle("t", 1), "06000100 74000000 0c000200 00000000 00000001");
    }

    #[test]
    fn what_only_the_kernel_tells_is_read() {
        let listed = Chain {
            counters: Some(Counter { packets: 5, bytes: 6 }),
            use_count: Some(2),
            ..Chain::by_name("t", "c")
        };
        object(
            &listed,
            "06000100 74000000 06000300 63000000
             1c000880 0c000100 00000000 00000006 0c000200 00000000 00000005 08000600 00000002",
        );
    }
}
