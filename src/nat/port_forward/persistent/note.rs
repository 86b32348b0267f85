//! A note: what it is about, where it is kept, and what it says.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::record::Record;
use crate::nat::port_forward::elements::hairpin;
use crate::nat::port_forward::mapping::Mapping;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, MAPPINGS, TAGS};
use crate::wire::nft::data::Value;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Note {
    /// The table: how many mappings and links it has, but for the mappings that a link has.
    Whole,
    /// A tag: how many mappings it has, and its text.
    Tag(TagHash),
    /// A mapping of a tag, from 1 to as many as there are.
    Mapping(TagHash, u16),
    /// A container and the link that leads to it: how many groups of mappings do.
    Container(u32, IpAddr),
    /// A group of mappings to a container, from 1 to as many as there are: how many mappings it has.
    Group(u32, IpAddr, u16),
    /// A link that has to route loopback addresses: for how many mappings.
    Local(u32),
}

/// A tag as part of a key: FNV-1a with 128 bits, <https://www.rfc-editor.org/rfc/rfc9923>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TagHash(u128);

impl TagHash {
    pub(super) fn of(tag: &str) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let hash = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        Self(tag.bytes().fold(OFFSET, hash))
    }

    /// As it is in an element of the tags' set, with the place there.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, u16)> {
        let (hash, rest) = key.split_first_chunk()?;
        let (place, _) = rest.split_first_chunk()?;
        Some((Self(u128::from_be_bytes(*hash)), u16::from_be_bytes(*place)))
    }

    /// Of the mappings to a container. No tag has a line feed.
    fn of_container(link: u32, address: IpAddr) -> Self {
        Self::of(&format!("\n{link} {address}"))
    }
}

impl Note {
    /// The set whose element has it; none where it is a count alone.
    pub(super) fn set(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Tag(_) | Self::Mapping(..) | Self::Group(..) => Some(TAGS),
            Self::Container(..) => Some(HAIRPIN),
            Self::Local(_) => Some(LOCAL),
        }
    }

    /// Whether its number is not written, but known by what there is: the uses of its chain, or its rows.
    pub(super) fn is_counted(self) -> bool {
        self.row(1).is_some() || matches!(self, Self::Whole | Self::Local(_))
    }

    /// The note at a place of those it counts, where it counts notes.
    pub(super) fn row(self, place: u16) -> Option<Self> {
        match self {
            Self::Tag(hash) => Some(Self::Mapping(hash, place)),
            Self::Container(link, address) => Some(Self::Group(link, address, place)),
            _ => None,
        }
    }

    /// Whether it is one of many.
    pub(super) fn is_row(self) -> bool {
        matches!(self, Self::Mapping(..) | Self::Group(..))
    }

    /// The chain whose uses are its count.
    pub(super) fn chain(self) -> Option<String> {
        match self {
            Self::Whole => Some(MAPPINGS.to_owned()),
            Self::Local(link) => Some(format!("{LOCAL}-{link}")),
            _ => None,
        }
    }

    pub(super) fn key(self) -> Option<Value> {
        let tag = |hash: u128, at: u16| {
            let mut key = Value::from(Ipv6Addr::from(hash));
            key.append_bytes(at.to_be_bytes());
            Some(key)
        };
        match self {
            Self::Whole => None,
            Self::Tag(TagHash(hash)) => tag(hash, 0),
            Self::Mapping(TagHash(hash), at) => tag(hash, at),
            Self::Container(link, address) => Some(hairpin(link, link, address)),
            Self::Group(link, address, at) => tag(TagHash::of_container(link, address).0, at),
            Self::Local(link) => Some(Value::host_u32(link)),
        }
    }
}

/// What a note says: how many there are, where it counts, and the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) count: u32,
    pub(super) rest: String,
    /// Of a mapping: the link that routes loopback addresses for it, if one does.
    pub(super) local: Option<u32>,
}

impl Text {
    pub(super) fn new(count: u32, rest: impl Into<String>) -> Self {
        Self { count, rest: rest.into(), local: None }
    }

    /// Of a mapping with its number.
    pub(super) fn of_mapping(mapping: &Mapping, number: u64) -> Self {
        let local = mapping.is_at_loopback().then_some(mapping.link);
        Self { count: 0, rest: Record::text(mapping, number), local }
    }

    /// As the comment of its element, where it has one.
    pub(super) fn comment(&self, of: Note) -> Option<Cow<'_, str>> {
        let Self { count, rest, .. } = self;
        match of {
            Note::Group(..) => Some(count.to_string().into()),
            Note::Whole | Note::Container(..) => None,
            Note::Tag(_) | Note::Mapping(..) | Note::Local(_) => Some(rest.into()),
        }
    }

    pub(super) fn read(comment: &str, of: Note) -> Self {
        let (count, rest) = match of {
            Note::Group(..) => (comment, ""),
            _ => ("0", comment),
        };
        let local = match of {
            Note::Mapping(..) => Record::local_link(comment),
            _ => None,
        };
        Self { count: count.parse().unwrap_or(0), rest: rest.to_owned(), local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_hashed_as_the_rfc_does() {
        // Its test vectors: of nothing the offset itself, and of "a".
        assert_eq!(TagHash::of("").0, 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(TagHash::of("a").0, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let hash = TagHash::of("web");
        for (note, place) in [(Note::Tag(hash), 0), (Note::Mapping(hash, 0x0102), 0x0102)] {
            let key = note.key().unwrap();
            assert_eq!(TagHash::of_key(key.as_slice()), Some((hash, place)));
            assert_eq!(TagHash::of_key(&key.as_slice()[..17]), None);
        }
    }

    #[test]
    fn a_comment_is_read_as_it_was_written() {
        let hash = TagHash::of("web");
        for (note, count, rest, local) in [
            (Note::Tag(hash), 0, "web of two words", None),
            (Note::Container(5, IpAddr::from([10, 0, 0, 2])), 0, "", None),
            (Note::Group(5, IpAddr::from([10, 0, 0, 2]), 1), 3, "", None),
            (Note::Mapping(hash, 1), 0, "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f", Some(5)),
            (Note::Mapping(hash, 1), 0, "10.0.0.1:8080->10.0.0.2:80/tcp%5#1f", None),
            (Note::Local(5), 0, "route_localnet", None),
        ] {
            let text = Text { local, ..Text::new(count, rest) };
            assert_eq!(Text::read(&text.comment(note).unwrap_or_default(), note), text);
        }
    }
}
