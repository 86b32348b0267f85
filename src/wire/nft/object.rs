//! A named object: a counter, quota or limit shared by rules and maps.
//!
//! ```text
//! NFTA_OBJ_TABLE     1  string
//! NFTA_OBJ_NAME      2  string
//! NFTA_OBJ_TYPE      3  be32
//! NFTA_OBJ_DATA      4  nest     the attributes of expr/counter.rs, expr/quota.rs, expr/limit.rs …
//! NFTA_OBJ_USE       5  be32     how many rules and elements use it
//! NFTA_OBJ_HANDLE    6  be64
//! NFTA_OBJ_USERDATA  8  bytes
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_object_attributes`.

use super::codec::{Codec, Field, wire_enum};
use super::expr::connlimit::Connlimit;
use super::expr::counter::Counter;
use super::expr::limit::Limit;
use super::expr::quota::Quota;
use super::expr::synproxy::Synproxy;
use super::userdata::UserData;
use crate::wire::attribute::{Attribute, Attributes, Writer};

const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFTA_OBJ_USE: u16 = 5;
const NFTA_OBJ_HANDLE: u16 = 6;
const NFTA_OBJ_USERDATA: u16 = 8;

wire_enum! {
    #[doc(alias = "NFT_OBJECT_COUNTER")]
    ObjectType: u32 {
        Counter = 1,
        Quota = 2,
        CtHelper = 3,
        Limit = 4,
        Connlimit = 5,
        Tunnel = 6,
        CtTimeout = 7,
        Secmark = 8,
        CtExpectation = 9,
        Synproxy = 10,
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
    /// The encoded attributes of an undecoded type.
    Other(Vec<u8>),
}

impl ObjectData {
    fn encode(&self, out: &mut Writer<'_>) {
        match self {
            Self::Counter(counter) => counter.encode(out),
            Self::Quota(quota) => quota.encode(out),
            Self::Limit(limit) => limit.encode(out),
            Self::Connlimit(connlimit) => connlimit.encode(out),
            Self::Synproxy(synproxy) => synproxy.encode(out),
            Self::Other(attributes) => out.raw(attributes),
        }
    }

    fn decode(kind: Option<ObjectType>, data: Attribute<'_>) -> Self {
        let known = match kind {
            Some(ObjectType::Counter) => Counter::decode_exactly(data.nested()).map(Self::Counter),
            Some(ObjectType::Quota) => Quota::decode_exactly(data.nested()).map(Self::Quota),
            Some(ObjectType::Limit) => Limit::decode_exactly(data.nested()).map(Self::Limit),
            Some(ObjectType::Connlimit) => {
                Connlimit::decode_exactly(data.nested()).map(Self::Connlimit)
            }
            Some(ObjectType::Synproxy) => {
                Synproxy::decode_exactly(data.nested()).map(Self::Synproxy)
            }
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other(data.value.to_vec()))
    }
}

/// An object in a message. A deletion needs a type, and a name or handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) table: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) handle: Option<u64>,
    pub(crate) kind: Option<ObjectType>,
    pub(crate) userdata: Option<UserData>,
    pub(crate) data: Option<ObjectData>,
    /// Set by the kernel only.
    pub(crate) use_count: Option<u32>,
}

impl Object {
    pub(crate) fn by_name(table: &str, kind: ObjectType, name: &str) -> Self {
        Self {
            table: Some(table.to_owned()),
            kind: Some(kind),
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn by_handle(table: &str, kind: ObjectType, handle: u64) -> Self {
        Self {
            table: Some(table.to_owned()),
            kind: Some(kind),
            handle: Some(handle),
            ..Self::default()
        }
    }
}

impl Codec for Object {
    fn encode(&self, out: &mut Writer<'_>) {
        self.table.write(out, NFTA_OBJ_TABLE);
        self.name.write(out, NFTA_OBJ_NAME);
        self.handle.write(out, NFTA_OBJ_HANDLE);
        self.kind.write(out, NFTA_OBJ_TYPE);
        self.userdata.write(out, NFTA_OBJ_USERDATA);
        if let Some(data) = &self.data {
            out.nested(NFTA_OBJ_DATA, |nest| data.encode(nest));
        }
        self.use_count.write(out, NFTA_OBJ_USE);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let kind = attributes.lenient(NFTA_OBJ_TYPE)?;
        Some(Self {
            table: attributes.lenient(NFTA_OBJ_TABLE)?,
            name: attributes.lenient(NFTA_OBJ_NAME)?,
            handle: attributes.lenient(NFTA_OBJ_HANDLE)?,
            kind,
            userdata: attributes.lenient(NFTA_OBJ_USERDATA)?,
            data: attributes.get(NFTA_OBJ_DATA).map(|data| ObjectData::decode(kind, data)),
            use_count: attributes.lenient(NFTA_OBJ_USE)?,
        })
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
                ..Object::by_name("t", ObjectType::Counter, "n")
            },
            "06000100 74000000 06000200 6e000000 08000300 00000001 08000800 00026f00
             1c000480 0c000100 00000000 00000006 0c000200 00000000 00000005",
        );
        // tools/nft-bytes 'add table ip t' 'add quota ip t q { over 25 mbytes used 10 bytes; }'
        let quota = Quota { bytes: 25 << 20, consumed: 10, flags: QuotaFlags::INVERTED };
        object(
            &Object {
                data: Some(ObjectData::Quota(quota)),
                ..Object::by_name("t", ObjectType::Quota, "q")
            },
            "06000100 74000000 06000200 71000000 08000300 00000002
             24000480 0c000100 00000000 01900000 0c000400 00000000 0000000a 08000200 00000001",
        );
        // tools/nft-bytes 'add table ip t' 'add limit ip t l { rate 5/second burst 3 packets; }'
        let limit = Limit { rate: 5, burst: 3, ..Limit::default() };
        object(
            &Object {
                data: Some(ObjectData::Limit(limit)),
                ..Object::by_name("t", ObjectType::Limit, "l")
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
                ..Object::by_name("t", ObjectType::Synproxy, "y")
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
                ..Object::by_name("t", ObjectType::CtHelper, "h")
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
            Object { data: nothing.clone(), ..Object::by_handle("t", ObjectType::Counter, 3) };
        assert_eq!(
            encoded(&deletion),
            hex("06000100 74000000 0c000600 00000000 00000003 08000300 00000001 04000480"),
        );
        // tools/nft-bytes -a 'reset counters'
        let reset = Object { kind: Some(ObjectType::Counter), data: nothing, ..Object::default() };
        assert_eq!(encoded(&reset), hex("08000300 00000001 04000480"));
    }
}
