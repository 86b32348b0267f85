//! A named object: a counter, quota or limit shared by rules and maps.
//!
//! ```text
//! NFTA_OBJ_TABLE     1  string
//! NFTA_OBJ_NAME      2  string
//! NFTA_OBJ_TYPE      3  be32
//! NFTA_OBJ_DATA      4  nest     the attributes of expr/counter.rs, expr/quota.rs, expr/limit.rs …
//! NFTA_OBJ_USE       5  be32     the number of rules and elements that use it
//! NFTA_OBJ_HANDLE    6  be64
//! NFTA_OBJ_USERDATA  8  bytes
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_object_attributes`.

use super::codec::{Codec, EitherField, Field, attribute_table, wire_enum};
use super::expr::connlimit::Connlimit;
use super::expr::counter::Counter;
use super::expr::limit::Limit;
use super::expr::quota::Quota;
use super::expr::synproxy::Synproxy;
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Writer};

wire_enum! {
    /// The kind of a named object.
    #[doc(alias = "NFT_OBJECT_COUNTER")]
    #[non_exhaustive]
    pub ObjectKind: u32 {
        /// Counts packets and bytes.
        Counter = 1 "counter",
        /// Matches until a number of bytes has passed, or from then on.
        Quota = 2 "quota",
        /// Matches up to a rate.
        Limit = 4 "limit",
        /// Matches up to a number of connections.
        Connections = 5 "ct count",
        /// Answers TCP handshakes for a server.
        Synproxy = 10 "synproxy",
    }
}

/// The settings and counts of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectData {
    Counter(Counter),
    Quota(Quota),
    Limit(Limit),
    Connlimit(Connlimit),
    Synproxy(Synproxy),
    /// The encoded attributes of a kind that netloom does not decode.
    Other(Vec<u8>),
}

impl ObjectData {
    /// Decodes the data of an object of this kind (`NFT_OBJECT_*`).
    fn decode(kind: Option<u32>, data: Attribute<'_>) -> Self {
        let nest = data.nested();
        let known = match kind.and_then(ObjectKind::from_number) {
            Some(ObjectKind::Counter) => Counter::decode_exactly(nest).map(Self::Counter),
            Some(ObjectKind::Quota) => Quota::decode_exactly(nest).map(Self::Quota),
            Some(ObjectKind::Limit) => Limit::decode_exactly(nest).map(Self::Limit),
            Some(ObjectKind::Connections) => Connlimit::decode_exactly(nest).map(Self::Connlimit),
            Some(ObjectKind::Synproxy) => Synproxy::decode_exactly(nest).map(Self::Synproxy),
            None => None,
        };
        known.unwrap_or_else(|| Self::Other(data.value.to_vec()))
    }
}

/// Reads the data, whose attributes depend on the kind in another attribute. Writes only the data.
impl EitherField for Option<ObjectData> {
    fn read(kind: Option<Attribute<'_>>, data: Option<Attribute<'_>>) -> Option<Self> {
        Some(data.map(|data| ObjectData::decode(kind.and_then(u32::read), data)))
    }

    fn write(&self, out: &mut Writer<'_>, _: u16, data: u16) {
        match self {
            None => {}
            Some(ObjectData::Counter(counter)) => counter.write(out, data),
            Some(ObjectData::Quota(quota)) => quota.write(out, data),
            Some(ObjectData::Limit(limit)) => limit.write(out, data),
            Some(ObjectData::Connlimit(connlimit)) => connlimit.write(out, data),
            Some(ObjectData::Synproxy(synproxy)) => synproxy.write(out, data),
            Some(ObjectData::Other(attributes)) => out.nested(data, |nest| nest.raw(attributes)),
        }
    }
}

attribute_table! {
    /// An object in a message. A deletion needs a kind, and a name or a handle.
    #[derive(Default)]
    lenient struct Object {
        table: Option<String> = 1,
        name: Option<String> = 2,
        handle: Option<u64> = 6,
        /// The number of the kind, even if [`ObjectKind`] lacks it.
        kind: Option<u32> = 3,
        userdata: Option<UserData> = 8,
        data: Option<ObjectData> = 3 or 4,
        /// The number of references; sent by the kernel only.
        use_count: Option<u32> = 5,
    }
}

impl Object {
    pub(crate) fn by_name(table: &str, kind: ObjectKind, name: &str) -> Self {
        let (table, name) = (Some(table.to_owned()), Some(name.to_owned()));
        Self { table, kind: Some(kind as u32), name, ..Self::default() }
    }

    pub(crate) fn by_handle(table: &str, kind: ObjectKind, handle: u64) -> Self {
        let (table, handle) = (Some(table.to_owned()), Some(handle));
        Self { table, kind: Some(kind as u32), handle, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::expr::quota::QuotaFlags;
    use crate::wire::nft::expr::synproxy::SynproxyFlags;
    use crate::wire::nft::testing::{encoded, hex, object};

    #[test]
    fn counters_quotas_and_limits_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add counter ip t n { packets 5 bytes 6; comment "o"; }'
        object(
            &Object {
                userdata: UserData::comment("o"),
                data: Some(ObjectData::Counter(Counter { packets: 5, bytes: 6 })),
                ..Object::by_name("t", ObjectKind::Counter, "n")
            },
            "06000100 74000000 06000200 6e000000 08000300 00000001 08000800 00026f00
             1c000480 0c000100 00000000 00000006 0c000200 00000000 00000005",
        );
        // tools/nft-bytes 'add table ip t' 'add quota ip t q { over 25 mbytes used 10 bytes; }'
        let quota = Quota { bytes: 25 << 20, consumed: 10, flags: QuotaFlags::INVERTED };
        object(
            &Object {
                data: Some(ObjectData::Quota(quota)),
                ..Object::by_name("t", ObjectKind::Quota, "q")
            },
            "06000100 74000000 06000200 71000000 08000300 00000002
             24000480 0c000100 00000000 01900000 0c000400 00000000 0000000a 08000200 00000001",
        );
        // tools/nft-bytes 'add table ip t' 'add limit ip t l { rate 5/second burst 3 packets; }'
        let limit = Limit { rate: 5, burst: 3, ..Limit::default() };
        object(
            &Object {
                data: Some(ObjectData::Limit(limit)),
                ..Object::by_name("t", ObjectKind::Limit, "l")
            },
            "06000100 74000000 06000200 6c000000 08000300 00000004
             34000480 0c000100 00000000 00000005 0c000200 00000000 00000001
             08000300 00000003 08000400 00000000 08000500 00000000",
        );
    }

    #[test]
    fn a_synproxy_as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add synproxy ip t y { mss 1460; wscale 7; }'
        let flags = SynproxyFlags::MSS | SynproxyFlags::WINDOW_SCALE;
        let synproxy = Synproxy { mss: 1460, window_scale: 7, flags };
        object(
            &Object {
                data: Some(ObjectData::Synproxy(synproxy)),
                ..Object::by_name("t", ObjectKind::Synproxy, "y")
            },
            "06000100 74000000 06000200 79000000 08000300 0000000a
             1c000480 06000100 05b40000 05000200 07000000 08000300 00000003",
        );
    }

    #[test]
    fn an_object_of_another_type_keeps_its_bytes() {
        // tools/nft-bytes 'add table ip t' 'add ct helper ip t h { type "ftp" protocol tcp; l3proto ip; }'
        let data = hex("07000100 66747000 06000200 00020000 05000300 06000000");
        object(
            &Object {
                data: Some(ObjectData::Other(data)),
                kind: Some(3),
                ..Object::by_name("t", ObjectKind::Counter, "h")
            },
            "06000100 74000000 06000200 68000000 08000300 00000003
             1c000480 07000100 66747000 06000200 00020000 05000300 06000000",
        );
    }

    #[test]
    fn deletions_and_resets_as_nft_sends_them() {
        // tools/nft-bytes 'add table ip t' 'add counter ip t n' 'delete counter ip t n'
        let nothing = Some(ObjectData::Other(Vec::new()));
        let deletion =
            Object { data: nothing.clone(), ..Object::by_handle("t", ObjectKind::Counter, 3) };
        assert_eq!(
            encoded(&deletion),
            hex("06000100 74000000 0c000600 00000000 00000003 08000300 00000001 04000480"),
        );
        // tools/nft-bytes -a 'reset counters'
        let reset =
            Object { kind: Some(ObjectKind::Counter as u32), data: nothing, ..Object::default() };
        assert_eq!(encoded(&reset), hex("08000300 00000001 04000480"));
    }
}
