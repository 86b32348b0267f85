//! Netlink attributes: a lenient reader of the kernel's attributes, and a writer into a growing
//! buffer.
//!
//! ```text
//!  0        2        4            4+n   aligned to 4
//!  | length | type   | value …    | pad |       length = 4 + n, without the padding
//! ```
//!
//! Source: netlink(7), include/uapi/linux/netlink.h.

use std::borrow::Cow;
use std::iter::Peekable;
use std::net::IpAddr;

pub(crate) const NLA_F_NESTED: u16 = 0x8000;
/// The mask that removes the flag bits from a type.
pub(crate) const NLA_TYPE_MASK: u16 = 0x3fff;
pub(crate) const NLA_HEADER_SIZE: usize = 4;

/// The attributes of one level, borrowed from the message. A truncated attribute ends the level.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes<'a>(&'a [u8]);

/// An attribute: its type without the flag bits, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes as they were received.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Attribute<'a>> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let attribute = Attribute::first(left)?;
            left = left.get(attribute.length()..).unwrap_or_default();
            Some(attribute)
        })
    }

    /// Reports whether all bytes belong to readable attributes.
    pub(crate) fn is_whole(self) -> bool {
        self.iter().map(Attribute::length).sum::<usize>() >= self.0.len()
    }

    /// Returns the first attribute of this type.
    pub(crate) fn get(self, kind: u16) -> Option<Attribute<'a>> {
        self.iter().find(|attribute| attribute.kind == kind)
    }

    /// Returns the attribute at the end of a path of types. All but the last type are nests.
    pub(crate) fn at<const N: usize>(self, path: [u16; N]) -> Option<Attribute<'a>> {
        let whole = Attribute::of(self.0);
        path.into_iter().try_fold(whole, |nest, kind| nest.nested().get(kind))
    }
}

impl<'a> Attribute<'a> {
    /// Wraps a value that is not in an attribute, or whose type is already known.
    pub(crate) fn of(value: &'a [u8]) -> Self {
        Self { kind: 0, value }
    }

    /// Reads the attribute at the start of these bytes.
    #[inline]
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        let &[l0, l1, k0, k1] = bytes.first_chunk::<NLA_HEADER_SIZE>()?;
        let value = bytes.get(NLA_HEADER_SIZE..usize::from(u16::from_ne_bytes([l0, l1])))?;
        Some(Self { kind: u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK, value })
    }

    /// Returns the attribute's length in a message, including header and padding.
    #[inline]
    pub(super) fn length(self) -> usize {
        aligned(NLA_HEADER_SIZE + self.value.len())
    }

    pub(crate) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    pub(crate) fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    /// Reads the value in host byte order, as rtnetlink sends it.
    pub(crate) fn u16(self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    /// Reads the value in host byte order, as rtnetlink sends it.
    pub(crate) fn u32(self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// Reads the value in network byte order, as `nf_tables` sends it.
    pub(crate) fn u16_be(self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads the value in network byte order, as `nf_tables` sends it.
    pub(crate) fn u32_be(self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads the value in network byte order, as `nf_tables` sends it.
    pub(crate) fn u64_be(self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Returns the string before the first NUL, or the whole value. Replaces bytes that are not
    /// UTF-8.
    pub(crate) fn text(self) -> Cow<'a, str> {
        let bytes = self.value.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(bytes.unwrap_or_default())
    }

    /// Returns the [`text`](Self::text) as an owned string.
    pub(crate) fn string(self) -> String {
        self.text().into_owned()
    }

    /// Reads an IPv4 or IPv6 address, depending on the value's length.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self.value.len() {
            4 => self.array::<4>().map(IpAddr::from),
            16 => self.array::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    /// Returns the first `N` bytes of the value. Returns `None` if it is shorter.
    pub(crate) fn array<const N: usize>(self) -> Option<[u8; N]> {
        self.value.first_chunk().copied()
    }
}

/// Appends attributes to a buffer.
///
/// When a nest is closed, its length is filled in. An attribute's length has 16 bits. A longer
/// attribute is never truncated: [`Writer::overflowed`] reports it.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    out: &'b mut Vec<u8>,
    overflowed: bool,
}

impl<'b> Writer<'b> {
    /// Creates a writer that appends to `out`, whose length must be a multiple of 4.
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        debug_assert_eq!(out.len() % 4, 0);
        Self { out, overflowed: false }
    }

    /// Reports whether an attribute exceeded the maximum of 65,535 bytes.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
    }

    /// Appends `length` zero bytes, which `fill` overwrites, and the padding.
    pub(super) fn zeroed(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) {
        let start = self.out.len();
        self.out.resize(start + aligned(length), 0);
        if let Some(room) = self.out.get_mut(start..start + length) {
            fill(room);
        }
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.parts(kind, [value]);
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// Appends a value in host byte order, as rtnetlink expects it.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Appends a value in network byte order, as `nf_tables` expects it.
    pub(crate) fn u16_be(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Appends a value in network byte order, as `nf_tables` expects it.
    pub(crate) fn u32_be(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Appends an IPv4 or IPv6 address.
    pub(crate) fn ip(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.bytes(kind, &address.octets()),
            IpAddr::V6(address) => self.bytes(kind, &address.octets()),
        }
    }

    /// Appends a string with a terminating NUL.
    pub(crate) fn string(&mut self, kind: u16, value: &str) {
        self.parts(kind, [value.as_bytes(), &[0]]);
    }

    /// Appends an attribute whose value is the concatenation of `parts`.
    pub(crate) fn parts<const N: usize>(&mut self, kind: u16, parts: [&[u8]; N]) {
        let header = self.header_of(kind, parts.iter().map(|part| part.len()).sum());
        self.out.extend_from_slice(&header);
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.pad();
    }

    /// Appends a nest with one attribute. The value is the first `length` bytes of an array whose
    /// other bytes are 0. Faster than [`nested`](Self::nested) and [`bytes`](Self::bytes): the
    /// compiler knows the size of the array, which is copied whole and then truncated.
    pub(crate) fn nested_padded<const N: usize>(
        &mut self,
        kind: u16,
        inside: u16,
        (value, length): (&[u8; N], usize),
    ) {
        debug_assert!(value.iter().skip(length).all(|byte| *byte == 0));
        let nest = self.header_of(kind | NLA_F_NESTED, aligned(NLA_HEADER_SIZE + length));
        let header = self.header_of(inside, length);
        self.out.extend_from_slice([nest, header].as_flattened());
        let start = self.out.len();
        self.out.extend_from_slice(value);
        self.out.truncate(start + aligned(length));
    }

    /// Appends a nest with one attribute, whose value needs no padding. Faster than
    /// [`nested`](Self::nested) and [`bytes`](Self::bytes), because the compiler knows the size.
    pub(crate) fn nested_exact<const N: usize>(&mut self, kind: u16, inside: u16, value: [u8; N]) {
        const { assert!(aligned(N) == N) };
        let nest = self.header_of(kind | NLA_F_NESTED, NLA_HEADER_SIZE + N);
        let header = self.header_of(inside, N);
        self.out.extend_from_slice([nest, header].as_flattened());
        self.out.extend_from_slice(&value);
    }

    /// Appends attributes that are already encoded.
    pub(crate) fn raw(&mut self, attributes: &[u8]) {
        self.out.extend_from_slice(attributes);
    }

    /// Appends a nest of the attributes that `fill` writes, with the nested flag set.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.open(kind | NLA_F_NESTED);
        fill(self);
        self.close(start);
    }

    /// Appends a nest with as many items as fit, and returns their number. `write` gets the
    /// position of each item in the nest. The remaining items stay in the iterator.
    ///
    /// If not even one item fits, the first item is skipped and reported by `overflowed`. So
    /// callers that loop over the items don't loop forever.
    pub(crate) fn nested_while_fitting<T>(
        &mut self,
        kind: u16,
        items: &mut Peekable<impl Iterator<Item = T>>,
        mut write: impl FnMut(&mut Self, usize, &T),
    ) -> usize {
        let start = self.open(kind | NLA_F_NESTED);
        let mut written = 0;
        while let Some(item) = items.peek() {
            let end = self.out.len();
            write(self, written, item);
            if self.out.len() - start > usize::from(u16::MAX) {
                self.out.truncate(end);
                if written == 0 {
                    self.overflowed = true;
                    items.next();
                }
                break;
            }
            items.next();
            written += 1;
        }
        self.close(start);
        written
    }

    /// Returns the header of an attribute with a value of `bytes` bytes.
    fn header_of(&mut self, kind: u16, bytes: usize) -> [u8; NLA_HEADER_SIZE] {
        debug_assert_eq!(kind & !NLA_TYPE_MASK & !NLA_F_NESTED, 0);
        let length = u16::try_from(NLA_HEADER_SIZE + bytes);
        self.overflowed |= length.is_err();
        let [[l0, l1], [k0, k1]] = [length.unwrap_or(0), kind].map(u16::to_ne_bytes);
        [l0, l1, k0, k1]
    }

    fn pad(&mut self) {
        match aligned(self.out.len()) - self.out.len() {
            0 => {}
            missing => self.out.extend_from_slice([0; 3].get(..missing).unwrap_or_default()),
        }
    }

    fn open(&mut self, kind: u16) -> usize {
        debug_assert_eq!(kind & !NLA_TYPE_MASK & !NLA_F_NESTED, 0);
        let start = self.out.len();
        let [low, high] = kind.to_ne_bytes();
        self.out.extend_from_slice(&[0, 0, low, high]);
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.out.len() - start) {
            Ok(length) => {
                self.out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
            }
            Err(_) => self.overflowed = true,
        }
        self.pad();
    }
}

/// Rounds up to a multiple of 4 bytes, netlink's alignment.
pub(crate) const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.string(1, "eth0");
        writer.nested(2, |inner| {
            inner.u32_be(3, 0x0a00_0001);
            inner.u8(4, 7);
        });
        assert!(!writer.overflowed());
        assert_eq!(
            out,
            [
                9, 0, 1, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // padded to 12 bytes
                20, 0, 2, 0x80, 8, 0, 3, 0, 10, 0, 0, 1, 5, 0, 4, 0, 7, 0, 0, 0,
            ]
        );
        let read = Attributes::new(&out);
        assert_eq!(read.get(1).map(Attribute::string).as_deref(), Some("eth0"));
        let nest = read.get(2).unwrap().nested();
        assert_eq!(nest.get(3).and_then(Attribute::u32_be), Some(0x0a00_0001));
        assert_eq!(nest.get(4).and_then(Attribute::u8), Some(7));
    }

    #[test]
    fn a_broken_attribute_costs_only_what_follows_it() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 200, 0, 2, 0, 1];
        let read: Vec<_> = Attributes::new(&bytes).iter().collect();
        assert_eq!(read, [Attribute { kind: 1, value: &[9] }]);
        assert_eq!(Attributes::new(&[3, 0, 1, 0]).iter().count(), 0);
        assert_eq!(Attributes::new(&[1]).iter().count(), 0);
    }

    #[test]
    fn a_nest_takes_as_many_as_fit() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        let items = vec![[7; 996]; 100];
        let mut rest = items.iter().peekable();
        let written = writer.nested_while_fitting(1, &mut rest, |nest, at, item| {
            assert!(at < 66);
            nest.bytes(2, *item);
        });
        assert_eq!(written, 65, "65 times 1,000 bytes");
        assert_eq!(rest.count(), 35, "the others stay in the iterator");
        assert!(!writer.overflowed());
        assert_eq!(Attributes::new(&out).get(1).unwrap().nested().iter().count(), 65);

        let too_long = vec![0; 65_530];
        let mut writer = Writer::new(&mut out);
        let mut rest = [&too_long].into_iter().peekable();
        assert_eq!(writer.nested_while_fitting(1, &mut rest, |nest, _, it| nest.bytes(2, it)), 0);
        assert!(writer.overflowed());
        assert_eq!(rest.next(), None, "the item was skipped");
    }

    #[test]
    fn an_attribute_too_long_for_its_length_field_is_noted() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.bytes(1, &vec![0; 65_532]);
        assert!(writer.overflowed());
    }
}
