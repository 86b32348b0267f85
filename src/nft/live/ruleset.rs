//! Rulesets read back.

use std::collections::BTreeMap;

use super::chain::ChainHandle;
use super::device::name_devices;
use super::find::{gone, list_elements};
use super::generation::at_one_generation;
use super::request::{dump, dump_in};
use super::table::TableHandle;
use crate::error::Error;
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
use crate::nft::model::table::tag_of;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::data::ChainRef;
use crate::wire::nft::flowtable as wire_flowtable;
use crate::wire::nft::message as wire;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::set::SetFlags;
use crate::wire::nft::table as wire_table;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

impl Netns {
    /// All tables with what is in them, whoever made them: chains with their rules, sets, maps, flowtables, and
    /// the named objects of [`ObjectKind`](crate::nft::ObjectKind). Other named objects, as helpers of connection
    /// tracking, are left out.
    ///
    /// Replaces `nft list ruleset`.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, and at the first
    /// use of `nf_tables` in a namespace that the thread is not in, without `CAP_SYS_ADMIN`. A ruleset that changes
    /// while it is read is read again, 64 times at most.
    #[doc(alias = "nft list ruleset")]
    pub fn nft_ruleset(&self) -> Result<Vec<TableInfo>, Error> {
        ruleset(self, None)
    }
}

fn ruleset(netns: &Netns, only: Option<&TableHandle>) -> Result<Vec<TableInfo>, Error> {
    at_one_generation(netns, || read_once(netns, only))
}

fn read_once(netns: &Netns, only: Option<&TableHandle>) -> Result<Vec<TableInfo>, Error> {
    let mut all = Vec::new();
    let chains: Vec<(wire::Family, wire_chain::Chain)> =
        dump(netns, only, MessageType::GetChain, &wire_chain::Chain::default())?;
    for (family, table) in tables(netns)? {
        let (Some(name), Some(number)) = (&table.name, table.handle) else { continue };
        if only.is_some_and(|only| only.number.get() != number) {
            continue;
        }
        let (sets, written) = sets(netns, family, name)?;
        let objects = objects(netns, family, name)?;
        let flowtables = flowtables(netns, family, name)?;
        let rules = rules(netns, family, name)?;
        let in_table = |(of, chain): &&(wire::Family, wire_chain::Chain)| {
            *of == family.wire() && chain.table == *name
        };
        let chains = chains.iter().filter(in_table).map(|(_, chain)| {
            let of_chain = |rule: &&wire_rule::Rule| match (&rule.chain, &chain.name) {
                (Some(ChainRef::Name(rule)), Some(chain)) => rule == chain,
                _ => false,
            };
            let rules = rules.iter().filter(of_chain);
            ChainInfo {
                chain: Chain::from_wire(family, chain),
                number: chain.handle.unwrap_or_default(),
                rules: rules.map(|rule| rule_info(family, rule, &written)).collect(),
            }
        });
        let flags = table.flags.unwrap_or_default();
        let comment = table.userdata.as_ref().and_then(UserData::as_comment);
        all.push(TableInfo {
            family,
            name: name.clone(),
            number,
            owner: table.owner.filter(|_| flags.contains(TableFlags::OWNER)),
            tag: tag_of(&table).map(str::to_owned),
            comment: comment.map(str::to_owned),
            is_dormant: flags.contains(TableFlags::DORMANT),
            chains: chains.collect(),
            objects,
            flowtables,
            sets,
        });
    }
    let chains = all.iter_mut().flat_map(|table| &mut table.chains);
    let rules = chains.flat_map(|chain| &mut chain.rules);
    name_devices(netns, rules.flat_map(|info| &mut info.rule.statements))?;
    Ok(all)
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

/// The named sets of a table with their elements, and the elements of those written into rules.
fn sets(netns: &Netns, family: Family, table: &str) -> Result<(Vec<SetInfo>, KnownSets), Error> {
    let of = wire_set::Set { table: table.to_owned(), ..wire_set::Set::default() };
    let listed: Vec<(_, wire_set::Set)> = dump_in(netns, family, MessageType::GetSet, &of)?;
    let mut sets = Vec::new();
    let mut written = KnownSets::default();
    for (_, set) in listed {
        let name = set.name.clone().unwrap_or_default();
        let shape = shape_of(&set);
        let elements = shape.decode(list_elements(netns, family, table, &name)?);
        if let Some(DataKind::Object(kind)) = shape.data {
            written.objects.insert(name.clone(), kind);
        }
        if set.flags.unwrap_or_default().contains(SetFlags::ANONYMOUS) {
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

fn flowtables(netns: &Netns, family: Family, table: &str) -> Result<Vec<Flowtable>, Error> {
    if !matches!(family, Family::Ip | Family::Ip6 | Family::Inet) {
        return Ok(Vec::new());
    }
    let of = wire_flowtable::Flowtable { table: table.to_owned(), ..Default::default() };
    let listed: Vec<(_, wire_flowtable::Flowtable)> =
        dump_in(netns, family, MessageType::GetFlowtable, &of)?;
    let is_of_it = |flowtable: &&wire_flowtable::Flowtable| flowtable.table == table;
    let listed = listed.iter().map(|(_, flowtable)| flowtable).filter(is_of_it);
    Ok(listed.filter_map(Flowtable::from_wire).collect())
}

fn objects(netns: &Netns, family: Family, table: &str) -> Result<Vec<Object>, Error> {
    let of =
        wire_object::Object { table: Some(table.to_owned()), ..wire_object::Object::default() };
    let objects: Vec<(_, wire_object::Object)> =
        dump_in(netns, family, MessageType::GetObject, &of)?;
    Ok(objects.iter().filter_map(|(_, object)| Object::from_wire(object)).collect())
}

pub(crate) fn read_table(table: &TableHandle) -> Result<TableInfo, Error> {
    let found = ruleset(&table.netns, Some(table))?.into_iter().next();
    found.ok_or_else(|| gone("read table", table).in_namespace(&table.netns))
}

fn rules(netns: &Netns, family: Family, table: &str) -> Result<Vec<wire_rule::Rule>, Error> {
    let of = wire_rule::Rule { table: table.to_owned(), ..wire_rule::Rule::default() };
    let rules: Vec<(_, wire_rule::Rule)> = dump_in(netns, family, MessageType::GetRule, &of)?;
    Ok(rules.into_iter().map(|(_, rule)| rule).collect())
}

/// The numbers of a chain's rules.
pub(crate) fn rule_numbers(chain: &ChainHandle) -> Result<Vec<u64>, Error> {
    let all = rules(&chain.table.netns, chain.table.family, &chain.table.name)?;
    let is_in = |rule: &wire_rule::Rule| matches!(&rule.chain, Some(ChainRef::Name(name)) if *name == chain.name);
    Ok(all.into_iter().filter(is_in).filter_map(|rule| rule.handle).collect())
}

pub(crate) fn tables(netns: &Netns) -> Result<Vec<(Family, wire_table::Table)>, Error> {
    let all = dump(netns, None, MessageType::GetTable, &wire_table::Table::default())?;
    let known = |(family, table)| Some((Family::from_wire(family)?, table));
    Ok(all.into_iter().filter_map(known).collect())
}

/// Base chains of a namespace, with the tables they are in.
pub(crate) fn base_chains(netns: &Netns) -> Result<Vec<(Family, String, Chain)>, Error> {
    let all = dump(netns, None, MessageType::GetChain, &wire_chain::Chain::default())?;
    let base = |(family, chain): (wire::Family, wire_chain::Chain)| {
        chain.hook.as_ref()?;
        let family = Family::from_wire(family)?;
        Some((family, chain.table.clone(), Chain::from_wire(family, &chain)))
    };
    Ok(all.into_iter().filter_map(base).collect())
}

/// Who made a table, and whether its chains see packets.
pub(crate) struct Maker {
    /// The netlink port of the socket it goes with.
    pub(crate) owner: Option<u32>,
    /// The tag of a persistent one of netloom's.
    pub(crate) tag: Option<String>,
    pub(crate) is_dormant: bool,
}

/// All tables, with who made them.
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
