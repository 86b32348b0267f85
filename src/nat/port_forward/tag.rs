//! The keys of rows (a tag's hash and a place), and the names of the counters that rows refer to.

use std::net::Ipv6Addr;

use crate::wire::nft::data::Value;

/// A number that identifies a mapping. For a persistent mapping: its tag's hash and its place.
pub(super) type Number = (u128, usize);

/// The hash of a tag: FNV-1a with 128 bits, <https://www.rfc-editor.org/rfc/rfc9923>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TagHash(u128);

impl TagHash {
    pub(super) fn of(tag: &str) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let hash = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        Self(tag.bytes().fold(OFFSET, hash))
    }

    /// Returns the number of the mapping at a place.
    pub(super) fn number(self, place: u16) -> Number {
        (self.0, place.into())
    }

    /// Splits what [`number`](Self::number) returned into the hash and the place.
    pub(super) fn of_number((hash, place): Number) -> (Self, u16) {
        (Self(hash), u16::try_from(place).unwrap_or_default())
    }

    /// Reads the hash and the place from a key.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, u16)> {
        let (hash, rest) = key.split_first_chunk()?;
        let (place, _) = rest.split_first_chunk()?;
        Some((Self(u128::from_be_bytes(*hash)), u16::from_be_bytes(*place)))
    }

    pub(super) fn key(self, place: u16) -> Value {
        let mut key = Value::from(Ipv6Addr::from(self.0));
        key.append_bytes(place.to_be_bytes());
        key
    }
}

/// Returns the name of the counter for mappings by a link.
pub(super) fn link_counter(link: u32, covers_loopback: bool) -> String {
    format!("{}-{link}", if covers_loopback { "local" } else { "link" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_hashed_as_the_rfc_does() {
        // The RFC's test vectors for the empty string and for "a".
        assert_eq!(TagHash::of("").0, 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(TagHash::of("a").0, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let hash = TagHash::of("web");
        for place in [0, 0x0102] {
            let key = hash.key(place);
            assert_eq!(TagHash::of_key(key.as_slice()), Some((hash, place)));
            assert_eq!(TagHash::of_key(&key.as_slice()[..17]), None);
        }
    }
}
