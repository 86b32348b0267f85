//! Finds and reads single objects of a table, by name or number.

use nix::errno::Errno;

use super::generation::Step;
use super::handle::{
    ChainHandle, FlowtableHandle, ObjectHandle, RuleHandle, SetHandle, TableHandle,
};
use super::number::Number;
use super::reader;
use crate::counter::Counter;
use crate::error::{Cause, Error};
use crate::nft::model::chain::Chain;
use crate::nft::model::element::Element;
use crate::nft::model::flowtable::Flowtable;
use crate::nft::model::object::{Object, ObjectKind};
use crate::nft::model::ranges::{KeyRange, find};
use crate::nft::model::set_message::shape_of;
use crate::nft::model::statements::counter::counted;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::{chain, flowtable, object, rule, set};

/// Reads one object of a table, or fails with ENOENT. Afterwards checks that the name still belongs
/// to this table. A read that resets something needs that check before, too.
fn read<T: Codec>(
    table: &TableHandle,
    (action, shown): Step<'_>,
    kind: MessageType,
    which: &impl Codec,
) -> Result<T, Error> {
    table
        .netns
        .nf_tables(|nf_tables| {
            let socket = &mut nf_tables.socket;
            if matches!(kind, MessageType::GetObjectReset | MessageType::GetRuleReset) {
                table.verify(socket)?;
            }
            let found = reader::get(socket, kind, table.family, which)?;
            table.verify(socket)?;
            found.ok_or(Errno::ENOENT.into())
        })
        .map_err(|cause| cause.doing(action, shown).in_namespace(&table.netns))
}

fn gone((action, shown): Step<'_>, table: &TableHandle) -> Error {
    Cause::from(Errno::ENOENT).doing(action, shown).in_namespace(&table.netns)
}

impl TableHandle {
    /// Finds a chain of the table.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if no chain has this name.
    pub fn chain(&self, name: &str) -> Result<ChainHandle, Error> {
        let of = chain::Chain::by_name(&self.name, name);
        let found: chain::Chain = read(self, ("find chain", &name), MessageType::GetChain, &of)?;
        Ok(self.chain_read(name, found.handle.unwrap_or_default()))
    }

    /// Finds a set or map of the table.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if no set or map has this name.
    pub fn set(&self, name: &str) -> Result<SetHandle, Error> {
        let of = set::Set::by_name(&self.name, name);
        let found: set::Set = read(self, ("find set", &name), MessageType::GetSet, &of)?;
        let (shape, number) = (shape_of(&found), Number::known(found.handle.unwrap_or_default()));
        Ok(SetHandle { table: self.clone(), name: name.to_owned(), shape, number })
    }

    /// Finds a flowtable of the table.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if no flowtable has this name.
    pub fn flowtable(&self, name: &str) -> Result<FlowtableHandle, Error> {
        let of = flowtable::Flowtable::by_name(&self.name, name);
        let step: Step<'_> = ("find flowtable", &name);
        let found: flowtable::Flowtable = read(self, step, MessageType::GetFlowtable, &of)?;
        let number = Number::known(found.handle.unwrap_or_default());
        Ok(FlowtableHandle { table: self.clone(), name: name.to_owned(), number })
    }

    /// Finds an object of the table by its kind and name.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the table has no such object.
    pub fn object(&self, kind: ObjectKind, name: &str) -> Result<ObjectHandle, Error> {
        let of = object::Object::by_name(&self.name, kind, name);
        let step: Step<'_> = ("find object", &name);
        let found: object::Object = read(self, step, MessageType::GetObject, &of)?;
        let number = Number::known(found.handle.unwrap_or_default());
        Ok(ObjectHandle { table: self.clone(), kind, name: name.to_owned(), number })
    }
}

impl ChainHandle {
    /// Reads the chain, without its rules.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the chain is gone.
    pub fn read(&self) -> Result<Chain, Error> {
        let (step, table): (Step<'_>, _) = (("read chain", self), &self.table);
        let of = chain::Chain::by_name(&table.name, &self.name);
        let found: chain::Chain = read(table, step, MessageType::GetChain, &of)?;
        if found.handle != self.number.if_known() {
            return Err(gone(step, table));
        }
        Ok(Chain::from_wire(table.family, &found))
    }
}

impl ObjectHandle {
    /// Reads the object with its counts.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the object is gone.
    #[doc(alias("nft list counter", "nft list quota"))]
    pub fn read(&self) -> Result<Object, Error> {
        self.read_with(MessageType::GetObject)
    }

    /// Reads the object and resets its counts to 0.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the object is gone.
    #[doc(alias("nft reset counter", "nft reset quota"))]
    pub fn reset(&self) -> Result<Object, Error> {
        self.read_with(MessageType::GetObjectReset)
    }

    fn read_with(&self, kind: MessageType) -> Result<Object, Error> {
        let (step, table): (Step<'_>, _) = (("read", self), &self.table);
        let of = object::Object::by_name(&table.name, self.kind, &self.name);
        let found: object::Object = read(table, step, kind, &of)?;
        let is_it = found.handle == self.number.if_known();
        Object::from_wire(found).filter(|_| is_it).ok_or_else(|| gone(step, table))
    }
}

impl FlowtableHandle {
    /// Reads the flowtable.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the flowtable is gone.
    #[doc(alias = "nft list flowtable")]
    pub fn read(&self) -> Result<Flowtable, Error> {
        let (step, table): (Step<'_>, _) = (("read flowtable", self), &self.table);
        let of = flowtable::Flowtable::by_name(&table.name, &self.name);
        let found: flowtable::Flowtable = read(table, step, MessageType::GetFlowtable, &of)?;
        let is_it = found.handle == self.number.if_known();
        Flowtable::from_wire(&found).filter(|_| is_it).ok_or_else(|| gone(step, table))
    }
}

impl RuleHandle {
    /// Reads the first counter of the rule. Returns zeros if the rule has none.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the rule is gone.
    pub fn counter(&self) -> Result<Counter, Error> {
        self.read_counter(MessageType::GetRule)
    }

    /// Reads the first counter of the rule and resets all its counters to 0.
    ///
    /// # Errors
    ///
    /// - [`is_not_found`](Error::is_not_found) if the rule is gone
    /// - [`is_unsupported`](Error::is_unsupported) before Linux 6.2
    #[doc(alias = "nft reset rule")]
    pub fn reset_counter(&self) -> Result<Counter, Error> {
        self.read_counter(MessageType::GetRuleReset).map_err(|error| match error.errno() {
            // netfilter's errno for an unknown request.
            Some(Errno::EINVAL) => Cause::System(Errno::EOPNOTSUPP)
                .doing("read counter of rule", self)
                .in_namespace(&self.chain.table.netns)
                .hint("counters of rules can be reset from Linux 6.2 on"),
            _ => error,
        })
    }

    fn read_counter(&self, kind: MessageType) -> Result<Counter, Error> {
        let table = &self.chain.table;
        let of = rule::Rule::by_handle(&table.name, &self.chain.name, self.number());
        let found: rule::Rule = read(table, ("read counter of rule", self), kind, &of)?;
        Ok(counted(&found.expressions).unwrap_or_default())
    }
}

impl SetHandle {
    /// Finds the element that has this key, or whose interval contains it.
    ///
    /// For a set with intervals, reads all elements: given a range, the kernel returns two separate
    /// elements, and it reports no end for an interval that includes the highest key.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if the key is of another type.
    #[doc(alias = "nft get element")]
    pub fn get(&self, key: impl Into<Element>) -> Result<Option<Element>, Error> {
        const ACTION: &str = "get element of set";
        let (table, key) = (&self.table, key.into());
        let encoded = self.shape.encode_whole(std::slice::from_ref(&key), false);
        let encoded = encoded
            .map_err(|reason| Error::invalid(ACTION, self, reason).in_namespace(&table.netns))?;
        let of = ElementsOf::new(&table.name, &self.name);
        let interval = encoded.first().filter(|_| self.shape.interval).and_then(KeyRange::new);
        let found = table.netns.nf_tables(|nf_tables| {
            let (socket, family) = (&mut nf_tables.socket, table.family);
            let found = match interval {
                Some(_) => reader::all_elements(socket, family, &of),
                None => reader::element(socket, family, &of, &encoded),
            };
            table.verify(socket).and(found)
        });
        let found = found.map_err(|cause| cause.doing(ACTION, self).in_namespace(&table.netns))?;
        Ok(match interval {
            Some(key) => find(&self.shape, found, &key),
            None => self.shape.decode(found).into_iter().next(),
        })
    }

    /// Returns whether the set contains a key.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](Error::is_invalid_input) if the key is of another type.
    pub fn contains(&self, key: impl Into<Element>) -> Result<bool, Error> {
        self.get(key).map(|found| found.is_some())
    }

    /// Lists all elements. They are sorted only if the set has intervals.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the set is gone.
    #[doc(alias = "nft list set")]
    pub fn elements(&self) -> Result<Vec<Element>, Error> {
        let table = &self.table;
        let of = ElementsOf::new(&table.name, &self.name);
        let listed = table.netns.nf_tables(|nf_tables| {
            let socket = &mut nf_tables.socket;
            let listed = reader::all_elements(socket, table.family, &of)?;
            table.verify(socket).map(|()| listed)
        });
        let listed = listed.map_err(|cause| {
            cause.doing("list elements of set", self).in_namespace(&table.netns)
        })?;
        Ok(self.shape.decode(listed))
    }
}
