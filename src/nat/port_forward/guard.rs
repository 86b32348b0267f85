//! The table that keeps the host's own 127.0.0.0/8 from those who send to it by a link, for as long as a
//! link routes such addresses because of us: nobody owns it, so it outlives whoever is killed.
//!
//! ```text
//! table ip netloom-loopback {
//!     set links { type iface_index; elements = { "br0" comment "was 0" } }        # route_localnet
//!     chain prerouting {
//!         type filter hook prerouting priority raw;
//!         iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     }
//! }
//! ```

use std::fmt;

use super::ruleset::not_from_a_link_to_loopback;
use super::tables::Step;
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::{Operations, read};
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::chain::{Chain, ChainType};
use crate::wire::nft::data::Value;
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::hook::{Hook, HookPoint, Priority};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::set::{Description, Set, SetFlags};
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::{ByteOrder, UserData};

pub(super) const GUARD: &str = "netloom-loopback";
const MARK: &str = "links that netloom has route loopback addresses";
const LINKS: &str = "links";
const CHAIN: &str = "prerouting";
const FAMILY: Family = Family::Ip;

/// What is there of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Guard {
    #[default]
    Absent,
    /// Somebody else's table of that name.
    Foreign,
    /// Somebody took its rule away.
    Broken,
    Whole,
}

/// A link that is noted there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) link: u32,
    /// Whether it was on before.
    pub(super) was_on: bool,
}

impl Guard {
    /// Looks at a table of its name.
    pub(super) fn of(socket: &mut Socket, table: &Table) -> Result<Self, Cause> {
        if table.userdata.as_ref().and_then(UserData::as_comment) != Some(MARK) {
            return Ok(Self::Foreign);
        }
        let rules = read::rules(socket, FAMILY, GUARD)?;
        let drops = |rule: &Rule| rule.expressions == not_from_a_link_to_loopback();
        // What stands before it could let pass what it is to drop.
        Ok(if rules.first().is_some_and(drops) { Self::Whole } else { Self::Broken })
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Broken | Self::Whole)
    }

    /// Makes what is missing.
    pub(super) fn push_missing(self, transaction: &mut Operations<'_>) {
        let step = ("add", &"a table that drops" as &dyn fmt::Display);
        let (create, exclusive) = (NLM_F_CREATE, NLM_F_CREATE | NLM_F_EXCL);
        match self {
            Self::Whole => return,
            Self::Broken => {
                let all = Rule { table: GUARD.to_owned(), ..Rule::default() };
                transaction.push(step, MessageType::DeleteRule, 0, FAMILY, &all);
            }
            Self::Absent | Self::Foreign => {
                let (flags, userdata) = (Some(TableFlags::empty()), UserData::comment(MARK));
                let table = Table { flags, userdata, ..Table::by_name(GUARD) };
                transaction.push(step, MessageType::NewTable, exclusive, FAMILY, &table);
                let set = Set {
                    id: Some(1),
                    flags: Some(SetFlags::empty()),
                    key_type: Some(DataType::INTERFACE_INDEX),
                    key_len: Some(4),
                    desc: Description::default(),
                    userdata: Some(UserData::of_set(ByteOrder::Host)),
                    ..Set::by_name(GUARD, LINKS)
                };
                transaction.push(step, MessageType::NewSet, exclusive, FAMILY, &set);
            }
        }
        let chain = Chain {
            kind: Some(ChainType::Filter),
            hook: Hook::new(FAMILY, HookPoint::Prerouting, Priority::RAW),
            ..Chain::by_name(GUARD, CHAIN)
        };
        transaction.push(step, MessageType::NewChain, create, FAMILY, &chain);
        let rule = Rule::new(GUARD, CHAIN, not_from_a_link_to_loopback());
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        transaction.push(step, MessageType::NewRule, flags, FAMILY, &rule);
    }
}

/// Where a link is noted.
pub(super) fn place(link: u32) -> (ElementsOf<'static>, Value) {
    (ElementsOf::new(GUARD, LINKS), Value::host_u32(link))
}

/// All links that are noted.
pub(super) fn noted(socket: &mut Socket) -> Result<Vec<Noted>, Cause> {
    let elements = read::all_elements(socket, FAMILY, &ElementsOf::new(GUARD, LINKS))?;
    let noted = |element: &Element| {
        let link = element.key.as_ref()?.as_slice().try_into().ok().map(u32::from_ne_bytes)?;
        let was_on = element.userdata.as_ref().and_then(UserData::as_comment) != Some("was 0");
        Some(Noted { link, was_on })
    };
    Ok(elements.iter().filter_map(noted).collect())
}

pub(super) fn push_noted<'a>(
    transaction: &mut Operations<'a>,
    step: Step<'a>,
    kind: MessageType,
    links: &[Noted],
) {
    let flags = match kind {
        MessageType::NewElement => NLM_F_CREATE | NLM_F_EXCL,
        _ => 0,
    };
    let elements = links.iter().map(|noted| Element {
        userdata: UserData::comment(if noted.was_on { "was 1" } else { "was 0" }),
        ..Element::new(Value::host_u32(noted.link))
    });
    let of = ElementsOf::new(GUARD, LINKS);
    transaction.push_elements(step, kind, flags, FAMILY, (&of, elements));
}

pub(super) fn push_delete<'a>(transaction: &mut Operations<'a>, step: Step<'a>) {
    transaction.push(step, MessageType::DeleteTable, 0, FAMILY, &Table::by_name(GUARD));
}
