//! Tests of objects and expressions against the bytes that `nft` sends.

use std::fmt::Debug;

use super::codec::{Codec, Field};
use super::expr::Expr;
use crate::wire::attribute::{Attribute, Attributes, Writer};

/// Parses the output of `tools/nft-bytes`.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

pub(crate) fn encoded(value: &impl Codec) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut Writer::new(&mut out));
    out
}

/// Encodes an expression as an element of a list.
pub(crate) fn listed(expr: &Expr) -> Vec<u8> {
    let mut out = Vec::new();
    expr.write(&mut Writer::new(&mut out), 1);
    out
}

/// Checks that an object encodes to the bytes of `nft` and decodes from them, and that similar
/// bytes cause no panic.
pub(crate) fn object<T: Codec + Debug + PartialEq>(object: &T, sent: &str) {
    bytes_of(object, &hex(sent));
}

pub(crate) fn bytes_of<T: Codec + Debug + PartialEq>(object: &T, bytes: &[u8]) {
    assert_eq!(encoded(object), bytes, "{object:?} as nft sends it");
    assert_eq!(T::decode(Attributes::new(bytes)).as_ref(), Some(object));
    survives(bytes, |bytes| {
        let Some(read) = T::decode(Attributes::new(bytes)) else { return };
        let again = encoded(&read);
        assert_eq!(T::decode(Attributes::new(&again)), Some(read));
    });
}

/// Checks that an expression encodes to the list element of `nft` and decodes from it.
pub(crate) fn expression(expr: impl Into<Expr>, sent: &str) {
    let expr = expr.into();
    assert_eq!(listed(&expr), hex(sent), "{expr:?} as nft sends it");
    also_means(sent, expr);
}

/// Checks that these bytes, which have redundant attributes, decode to the expression.
pub(crate) fn also_means(sent: &str, expr: impl Into<Expr>) {
    let (bytes, expr) = (hex(sent), expr.into());
    assert!(!matches!(expr, Expr::Unknown(_)), "{expr:?}");
    assert_eq!(expressions(&bytes), [expr]);
    survives(&bytes, |bytes| {
        for read in expressions(bytes) {
            assert_eq!(expressions(&listed(&read)), [read]);
        }
    });
}

/// Calls `check` with the bytes truncated at every length, and with every bit flipped.
fn survives(bytes: &[u8], check: impl Fn(&[u8])) {
    for length in 0..bytes.len() {
        check(&bytes[..length]);
    }
    let mut turned = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            turned[at] ^= 1 << bit;
            check(&turned);
            turned[at] ^= 1 << bit;
        }
    }
}

/// Decodes a list of expressions.
pub(crate) fn expressions(bytes: &[u8]) -> Vec<Expr> {
    Field::read(Attribute { kind: 0, value: bytes }).unwrap()
}
