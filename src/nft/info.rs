//! What is there: rulesets read back.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};
use nix::errno::Errno;

use super::chain::{Chain, ChainHandle};
use super::decode::{Written, decode};
use super::element::Element;
use super::family::Family;
use super::generation::Generation;
use super::number::Number;
use super::object::{Object, ObjectHandle, ObjectKind};
use super::rule::Rule;
use super::rule_handle::RuleHandle;
use super::set::{Map, Set, SetHandle, Spec};
use super::set_message::shape_of;
use super::table::{TableHandle, tag_of};
use crate::counter::Counter;
use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::generation as wire_generation;
use crate::wire::nft::message as wire;
use crate::wire::nft::message::{Message, MessageType};
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::set::SetFlags;
use crate::wire::nft::table as wire_table;
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::userdata::UserData;

/// A table as it is, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// The number the kernel gave it.
    pub number: u64,
    /// The netlink port of the socket it goes with, if it has an owner.
    pub owner: Option<u32>,
    /// The tag of a persistent table of netloom's.
    pub tag: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether its chains see no packets.
    pub is_dormant: bool,
    /// Its chains, in the order they were made.
    pub chains: Vec<ChainInfo>,
    /// Its counters, quotas and limits.
    pub objects: Vec<Object>,
    /// Its sets, without those written into rules.
    pub sets: Vec<SetInfo>,
}

/// A chain as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainInfo {
    /// It as it would be made, without its rules.
    pub chain: Chain,
    /// The number the kernel gave it.
    pub number: u64,
    /// Its rules, first to last.
    pub rules: Vec<RuleInfo>,
}

/// A rule as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleInfo {
    /// It as it would be made. What is not understood of it survives.
    pub rule: Rule,
    /// The number the kernel gave it.
    pub number: u64,
    /// What its first counter has counted, if it has one.
    pub counter: Option<Counter>,
}

/// A set or map as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetInfo {
    /// It as it would be made, without its elements.
    pub set: SetOrMap,
    /// The number the kernel gave it.
    pub number: u64,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOrMap {
    /// Keys alone.
    Set(Set),
    /// Keys that stand for something.
    Map(Map),
}

/// How often a ruleset is read that changes meanwhile.
const ATTEMPTS: u32 = 64;

impl Netns {
    /// All tables with all that is in them, whoever made them.
    ///
    /// Replaces `nft list ruleset`.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`. A ruleset that
    /// changes while it is read is read again, 64 times at most.
    #[doc(alias = "nft list ruleset")]
    pub fn nft_ruleset(&self) -> Result<Vec<TableInfo>, Error> {
        ruleset(self, None)
    }
}

fn ruleset(netns: &Netns, only: Option<&TableHandle>) -> Result<Vec<TableInfo>, Error> {
    let mut generation = generation(netns)?;
    for _ in 0..ATTEMPTS {
        let tables = read_once(netns, only);
        let now = self::generation(netns)?;
        match tables {
            // What changed in between may be gone.
            Err(error) if error.is_not_found() && now != generation => {}
            Ok(_) if now != generation => {}
            result => return result,
        }
        generation = now;
    }
    Err(Cause::Interrupted(ATTEMPTS).doing("read", "the ruleset").in_namespace(netns))
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
        let rules = rules(netns, family, name)?;
        let in_table = |(of, chain): &&(wire::Family, wire_chain::Chain)| {
            *of == family.wire() && chain.table == *name
        };
        let chains = chains.iter().filter(in_table).map(|(_, chain)| {
            let of_chain = |rule: &&wire_rule::Rule| match (&rule.chain, &chain.name) {
                (Some(crate::wire::nft::data::ChainRef::Name(rule)), Some(chain)) => rule == chain,
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
            sets,
        });
    }
    Ok(all)
}

fn rule_info(family: Family, rule: &wire_rule::Rule, written: &Written) -> RuleInfo {
    let comment = rule.userdata.as_ref().and_then(UserData::as_comment);
    RuleInfo {
        rule: Rule {
            parts: decode(family, &rule.expressions, written),
            comment: comment.map(str::to_owned),
            ..Rule::default()
        },
        number: rule.handle.unwrap_or_default(),
        counter: counted(rule),
    }
}

fn counted(rule: &wire_rule::Rule) -> Option<Counter> {
    rule.expressions.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(Counter::new(counter.packets, counter.bytes)),
        _ => None,
    })
}

/// The named sets of a table with their elements, and the elements of those written into rules.
fn sets(netns: &Netns, family: Family, table: &str) -> Result<(Vec<SetInfo>, Written), Error> {
    let of = wire_set::Set { table: table.to_owned(), ..wire_set::Set::default() };
    let listed: Vec<(_, wire_set::Set)> = dump_in(netns, family, MessageType::GetSet, &of)?;
    let mut sets = Vec::new();
    let mut written = Written::new();
    for (_, set) in listed {
        let name = set.name.clone().unwrap_or_default();
        let shape = shape_of(&set);
        let elements = shape.decode(list_elements(netns, family, table, &name)?);
        if set.flags.unwrap_or_default().contains(SetFlags::ANONYMOUS) {
            written.insert(name, elements);
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

fn objects(netns: &Netns, family: Family, table: &str) -> Result<Vec<Object>, Error> {
    let of =
        wire_object::Object { table: Some(table.to_owned()), ..wire_object::Object::default() };
    let objects: Vec<(_, wire_object::Object)> =
        dump_in(netns, family, MessageType::GetObject, &of)?;
    Ok(objects.iter().filter_map(|(_, object)| Object::from_wire(object)).collect())
}

pub(super) fn find_object(
    table: &TableHandle,
    kind: ObjectKind,
    name: &str,
) -> Result<ObjectHandle, Error> {
    check_table(table)?;
    let (table, name) = (table.clone(), name.to_owned());
    let handle = ObjectHandle { table, kind, name, number: Number::default() };
    let found = get_object(&handle, false)?;
    Ok(ObjectHandle { number: Number::known(found.handle.unwrap_or_default()), ..handle })
}

pub(super) fn object(object: &ObjectHandle, reset: bool) -> Result<Object, Error> {
    let found = get_object(object, reset)?;
    let is_it = object.number.if_known() == found.handle;
    Object::from_wire(&found).filter(|_| is_it).ok_or_else(|| gone("read", object))
}

fn get_object(object: &ObjectHandle, reset: bool) -> Result<wire_object::Object, Error> {
    let table = &object.table;
    let of = wire_object::Object::by_name(&table.name, object.kind.wire(), &object.name);
    let kind = if reset { MessageType::GetObjectReset } else { MessageType::GetObject };
    let read = |message: Message<'_>| wire_object::Object::decode(message.attributes);
    let found = get(&table.netns, table.family.wire(), kind, &of, read)
        .map_err(|cause| cause.doing("read", object).in_namespace(&table.netns))?;
    found.ok_or_else(|| gone("read", object).in_namespace(&table.netns))
}

fn rules(netns: &Netns, family: Family, table: &str) -> Result<Vec<wire_rule::Rule>, Error> {
    let of = wire_rule::Rule { table: table.to_owned(), ..wire_rule::Rule::default() };
    let rules: Vec<(_, wire_rule::Rule)> = dump_in(netns, family, MessageType::GetRule, &of)?;
    Ok(rules.into_iter().map(|(_, rule)| rule).collect())
}

/// The numbers of a chain's rules.
pub(super) fn rule_numbers(chain: &ChainHandle) -> Result<Vec<u64>, Error> {
    use crate::wire::nft::data::ChainRef;
    let all = rules(&chain.table.netns, chain.table.family, &chain.table.name)?;
    let is_in = |rule: &wire_rule::Rule| matches!(&rule.chain, Some(ChainRef::Name(name)) if *name == chain.name);
    Ok(all.into_iter().filter(is_in).filter_map(|rule| rule.handle).collect())
}

fn list_elements(
    netns: &Netns,
    family: Family,
    table: &str,
    set: &str,
) -> Result<Vec<wire_element::Element>, Error> {
    let of = ElementsOf::new(table, set);
    let lists = dump_with(netns, family.wire(), MessageType::GetElement, &of, |message| {
        Some(wire_element::decode_list(message.attributes).collect::<Vec<_>>())
    })?;
    Ok(lists.into_iter().flatten().collect())
}

pub(super) fn tables(netns: &Netns) -> Result<Vec<(Family, wire_table::Table)>, Error> {
    let all = dump(netns, None, MessageType::GetTable, &wire_table::Table::default())?;
    let known = |(family, table)| Some((Family::from_wire(family)?, table));
    Ok(all.into_iter().filter_map(known).collect())
}

fn dump<T: Codec>(
    netns: &Netns,
    only: Option<&TableHandle>,
    kind: MessageType,
    of: &T,
) -> Result<Vec<(wire::Family, T)>, Error> {
    let family = only.map_or(wire::Family::Unspecified, |table| table.family.wire());
    dump_with(netns, family, kind, of, |message| {
        T::decode(message.attributes).map(|one| (message.family, one))
    })
}

fn dump_in<T: Codec>(
    netns: &Netns,
    family: Family,
    kind: MessageType,
    of: &T,
) -> Result<Vec<(wire::Family, T)>, Error> {
    dump_with(netns, family.wire(), kind, of, |message| {
        T::decode(message.attributes).map(|one| (message.family, one))
    })
}

fn dump_with<T>(
    netns: &Netns,
    family: wire::Family,
    kind: MessageType,
    of: &impl Codec,
    mut read: impl FnMut(Message<'_>) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let mut batch = request(kind, NLM_F_DUMP, family, of);
    netns
        .nf_tables(|nf_tables| {
            nf_tables.socket.dump_batch(&mut batch, |answer| {
                Message::decode(answer.kind, answer.payload).and_then(&mut read)
            })
        })
        .map_err(|cause| cause.doing("read", "the ruleset").in_namespace(netns))
}

/// Asks for one thing.
fn get<T>(
    netns: &Netns,
    family: wire::Family,
    kind: MessageType,
    of: &impl Codec,
    mut read: impl FnMut(Message<'_>) -> Option<T>,
) -> Result<Option<T>, Cause> {
    let batch = request(kind, 0, family, of);
    get_batch(netns, batch, &mut read)
}

fn get_batch<T>(
    netns: &Netns,
    mut batch: Batch,
    read: &mut dyn FnMut(Message<'_>) -> Option<T>,
) -> Result<Option<T>, Cause> {
    netns.nf_tables(|nf_tables| {
        let mut found = None;
        let refusals = nf_tables.socket.exchange(&mut batch, |_, answer| {
            if let Some(message) = Message::decode(answer.kind, answer.payload) {
                found = read(message).or(found.take());
            }
        })?;
        match refusals.into_iter().next() {
            Some((_, refusal)) => Err(refusal.into()),
            None => Ok(found),
        }
    })
}

fn request(kind: MessageType, flags: u16, family: wire::Family, of: &impl Codec) -> Batch {
    let mut batch = Batch::default();
    let flags = flags | NLM_F_REQUEST;
    batch.append(|out| drop(wire::append(out, kind, flags, 0, family, |out| of.encode(out))));
    batch
}

pub(super) fn generation(netns: &Netns) -> Result<Generation, Error> {
    let mut batch = Batch::default();
    let unspecified = wire::Family::Unspecified;
    batch.append(|out| {
        drop(wire::append(out, MessageType::GetGeneration, 0, 0, unspecified, |_| ()));
    });
    let mut read = |message: Message<'_>| wire_generation::Generation::decode(message.attributes);
    let doing = |cause: Cause| cause.doing("read", "the ruleset's generation").in_namespace(netns);
    match get_batch(netns, batch, &mut read).map_err(doing)? {
        Some(generation) => Ok(Generation(generation.id)),
        None => Err(doing(Cause::Malformed("no generation in it"))),
    }
}

/// Whether the table of this name is still the one that is meant.
pub(super) fn check_table(table: &TableHandle) -> Result<(), Error> {
    let of = wire_table::Table::by_name(&table.name);
    let read = |message: Message<'_>| wire_table::Table::decode(message.attributes)?.handle;
    let number = get(&table.netns, table.family.wire(), MessageType::GetTable, &of, read)
        .map_err(|cause| cause.doing("find table", table).in_namespace(&table.netns))?;
    if number == table.number.if_known() { Ok(()) } else { Err(gone("find table", table)) }
}

pub(super) fn gone(action: &'static str, object: impl std::fmt::Display) -> Error {
    Cause::from(Errno::ENOENT).doing(action, object)
}

pub(super) fn read_table(table: &TableHandle) -> Result<TableInfo, Error> {
    let found = ruleset(&table.netns, Some(table))?.into_iter().next();
    found.ok_or_else(|| gone("read table", table).in_namespace(&table.netns))
}

pub(super) fn find_chain(table: &TableHandle, name: &str) -> Result<ChainHandle, Error> {
    check_table(table)?;
    let of = wire_chain::Chain::by_name(&table.name, name);
    let read = |message: Message<'_>| wire_chain::Chain::decode(message.attributes)?.handle;
    let number = get(&table.netns, table.family.wire(), MessageType::GetChain, &of, read)
        .map_err(|cause| cause.doing("find chain", name).in_namespace(&table.netns))?;
    let number = number.ok_or_else(|| gone("find chain", name))?;
    Ok(ChainHandle { table: table.clone(), name: name.to_owned(), number: Number::known(number) })
}

pub(super) fn find_set(table: &TableHandle, name: &str) -> Result<SetHandle, Error> {
    check_table(table)?;
    let of = wire_set::Set::by_name(&table.name, name);
    let read = |message: Message<'_>| wire_set::Set::decode(message.attributes);
    let set = get(&table.netns, table.family.wire(), MessageType::GetSet, &of, read)
        .map_err(|cause| cause.doing("find set", name).in_namespace(&table.netns))?;
    let set = set.ok_or_else(|| gone("find set", name))?;
    Ok(SetHandle {
        table: table.clone(),
        name: name.to_owned(),
        shape: shape_of(&set),
        number: Number::known(set.handle.unwrap_or_default()),
    })
}

pub(super) fn counter(rule: &RuleHandle, reset: bool) -> Result<Counter, Error> {
    let chain = &rule.chain;
    let of = wire_rule::Rule::by_handle(&chain.table.name, &chain.name, rule.number());
    let kind = if reset { MessageType::GetRuleReset } else { MessageType::GetRule };
    let read = |message: Message<'_>| wire_rule::Rule::decode(message.attributes);
    let doing =
        |cause: Cause| cause.doing("read counter of rule", rule).in_namespace(&chain.table.netns);
    let found =
        get(&chain.table.netns, chain.table.family.wire(), kind, &of, read).map_err(doing)?;
    let rule = found.ok_or_else(|| gone("read rule", rule))?;
    Ok(counted(&rule).unwrap_or_default())
}

pub(super) fn elements(set: &SetHandle) -> Result<Vec<Element>, Error> {
    let table = &set.table;
    let listed = list_elements(&table.netns, table.family, &table.name, &set.name)?;
    Ok(set.shape.decode(listed))
}

/// The element that holds a key.
pub(super) fn get_element(set: &SetHandle, key: &Element) -> Result<Option<Element>, Error> {
    const ACTION: &str = "get element of set";
    let table = &set.table;
    let netns = &table.netns;
    let encoded = set
        .shape
        .encode(std::slice::from_ref(key), false)
        .map_err(|reason| Error::invalid(ACTION, set, reason).in_namespace(netns))?;
    let of = ElementsOf::new(&table.name, &set.name);
    let mut batch = Batch::default();
    batch.append(|out| {
        let flags = NLM_F_REQUEST;
        let family = table.family.wire();
        drop(wire::append(out, MessageType::GetElement, flags, 0, family, |out| {
            wire_element::encode_list(&of, &encoded, out);
        }));
    });
    let mut found = Vec::new();
    let mut read = |message: Message<'_>| {
        found.extend(wire_element::decode_list(message.attributes));
        None::<()>
    };
    match get_batch(netns, batch, &mut read) {
        Ok(_) => Ok(set.shape.decode(found).into_iter().next()),
        Err(cause) => {
            let error = cause.doing(ACTION, set).in_namespace(netns);
            if error.errno() == Some(Errno::ENOENT) { Ok(None) } else { Err(error) }
        }
    }
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

/// Tables by number, with the socket that owns them.
pub(crate) fn owners(netns: &Netns) -> Result<BTreeMap<(Family, String), Option<u32>>, Error> {
    let named =
        |(family, table): (Family, wire_table::Table)| Some(((family, table.name?), table.owner));
    Ok(tables(netns)?.into_iter().filter_map(named).collect())
}
