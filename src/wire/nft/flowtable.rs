//! A flowtable: connections between devices that are forwarded without passing the rules.
//!
//! ```text
//! NFTA_FLOWTABLE_TABLE   1  string
//! NFTA_FLOWTABLE_NAME    2  string
//! NFTA_FLOWTABLE_HOOK    3  nest
//!   NFTA_FLOWTABLE_HOOK_NUM       1  be32   ingress 0
//!   NFTA_FLOWTABLE_HOOK_PRIORITY  2  be32   signed
//!   NFTA_FLOWTABLE_HOOK_DEVS      3  list of names, see hook.rs
//! NFTA_FLOWTABLE_USE     4  be32     the number of rules that use it
//! NFTA_FLOWTABLE_HANDLE  5  be64
//! NFTA_FLOWTABLE_FLAGS   7  be32     hardware offload 1, counter 2
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_flowtable_attributes`.

use super::codec::{attribute_table, named_in_table, wire_flags};
use super::hook::{Devices, Priority};

wire_flags! {
    #[doc(alias = "nft_flowtable_flags")]
    FlowtableFlags: u32, 0xffff_ffff {
        HARDWARE_OFFLOAD = 1,
        COUNTER = 2,
    }
}

attribute_table! {
    /// A flowtable in a message. A deletion only needs a name or a handle.
    #[derive(Default)]
    lenient struct Flowtable {
        table: String = 1,
        name: Option<String> = 2,
        handle: Option<u64> = 5,
        hook: Option<FlowtableHook> = 3,
        flags: Option<FlowtableFlags> = 7,
        /// The number of references; sent by the kernel only.
        use_count: Option<u32> = 4,
    }
}

named_in_table!(Flowtable);

attribute_table! {
    /// The hook: the ingress of the devices. The kernel has no other hook for flowtables.
    #[derive(Default)]
    lenient struct FlowtableHook {
        /// The number of the ingress hook: 0.
        number: u32 = 1 or_default,
        priority: Priority = 2 or_default,
        devices: Devices = 3 or_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::object;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table inet t' 'add flowtable inet t f
        //   { hook ingress priority filter + 5; devices = { lo }; flags offload; counter; }'
        let devices = Devices(vec!["lo".to_owned()]);
        object(
            &Flowtable {
                hook: Some(FlowtableHook { priority: Priority(5), devices, ..Default::default() }),
                flags: Some(FlowtableFlags::HARDWARE_OFFLOAD | FlowtableFlags::COUNTER),
                ..Flowtable::by_name("t", "f")
            },
            "06000100 74000000 06000200 66000000
             20000380 08000100 00000000 08000200 00000005 0c000380 07000100 6c6f0000
             08000700 00000003",
        );
        // The same with: devices = { lo, eth0 }, and priority 0
        let devices = Devices(vec!["eth0".to_owned(), "lo".to_owned()]);
        object(
            &Flowtable {
                hook: Some(FlowtableHook { devices, ..Default::default() }),
                flags: Some(FlowtableFlags::empty()),
                ..Flowtable::by_name("t", "f")
            },
            "06000100 74000000 06000200 66000000
             2c000380 08000100 00000000 08000200 00000000
             18000380 09000100 65746830 00000000 07000100 6c6f0000 08000700 00000000",
        );
        // tools/nft-bytes 'add table inet t' 'delete flowtable inet t handle 3'
        object(&Flowtable::by_handle("t", 3), "06000100 74000000 0c000500 00000000 00000003");
    }
}
