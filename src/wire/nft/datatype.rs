//! The types of set keys and data. The kernel only stores their numbers for `nft`.
//!
//! The number of a concatenation has 6 bits for each field; the last field has the lowest bits.
//!
//! Source: nftables, include/datatype.h.

use super::codec::Field;
use crate::wire::attribute::{Attribute, Writer};

const TYPE_BITS: u32 = 6;
const FIELD: u32 = (1 << TYPE_BITS) - 1;
const MAX_FIELDS: u32 = u32::BITS / TYPE_BITS;

/// The type of a set key or of map data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DataType(pub(crate) u32);

impl DataType {
    /// The type of a verdict map's data. The kernel itself interprets this number.
    #[doc(alias = "NFT_DATA_VERDICT")]
    pub(crate) const VERDICT: Self = Self(0xffff_ff00);

    /// Returns the type of a concatenation. Returns `None` if the fields do not fit into its
    /// number.
    pub(crate) fn concat(fields: impl IntoIterator<Item = Self>) -> Option<Self> {
        fields.into_iter().try_fold(Self(0), |Self(all), field| {
            let fits = all >> (TYPE_BITS * (MAX_FIELDS - 1)) == 0 && field.0 <= FIELD;
            fits.then_some(Self(all << TYPE_BITS | field.0))
        })
    }

    /// Returns the types of a concatenation's fields, or the type itself.
    pub(crate) fn fields(self) -> impl Iterator<Item = Self> {
        let all =
            (0..=u32::BITS / TYPE_BITS).rev().map(move |at| self.0 >> (at * TYPE_BITS) & FIELD);
        all.skip_while(|&field| field == 0).map(Self)
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
        let pair = [7, 13].map(DataType);
        let both = DataType::concat(pair).unwrap();
        assert_eq!(both, DataType(0x1cd));
        assert!(both.fields().eq(pair));
    }

    #[test]
    fn what_is_no_concatenation_has_one_field_or_none() {
        let mark = DataType(19);
        assert!(mark.fields().eq([mark]));
        assert_eq!(DataType::concat([DataType::VERDICT]), None);
        assert_eq!(DataType::concat([mark; 6]), None);
        assert_eq!(DataType(0).fields().count(), 0);
    }
}
