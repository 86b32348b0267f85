//! Tests of sets and maps against the bytes that `nft` sends.

use super::*;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::limit::Limit;
use crate::wire::nft::testing::object;
use crate::wire::nft::userdata::ByteOrder;

const IPV4_ADDRESS: DataType = DataType(7);
const IPV6_ADDRESS: DataType = DataType(8);
const INTERNET_SERVICE: DataType = DataType(13);
const MARK: DataType = DataType(19);
const INTERFACE_NAME: DataType = DataType(41);

fn set(flags: SetFlags, key_type: DataType, key_len: u32, order: ByteOrder) -> Set {
    Set {
        id: Some(1),
        flags: Some(flags),
        key_type: Some(key_type),
        key_len: Some(key_len),
        userdata: Some(UserData::of_set(order)),
        ..Set::by_name("t", "s")
    }
}

fn addresses(flags: SetFlags) -> Set {
    set(flags, IPV4_ADDRESS, 4, ByteOrder::BigEndian)
}

fn map(flags: SetFlags, key_type: DataType, key_len: u32, order: ByteOrder) -> Set {
    let userdata = Some(UserData::of_map(ByteOrder::BigEndian, order, false));
    Set { userdata, ..set(flags | SetFlags::MAP, key_type, key_len, ByteOrder::BigEndian) }
}

#[test]
fn sets_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; }'
    object(
        &addresses(SetFlags::empty()),
        "06000100 74000000 06000200 73000000 08000300 00000000 08000400 00000007 08000500 00000004
         08000a00 00000001 0a000d00 00040200 00000000",
    );
    // … { type ipv6_addr; flags interval; auto-merge; }
    let merged = set(SetFlags::INTERVAL, IPV6_ADDRESS, 16, ByteOrder::BigEndian);
    object(
        &Set { userdata: merged.userdata.clone().map(UserData::with_auto_merge), ..merged },
        "06000100 74000000 06000200 73000000 08000300 00000004 08000400 00000008 08000500 00000010
         08000a00 00000001 10000d00 00040200 00000204 01000000",
    );
    // … { type mark; flags constant; elements = { 1, 2 }; }
    let desc = Description { size: Some(2), fields: Vec::new() };
    object(
        &Set { desc, ..set(SetFlags::CONSTANT, MARK, 4, ByteOrder::Host) },
        "06000100 74000000 06000200 73000000 08000300 00000002 08000400 00000013 08000500 00000004
         08000a00 00000001 0c000980 08000100 00000002 0a000d00 00040100 00000000",
    );
    // … { type ifname; size 65536; policy memory; }
    let desc = Description { size: Some(65_536), fields: Vec::new() };
    object(
        &Set {
            policy: Some(SetPolicy::Memory),
            desc,
            ..set(SetFlags::empty(), INTERFACE_NAME, 16, ByteOrder::Host)
        },
        "06000100 74000000 06000200 73000000 08000300 00000000 08000400 00000029 08000500 00000010
         08000a00 00000001 08000800 00000001 0c000980 08000100 00010000 0a000d00 00040100 00000000",
    );
}

#[test]
fn timeouts_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; flags dynamic, timeout;
    //   timeout 30s; gc-interval 10s; size 100; }'
    object(
        &Set {
            desc: Description { size: Some(100), fields: Vec::new() },
            timeout: Some(Duration::from_secs(30)),
            gc_interval: Milliseconds::new(Duration::from_secs(10)),
            ..addresses(SetFlags::TIMEOUT | SetFlags::EVAL)
        },
        "06000100 74000000 06000200 73000000 08000300 00000030 08000400 00000007 08000500 00000004
         08000a00 00000001 0c000980 08000100 00000064 0c000b00 00000000 00007530 08000c00 00002710
         0a000d00 00040200 00000000",
    );
}

#[test]
fn concatenations_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' \
    //   'add set ip t s { type ipv4_addr . inet_service; flags interval; }'
    let pair = DataType::concat([IPV4_ADDRESS, INTERNET_SERVICE]).unwrap();
    let flags = SetFlags::INTERVAL | SetFlags::CONCAT;
    // `nft` also stores the expressions of the key in its user data. netloom stores only the types.
    let userdata =
        UserData::of_set(ByteOrder::Invalid).with(3, &[0, 4, 0x0d, 0, 0, 0, 1, 0]).unwrap();
    object(
        &Set {
            desc: Description {
                size: None,
                fields: vec![FieldLength { length: 4 }, FieldLength { length: 2 }],
            },
            userdata: Some(userdata),
            ..set(flags, pair, 8, ByteOrder::Invalid)
        },
        "06000100 74000000 06000200 73000000 08000300 00000084 08000400 000001cd 08000500 00000008
         08000a00 00000001 20000980 1c000280 0c000180 08000100 00000004 0c000180 08000100 00000002
         14000d00 00040000 00000308 00040d00 00000100",
    );
}

#[test]
fn maps_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add map ip t s { type ipv4_addr : verdict; }'
    object(
        &Set {
            data_type: Some(DataType::VERDICT),
            data_len: Some(0),
            ..map(SetFlags::empty(), IPV4_ADDRESS, 4, ByteOrder::Invalid)
        },
        "06000100 74000000 06000200 73000000 08000300 00000008 08000400 00000007 08000500 00000004
         08000600 ffffff00 08000700 00000000 08000a00 00000001
         16000d00 00040200 00000104 00000000 06040000 00000000",
    );
    // … { type inet_service : ipv4_addr; }
    object(
        &Set {
            data_type: Some(IPV4_ADDRESS),
            data_len: Some(4),
            ..map(SetFlags::empty(), INTERNET_SERVICE, 2, ByteOrder::BigEndian)
        },
        "06000100 74000000 06000200 73000000 08000300 00000008 08000400 0000000d 08000500 00000002
         08000600 00000007 08000700 00000004 08000a00 00000001
         16000d00 00040200 00000104 02000000 06040000 00000000",
    );
    // … { type ipv4_addr : counter; }
    object(
        &Set {
            object_type: Some(ObjectKind::Counter),
            userdata: UserData::of_set(ByteOrder::BigEndian).with(6, &[0; 4]),
            ..addresses(SetFlags::OBJECT)
        },
        "06000100 74000000 06000200 73000000 08000300 00000040 08000400 00000007 08000500 00000004
         08000f00 00000001 08000a00 00000001 10000d00 00040200 00000604 00000000",
    );
}

#[test]
fn expressions_of_elements_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; counter; }'
    let counter = Counter::default();
    object(
        &Set { expressions: vec![counter.into()], ..addresses(SetFlags::empty()) },
        "06000100 74000000 06000200 73000000 08000300 00000000 08000400 00000007 08000500 00000004
         08000a00 00000001 0a000d00 00040200 00000000 14001180 0c000100 636f756e 74657200 04000280",
    );
    // … { type ipv4_addr; counter; limit rate 5/second; }
    let limit = Limit { rate: 5, burst: 5, ..Limit::default() };
    object(
        &Set { expressions: vec![counter.into(), limit.into()], ..addresses(SetFlags::EXPR) },
        "06000100 74000000 06000200 73000000 08000300 00000100 08000400 00000007 08000500 00000004
         08000a00 00000001 0a000d00 00040200 00000000
         5c001280 14000180 0c000100 636f756e 74657200 04000280
         44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
         0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000",
    );
}

#[test]
fn the_number_of_elements_is_read() {
    object(
        &Set { count: Some(3), ..Set::by_name("t", "s") },
        "06000100 74000000 06000200 73000000 08001400 00000003",
    );
}

#[test]
fn deletions_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; }' 'delete set ip t s'
    object(&Set::by_name("t", "s"), "06000100 74000000 06000200 73000000");
    // … 'delete set ip t handle 5'
    object(&Set::by_handle("t", 5), "06000100 74000000 0c001000 00000000 00000005");
}
