//! User data, which the kernel only stores: comments, and how `nft` should list a set.
//!
//! ```text
//! type u8 | length u8 | value …    entries follow one another unaligned; at most 256 bytes in all
//!
//! of a table, chain, rule, element, object   comment 0  string with its NUL
//! of a set   key byte order 0, data byte order 1, merge 2, data interval 6  u32 in the machine's order
//!            comment 7  string with its NUL
//! ```
//!
//! Source: libnftnl, include/udata.h and its users.

use super::codec::{Field, wire_enum};
use crate::wire::attribute::{Attribute, Writer};

const NFT_USERDATA_MAXLEN: usize = 256;
/// The maximum length of a comment that `nft` loads, including the NUL.
const NFTNL_UDATA_COMMENT_MAXLEN: usize = 128;
const NFTNL_UDATA_COMMENT: u8 = 0;
const NFTNL_UDATA_SET_KEYBYTEORDER: u8 = 0;
const NFTNL_UDATA_SET_DATABYTEORDER: u8 = 1;
const NFTNL_UDATA_SET_MERGE_ELEMENTS: u8 = 2;
const NFTNL_UDATA_SET_KEY_TYPEOF: u8 = 3;
const NFTNL_UDATA_SET_DATA_INTERVAL: u8 = 6;
const NFTNL_UDATA_SET_COMMENT: u8 = 7;

wire_enum! {
    /// The byte order of a set's keys or data, which `nft` needs to list them.
    ByteOrder: u32 {
        /// No byte order: a concatenation, a verdict or a single byte.
        Invalid = 0,
        Host = 1,
        BigEndian = 2,
    }
}

/// The comment of any object except a set, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comment<'a> {
    text: &'a str,
    /// The length including the NUL.
    length: u8,
}

impl<'a> Comment<'a> {
    /// Checks a comment. Returns `None` if it has more than 128 bytes with its NUL, or contains a
    /// NUL.
    pub(crate) fn new(text: &'a str) -> Option<Self> {
        let length = u8::try_from(text.len() + 1).ok()?;
        let fits = text.len() <= NFTNL_UDATA_COMMENT_MAXLEN && !text.contains('\0');
        fits.then_some(Self { text, length })
    }

    /// Writes the comment like [`UserData::comment`].
    pub(crate) fn write(self, out: &mut Writer<'_>, kind: u16) {
        out.parts(kind, [&[NFTNL_UDATA_COMMENT, self.length], self.text.as_bytes(), &[0]]);
    }
}

/// A sequence of entries, each a type and a value. Unreadable bytes are preserved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UserData(Vec<u8>);

impl UserData {
    /// Returns the comment of any object except a set. Returns `None` if it has more than 128 bytes
    /// with its NUL, or contains a NUL.
    pub(crate) fn comment(text: &str) -> Option<Self> {
        Self::default().with_text(NFTNL_UDATA_COMMENT, text)
    }

    /// Returns the entries that `nft` needs to list a set as it was declared.
    pub(crate) fn of_set(key: ByteOrder) -> Self {
        Self::default().with_number(NFTNL_UDATA_SET_KEYBYTEORDER, key as u32)
    }

    /// Returns the entries that `nft` needs to list a map as it was declared.
    pub(crate) fn of_map(key: ByteOrder, data: ByteOrder, data_is_interval: bool) -> Self {
        Self::of_set(key)
            .with_number(NFTNL_UDATA_SET_DATABYTEORDER, data as u32)
            .with_number(NFTNL_UDATA_SET_DATA_INTERVAL, data_is_interval.into())
    }

    /// Makes `nft` list the key as `typeof numgen inc mod 1`, because it has no name for this type.
    pub(crate) fn with_key_of_numgen(self) -> Self {
        const EXPRESSION: u8 = 0;
        const DATA: u8 = 1;
        const NUMGEN: u32 = 23;
        let numgen = [(0, 0), (1, 1), (2, 0)]; // incremental, modulus, offset
        let data = numgen
            .into_iter()
            .fold(Self::default(), |all, (kind, value)| all.with_number(kind, value));
        let kind = Self::default().with_number(EXPRESSION, NUMGEN);
        let key = kind.with(DATA, &data.0).unwrap_or_default();
        let with_key = self.clone().with(NFTNL_UDATA_SET_KEY_TYPEOF, &key.0);
        with_key.unwrap_or(self)
    }

    /// Makes `nft` merge overlapping intervals in the set.
    pub(crate) fn with_auto_merge(self) -> Self {
        self.with_number(NFTNL_UDATA_SET_MERGE_ELEMENTS, 1)
    }

    /// Adds the comment of a set. Returns `None` if it has more than 128 bytes with its NUL, or
    /// contains a NUL.
    pub(crate) fn with_set_comment(self, text: &str) -> Option<Self> {
        self.with_text(NFTNL_UDATA_SET_COMMENT, text)
    }

    /// Adds an entry. Returns `None` if it does not fit.
    pub(crate) fn with(mut self, kind: u8, value: &[u8]) -> Option<Self> {
        self.0.extend_from_slice(&[kind, u8::try_from(value.len()).ok()?]);
        self.0.extend_from_slice(value);
        (self.0.len() <= NFT_USERDATA_MAXLEN).then_some(self)
    }

    fn with_text(self, kind: u8, text: &str) -> Option<Self> {
        let fits = text.len() <= NFTNL_UDATA_COMMENT_MAXLEN && !text.contains('\0');
        fits.then(|| [text.as_bytes(), &[0]].concat()).and_then(|value| self.with(kind, &value))
    }

    fn with_number(mut self, kind: u8, value: u32) -> Self {
        let [a, b, c, d] = value.to_ne_bytes();
        self.0.extend_from_slice(&[kind, 4, a, b, c, d]);
        self
    }

    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries(&self.0)
    }

    fn get(&self, kind: u8) -> Option<&[u8]> {
        self.entries().find_map(|(found, value)| (found == kind).then_some(value))
    }

    fn text(&self, kind: u8) -> Option<&str> {
        let value = self.get(kind)?;
        str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok()
    }

    fn number(&self, kind: u8) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// Returns the comment of any object except a set.
    pub(crate) fn as_comment(&self) -> Option<&str> {
        self.text(NFTNL_UDATA_COMMENT)
    }

    pub(crate) fn as_set_comment(&self) -> Option<&str> {
        self.text(NFTNL_UDATA_SET_COMMENT)
    }

    pub(crate) fn key_byte_order(&self) -> Option<ByteOrder> {
        self.number(NFTNL_UDATA_SET_KEYBYTEORDER).and_then(ByteOrder::from_number)
    }

    pub(crate) fn is_auto_merge(&self) -> bool {
        self.number(NFTNL_UDATA_SET_MERGE_ELEMENTS).is_some_and(|is| is != 0)
    }
}

impl Field for UserData {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        Some(Self(attribute.value.to_vec()))
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.bytes(kind, &self.0);
    }
}

/// An iterator over the readable entries: pairs of type and value.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[kind, length], rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(length.into())?;
        self.0 = rest;
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::hex;

    #[test]
    fn a_comment_is_written_as_nft_writes_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c counter comment
        // "hi"'
        let comment = UserData::comment("hi").unwrap();
        assert_eq!(comment.0, hex("00036869 00"));
        assert_eq!(comment.as_comment(), Some("hi"));
        let mut out = Vec::new();
        Comment::new("hi").unwrap().write(&mut Writer::new(&mut out), 6);
        assert_eq!(out, hex("0900 0600 00036869 00000000"));
        assert!(Comment::new(&"x".repeat(129)).is_none() && Comment::new("a\0b").is_none());
        assert!(UserData::comment(&"x".repeat(128)).is_some());
        assert!(UserData::comment(&"x".repeat(129)).is_none());
        assert!(UserData::comment("a\0b").is_none());
    }

    #[test]
    fn a_set_is_described_as_nft_describes_it() {
        // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv6_addr; flags interval;
        // auto-merge; }'
        let merged = UserData::of_set(ByteOrder::BigEndian).with_auto_merge();
        assert_eq!(merged.0, hex("00040200 00000204 01000000"));
        assert!(merged.is_auto_merge());
        assert_eq!(merged.key_byte_order(), Some(ByteOrder::BigEndian));
        // tools/nft-bytes 'add table ip t' \
        //   'add map ip t s { type ipv4_addr : interval ipv4_addr; flags interval; }'
        let map = UserData::of_map(ByteOrder::BigEndian, ByteOrder::BigEndian, true);
        assert_eq!(map.0, hex("00040200 00000104 02000000 06040100 0000"));
        assert_eq!(map.number(NFTNL_UDATA_SET_DATA_INTERVAL), Some(1));
        assert_eq!(map.number(NFTNL_UDATA_SET_DATABYTEORDER), Some(ByteOrder::BigEndian as u32));
    }

    #[test]
    fn what_is_no_entry_is_kept_and_ends_the_entries() {
        let bytes = [0, 2, b'a', 0, 9];
        let data = UserData::read(Attribute { kind: 7, value: &bytes }).unwrap();
        assert_eq!(data.entries().collect::<Vec<_>>(), [(0, &b"a\0"[..])]);
        let mut out = Vec::new();
        data.write(&mut Writer::new(&mut out), 7);
        assert_eq!(out[4..9], bytes);
        for length in 0..bytes.len() {
            let cut = UserData(bytes[..length].to_vec());
            assert!(cut.entries().count() <= 1);
        }
    }
}
