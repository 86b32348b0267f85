//! The parts of a rule: what it looks for and what it does, in the order the kernel takes them.

mod display;

use std::net::IpAddr;
use std::time::Duration;

use super::datum::Datum;
use super::element::{Element, Verdict};
use super::field::{Field, Network};
use super::limit::Limit;
use super::log::Log;
use super::numgen::Numgen;
use super::object::ObjectKind;
use super::queue::Queue;
use super::reject::Reject;
use super::synproxy::Synproxy;
use crate::nft::model::device::Device;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::dynset::DynsetOp;
use crate::wire::nft::expr::nat::NatFlags;

pub(crate) use display::Bytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Only packets of this network protocol.
    Network(Network),
    Match(Match),
    Verdict(Verdict),
    /// The verdict that a map has for these fields.
    VerdictMap {
        fields: Vec<Field>,
        map: Group,
    },
    Counter,
    Limit(Limit),
    /// So many bytes, and no more; or what is over.
    Quota {
        bytes: u64,
        over: bool,
    },
    /// So many connections, and no more; or what is over.
    Connections {
        count: u32,
        over: bool,
    },
    /// An object of the table does its work.
    Object(ObjectKind, String),
    /// The packet's fields go into a set, or out of it.
    Dynamic(Dynamic),
    Log(Log),
    Reject(Reject),
    /// In the words of both families, though one is known.
    RejectBoth(Reject),
    Masquerade {
        ports: Option<(u16, u16)>,
        flags: NatFlags,
    },
    Redirect {
        ports: Option<(u16, u16)>,
        flags: NatFlags,
    },
    Nat(Nat),
    /// The address, and perhaps the port, that a map has for these fields.
    NatMap {
        is_source: bool,
        fields: Vec<Field>,
        map: Group,
        with_port: bool,
        flags: NatFlags,
    },
    /// The object that a map has for these fields does its work.
    ObjectMap {
        kind: ObjectKind,
        fields: Vec<Field>,
        map: Group,
    },
    /// The packet's mark becomes a number, or its connection's does.
    MarkFrom {
        is_ct: bool,
        number: Numgen,
    },
    SetMark(u32),
    SetCtMark(u32),
    /// The connection's mark becomes the packet's, and the other way round.
    SaveMark,
    RestoreMark,
    /// The largest segment a TCP connection is offered; none is what fits the route.
    ClampMss(Option<u16>),
    Notrack,
    /// The connection goes into a flowtable.
    FlowAdd(String),
    Queue(Queue),
    /// A copy goes there.
    Dup {
        address: Option<IpAddr>,
        device: Option<Device>,
    },
    Fwd {
        address: Option<IpAddr>,
        device: Device,
    },
    Tproxy {
        address: Option<IpAddr>,
        port: Option<u16>,
    },
    Synproxy(Synproxy),
    /// What is not understood here, as the kernel listed it.
    Unknown(Vec<Expr>),
}

impl Part {
    /// The link that the kernel wants to know by its index.
    pub(crate) fn device_mut(&mut self) -> Option<&mut Device> {
        match self {
            Self::Dup { device, .. } => device.as_mut(),
            Self::Fwd { device, .. } | Self::Match(Match { test: Test::Link(device), .. }) => {
                Some(device)
            }
            _ => None,
        }
    }

    /// The chain, set, map, object or flowtable of the table that it needs.
    pub(crate) fn names(&self) -> Option<&str> {
        match self {
            Self::Verdict(Verdict::Jump(name) | Verdict::Goto(name))
            | Self::VerdictMap { map: Group::Named(name), .. }
            | Self::Match(Match { test: Test::In(Group::Named(name)), .. })
            | Self::NatMap { map: Group::Named(name), .. }
            | Self::ObjectMap { map: Group::Named(name), .. }
            | Self::Object(_, name)
            | Self::Dynamic(Dynamic { set: name, .. })
            | Self::FlowAdd(name) => Some(name),
            _ => None,
        }
    }
}

/// What happens to an element of a set as packets come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dynamic {
    pub(crate) op: DynsetOp,
    pub(crate) fields: Vec<Field>,
    pub(crate) set: String,
    /// Of a map: what the fields stand for.
    pub(crate) data: Vec<Field>,
    /// How long it stays, if not as long as the set says.
    pub(crate) timeout: Option<Duration>,
    /// What each element has for itself.
    pub(crate) own: Option<Own>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    Counter,
    Limit(Limit),
    Connections { count: u32, over: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) fields: Vec<Field>,
    pub(crate) not: bool,
    pub(crate) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    Is(Value),
    /// The first so many bits.
    Prefix(Value, u8),
    Range(Value, Value),
    /// Exactly these of the bits in the mask.
    Bits {
        mask: Value,
        value: Value,
    },
    /// Any of these bits.
    AnyBit(Value),
    /// The link with this index.
    Link(Device),
    /// A name that begins like this.
    Beginning(String),
    In(Group),
}

/// A set or map: by its name in the table, or written into the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Group {
    Named(String),
    Written { elements: Vec<Element>, interval: bool },
}

impl Group {
    /// The family of the addresses that are written into it.
    pub(crate) fn network(&self) -> Option<Network> {
        let Self::Written { elements, .. } = self else { return None };
        match elements.first()?.data().first()? {
            Datum::Address(address) if address.is_ipv4() => Some(Network::Ip4),
            Datum::Address(_) => Some(Network::Ip6),
            _ => None,
        }
    }

    pub(crate) fn written(mut elements: Vec<Element>, interval: bool) -> Self {
        elements.sort();
        elements.dedup();
        Self::Written { elements, interval }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nat {
    pub(crate) is_source: bool,
    pub(crate) addresses: Option<(IpAddr, IpAddr)>,
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) flags: NatFlags,
}
