//! A flowtable: connections that go from device to device past the rules.
//!
//! ```text
//! NFTA_FLOWTABLE_TABLE   1  string
//! NFTA_FLOWTABLE_NAME    2  string
//! NFTA_FLOWTABLE_HOOK    3  nest
//!   NFTA_FLOWTABLE_HOOK_NUM       1  be32   ingress 0
//!   NFTA_FLOWTABLE_HOOK_PRIORITY  2  be32   signed
//!   NFTA_FLOWTABLE_HOOK_DEVS      3  list of names, see hook.rs
//! NFTA_FLOWTABLE_USE     4  be32     how many rules use it
//! NFTA_FLOWTABLE_HANDLE  5  be64
//! NFTA_FLOWTABLE_FLAGS   7  be32     hardware offload 1, counter 2
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_flowtable_attributes`.

use bitflags::bitflags;

use super::codec::{Codec, Field, flags_field};
use super::hook::{Devices, Priority};
use crate::wire::attribute::{Attribute, Attributes, Writer};

const NFTA_FLOWTABLE_TABLE: u16 = 1;
const NFTA_FLOWTABLE_NAME: u16 = 2;
const NFTA_FLOWTABLE_HOOK: u16 = 3;
const NFTA_FLOWTABLE_USE: u16 = 4;
const NFTA_FLOWTABLE_HANDLE: u16 = 5;
const NFTA_FLOWTABLE_FLAGS: u16 = 7;
const NFTA_FLOWTABLE_HOOK_NUM: u16 = 1;
const NFTA_FLOWTABLE_HOOK_PRIORITY: u16 = 2;
const NFTA_FLOWTABLE_HOOK_DEVS: u16 = 3;

const NF_NETDEV_INGRESS: u32 = 0;

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "nft_flowtable_flags")]
    pub(crate) struct FlowtableFlags: u32 {
        const HARDWARE_OFFLOAD = 1;
        const COUNTER = 2;
        const _ = !0;
    }
}
flags_field!(FlowtableFlags: u32);

/// What a message says of a flowtable: to make one all that it is, to delete one a name or handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flowtable {
    pub(crate) table: String,
    pub(crate) name: Option<String>,
    pub(crate) handle: Option<u64>,
    pub(crate) hook: Option<FlowtableHook>,
    pub(crate) flags: Option<FlowtableFlags>,
    /// Only the kernel tells.
    pub(crate) use_count: Option<u32>,
}

impl Flowtable {
    pub(crate) fn by_name(table: &str, name: &str) -> Self {
        Self { table: table.to_owned(), name: Some(name.to_owned()), ..Self::default() }
    }

    pub(crate) fn by_handle(table: &str, handle: u64) -> Self {
        Self { table: table.to_owned(), handle: Some(handle), ..Self::default() }
    }
}

/// The ingress of the devices; there is no other hook for a flowtable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FlowtableHook {
    pub(crate) priority: Priority,
    pub(crate) devices: Devices,
}

impl Field for FlowtableHook {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        let hook = attribute.nested();
        Some(Self {
            priority: hook.field(NFTA_FLOWTABLE_HOOK_PRIORITY).unwrap_or_default(),
            devices: hook.field(NFTA_FLOWTABLE_HOOK_DEVS).unwrap_or_default(),
        })
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |hook| {
            hook.field(NFTA_FLOWTABLE_HOOK_NUM, &NF_NETDEV_INGRESS);
            hook.field(NFTA_FLOWTABLE_HOOK_PRIORITY, &self.priority);
            hook.field(NFTA_FLOWTABLE_HOOK_DEVS, &self.devices);
        });
    }
}

impl Codec for Flowtable {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_FLOWTABLE_TABLE, &self.table);
        out.optional(NFTA_FLOWTABLE_NAME, self.name.as_ref());
        out.optional(NFTA_FLOWTABLE_HANDLE, self.handle.as_ref());
        out.optional(NFTA_FLOWTABLE_HOOK, self.hook.as_ref());
        out.optional(NFTA_FLOWTABLE_FLAGS, self.flags.as_ref());
        out.optional(NFTA_FLOWTABLE_USE, self.use_count.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            table: attributes.field(NFTA_FLOWTABLE_TABLE)?,
            name: attributes.field(NFTA_FLOWTABLE_NAME),
            handle: attributes.field(NFTA_FLOWTABLE_HANDLE),
            hook: attributes.field(NFTA_FLOWTABLE_HOOK),
            flags: attributes.field(NFTA_FLOWTABLE_FLAGS),
            use_count: attributes.field(NFTA_FLOWTABLE_USE),
        })
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
                hook: Some(FlowtableHook { priority: Priority(5), devices }),
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
                hook: Some(FlowtableHook { priority: Priority::FILTER, devices }),
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
