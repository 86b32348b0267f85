//! Reads the ruleset of a namespace, or one table.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::device::name_devices;
use super::generation::read_at_one_generation;
use super::handle::TableHandle;
use super::reader;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::model::chain::Chain;
use crate::nft::model::family::Family;
use crate::nft::model::flowtable::Flowtable;
use crate::nft::model::info::{ChainInfo, RuleInfo, SetInfo, SetOrMap, TableInfo};
use crate::nft::model::interval::DataKind;
use crate::nft::model::object::Object;
use crate::nft::model::reader::KnownSets;
use crate::nft::model::rule::Rule;
use crate::nft::model::set::{Map, Set, Spec};
use crate::nft::model::set_message::shape_of;
use crate::nft::model::statements::counter::counted;
use crate::nft::model::statements::decode;
use crate::nft::model::table::tag_in;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::flowtable as wire_flowtable;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set::SetFlags;
use crate::wire::nft::table as wire_table;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

const READ: &str = "read";
const RULESET: &str = "the ruleset";

impl Netns {
    /// Reads all tables of all programs with their contents: chains with their rules, sets, maps,
    /// flowtables, and named objects of every [`ObjectKind`](crate::nft::ObjectKind). Other named
    /// objects, such as conntrack helpers, are left out.
    ///
    /// Replaces `nft list ruleset`. A ruleset that changes meanwhile is read again, for 10 seconds
    /// at most.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, or without
    /// `CAP_SYS_ADMIN` at the first use of `nf_tables` in a namespace that the thread is not in.
    #[doc(alias = "nft list ruleset")]
    pub fn nft_ruleset(&self) -> Result<Vec<TableInfo>, Error> {
        ruleset(self, None, true)
    }
}

/// Reads a table, with or without the elements of named sets. Fails with ENOENT if it is gone.
pub(super) fn read_table(table: &TableHandle, has_elements: bool) -> Result<TableInfo, Error> {
    let found = ruleset(&table.netns, Some(table), has_elements)?.into_iter().next();
    let gone = || Cause::from(Errno::ENOENT).doing("read table", table);
    found.ok_or_else(|| gone().in_namespace(&table.netns))
}

fn ruleset(
    netns: &Netns,
    only: Option<&TableHandle>,
    has_elements: bool,
) -> Result<Vec<TableInfo>, Error> {
    read_at_one_generation(netns, (READ, &RULESET), || {
        let mut found = ask(netns, |socket| {
            let family = only.map(|table| table.family);
            let all = wire_chain::Chain::default();
            let chains = reader::list(socket, MessageType::GetChain, family, &all)?;
            let mut found = Vec::new();
            for (family, table) in reader::tables(socket)? {
                if only.is_none_or(|only| only.number.if_known() == table.handle) {
                    found.extend(read_one(socket, (family, &table), &chains, has_elements)?);
                }
            }
            Ok(found)
        })?;
        let chains = found.iter_mut().flat_map(|table| &mut table.chains);
        let rules = chains.flat_map(|chain| &mut chain.rules);
        name_devices(netns, rules.flat_map(|info| &mut info.rule.statements))?;
        Ok(found)
    })
}

/// Reads over the socket that owns the namespace's tables.
fn ask<T>(netns: &Netns, read: impl FnOnce(&mut Socket) -> Result<T, Cause>) -> Result<T, Error> {
    let read = netns.nf_tables(|nf_tables| read(&mut nf_tables.socket));
    read.map_err(|cause| cause.doing(READ, RULESET))
}

fn read_one(
    socket: &mut Socket,
    (family, table): (Family, &wire_table::Table),
    chains: &[(Family, wire_chain::Chain)],
    has_elements: bool,
) -> Result<Option<TableInfo>, Cause> {
    let (Some(name), Some(number)) = (&table.name, table.handle) else { return Ok(None) };
    let (sets, written) = sets(socket, family, name, has_elements)?;
    let rules = reader::rules(socket, family, name)?;
    let in_table =
        |(of, chain): &&(Family, wire_chain::Chain)| *of == family && chain.table == *name;
    let chains = chains.iter().filter(in_table).map(|(_, chain)| {
        let of_chain = |rule: &&wire_rule::Rule| rule.chain.is_some() && rule.chain == chain.name;
        ChainInfo {
            chain: Chain::from_wire(family, chain),
            number: chain.handle.unwrap_or_default(),
            rules: rules
                .iter()
                .filter(of_chain)
                .map(|rule| rule_info(family, rule, &written))
                .collect(),
        }
    });
    let flags = table.flags.unwrap_or_default();
    let comment = table.userdata.as_ref().and_then(UserData::as_comment);
    Ok(Some(TableInfo {
        family,
        name: name.clone(),
        number,
        owner: table.owner.filter(|_| flags.contains(TableFlags::OWNER)),
        tag: tag_of(table).map(str::to_owned),
        comment: comment.map(str::to_owned),
        is_dormant: flags.contains(TableFlags::DORMANT),
        chains: chains.collect(),
        objects: objects(socket, family, name)?,
        flowtables: flowtables(socket, family, name)?,
        sets,
    }))
}

fn rule_info(family: Family, rule: &wire_rule::Rule, written: &KnownSets) -> RuleInfo {
    let comment = rule.userdata.as_ref().and_then(UserData::as_comment);
    RuleInfo {
        rule: Rule {
            statements: decode(family, &rule.expressions, written),
            comment: comment.map(str::to_owned),
            ..Rule::default()
        },
        number: rule.handle.unwrap_or_default(),
        counter: counted(&rule.expressions),
    }
}

/// Reads the named sets of a table, with their elements on request, and the anonymous sets of its
/// rules.
fn sets(
    socket: &mut Socket,
    family: Family,
    table: &str,
    has_elements: bool,
) -> Result<(Vec<SetInfo>, KnownSets), Cause> {
    let mut sets = Vec::new();
    let mut written = KnownSets::default();
    for set in reader::sets(socket, family, table)? {
        let name = set.name.clone().unwrap_or_default();
        let shape = shape_of(&set);
        let is_written = set.flags.unwrap_or_default().contains(SetFlags::ANONYMOUS);
        let elements = if has_elements || is_written {
            let of = ElementsOf::new(table, &name);
            shape.decode(reader::all_elements(socket, family, &of)?)
        } else {
            Vec::new()
        };
        if let Some(DataKind::Object(kind)) = shape.data {
            written.objects.insert(name.clone(), kind);
        }
        if is_written {
            written.elements.insert(name, elements);
            continue;
        }
        let number = set.handle.unwrap_or_default();
        let is_map = shape.data.is_some();
        let spec = Spec::from_wire(&set);
        let set = if is_map { SetOrMap::Map(Map(spec)) } else { SetOrMap::Set(Set(spec)) };
        sets.push(SetInfo { set, number, elements });
    }
    Ok((sets, written))
}

fn flowtables(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Flowtable>, Cause> {
    if !matches!(family, Family::Ip | Family::Ip6 | Family::Inet) {
        return Ok(Vec::new());
    }
    let of = wire_flowtable::Flowtable { table: table.to_owned(), ..Default::default() };
    let listed: Vec<(_, wire_flowtable::Flowtable)> =
        reader::list(socket, MessageType::GetFlowtable, family, &of)?;
    let in_table = listed.iter().filter(|(_, flowtable)| flowtable.table == table);
    Ok(in_table.filter_map(|(_, flowtable)| Flowtable::from_wire(flowtable)).collect())
}

fn objects(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Object>, Cause> {
    let of =
        wire_object::Object { table: Some(table.to_owned()), ..wire_object::Object::default() };
    let listed: Vec<(_, wire_object::Object)> =
        reader::list(socket, MessageType::GetObject, family, &of)?;
    Ok(listed.into_iter().filter_map(|(_, object)| Object::from_wire(object)).collect())
}

/// Lists all tables, each with its family.
pub(super) fn tables(netns: &Netns) -> Result<Vec<(Family, wire_table::Table)>, Error> {
    ask(netns, reader::tables)
}

/// Lists the base chains, each with its table.
pub(crate) fn base_chains(netns: &Netns) -> Result<Vec<(Family, String, Chain)>, Error> {
    let all = wire_chain::Chain::default();
    let listed = ask(netns, |socket| reader::list(socket, MessageType::GetChain, None, &all))?;
    let base = |(family, chain): (Family, wire_chain::Chain)| {
        chain.hook.as_ref()?;
        Some((family, chain.table.clone(), Chain::from_wire(family, &chain)))
    };
    Ok(listed.into_iter().filter_map(base).collect())
}

/// The origin of a table: which program created it.
pub(crate) struct Maker {
    /// The netlink port of the socket that owns the table.
    pub(crate) owner: Option<u32>,
    /// The tag, if netloom created the table as a persistent one.
    pub(crate) tag: Option<String>,
    /// True if the table's chains see no packets.
    pub(crate) is_dormant: bool,
}

/// Lists the origins of all tables, by family and name.
pub(crate) fn makers(netns: &Netns) -> Result<BTreeMap<(Family, String), Maker>, Error> {
    let maker = |(family, table): (Family, wire_table::Table)| {
        let flags = table.flags.unwrap_or_default();
        let maker = Maker {
            owner: table.owner.filter(|_| flags.contains(TableFlags::OWNER)),
            tag: tag_of(&table).map(str::to_owned),
            is_dormant: flags.contains(TableFlags::DORMANT),
        };
        Some(((family, table.name?), maker))
    };
    Ok(tables(netns)?.into_iter().filter_map(maker).collect())
}

/// Returns the tag of a listed table, if the table is a persistent one of netloom.
fn tag_of(table: &wire_table::Table) -> Option<&str> {
    tag_in(table.userdata.as_ref()?.as_comment()?)
}
