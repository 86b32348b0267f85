//! Single things that are there: found by name, read by number.

use nix::errno::Errno;

use super::chain::ChainHandle;
use super::flowtable::FlowtableHandle;
use super::number::Number;
use super::object::ObjectHandle;
use super::request::{dump_with, get, get_batch};
use super::rule::RuleHandle;
use crate::nft::model::chain::Chain;
use crate::nft::model::element::Element;
use crate::nft::model::family::Family;
use crate::nft::model::flowtable::Flowtable;
use crate::nft::model::object::Object;
use crate::nft::model::object_kind::ObjectKind;
use crate::nft::model::ranges::{Interval, find};
use crate::nft::model::statements::counter::counted;

use super::set::SetHandle;
use super::table::TableHandle;
use crate::counter::Counter;
use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::nft::model::set_message::shape_of;
use crate::wire::message::NLM_F_REQUEST;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::flowtable as wire_flowtable;
use crate::wire::nft::message as wire;
use crate::wire::nft::message::{Message, MessageType};
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::table as wire_table;

/// Whether the table of this name is still the one that is meant.
pub(crate) fn check_table(table: &TableHandle) -> Result<(), Error> {
    let of = wire_table::Table::by_name(&table.name);
    let read = |message: Message<'_>| wire_table::Table::decode(message.attributes)?.handle;
    let number = get(&table.netns, table.family.wire(), MessageType::GetTable, &of, read)
        .map_err(|cause| cause.doing("find table", table).in_namespace(&table.netns))?;
    if number.is_some() && number == table.number.if_known() {
        Ok(())
    } else {
        Err(gone("find table", table))
    }
}

/// What was read by name just now was the table that is meant: its number never comes again.
fn was_table(table: &TableHandle) -> Result<(), Error> {
    if table.may_be_anothers() { check_table(table) } else { Ok(()) }
}

pub(crate) fn gone(action: &'static str, object: impl std::fmt::Display) -> Error {
    Cause::from(Errno::ENOENT).doing(action, object)
}

pub(crate) fn find_object(
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

pub(crate) fn object(object: &ObjectHandle, reset: bool) -> Result<Object, Error> {
    if reset {
        was_table(&object.table)?;
    }
    let found = get_object(object, reset)?;
    was_table(&object.table)?;
    let is_it = object.number.if_known() == found.handle;
    Object::from_wire(&found).filter(|_| is_it).ok_or_else(|| gone("read", object))
}

pub(crate) fn find_flowtable(table: &TableHandle, name: &str) -> Result<FlowtableHandle, Error> {
    check_table(table)?;
    let (table, name) = (table.clone(), name.to_owned());
    let handle = FlowtableHandle { table, name, number: Number::default() };
    let found = get_flowtable(&handle)?;
    Ok(FlowtableHandle { number: Number::known(found.handle.unwrap_or_default()), ..handle })
}

pub(crate) fn flowtable(flowtable: &FlowtableHandle) -> Result<Flowtable, Error> {
    let found = get_flowtable(flowtable)?;
    was_table(&flowtable.table)?;
    let is_it = flowtable.number.if_known() == found.handle;
    Flowtable::from_wire(&found).filter(|_| is_it).ok_or_else(|| gone("read flowtable", flowtable))
}

fn get_flowtable(flowtable: &FlowtableHandle) -> Result<wire_flowtable::Flowtable, Error> {
    let table = &flowtable.table;
    let of = wire_flowtable::Flowtable::by_name(&table.name, &flowtable.name);
    let read = |message: Message<'_>| wire_flowtable::Flowtable::decode(message.attributes);
    let found = get(&table.netns, table.family.wire(), MessageType::GetFlowtable, &of, read)
        .map_err(|cause| cause.doing("read flowtable", flowtable).in_namespace(&table.netns))?;
    found.ok_or_else(|| gone("read flowtable", flowtable).in_namespace(&table.netns))
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

pub(crate) fn find_chain(table: &TableHandle, name: &str) -> Result<ChainHandle, Error> {
    check_table(table)?;
    let of = wire_chain::Chain::by_name(&table.name, name);
    let read = |message: Message<'_>| wire_chain::Chain::decode(message.attributes)?.handle;
    let number = get(&table.netns, table.family.wire(), MessageType::GetChain, &of, read)
        .map_err(|cause| cause.doing("find chain", name).in_namespace(&table.netns))?;
    let number = number.ok_or_else(|| gone("find chain", name))?;
    Ok(ChainHandle { table: table.clone(), name: name.to_owned(), number: Number::known(number) })
}

pub(crate) fn chain(chain: &ChainHandle) -> Result<Chain, Error> {
    const ACTION: &str = "read chain";
    let table = &chain.table;
    let of = wire_chain::Chain::by_name(&table.name, &chain.name);
    let read = |message: Message<'_>| wire_chain::Chain::decode(message.attributes);
    let found = get(&table.netns, table.family.wire(), MessageType::GetChain, &of, read)
        .map_err(|cause| cause.doing(ACTION, chain).in_namespace(&table.netns))?;
    was_table(table)?;
    let is_it = |found: &wire_chain::Chain| found.handle == chain.number.if_known();
    let found = found.filter(is_it).map(|found| Chain::from_wire(table.family, &found));
    found.ok_or_else(|| gone(ACTION, chain).in_namespace(&table.netns))
}

pub(crate) fn find_set(table: &TableHandle, name: &str) -> Result<SetHandle, Error> {
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

pub(crate) fn counter(rule: &RuleHandle, reset: bool) -> Result<Counter, Error> {
    let chain = &rule.chain;
    let of = wire_rule::Rule::by_handle(&chain.table.name, &chain.name, rule.number());
    let kind = if reset { MessageType::GetRuleReset } else { MessageType::GetRule };
    let read = |message: Message<'_>| wire_rule::Rule::decode(message.attributes);
    let doing = |cause: Cause| {
        // netfilter's word for a request it does not know; this one is from 6.2 on.
        let is_unknown = reset && cause.errno() == Some(Errno::EINVAL);
        let cause = if is_unknown { Cause::System(Errno::EOPNOTSUPP) } else { cause };
        cause
            .doing("read counter of rule", rule)
            .in_namespace(&chain.table.netns)
            .hint_on(Errno::EOPNOTSUPP, || "rules' counters begin anew from Linux 6.2 on".into())
    };
    if reset {
        was_table(&chain.table)?;
    }
    let found =
        get(&chain.table.netns, chain.table.family.wire(), kind, &of, read).map_err(doing)?;
    was_table(&chain.table)?;
    let rule = found.ok_or_else(|| gone("read rule", rule))?;
    Ok(counted(&rule.expressions).unwrap_or_default())
}

pub(crate) fn list_elements(
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

pub(crate) fn elements(set: &SetHandle) -> Result<Vec<Element>, Error> {
    let table = &set.table;
    let listed = list_elements(&table.netns, table.family, &table.name, &set.name)?;
    was_table(table)?;
    Ok(set.shape.decode(listed))
}

/// Finds the element that holds a key.
///
/// The kernel finds the ends of a range in two different elements, and knows no end of an interval that
/// includes the highest key. So a set with intervals is read whole.
pub(crate) fn get_element(set: &SetHandle, key: &Element) -> Result<Option<Element>, Error> {
    const ACTION: &str = "get element of set";
    let table = &set.table;
    let netns = &table.netns;
    let encoded = set
        .shape
        .encode_whole(std::slice::from_ref(key), false)
        .map_err(|reason| Error::invalid(ACTION, set, reason).in_namespace(netns))?;
    if set.shape.interval
        && let Some(key) = encoded.first().and_then(Interval::new)
    {
        let listed = list_elements(netns, table.family, &table.name, &set.name)?;
        was_table(table)?;
        return Ok(find(&set.shape, listed, &key));
    }
    let of = ElementsOf::new(&table.name, &set.name);
    let mut batch = Batch::default();
    batch.append(|out| {
        let flags = NLM_F_REQUEST;
        let family = table.family.wire();
        drop(wire::append(out, MessageType::GetElement, flags, 0, family, |out| {
            wire_element::encode_list(&of, &mut encoded.iter().peekable(), out);
        }));
    });
    let mut found = Vec::new();
    let mut read = |message: Message<'_>| {
        found.extend(wire_element::decode_list(message.attributes));
        None::<()>
    };
    let result = get_batch(netns, batch, &mut read);
    was_table(table)?;
    match result {
        Ok(_) => Ok(set.shape.decode(found).into_iter().next()),
        Err(cause) => {
            let error = cause.doing(ACTION, set).in_namespace(netns);
            if error.errno() == Some(Errno::ENOENT) { Ok(None) } else { Err(error) }
        }
    }
}
