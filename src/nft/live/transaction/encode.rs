//! The operations of a transaction as messages.

use std::fmt;

use nix::errno::Errno;

use super::{ADD, CREATE, Refused, Transaction};
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::nft::live::device::{check_home, resolve};
use crate::nft::live::handle::{
    ChainHandle, FlowtableHandle, ObjectHandle, RuleHandle, SetHandle, TableHandle,
};
use crate::nft::live::number::Number;
use crate::nft::model::chain::{ACTION as CHAIN, Chain};
use crate::nft::model::element::Element;
use crate::nft::model::encoder::Encoded;
use crate::nft::model::flowtable::{ACTION as FLOWTABLE, Flowtable};
use crate::nft::model::object::Object;
use crate::nft::model::rule::{ACTION as RULE, Rule, encode};
use crate::nft::model::set::Spec;
use crate::nft::model::table::Table;
use crate::wire::attribute::Writer;
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element::{ElementsOf, ListElement, encode_list};
use crate::wire::nft::message::{Family, MessageType, append};
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::userdata::UserData;

impl Transaction {
    /// Begins an operation. The messages pushed next belong to it.
    pub(crate) fn begin(&mut self, action: &'static str, object: impl fmt::Display) {
        self.operations.push((action, object.to_string()));
    }

    pub(super) fn index(&self) -> usize {
        self.operations.len().saturating_sub(1)
    }

    pub(super) fn refuse(&mut self, error: Error) {
        let error = error.in_namespace(&self.netns);
        self.invalid.push(Refused { index: self.index(), error });
    }

    pub(super) fn refuse_for(&mut self, reason: impl Into<String>) {
        let (action, object) = self.operations.last().cloned().unwrap_or_default();
        self.refuse(Error::invalid(action, object, reason));
    }

    /// Checks that the kernel has given a number to the rule to which an operation refers.
    pub(super) fn needs_number(&mut self, number: &Number) {
        if self.exists_or_created(number) && number.if_known().is_none() {
            self.refuse_for("the rule has no number before this transaction is committed");
        }
    }

    /// Returns the number of an object that this transaction creates. The echo fills it in.
    pub(super) fn new_number(&mut self) -> Number {
        let number = Number::default();
        self.created.insert(number.identity());
        number
    }

    /// Returns whether the object exists or this transaction creates it; refuses the operation
    /// otherwise. An object without a number comes from a transaction that failed, so its name may
    /// belong to another object.
    pub(super) fn exists_or_created(&mut self, number: &Number) -> bool {
        let is_ours = number.if_known().is_some() || self.created.contains(&number.identity());
        if !is_ours {
            let (action, object) = self.operations.last().cloned().unwrap_or_default();
            self.refuse(Cause::from(Errno::ENOENT).doing(action, object));
        }
        is_ours
    }

    pub(super) fn in_this_namespace(&mut self, netns: &Netns) {
        if *netns != self.netns {
            self.refuse_for("the object is in another namespace than the transaction");
        }
    }

    /// Checks that the table, and the object in it, to which an operation refers exist or are
    /// created by this transaction.
    pub(super) fn names_in(&mut self, table: &TableHandle, number: &Number) {
        if self.names(table) {
            self.exists_or_created(number);
        }
    }

    /// Checks that the table to which an operation refers exists or is created by this transaction.
    /// Returns the result.
    pub(super) fn names(&mut self, table: &TableHandle) -> bool {
        self.in_this_namespace(&table.netns);
        let exists = self.exists_or_created(&table.number);
        let is_known = self.named.iter().any(|named| named.number == table.number);
        if table.number.if_known().is_some() && !is_known {
            self.named.push(table.clone());
        }
        exists
    }

    /// Appends a message to the operation. Returns the position of the message in the batch.
    pub(crate) fn push(
        &mut self,
        kind: MessageType,
        flags: u16,
        family: Family,
        value: &impl Codec,
    ) -> usize {
        self.push_with(kind, flags, family, |out| value.encode(out))
    }

    pub(super) fn push_with(
        &mut self,
        kind: MessageType,
        flags: u16,
        family: Family,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> usize {
        let mut fits = true;
        let place = self.batch.append(|out| {
            fits = append(out, kind, flags, 0, family, fill).is_ok();
            if !fits {
                drop(append(out, kind, flags, 0, family, |_| ()));
            }
        });
        self.messages.push(self.index());
        self.creates |= flags & NLM_F_EXCL != 0 || kind == MessageType::NewRule;
        if !fits {
            self.refuse_for("the request exceeds the longest netlink message");
        }
        place
    }

    /// Appends elements in as many messages as needed: each holds up to 65,535 bytes of elements.
    pub(crate) fn push_elements(
        &mut self,
        kind: MessageType,
        flags: u16,
        family: Family,
        of: &ElementsOf<'_>,
        elements: impl IntoIterator<Item = impl ListElement>,
    ) {
        let mut rest = elements.into_iter().peekable();
        while rest.peek().is_some() {
            self.push_with(kind, flags, family, |out| {
                encode_list(of, &mut rest, out);
            });
        }
    }

    /// Reserves capacity for this number of bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.batch.reserve(bytes);
    }

    /// Appends the message that creates an object. The echo of the message has the object's number.
    pub(super) fn push_new(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        (message, number): (Result<impl Codec, Error>, &Number),
    ) {
        match message {
            Err(error) => self.refuse(error),
            Ok(message) => {
                let place = self.push(kind, flags | NLM_F_ECHO, table.family, &message);
                self.numbers.push((place, number.clone()));
            }
        }
    }

    pub(super) fn new_chain(
        &mut self,
        table: &TableHandle,
        chain: &Chain,
        flags: u16,
    ) -> ChainHandle {
        let (name, number) = (chain.name.clone(), self.new_number());
        let handle = ChainHandle { table: table.clone(), name, number };
        let message = chain
            .check(table.family)
            .and_then(|()| check_home(&chain.devices, &self.netns, CHAIN, chain))
            .map(|()| chain.message(table.family, &table.name));
        self.push_new(MessageType::NewChain, flags, table, (message, &handle.number));
        handle
    }

    /// Creates the chains of a table, without their rules.
    pub(super) fn new_chains(
        &mut self,
        handle: &TableHandle,
        table: &Table,
        flags: u16,
    ) -> Vec<ChainHandle> {
        table.chains.iter().map(|chain| self.new_chain(handle, chain, flags)).collect()
    }

    /// Adds the rules of a table to its chains.
    pub(super) fn new_rules(&mut self, chains: &[ChainHandle], table: &Table) {
        for (handle, chain) in chains.iter().zip(&table.chains) {
            for rule in &chain.rules {
                self.new_rule(handle, rule, ADD, |_| ());
            }
        }
    }

    pub(super) fn new_set(&mut self, table: &TableHandle, spec: &Spec, flags: u16) -> SetHandle {
        let (name, shape) = (spec.name.clone(), spec.shape.clone());
        let handle = SetHandle { table: table.clone(), name, shape, number: self.new_number() };
        self.next_set += 1;
        let message = spec.message(&table.name, self.next_set);
        let is_valid = message.is_ok();
        self.push_new(MessageType::NewSet, flags, table, (message, &handle.number));
        if is_valid {
            self.remember_set(table, &spec.name, &spec.shape);
            if !spec.elements.is_empty() {
                self.elements(&handle, &spec.elements, MessageType::NewElement, NLM_F_CREATE);
            }
        }
        handle
    }

    pub(super) fn new_object(&mut self, table: &TableHandle, object: &Object) -> ObjectHandle {
        let (kind, name) = (object.kind(), object.name().to_owned());
        let handle = ObjectHandle { table: table.clone(), kind, name, number: self.new_number() };
        let message = (object.message(&table.name), &handle.number);
        self.push_new(MessageType::NewObject, CREATE, table, message);
        handle
    }

    pub(super) fn new_flowtable(
        &mut self,
        table: &TableHandle,
        flowtable: &Flowtable,
    ) -> FlowtableHandle {
        let name = flowtable.name().to_owned();
        let handle = FlowtableHandle { table: table.clone(), name, number: self.new_number() };
        let message = flowtable
            .check(table.family)
            .and_then(|()| check_home(&flowtable.devices, &self.netns, FLOWTABLE, flowtable))
            .map(|()| flowtable.message(&table.name));
        self.push_new(MessageType::NewFlowtable, CREATE, table, (message, &handle.number));
        handle
    }

    pub(super) fn rule(
        &mut self,
        action: &'static str,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) -> RuleHandle {
        self.begin(action, rule);
        self.names_in(&chain.table, &chain.number);
        let handle = RuleHandle { chain: chain.clone(), number: self.new_number() };
        self.new_numbered_rule(&handle, rule, flags, place);
        handle
    }

    pub(super) fn new_numbered_rule(
        &mut self,
        handle: &RuleHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) {
        if let Some(message) = self.new_rule(&handle.chain, rule, flags | NLM_F_ECHO, place) {
            self.numbers.push((message, handle.number.clone()));
        }
    }

    /// Appends a rule, after the anonymous sets that it uses.
    pub(super) fn new_rule(
        &mut self,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) -> Option<usize> {
        let (table, family) = (&chain.table.name, chain.table.family);
        let Encoded { sets, expressions, named } = match self.encode_rule(chain, rule) {
            Err(error) => {
                self.refuse(error);
                return None;
            }
            Ok(encoded) => encoded,
        };
        self.check_named_sets(&chain.table, named);
        for (set, elements) in sets {
            self.push(MessageType::NewSet, NLM_F_CREATE, family, &set);
            let name = set.name.unwrap_or_default();
            let of = ElementsOf { set_id: set.id, ..ElementsOf::new(table, &name) };
            self.push_elements(MessageType::NewElement, NLM_F_CREATE, family, &of, elements);
        }
        let mut message = wire_rule::Rule::new(table, &chain.name, expressions);
        message.userdata = rule.comment.as_deref().and_then(UserData::comment);
        place(&mut message);
        Some(self.push(MessageType::NewRule, flags, family, &message))
    }

    fn encode_rule(&mut self, chain: &ChainHandle, rule: &Rule) -> Result<Encoded, Error> {
        let TableHandle { netns, family, name, .. } = &chain.table;
        rule.check(*family)?;
        let statements = resolve(&rule.statements, netns, RULE, rule)?;
        encode(&statements, *family, name, &mut self.next_set)
            .map_err(|reason| Error::invalid(RULE, rule, reason))
    }

    pub(super) fn elements(
        &mut self,
        set: &SetHandle,
        elements: &[Element],
        kind: MessageType,
        flags: u16,
    ) {
        self.names_in(&set.table, &set.number);
        if elements.is_empty() {
            return self.refuse_for("no element was named");
        }
        let family = set.table.family;
        let of = ElementsOf::new(&set.table.name, &set.name);
        let with_data = kind == MessageType::NewElement;
        if set.shape.interval {
            let encoded = set.shape.encode_whole(elements, with_data);
            return match encoded.and_then(|all| set.shape.check_apart(&all).map(|()| all)) {
                Err(reason) => self.refuse_for(reason),
                Ok(encoded) => {
                    self.change_ranges(set, kind, &encoded);
                    self.push_elements(kind, flags, family, &of, set.shape.split(encoded));
                }
            };
        }
        self.reserve(elements.len().saturating_mul(set.shape.listed_len()));
        let mut refused = None;
        let listed = elements.iter().map_while(|element| {
            set.shape.listed(element, with_data).map_err(|reason| refused = Some(reason)).ok()
        });
        self.push_elements(kind, flags, family, &of, listed);
        if let Some(reason) = refused {
            self.refuse_for(reason);
        }
    }
}
