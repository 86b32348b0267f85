//! Tests of elements against the bytes that `nft` sends, and of lists that exceed one message.

use std::net::Ipv4Addr;

use super::*;
use crate::wire::nft::data::Verdict;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::limit::Limit;
use crate::wire::nft::message::{Family, MessageType, append};
use crate::wire::nft::testing::{bytes_of, hex};

fn list(of: &ElementsOf<'_>, elements: &[Element]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = elements.iter().peekable();
    let written = encode_list(of, &mut rest, &mut Writer::new(&mut out));
    assert_eq!(written, elements.len());
    out
}

/// Asserts that the elements encode to the bytes that `nft` sends for the first set of a batch, and
/// that the bytes decode to the elements.
fn sent(elements: &[Element], words: &str) {
    let bytes = hex(words);
    let of = ElementsOf { set_id: Some(1), ..ElementsOf::new("t", "s") };
    assert_eq!(list(&of, elements), bytes);
    let attributes = Attributes::new(&bytes);
    assert_eq!(ElementsOf::decode(attributes), Some(of));
    assert_eq!(decode_list(attributes).collect::<Vec<_>>(), elements);
    for element in attributes.get(NFTA_SET_ELEM_LIST_ELEMENTS).unwrap().nested().iter() {
        bytes_of(&Element::decode(element.nested()).unwrap(), element.value);
    }
}

fn address(last: [u8; 3]) -> Ipv4Addr {
    let [b, c, d] = last;
    Ipv4Addr::new(10, b, c, d)
}

#[test]
fn plain_elements_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; flags timeout; }' \
    //   'add element ip t s { 10.0.0.1 timeout 10s expires 5s comment "e" , 10.1.0.1, 10.2.0.1 }'
    let timed = Element {
        timeout: Some(Duration::from_secs(10)),
        expiration: Some(Duration::from_secs(5)),
        userdata: UserData::comment("e"),
        ..Element::new(address([0, 0, 1]))
    };
    let elements = [timed, Element::new(address([1, 0, 1])), Element::new(address([2, 0, 1]))];
    sent(
        &elements,
        "06000100 74000000 06000200 73000000 08000400 00000001 54000380
         30000180 0c000400 00000000 00002710 0c000500 00000000 00001388
         0c000180 08000100 0a000001 08000600 00026500
         10000280 0c000180 08000100 0a010001 10000380 0c000180 08000100 0a020001",
    );
}

#[test]
fn intervals_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; flags interval,timeout; counter; }' \
    //   'add element ip t s { 10.0.0.0/24 timeout 10s comment "e" , 10.1.0.1-10.1.0.5 counter packets 1 bytes 2 }'
    let elements = [
        Element {
            timeout: Some(Duration::from_secs(10)),
            userdata: UserData::comment("e"),
            ..Element::new(address([0, 0, 0]))
        },
        Element::interval_end(address([0, 1, 0])),
        Element {
            expressions: vec![Counter { packets: 1, bytes: 2 }.into()],
            ..Element::new(address([1, 0, 1]))
        },
        Element::interval_end(address([1, 0, 6])),
    ];
    sent(
        &elements,
        "06000100 74000000 06000200 73000000 08000400 00000001 94000380
         24000180 0c000400 00000000 00002710 0c000180 08000100 0a000000 08000600 00026500
         18000280 08000300 00000001 0c000180 08000100 0a000100
         3c000380 0c000180 08000100 0a010001 2c000780 0c000100 636f756e 74657200
         1c000280 0c000100 00000000 00000002 0c000200 00000000 00000001
         18000480 08000300 00000001 0c000180 08000100 0a010006",
    );
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr . inet_service; flags interval; }' \
    //   'add element ip t s { 10.0.0.0/24 . 80-90, 10.0.1.1 . 443 }'
    let pair = |ip, port: u16| Value::concat(&[address(ip).into(), port.into()]);
    let field_by_field = |from, to| Element { key: from, key_end: to, ..Element::default() };
    let elements = [
        field_by_field(pair([0, 0, 0], 80), pair([0, 0, 255], 90)),
        field_by_field(pair([0, 1, 1], 443), pair([0, 1, 1], 443)),
    ];
    sent(
        &elements,
        "06000100 74000000 06000200 73000000 08000400 00000001 4c000380
         24000180 10000180 0c000100 0a000000 00500000 10000a80 0c000100 0a0000ff 005a0000
         24000280 10000180 0c000100 0a000101 01bb0000 10000a80 0c000100 0a000101 01bb0000",
    );
}

#[test]
fn map_elements_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add map ip t s { type inet_service : verdict; }' \
    //   'add chain ip t c' 'add element ip t s { 80 : accept, 81 : jump c, * : drop }'
    let elements = [
        Element::with_data(80_u16, Verdict::Accept),
        Element::with_data(81_u16, Verdict::Jump("c".into())),
        Element {
            data: Some(Verdict::Drop.into()),
            flags: ElementFlags::CATCHALL,
            ..Element::default()
        },
    ];
    sent(
        &elements,
        "06000100 74000000 06000200 73000000 08000400 00000001 68000380
         20000180 0c000180 06000100 00500000 10000280 0c000280 08000100 00000001
         28000280 0c000180 06000100 00510000 18000280 14000280 08000100 fffffffd 06000200 63000000
         1c000380 08000300 00000002 10000280 0c000280 08000100 00000000",
    );
    // tools/nft-bytes 'add table ip t' 'add map ip t s { type ipv4_addr : inet_service; flags timeout; }' \
    //   'add element ip t s { 10.0.0.1 timeout 10s comment "e" : 80 }'
    let timed = Element {
        timeout: Some(Duration::from_secs(10)),
        userdata: UserData::comment("e"),
        ..Element::with_data(address([0, 0, 1]), 80_u16)
    };
    sent(
        &[timed],
        "06000100 74000000 06000200 73000000 08000400 00000001 34000380
         30000180 0c000400 00000000 00002710 0c000180 08000100 0a000001
         0c000280 06000100 00500000 08000600 00026500",
    );
}

#[test]
fn elements_with_objects_and_expressions_as_nft_sends_them() {
    // tools/nft-bytes 'add table ip t' 'add map ip t s { type ipv4_addr : counter; }' \
    //   'add counter ip t n' 'add element ip t s { 10.0.0.1 comment "e" : "n" }'
    let counted = Element {
        userdata: UserData::comment("e"),
        object: Some("n".to_owned()),
        ..Element::new(address([0, 0, 1]))
    };
    sent(
        &[counted],
        "06000100 74000000 06000200 73000000 08000400 00000001 24000380
         20000180 0c000180 08000100 0a000001 08000600 00026500 06000900 6e000000",
    );
    // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr; counter; limit rate 5/second; }' \
    //   'add element ip t s { 10.0.0.1 counter packets 1 bytes 2 limit rate 5/second comment "e" }'
    let limit = Limit { rate: 5, burst: 5, ..Limit::default() };
    let several = Element {
        userdata: UserData::comment("e"),
        expressions: vec![Counter { packets: 1, bytes: 2 }.into(), limit.into()],
        ..Element::new(address([0, 0, 1]))
    };
    sent(
        &[several],
        "06000100 74000000 06000200 73000000 08000400 00000001 90000380
         8c000180 0c000180 08000100 0a000001 08000600 00026500
         74000b80 2c000180 0c000100 636f756e 74657200
         1c000280 0c000100 00000000 00000002 0c000200 00000000 00000001
         44000180 0a000100 6c696d69 74000000 34000280 0c000100 00000000 00000005
         0c000200 00000000 00000001 08000300 00000005 08000400 00000000 08000500 00000000",
    );
}

#[test]
fn more_elements_than_one_message_holds_go_into_several() {
    let elements: Vec<_> = (0..10_000_u32).map(Element::new).collect();
    let of = ElementsOf::new("t", "s");
    let (mut out, mut read, mut rest) = (Vec::new(), Vec::new(), elements.iter().peekable());
    while rest.peek().is_some() {
        out.clear();
        let mut written = 0;
        append(&mut out, MessageType::NewElement, 0, 1, Family::Ip, |message| {
            written = encode_list(&of, &mut rest, message);
        })
        .unwrap();
        assert!(written > 0);
        assert!(out.len() < 66_000);
        read.extend(decode_list(Attributes::new(&out[20..])));
    }
    assert_eq!(read, elements);
}

#[test]
fn the_smallest_elements_of_a_list_have_types_that_are_no_flags() {
    let elements = vec![Element::default(); 20_000];
    let mut out = Vec::new();
    let mut rest = elements.iter().peekable();
    let written = encode_list(&ElementsOf::new("t", "s"), &mut rest, &mut Writer::new(&mut out));
    assert_eq!(written, 16_382, "four bytes each");
    assert_eq!(decode_list(Attributes::new(&out)).count(), written);
}
