//! Data: the value of a comparison, a set element or a load; or a verdict.
//!
//! ```text
//! NFTA_DATA_VALUE    1  bytes, at most 64, in the order they have in the register
//! NFTA_DATA_VERDICT  2  nest
//!   NFTA_VERDICT_CODE      1  be32
//!   NFTA_VERDICT_CHAIN     2  string   of a jump or goto
//!   NFTA_VERDICT_CHAIN_ID  3  be32     of a chain without a name; never listed, and not read
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::codec::{Codec, Field, up_to};
use crate::wire::attribute::{Attribute, Attributes, Writer, aligned};

pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;

const NFT_DATA_VALUE_MAXLEN: usize = 64;
const IFNAMSIZ: usize = 16;

const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_CONTINUE: i32 = -1;
const NFT_JUMP: i32 = -3;
const NFT_GOTO: i32 = -4;
const NFT_RETURN: i32 = -5;

/// A value of up to 64 bytes, as a register has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Value {
    bytes: [u8; NFT_DATA_VALUE_MAXLEN],
    length: u8,
}

impl Value {
    /// Copies the bytes. Returns `None` if there are more than 64.
    pub(crate) fn new(value: &[u8]) -> Option<Self> {
        let length = u8::try_from(value.len()).ok()?;
        let mut bytes = [0; NFT_DATA_VALUE_MAXLEN];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { bytes, length })
    }

    const fn of<const N: usize>(value: [u8; N]) -> Self {
        const { assert!(N <= NFT_DATA_VALUE_MAXLEN) };
        let mut bytes = [0; NFT_DATA_VALUE_MAXLEN];
        let (head, _) = bytes.split_at_mut(N);
        head.copy_from_slice(&value);
        #[allow(clippy::cast_possible_truncation)] // at most 64, as asserted above
        Self { bytes, length: N as u8 }
    }

    /// Returns a value in host byte order: a mark, state, interface index or user id.
    pub(crate) const fn host_u32(value: u32) -> Self {
        Self::of(value.to_ne_bytes())
    }

    /// Returns a value in host byte order: a conntrack zone or ARP hardware type.
    pub(crate) const fn host_u16(value: u16) -> Self {
        Self::of(value.to_ne_bytes())
    }

    /// Returns an interface name, padded with NULs to 16 bytes. Returns `None` if the name has more
    /// than 15 bytes.
    pub(crate) fn interface(name: &str) -> Option<Self> {
        let mut padded = [0; IFNAMSIZ];
        padded.get_mut(..IFNAMSIZ - 1)?.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self::of(padded))
    }

    /// Concatenates fields, each padded to 4 bytes. Returns `None` if they exceed 64 bytes.
    pub(crate) fn concat(fields: &[Self]) -> Option<Self> {
        let mut bytes = [0; NFT_DATA_VALUE_MAXLEN];
        let mut end = 0;
        for field in fields {
            let field = field.as_slice();
            bytes.get_mut(end..end + field.len())?.copy_from_slice(field);
            end += aligned(field.len());
        }
        let length = u8::try_from(end).ok().filter(|_| end <= NFT_DATA_VALUE_MAXLEN)?;
        Some(Self { bytes, length })
    }

    /// Appends a field to a concatenation. A field beyond 64 bytes is dropped; then the kernel
    /// refuses the value because of its length.
    pub(crate) fn append_bytes<const N: usize>(&mut self, field: [u8; N]) {
        let start = aligned(self.length.into());
        let end = start + const { aligned(N) };
        let room = self.bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut());
        if let (Some(room), Ok(length), ..=NFT_DATA_VALUE_MAXLEN) = (room, u8::try_from(end), end) {
            *room = field;
            self.length = length;
        }
    }

    /// Appends an address to a concatenation, like [`append_bytes`](Self::append_bytes).
    pub(crate) fn append_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.append_bytes(address.octets()),
            IpAddr::V6(address) => self.append_bytes(address.octets()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    /// Returns the length in bytes, as the integer type of messages.
    pub(crate) fn len(&self) -> u32 {
        self.length.into()
    }

    /// Converts a number from network byte order to host byte order, or back.
    pub(crate) fn in_host_order(mut self) -> Self {
        if cfg!(target_endian = "little") {
            self.bytes[..self.length.into()].reverse();
        }
        self
    }

    /// Returns zeros of the same length.
    pub(crate) fn zeroed(&self) -> Self {
        Self { bytes: [0; NFT_DATA_VALUE_MAXLEN], ..*self }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(")?;
        for byte in self.as_slice() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

macro_rules! value_from {
    ($($(#[$doc:meta])* $from:ty => |$value:ident| $bytes:expr;)*) => {$(
        $(#[$doc])*
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::of($bytes)
            }
        }
    )*};
}

value_from! {
    u8 => |value| [value];
    /// Encodes a port or `EtherType` in network byte order.
    u16 => |value| value.to_be_bytes();
    /// Encodes the number in network byte order.
    u32 => |value| value.to_be_bytes();
    Ipv4Addr => |address| address.octets();
    Ipv6Addr => |address| address.octets();
    /// Encodes a hardware address.
    [u8; 6] => |address| address;
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl Field for Value {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        match Data::read(attribute)? {
            Data::Value(value) => Some(value),
            Data::Verdict(_) => None,
        }
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested_padded(kind, NFTA_DATA_VALUE, (&self.bytes, self.length.into()));
    }
}

/// The verdict of a rule or a verdict map on a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "nft_verdicts")]
#[non_exhaustive]
pub enum Verdict {
    /// Accepts the packet: it continues to the next base chain.
    Accept,
    /// Drops the packet.
    Drop,
    /// Continues with the next rule.
    Continue,
    /// Returns to the rule after the jump. In a base chain, applies the policy.
    Return,
    /// Evaluates another chain, then continues here.
    Jump(String),
    /// Evaluates another chain and does not return.
    Goto(String),
}

impl Verdict {
    /// Returns the chain of a jump or goto.
    pub(crate) fn chain(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }

    fn code(&self) -> i32 {
        match self {
            Self::Accept => NF_ACCEPT,
            Self::Drop => NF_DROP,
            Self::Continue => NFT_CONTINUE,
            Self::Return => NFT_RETURN,
            Self::Jump(_) => NFT_JUMP,
            Self::Goto(_) => NFT_GOTO,
        }
    }

    fn from_parts(code: i32, chain: Option<String>) -> Option<Self> {
        match (code, chain) {
            (NF_ACCEPT, None) => Some(Self::Accept),
            (NF_DROP, None) => Some(Self::Drop),
            (NFT_CONTINUE, None) => Some(Self::Continue),
            (NFT_RETURN, None) => Some(Self::Return),
            (NFT_JUMP, Some(chain)) => Some(Self::Jump(chain)),
            (NFT_GOTO, Some(chain)) => Some(Self::Goto(chain)),
            _ => None,
        }
    }
}

/// Formats the verdict as `nft` does.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Codec for Verdict {
    fn encode(&self, out: &mut Writer<'_>) {
        self.code().write(out, NFTA_VERDICT_CODE);
        if let Some(chain) = self.chain() {
            out.string(NFTA_VERDICT_CHAIN, chain);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = attributes.only(up_to(NFTA_VERDICT_CHAIN))?;
        Self::from_parts(fields.strict(NFTA_VERDICT_CODE)?, fields.strict(NFTA_VERDICT_CHAIN)?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // boxing would allocate for each set element
pub(crate) enum Data {
    Value(Value),
    Verdict(Verdict),
}

impl From<Verdict> for Data {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

impl<T: Into<Value>> From<T> for Data {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

impl Codec for Data {
    fn encode(&self, out: &mut Writer<'_>) {
        match self {
            Self::Value(value) => out.bytes(NFTA_DATA_VALUE, value.as_slice()),
            Self::Verdict(verdict) => verdict.write(out, NFTA_DATA_VERDICT),
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = attributes.only(up_to(NFTA_DATA_VERDICT))?;
        match (fields.get(NFTA_DATA_VALUE), fields.get(NFTA_DATA_VERDICT)) {
            (Some(value), None) => Value::new(value.value).map(Self::Value),
            (None, Some(verdict)) => Verdict::read(verdict).map(Self::Verdict),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::Attributes;

    fn round_trip(data: &Data) -> Option<Data> {
        let mut out = Vec::new();
        data.write(&mut Writer::new(&mut out), 1);
        Attributes::new(&out).lenient(1)
    }

    #[test]
    fn every_verdict_and_value_survives() {
        let verdicts = [
            Verdict::Accept,
            Verdict::Drop,
            Verdict::Continue,
            Verdict::Return,
            Verdict::Jump("c".into()),
            Verdict::Goto("d".into()),
        ];
        for data in verdicts.map(Data::from) {
            assert_eq!(round_trip(&data), Some(data));
        }
        for length in 0..=64 {
            let data = Data::Value(Value::new(&vec![7; length]).unwrap());
            assert_eq!(round_trip(&data), Some(data));
        }
        assert_eq!(Value::new(&[0; 65]), None);
    }

    #[test]
    fn a_verdict_that_contradicts_itself_is_none() {
        assert_eq!(Verdict::from_parts(NFT_JUMP, None), None);
        assert_eq!(Verdict::from_parts(NF_ACCEPT, Some("c".into())), None);
        assert_eq!(Verdict::from_parts(-6, None), None);
    }

    #[test]
    fn values_lie_as_in_a_register() {
        assert_eq!(Value::from(80_u16).as_slice(), [0, 80]);
        assert_eq!(Value::host_u32(1).as_slice(), 1_u32.to_ne_bytes());
        assert_eq!(Value::interface("lo").unwrap().as_slice(), b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(Value::interface("sixteen-bytes-ab"), None);
        let pair = [Value::from(Ipv4Addr::new(10, 0, 0, 1)), Value::from(22_u16)];
        assert_eq!(Value::concat(&pair).unwrap().as_slice(), [10, 0, 0, 1, 0, 22, 0, 0]);
        assert_eq!(format!("{:?}", Value::from(22_u16)), "Value(0016)");
    }
}
