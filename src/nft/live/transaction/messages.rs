//! What the operations of a transaction are as messages.

use std::fmt;

use super::lack::Lack;
use super::{CREATE, Refused, Transaction};
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::live::chain::ChainHandle;
use crate::nft::live::device::check_home;
use crate::nft::live::find::gone;
use crate::nft::live::flowtable::FlowtableHandle;
use crate::nft::live::number::Number;
use crate::nft::live::object::ObjectHandle;
use crate::nft::live::rule::RuleHandle;
use crate::nft::live::set::SetHandle;
use crate::nft::live::table::TableHandle;
use crate::nft::live::undo::Made;
use crate::nft::model::chain::{ACTION as CHAIN, Chain};
use crate::nft::model::element::Element;
use crate::nft::model::encoder::Encoded;
use crate::nft::model::flowtable::{ACTION as FLOWTABLE, Flowtable};
use crate::nft::model::object::Object;
use crate::nft::model::rule::Rule;
use crate::nft::model::set::Spec;
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_REPLACE};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::element::{ElementsOf, ListElement};
use crate::wire::nft::message::{MessageType, append};
use crate::wire::nft::rule as wire_rule;

impl Transaction {
    pub(super) fn begin(&mut self, action: &'static str, object: impl fmt::Display) {
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

    /// An operation names a rule by its number.
    pub(super) fn needs_number(&mut self, number: &Number) {
        if self.has_or_makes(number) && number.if_known().is_none() {
            self.refuse_for("the rule is only made by this transaction");
        }
    }

    /// The number of what this transaction makes.
    pub(super) fn new_number(&mut self) -> Number {
        let number = Number::default();
        self.makes.insert(number.identity());
        number
    }

    /// An operation names what has a number, or is made by this very transaction. A handle without a
    /// number is of a transaction that was refused: what has its name now is another's.
    pub(super) fn has_or_makes(&mut self, number: &Number) -> bool {
        let is_ours =
            self.is_undo || number.if_known().is_some() || self.makes.contains(&number.identity());
        if !is_ours {
            let (action, object) = self.operations.last().cloned().unwrap_or_default();
            self.refuse(gone(action, object));
        }
        is_ours
    }

    pub(super) fn in_this_namespace(&mut self, netns: &Netns) {
        if *netns != self.netns {
            self.refuse_for("it is in another namespace than the transaction");
        }
    }

    /// An operation names what is in this table, and has this number.
    pub(super) fn names_in(&mut self, table: &TableHandle, number: &Number) {
        self.names(table);
        if table.number.if_known().is_some() || self.makes.contains(&table.number.identity()) {
            self.has_or_makes(number);
        }
    }

    /// An operation names what is in this table.
    pub(super) fn names(&mut self, table: &TableHandle) {
        self.in_this_namespace(&table.netns);
        self.has_or_makes(&table.number);
        let is_known = self.named.iter().any(|named| named.number == table.number);
        if table.number.if_known().is_some() && !is_known {
            self.named.push(table.clone());
        }
    }

    pub(super) fn push(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        value: &impl Codec,
    ) -> usize {
        self.push_with(kind, flags, table, |out| value.encode(out))
    }

    pub(super) fn push_with(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        fill: impl FnOnce(&mut crate::wire::attribute::Writer<'_>),
    ) -> usize {
        let mut fits = true;
        let family = table.family.wire();
        let place =
            self.batch.append(|out| fits = append(out, kind, flags, 0, family, fill).is_ok());
        self.messages.push(self.index());
        if !fits {
            self.refuse_for("it is longer than a netlink message can be");
        }
        place
    }

    pub(super) fn push_numbered(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        value: &impl Codec,
        number: Number,
    ) -> usize {
        let place = self.push(kind, flags | NLM_F_ECHO, table, value);
        self.numbers.push((place, number));
        place
    }

    pub(super) fn make_chain(&mut self, table: &TableHandle, chain: &Chain) -> ChainHandle {
        let number = self.new_number();
        let handle =
            ChainHandle { table: table.clone(), name: chain.name.clone(), number: number.clone() };
        let checked = chain
            .check(table.family)
            .and_then(|()| check_home(&chain.devices, &self.netns, CHAIN, chain));
        if let Err(error) = checked {
            self.refuse(error);
        } else {
            self.made.push(Made::Chain(handle.clone()));
            let message = chain.message(table.family, &table.name);
            self.push_numbered(MessageType::NewChain, CREATE, table, &message, number);
        }
        handle
    }

    pub(super) fn make_set(&mut self, table: &TableHandle, spec: &Spec) -> SetHandle {
        let number = self.new_number();
        let (name, shape) = (spec.name.clone(), spec.shape.clone());
        let handle = SetHandle { table: table.clone(), name, shape, number: number.clone() };
        self.next_set += 1;
        match spec.message(&table.name, self.next_set) {
            Err(error) => self.refuse(error),
            Ok(message) => {
                self.made.push(Made::Set(handle.clone()));
                self.push_numbered(MessageType::NewSet, CREATE, table, &message, number);
                if !spec.elements.is_empty() {
                    self.elements(&handle, &spec.elements, MessageType::NewElement, NLM_F_CREATE);
                }
            }
        }
        handle
    }

    pub(super) fn make_object(&mut self, table: &TableHandle, object: &Object) -> ObjectHandle {
        let number = self.new_number();
        let (kind, name) = (object.kind(), object.name().to_owned());
        let handle = ObjectHandle { table: table.clone(), kind, name, number: number.clone() };
        match object.message(&table.name) {
            Err(error) => self.refuse(error),
            Ok(message) => {
                self.made.push(Made::Object(handle.clone()));
                self.push_numbered(MessageType::NewObject, CREATE, table, &message, number);
            }
        }
        handle
    }

    pub(super) fn make_flowtable(
        &mut self,
        table: &TableHandle,
        flowtable: &Flowtable,
    ) -> FlowtableHandle {
        let number = self.new_number();
        let name = flowtable.name().to_owned();
        let handle = FlowtableHandle { table: table.clone(), name, number: number.clone() };
        if let Err(error) = flowtable
            .check(table.family)
            .and_then(|()| check_home(&flowtable.devices, &self.netns, FLOWTABLE, flowtable))
        {
            self.refuse(error);
        } else {
            self.made.push(Made::Flowtable(handle.clone()));
            let message = flowtable.message(&table.name);
            let kind = MessageType::NewFlowtable;
            let place = self.push_numbered(kind, CREATE, table, &message, number);
            self.lacks.push((place, Lack::Flowtable(flowtable.devices())));
        }
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
        let number = self.new_number();
        self.make_numbered_rule(chain, rule, flags, place, number.clone());
        RuleHandle { chain: chain.clone(), number }
    }

    pub(super) fn make_numbered_rule(
        &mut self,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
        number: Number,
    ) {
        if let Some(message) = self.make_rule(chain, rule, flags | NLM_F_ECHO, place) {
            self.numbers.push((message, number));
        }
    }

    pub(super) fn make_rule(
        &mut self,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) -> Option<usize> {
        let table = &chain.table;
        let message = rule.message(chain, &mut self.next_set);
        match message {
            Err(error) => {
                self.refuse(error);
                None
            }
            Ok((mut message, Encoded { sets, .. })) => {
                place(&mut message);
                if flags & NLM_F_REPLACE == 0 {
                    self.made.push(Made::Rule(chain.clone()));
                }
                for (set, elements) in sets {
                    self.push(MessageType::NewSet, NLM_F_CREATE, table, &set);
                    let name = set.name.unwrap_or_default();
                    let of = ElementsOf { set_id: set.id, ..ElementsOf::new(&table.name, &name) };
                    let kind = MessageType::NewElement;
                    self.push_elements(table, &of, elements, kind, NLM_F_CREATE);
                }
                let place = self.push(MessageType::NewRule, flags, table, &message);
                if rule.names_nothing() {
                    self.lacks.push((place, Lack::Expressions(message.expressions)));
                }
                Some(place)
            }
        }
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
        let of = ElementsOf::new(&set.table.name, &set.name);
        let with_data = kind == MessageType::NewElement;
        if set.shape.interval {
            let encoded = set.shape.encode_whole(elements, with_data);
            return match encoded.and_then(|all| set.shape.check_apart(&all).map(|()| all)) {
                Err(reason) => self.refuse_for(reason),
                Ok(encoded) => {
                    self.change_ranges(set, kind, &encoded);
                    self.push_elements(&set.table, &of, set.shape.split(encoded), kind, flags);
                }
            };
        }
        self.batch.reserve(elements.len().saturating_mul(set.shape.listed_len()));
        let mut refused = None;
        let listed = elements.iter().map_while(|element| {
            set.shape.listed(element, with_data).map_err(|reason| refused = Some(reason)).ok()
        });
        self.push_elements(&set.table, &of, listed, kind, flags);
        if let Some(reason) = refused {
            self.refuse_for(reason);
        }
    }

    /// As many messages as the list needs, 65,535 bytes of it each.
    pub(super) fn push_elements(
        &mut self,
        table: &TableHandle,
        of: &ElementsOf<'_>,
        elements: impl IntoIterator<Item = impl ListElement>,
        kind: MessageType,
        flags: u16,
    ) {
        let mut rest = elements.into_iter().peekable();
        while rest.peek().is_some() {
            self.push_with(kind, flags, table, |out| {
                wire_element::encode_list(of, &mut rest, out);
            });
        }
    }
}
