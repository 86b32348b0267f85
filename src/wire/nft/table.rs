//! A table: chains, sets and objects of one family.
//!
//! ```text
//! NFTA_TABLE_NAME      1  string
//! NFTA_TABLE_FLAGS     2  be32     dormant 1, owner 2, persist 4
//! NFTA_TABLE_USE       3  be32     the number of objects in it
//! NFTA_TABLE_HANDLE    4  be64
//! NFTA_TABLE_USERDATA  6  bytes
//! NFTA_TABLE_OWNER     7  be32     netlink port of the socket that owns it
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_table_attributes`.

use super::codec::{attribute_table, wire_flags};
use super::userdata::UserData;

wire_flags! {
    #[doc(alias = "nft_table_flags")]
    TableFlags: u32, 0xffff_ffff {
        /// The chains of the table see no packets.
        DORMANT = 1,
        /// Only the socket that created the table may change it, and closing the socket deletes the
        /// table. Since Linux 5.12.
        OWNER = 2,
        /// The table outlives its owner, and another socket can then own it. Since Linux 6.9.
        PERSIST = 4,
    }
}

attribute_table! {
    /// A table in a message. A new table needs a name and flags; a deletion needs a name or a
    /// handle.
    #[derive(Default)]
    lenient struct Table {
        name: Option<String> = 1,
        handle: Option<u64> = 4,
        flags: Option<TableFlags> = 2,
        userdata: Option<UserData> = 6,
        /// The number of objects in the table; sent by the kernel only.
        use_count: Option<u32> = 3,
        /// The netlink port of the owner; sent by the kernel only.
        owner: Option<u32> = 7,
    }
}

impl Table {
    pub(crate) fn by_name(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    pub(crate) fn by_handle(handle: u64) -> Self {
        Self { handle: Some(handle), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::Attributes;
    use crate::wire::nft::codec::Codec;
    use crate::wire::nft::testing::{hex, object};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t'
        let new = Table { flags: Some(TableFlags::empty()), ..Table::by_name("t") };
        object(&new, "06000100 74000000 08000200 00000000");
        // tools/nft-bytes 'add table inet t { flags dormant; comment "a table"; }'
        let dormant = Table {
            flags: Some(TableFlags::DORMANT),
            userdata: UserData::comment("a table"),
            ..Table::by_name("t")
        };
        object(&dormant, "06000100 74000000 08000200 00000001 0e000600 00086120 7461626c 65000000");
        // tools/nft-bytes 'add table ip t' 'delete table ip t'
        object(&Table::by_name("t"), "06000100 74000000");
        // tools/nft-bytes 'add table ip t' 'delete table ip handle 1'
        object(&Table::by_handle(1), "0c000400 00000000 00000001");
    }

    #[test]
    fn what_only_the_kernel_tells_is_read() {
        let held = Table {
            flags: Some(TableFlags::OWNER | TableFlags::PERSIST),
            use_count: Some(3),
            owner: Some(0x1234),
            ..Table::by_name("t")
        };
        object(&held, "06000100 74000000 08000200 00000006 08000300 00000003 08000700 00001234");
    }

    #[test]
    fn an_attribute_nobody_knows_is_skipped_and_a_flag_kept() {
        let bytes = hex("06000100 74000000 08006300 00000001 08000200 00000100");
        let table = Table::decode(Attributes::new(&bytes)).unwrap();
        assert_eq!(table.name.as_deref(), Some("t"));
        assert_eq!(table.flags.map(|flags| flags.bits()), Some(0x100));
    }
}
