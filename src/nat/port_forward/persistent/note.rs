//! A note: what it is about, where it is kept, and what it says.

use std::net::IpAddr;

use super::record::Record;
use crate::nat::port_forward::elements::hairpin;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, MAPPINGS, TAGS};
use crate::wire::nft::data::{Data, Value, Verdict};
use crate::wire::nft::userdata::UserData;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Note {
    /// The table: how many mappings and links it has, but for the mappings that a link has.
    Whole,
    /// A tag: how many mappings it has, and its text.
    Tag(TagHash),
    /// A mapping of a tag, from 1 to as many as there are.
    Mapping(TagHash, u16),
    /// A container and the link that leads to it: how many mappings do.
    Container(u32, IpAddr),
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
}

impl Note {
    /// The set whose element has it; none where it is a count alone.
    pub(super) fn set(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Tag(_) | Self::Mapping(..) => Some(TAGS),
            Self::Container(..) => Some(HAIRPIN),
            Self::Local(_) => Some(LOCAL),
        }
    }

    /// The chain whose uses are its count.
    pub(super) fn chain(self) -> Option<String> {
        match self {
            Self::Whole => Some(MAPPINGS.to_owned()),
            Self::Local(link) => Some(format!("{LOCAL}-{link}")),
            _ => None,
        }
    }

    /// What its element leads to, with this text.
    pub(super) fn data(self, text: &str) -> Option<Data> {
        let goto = |chain: Option<String>| Some(Verdict::Goto(chain?.as_str().into()).into());
        match self {
            Self::Whole | Self::Container(..) => None,
            Self::Tag(_) => Some(Verdict::Return.into()),
            Self::Local(_) => goto(Self::Whole.chain()),
            Self::Mapping(..) => {
                let local = Record::local_link(text).map(Self::Local);
                goto(local.unwrap_or(Self::Whole).chain())
            }
        }
    }

    pub(super) fn key(self) -> Option<Value> {
        let tag = |hash: u128, at: u16| {
            Value::concat(&[Value::new(&hash.to_be_bytes())?, Value::from(at)])
        };
        match self {
            Self::Whole => None,
            Self::Tag(TagHash(hash)) => tag(hash, 0),
            Self::Mapping(TagHash(hash), at) => tag(hash, at),
            Self::Container(link, address) => Some(hairpin(link, link, address)),
            Self::Local(link) => Some(Value::host_u32(link)),
        }
    }
}

/// What a note says: how many there are, where it counts, and the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) count: u32,
    pub(super) rest: String,
}

impl Text {
    /// As the comment of its element; the kernel itself counts what leads to a chain.
    pub(super) fn comment(&self, of: Note) -> Option<UserData> {
        let Self { count, rest } = self;
        match of {
            Note::Tag(_) => UserData::comment(&format!("{count} {rest}")),
            Note::Container(..) => UserData::comment(&count.to_string()),
            Note::Whole | Note::Mapping(..) | Note::Local(_) => UserData::comment(rest),
        }
    }

    pub(super) fn read(comment: &str, of: Note) -> Self {
        let (count, rest) = match of {
            Note::Tag(_) | Note::Container(..) => comment.split_once(' ').unwrap_or((comment, "")),
            Note::Whole | Note::Mapping(..) | Note::Local(_) => ("0", comment),
        };
        Self { count: count.parse().unwrap_or(0), rest: rest.to_owned() }
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
    fn a_comment_is_read_as_it_was_written() {
        let hash = TagHash::of("web");
        for (note, count, rest) in [
            (Note::Tag(hash), 2, "web of two words"),
            (Note::Container(5, IpAddr::from([10, 0, 0, 2])), 3, ""),
            (Note::Mapping(hash, 1), 0, "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f"),
            (Note::Local(5), 0, "route_localnet"),
        ] {
            let text = Text { count, rest: rest.into() };
            let comment = text.comment(note).unwrap();
            assert_eq!(Text::read(comment.as_comment().unwrap(), note), text);
        }
    }
}
