//! The types of set keys and data. The kernel only stores their numbers, for `nft`.
//!
//! The number of a concatenation has 6 bits a field, the last field lowest.
//!
//! Source: nftables, include/datatype.h.

use super::codec::Field;
use super::userdata::ByteOrder::{self, BigEndian, Host, Invalid};
use crate::wire::attribute::{Attribute, Writer};

const TYPE_BITS: u32 = 6;
const FIELD: u32 = (1 << TYPE_BITS) - 1;
const MAX_FIELDS: usize = (u32::BITS / TYPE_BITS) as usize;
/// The size of a register. Every field of a concatenation begins at a register.
const REGISTER: u32 = 4;

/// The type of a set key or of map data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DataType(pub(crate) u32);

macro_rules! data_types {
    ($($name:ident = $number:literal, $length:literal, $order:ident, $nft:literal;)*) => {
        impl DataType {
            $(#[doc(alias = $nft)] pub(crate) const $name: Self = Self($number);)*
        }

        /// Type, length in bytes, byte order and name in `nft`.
        const DATA_TYPES: &[(DataType, u32, ByteOrder, &str)] =
            &[$((DataType::$name, $length, $order, $nft)),*];
    };
}

data_types! {
    NETFILTER_PROTOCOL = 2, 1, Invalid, "nf_proto";
    IPV4_ADDRESS = 7, 4, BigEndian, "ipv4_addr";
    IPV6_ADDRESS = 8, 16, BigEndian, "ipv6_addr";
    ETHERNET_ADDRESS = 9, 6, BigEndian, "ether_addr";
    ETHERNET_TYPE = 10, 2, BigEndian, "ether_type";
    ARP_OPERATION = 11, 2, BigEndian, "arp_op";
    INTERNET_PROTOCOL = 12, 1, Invalid, "inet_proto";
    INTERNET_SERVICE = 13, 2, BigEndian, "inet_service";
    ICMP_TYPE = 14, 1, BigEndian, "icmp_type";
    TCP_FLAGS = 15, 1, BigEndian, "tcp_flag";
    TIME = 18, 4, Host, "time";
    MARK = 19, 4, Host, "mark";
    INTERFACE_INDEX = 20, 4, Host, "iface_index";
    INTERFACE_TYPE = 21, 2, Host, "iface_type";
    REALM = 22, 4, Host, "realm";
    USER = 24, 4, Host, "uid";
    GROUP = 25, 4, Host, "gid";
    CT_STATE = 26, 4, Host, "ct_state";
    CT_DIRECTION = 27, 1, Invalid, "ct_dir";
    CT_STATUS = 28, 4, Host, "ct_status";
    ICMPV6_TYPE = 29, 1, BigEndian, "icmpv6_type";
    PACKET_TYPE = 31, 1, Host, "pkt_type";
    ICMP_CODE = 32, 1, BigEndian, "icmp_code";
    ICMPV6_CODE = 33, 1, BigEndian, "icmpv6_code";
    DEVICE_GROUP = 35, 4, Host, "devgroup";
    DSCP = 36, 1, BigEndian, "dscp";
    FIB_ADDRESS_TYPE = 38, 4, Host, "fib_addrtype";
    BOOLEAN = 39, 1, Invalid, "boolean";
    INTERFACE_NAME = 41, 16, Host, "ifname";
    IGMP_TYPE = 42, 1, BigEndian, "igmp_type";
    CGROUP_V2 = 46, 8, Host, "cgroupsv2";
}

impl DataType {
    /// The data of a verdict map; a number that the kernel knows.
    #[doc(alias = "NFT_DATA_VERDICT")]
    pub(crate) const VERDICT: Self = Self(0xffff_ff00);

    /// The type of a concatenation; `None` if the fields do not fit its number.
    pub(crate) fn concat(fields: &[Self]) -> Option<Self> {
        let fits = fields.len() <= MAX_FIELDS && fields.iter().all(|field| field.0 <= FIELD);
        fits.then(|| Self(fields.iter().fold(0, |all, field| all << TYPE_BITS | field.0)))
    }

    /// The fields of a concatenation, or the type itself.
    pub(crate) fn fields(self) -> Vec<Self> {
        if self == Self::VERDICT {
            return vec![self];
        }
        let all = (0..u32::BITS / TYPE_BITS).rev().map(|at| self.0 >> (at * TYPE_BITS) & FIELD);
        all.skip_while(|&field| field == 0).map(Self).collect()
    }

    /// The length of a key in bytes, with the padding of fields. `None` for an unlisted type.
    pub(crate) fn length(self) -> Option<u32> {
        let lengths = self.field_lengths()?;
        match lengths.as_slice() {
            [] => None,
            [length] => Some(*length),
            _ => Some(lengths.iter().map(|length| length.next_multiple_of(REGISTER)).sum()),
        }
    }

    /// The length of each field in bytes, without padding.
    pub(crate) fn field_lengths(self) -> Option<Vec<u32>> {
        let length =
            |field| DATA_TYPES.iter().find(|listed| listed.0 == field).map(|found| found.1);
        self.fields().into_iter().map(length).collect()
    }

    /// The byte order that `nft` stores with a set of this key type.
    pub(crate) fn byte_order(self) -> ByteOrder {
        DATA_TYPES.iter().find(|listed| listed.0 == self).map_or(Invalid, |found| found.2)
    }

    /// The name in `nft`; `None` for a concatenation or an unlisted type.
    pub(crate) fn name(self) -> Option<&'static str> {
        DATA_TYPES.iter().find(|listed| listed.0 == self).map(|found| found.3)
    }
}

impl Field for DataType {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        u32::read(attribute).map(Self)
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        self.0.write(out, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_laid_out_as_nft_declares_them() {
        // for t in …; do tools/nft-bytes 'add table ip t' "add set ip t s { type $t; }"; done
        // Name, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, the byte order in NFTA_SET_USERDATA.
        let declared = "nf_proto 02 01 00, ipv4_addr 07 04 02, ipv6_addr 08 10 02, ether_addr 09 06 02,
            ether_type 0a 02 02, arp_op 0b 02 02, inet_proto 0c 01 00, inet_service 0d 02 02,
            icmp_type 0e 01 02, tcp_flag 0f 01 02, time 12 04 01, mark 13 04 01, iface_index 14 04 01,
            iface_type 15 02 01, realm 16 04 01, uid 18 04 01, gid 19 04 01, ct_state 1a 04 01,
            ct_dir 1b 01 00, ct_status 1c 04 01, icmpv6_type 1d 01 02, pkt_type 1f 01 01,
            icmp_code 20 01 02, icmpv6_code 21 01 02, devgroup 23 04 01, dscp 24 01 02,
            fib_addrtype 26 04 01, boolean 27 01 00, ifname 29 10 01, igmp_type 2a 01 02,
            cgroupsv2 2e 08 01";
        let ours: Vec<_> = DATA_TYPES
            .iter()
            .map(|(kind, length, order, name)| {
                format!("{name} {:02x} {length:02x} {:02x}", kind.0, order.number())
            })
            .collect();
        assert_eq!(ours, declared.split(',').map(str::trim).collect::<Vec<_>>());
    }

    #[test]
    fn fields_are_numbered_as_nft_numbers_them() {
        // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr . inet_service; }'
        let pair = [DataType::IPV4_ADDRESS, DataType::INTERNET_SERVICE];
        let both = DataType::concat(&pair).unwrap();
        assert_eq!(both, DataType(0x1cd));
        assert_eq!(both.fields(), pair);
        assert_eq!(both.length(), Some(8));
        assert_eq!(both.field_lengths(), Some(vec![4, 2]));
        assert_eq!(both.byte_order(), Invalid);
        assert_eq!(both.name(), None);
    }

    #[test]
    fn what_is_no_concatenation_has_one_field_or_none() {
        assert_eq!(DataType::MARK.fields(), [DataType::MARK]);
        assert_eq!(DataType::VERDICT.fields(), [DataType::VERDICT]);
        assert_eq!(DataType::VERDICT.length(), None);
        assert_eq!(DataType::concat(&[DataType::VERDICT]), None);
        assert_eq!(DataType::concat(&[DataType::MARK; 6]), None);
        assert_eq!(DataType(0).length(), None);
        assert_eq!(DataType(u32::MAX).length(), None);
    }
}
