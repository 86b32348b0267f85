//! The types of set keys and data. The kernel only keeps the numbers, `nft` lists by them.
//!
//! Of a concatenation the numbers lie one after the other, 6 bits each, the last field lowest.
//!
//! Source: nftables, include/datatype.h.

use super::codec::Field;
use crate::wire::attribute::{Attribute, Writer};

const TYPE_BITS: u32 = 6;

/// What a set key or map data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DataType(pub(crate) u32);

impl DataType {
    /// Of the data of a verdict map; a number of the kernel's own.
    #[doc(alias = "NFT_DATA_VERDICT")]
    pub(crate) const VERDICT: Self = Self(0xffff_ff00);

    pub(crate) const NETFILTER_PROTOCOL: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    pub(crate) const STRING: Self = Self(5);
    pub(crate) const IPV4_ADDRESS: Self = Self(7);
    pub(crate) const IPV6_ADDRESS: Self = Self(8);
    pub(crate) const ETHERNET_ADDRESS: Self = Self(9);
    pub(crate) const ETHERNET_TYPE: Self = Self(10);
    pub(crate) const INTERNET_PROTOCOL: Self = Self(12);
    pub(crate) const INTERNET_SERVICE: Self = Self(13);
    pub(crate) const ICMP_TYPE: Self = Self(14);
    pub(crate) const TCP_FLAGS: Self = Self(15);
    pub(crate) const TIME: Self = Self(18);
    pub(crate) const MARK: Self = Self(19);
    pub(crate) const INTERFACE_INDEX: Self = Self(20);
    pub(crate) const USER: Self = Self(24);
    pub(crate) const GROUP: Self = Self(25);
    pub(crate) const CT_STATE: Self = Self(26);
    pub(crate) const CT_DIRECTION: Self = Self(27);
    pub(crate) const CT_STATUS: Self = Self(28);
    pub(crate) const ICMPV6_TYPE: Self = Self(29);
    pub(crate) const PACKET_TYPE: Self = Self(31);
    pub(crate) const DEVICE_GROUP: Self = Self(35);
    pub(crate) const FIB_ADDRESS_TYPE: Self = Self(38);
    pub(crate) const INTERFACE_NAME: Self = Self(41);
    pub(crate) const CGROUP_V2: Self = Self(46);

    /// The type of fields one after the other; `None` when they are more than the number can hold.
    pub(crate) fn concat(fields: &[Self]) -> Option<Self> {
        const FIELDS: usize = (u32::BITS / TYPE_BITS) as usize;
        let fits = fields.len() <= FIELDS && fields.iter().all(|field| field.0 >> TYPE_BITS == 0);
        fits.then(|| Self(fields.iter().fold(0, |all, field| all << TYPE_BITS | field.0)))
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
    fn fields_are_numbered_as_nft_numbers_them() {
        // tools/nft-bytes 'add table ip t' 'add set ip t s { type ipv4_addr . inet_service; }'
        let pair = [DataType::IPV4_ADDRESS, DataType::INTERNET_SERVICE];
        assert_eq!(DataType::concat(&pair), Some(DataType(0x1cd)));
        assert_eq!(DataType::concat(&[DataType::VERDICT]), None);
        assert_eq!(DataType::concat(&[DataType::MARK; 6]), None);
    }
}
