//! Transactions: many changes to a namespace's packet filter, all or nothing.

use std::fmt;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use nix::errno::Errno;

use super::chain::{self, Chain, ChainHandle};
use super::element::Element;
use super::encode::Encoded;
use super::generation::Generation;
use super::info;
use super::interval::{DataKind, Shape};
use super::number::Number;
use super::object::{Object, ObjectHandle};
use super::rule::Rule;
use super::rule_handle::RuleHandle;
use super::set::{self, Map, Set, SetHandle, Spec};
use super::table::{Table, TableHandle};
use super::types::Type;
use super::undo::{Made, undo};
use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element as wire_element;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::{
    Message, MessageType, append, append_batch_begin, append_batch_end,
};
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::table as wire_table;

/// Changes that the kernel makes all or not at all, and packets see all at once.
///
/// Replaces `nft -f`. Each operation has an index, from 0 on in the order of the calls; what is refused is
/// told with it.
///
/// ```
/// use netloom::nft::{Chain, Family, Rule, Set, Table, Transaction, Type};
/// use netloom::{Namespace, Owned};
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let mut change = Transaction::new(&netns);
/// let table = change.create_table(&Table::new(Family::Ip, "filter")); // 0
/// let chain = change.create_chain(&table, &Chain::new("c")); // 1
/// change.add_rule(&chain, &Rule::new().tcp().dport(80).accept()); // 2
/// change.add_rule(&chain, &Rule::new().jump("nowhere")); // 3
/// let error = change.commit().unwrap_err();
/// assert_eq!(error.refused()[0].index, 3);
/// assert!(error.refused()[0].error.is_not_found());
/// assert!(netns.nft_ruleset()?.is_empty()); // nothing was done
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Handles of what a transaction makes can be used in it at once; once it is committed,
/// [`Owned::adopt`](crate::Owned::adopt) takes on the duty to delete. Nothing is sent before `commit`.
#[must_use = "a transaction does nothing until `commit`"]
pub struct Transaction {
    netns: Netns,
    batch: Batch,
    /// The operation that each message of the batch is of, the first being the frame's.
    messages: Vec<usize>,
    operations: Vec<(&'static str, String)>,
    /// Where the numbers go that the kernel gives, by the message that asks for them.
    numbers: Vec<(usize, Number)>,
    next_set: u32,
    /// Persistent tables that are named in it: they have to be those still.
    guarded: Vec<TableHandle>,
    expected: Option<Generation>,
    made: Vec<Made>,
    invalid: Vec<Refused>,
}

/// An operation that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Which it was, in the order of the calls, from 0 on.
    pub index: usize,
    /// Why, in the kernel's words where it has any.
    pub error: Error,
}

/// Why a transaction was refused: nothing of it was done.
///
/// The kernel goes on after the first refusal, so what depends on a refused operation is refused as well.
#[derive(Debug)]
pub struct TransactionError {
    refused: Vec<Refused>,
    whole: Option<Error>,
}

impl TransactionError {
    /// The refused operations, in their order. Empty where all was refused as one: no privilege, no buffer
    /// large enough, another generation.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Whether somebody changed the ruleset since the expected generation.
    #[doc(alias = "ERESTART")]
    pub fn is_stale(&self) -> bool {
        self.whole.as_ref().is_some_and(|error| error.errno() == Some(Errno::ERESTART))
    }

    fn whole(error: Error) -> Self {
        Self { refused: Vec::new(), whole: Some(error) }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.whole, self.refused.as_slice()) {
            (Some(error), _) => write!(f, "{error}"),
            (None, []) => f.write_str("refused"),
            (None, [first, rest @ ..]) => {
                write!(f, "operation {}: {}", first.index, first.error)?;
                if rest.is_empty() { Ok(()) } else { write!(f, " (and {} more)", rest.len()) }
            }
        }
    }
}

impl std::error::Error for TransactionError {}

/// The first refusal.
impl From<TransactionError> for Error {
    fn from(failure: TransactionError) -> Self {
        let first = failure.refused.into_iter().next().map(|refused| refused.error);
        failure.whole.or(first).unwrap_or_else(|| {
            Error::invalid("commit", "a transaction", "it was refused without a reason")
        })
    }
}

const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;
/// Where in the first message the generation stands that is expected; 0 is any.
const GENERATION_AT: usize = 24;
/// Elements of addresses that fill a message.
const AT_ONCE: usize = 3000;
/// How often a transaction is tried whose tables had to be looked at first.
const ATTEMPTS: u32 = 64;

impl Transaction {
    /// One that changes nothing yet.
    #[doc(alias("nft -f", "NFNL_MSG_BATCH_BEGIN"))]
    pub fn new(netns: &Netns) -> Self {
        let mut batch = Batch::default();
        batch.append(|out| drop(append_batch_begin(out, 0, Some(0))));
        Self {
            netns: netns.clone(),
            batch,
            messages: vec![0],
            operations: Vec::new(),
            numbers: Vec::new(),
            next_set: 0,
            guarded: Vec::new(),
            expected: None,
            made: Vec::new(),
            invalid: Vec::new(),
        }
    }

    /// Has all of it refused when somebody has changed the ruleset since:
    /// [`is_stale`](TransactionError::is_stale). Read what you need, change it, and nothing was
    /// overwritten that you have not seen.
    #[doc(alias = "NFNL_BATCH_GENID")]
    pub fn if_unchanged_since(&mut self, generation: Generation) -> &mut Self {
        self.expected = Some(generation);
        self
    }

    /// A table, and all that is in it.
    pub fn create_table(&mut self, table: &Table) -> TableHandle {
        self.begin("create table", table);
        let number = Number::default();
        let held = table.tag.is_none();
        let (family, name) = (table.family, table.name.clone());
        let handle =
            TableHandle { netns: self.netns.clone(), family, name, number: number.clone(), held };
        if let Err(error) = table.check() {
            self.refuse(error);
        } else {
            self.made.push(Made::Table(handle.clone()));
            let message = table.message();
            self.push_numbered(MessageType::NewTable, CREATE, &handle, &message, number);
        }
        // All chains first: elements and rules may jump to any of them.
        let chains: Vec<_> =
            table.chains.iter().map(|chain| (self.make_chain(&handle, chain), chain)).collect();
        for object in &table.objects {
            self.make_object(&handle, object);
        }
        for spec in &table.sets {
            self.make_set(&handle, spec);
        }
        for (place, chain) in chains {
            for rule in &chain.rules {
                self.make_rule(&place, rule, NLM_F_CREATE | NLM_F_APPEND, |_| ());
            }
        }
        handle
    }

    /// A chain, and its rules.
    pub fn create_chain(&mut self, table: &TableHandle, chain: &Chain) -> ChainHandle {
        self.begin(chain::ACTION, chain);
        self.names(table);
        let handle = self.make_chain(table, chain);
        for rule in &chain.rules {
            self.make_rule(&handle, rule, NLM_F_CREATE | NLM_F_APPEND, |_| ());
        }
        handle
    }

    /// A set, and its elements.
    pub fn create_set(&mut self, table: &TableHandle, set: &Set) -> SetHandle {
        self.create(table, &set.0)
    }

    /// A map, and its elements.
    pub fn create_map(&mut self, table: &TableHandle, map: &Map) -> SetHandle {
        self.create(table, &map.0)
    }

    pub(super) fn create(&mut self, table: &TableHandle, spec: &Spec) -> SetHandle {
        self.begin(set::ACTION, spec);
        self.names(table);
        self.make_set(table, spec)
    }

    /// A counter, quota or limit that rules share.
    pub fn create_object(&mut self, table: &TableHandle, object: &Object) -> ObjectHandle {
        self.begin("create object", object);
        self.names(table);
        self.make_object(table, object)
    }

    /// A rule at the end of a chain.
    pub fn add_rule(&mut self, chain: &ChainHandle, rule: &Rule) -> RuleHandle {
        self.rule("add rule", chain, rule, NLM_F_CREATE | NLM_F_APPEND, |_| ())
    }

    /// A rule at the beginning of a chain.
    pub fn insert_rule(&mut self, chain: &ChainHandle, rule: &Rule) -> RuleHandle {
        self.rule("insert rule", chain, rule, NLM_F_CREATE, |_| ())
    }

    /// A rule after another one, which has to exist.
    pub fn add_rule_after(&mut self, other: &RuleHandle, rule: &Rule) -> RuleHandle {
        let (flags, at) = (NLM_F_CREATE | NLM_F_APPEND, other.number.if_known());
        let handle = self.rule("add rule", &other.chain, rule, flags, |rule| rule.position = at);
        self.needs_number(&other.number);
        handle
    }

    /// A rule before another one, which has to exist.
    pub fn insert_rule_before(&mut self, other: &RuleHandle, rule: &Rule) -> RuleHandle {
        let (flags, at) = (NLM_F_CREATE, other.number.if_known());
        let handle = self.rule("insert rule", &other.chain, rule, flags, |rule| rule.position = at);
        self.needs_number(&other.number);
        handle
    }

    /// A rule in another one's place, which has to exist; its handle stands for the new one then.
    pub fn replace_rule(&mut self, old: &RuleHandle, rule: &Rule) -> &mut Self {
        self.begin("replace rule", rule);
        self.names(&old.chain.table);
        self.needs_number(&old.number);
        let number = old.number.clone();
        let at = number.if_known();
        self.make_numbered_rule(&old.chain, rule, NLM_F_REPLACE, |rule| rule.handle = at, number);
        self
    }

    /// Elements, which may be there already. As many messages as they need go into the transaction.
    pub fn add_elements(
        &mut self,
        set: &SetHandle,
        elements: impl IntoIterator<Item = impl Into<Element>>,
    ) -> &mut Self {
        let elements: Vec<Element> = elements.into_iter().map(Into::into).collect();
        self.begin("add elements to set", set);
        self.elements(set, &elements, MessageType::NewElement, NLM_F_CREATE);
        self
    }

    /// Elements of a verdict map by link name that this transaction may itself make, which must not be there.
    pub(crate) fn add_new_elements(
        &mut self,
        table: &TableHandle,
        map: &str,
        elements: impl IntoIterator<Item = Element>,
    ) {
        let shape = Shape {
            key: vec![Type::LinkName],
            data: Some(DataKind::Verdict),
            interval: false,
            timeout: false,
        };
        let (table, name, number) = (table.clone(), map.to_owned(), Number::default());
        let set = SetHandle { table, name, shape, number };
        let elements: Vec<_> = elements.into_iter().collect();
        self.begin("add elements to map", &set);
        self.made.push(Made::Elements(set.clone(), elements.clone()));
        self.elements(&set, &elements, MessageType::NewElement, CREATE);
    }

    /// One element, which must not be there.
    pub(super) fn create_element(&mut self, set: &SetHandle, element: &Element) {
        self.begin("add element to set", format_args!("{set}: {element}"));
        self.made.push(Made::Elements(set.clone(), vec![element.clone()]));
        self.elements(set, std::slice::from_ref(element), MessageType::NewElement, CREATE);
    }

    /// Takes elements out, which have to be there.
    pub fn delete_elements(
        &mut self,
        set: &SetHandle,
        elements: impl IntoIterator<Item = impl Into<Element>>,
    ) -> &mut Self {
        let elements: Vec<Element> = elements.into_iter().map(Into::into).collect();
        self.begin("delete elements of set", set);
        self.elements(set, &elements, MessageType::DeleteElement, 0);
        self
    }

    /// Takes all elements out.
    pub fn flush_set(&mut self, set: &SetHandle) -> &mut Self {
        self.begin("flush set", set);
        self.names(&set.table);
        let of = ElementsOf::new(&set.table.name, &set.name);
        self.push(MessageType::DeleteElement, 0, &set.table, &of);
        self
    }

    /// Takes all rules of a chain.
    pub fn flush_chain(&mut self, chain: &ChainHandle) -> &mut Self {
        self.begin("flush chain", chain);
        self.names(&chain.table);
        let all = wire_rule::Rule::new(&chain.table.name, &chain.name, Vec::new());
        self.push(MessageType::DeleteRule, 0, &chain.table, &all);
        self
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, table: &TableHandle) -> &mut Self {
        self.begin("delete table", table);
        let message = match table.number.if_known() {
            Some(number) => wire_table::Table::by_handle(number),
            None => wire_table::Table::by_name(&table.name),
        };
        self.in_this_namespace(&table.netns);
        self.push(MessageType::DeleteTable, 0, table, &message);
        self
    }

    /// Deletes a chain, which has to be empty.
    pub fn delete_chain(&mut self, chain: &ChainHandle) -> &mut Self {
        self.begin("delete chain", chain);
        self.names(&chain.table);
        let message = match chain.number.if_known() {
            Some(number) => wire_chain::Chain::by_handle(&chain.table.name, number),
            None => wire_chain::Chain::by_name(&chain.table.name, &chain.name),
        };
        self.push(MessageType::DeleteChain, 0, &chain.table, &message);
        self
    }

    /// Deletes a rule.
    pub fn delete_rule(&mut self, rule: &RuleHandle) -> &mut Self {
        self.begin("delete rule", rule);
        let chain = &rule.chain;
        self.names(&chain.table);
        self.needs_number(&rule.number);
        let (table, number) = (&chain.table.name, rule.number.get());
        let message = wire_rule::Rule::by_handle(table, &chain.name, number);
        self.push(MessageType::DeleteRule, 0, &chain.table, &message);
        self
    }

    /// Deletes a set or map with its elements.
    pub fn delete_set(&mut self, set: &SetHandle) -> &mut Self {
        self.begin("delete set", set);
        self.names(&set.table);
        let message = match set.number.if_known() {
            Some(number) => wire_set::Set::by_handle(&set.table.name, number),
            None => wire_set::Set::by_name(&set.table.name, &set.name),
        };
        self.push(MessageType::DeleteSet, 0, &set.table, &message);
        self
    }

    /// Deletes an object, which no rule may use any more.
    pub fn delete_object(&mut self, object: &ObjectHandle) -> &mut Self {
        self.begin("delete object", object);
        self.names(&object.table);
        let (table, kind) = (&object.table.name, object.kind.wire());
        let message = match object.number.if_known() {
            Some(number) => wire_object::Object::by_handle(table, kind, number),
            None => wire_object::Object::by_name(table, kind, &object.name),
        };
        self.push(MessageType::DeleteObject, 0, &object.table, &message);
        self
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn begin(&mut self, action: &'static str, object: impl fmt::Display) {
        self.operations.push((action, object.to_string()));
    }

    fn index(&self) -> usize {
        self.operations.len().saturating_sub(1)
    }

    fn refuse(&mut self, error: Error) {
        let error = error.in_namespace(&self.netns);
        self.invalid.push(Refused { index: self.index(), error });
    }

    fn refuse_for(&mut self, reason: impl Into<String>) {
        let (action, object) = self.operations.last().cloned().unwrap_or_default();
        self.refuse(Error::invalid(action, object, reason));
    }

    fn needs_number(&mut self, number: &Number) {
        if number.if_known().is_none() {
            self.refuse_for("the rule is only made by this transaction");
        }
    }

    fn in_this_namespace(&mut self, netns: &Netns) {
        if *netns != self.netns {
            self.refuse_for("it is in another namespace than the transaction");
        }
    }

    /// An operation names what is in this table.
    fn names(&mut self, table: &TableHandle) {
        self.in_this_namespace(&table.netns);
        let is_persistent = !table.held && table.number.if_known().is_some();
        if is_persistent && !self.guarded.contains(table) {
            self.guarded.push(table.clone());
        }
    }

    fn push(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        value: &impl Codec,
    ) -> usize {
        self.push_with(kind, flags, table, |out| value.encode(out))
    }

    fn push_with(
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

    fn push_numbered(
        &mut self,
        kind: MessageType,
        flags: u16,
        table: &TableHandle,
        value: &impl Codec,
        number: Number,
    ) {
        let place = self.push(kind, flags | NLM_F_ECHO, table, value);
        self.numbers.push((place, number));
    }

    fn make_chain(&mut self, table: &TableHandle, chain: &Chain) -> ChainHandle {
        let number = Number::default();
        let handle =
            ChainHandle { table: table.clone(), name: chain.name.clone(), number: number.clone() };
        if let Err(error) = chain.check(table.family) {
            self.refuse(error);
        } else {
            self.made.push(Made::Chain(handle.clone()));
            let message = chain.message(table.family, &table.name);
            self.push_numbered(MessageType::NewChain, CREATE, table, &message, number);
        }
        handle
    }

    fn make_set(&mut self, table: &TableHandle, spec: &Spec) -> SetHandle {
        let number = Number::default();
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

    fn make_object(&mut self, table: &TableHandle, object: &Object) -> ObjectHandle {
        let number = Number::default();
        match object.message(&table.name) {
            Err(error) => self.refuse(error),
            Ok(message) => {
                let kind = MessageType::NewObject;
                self.push_numbered(kind, CREATE, table, &message, number.clone());
            }
        }
        let (table, name) = (table.clone(), object.name().to_owned());
        ObjectHandle { table, kind: object.kind(), name, number }
    }

    fn rule(
        &mut self,
        action: &'static str,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) -> RuleHandle {
        self.begin(action, rule);
        self.names(&chain.table);
        let number = Number::default();
        self.make_numbered_rule(chain, rule, flags, place, number.clone());
        RuleHandle { chain: chain.clone(), number }
    }

    fn make_numbered_rule(
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

    fn make_rule(
        &mut self,
        chain: &ChainHandle,
        rule: &Rule,
        flags: u16,
        place: impl FnOnce(&mut wire_rule::Rule),
    ) -> Option<usize> {
        let table = &chain.table;
        let message = rule.message(table.family, &table.name, &chain.name, &mut self.next_set);
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
                    self.push_elements(
                        table,
                        &of,
                        &elements,
                        MessageType::NewElement,
                        NLM_F_CREATE,
                    );
                }
                Some(self.push(MessageType::NewRule, flags, table, &message))
            }
        }
    }

    fn elements(&mut self, set: &SetHandle, elements: &[Element], kind: MessageType, flags: u16) {
        self.names(&set.table);
        if elements.is_empty() {
            return self.refuse_for("no element was named");
        }
        let of = ElementsOf::new(&set.table.name, &set.name);
        // Intervals have to be seen together, as they must not overlap. The rest goes in parts that stay in
        // the cache: 100,000 elements took half as long again at once.
        let together = set.shape.interval && !set.shape.is_concat();
        let part = if together { elements.len() } else { AT_ONCE };
        for elements in elements.chunks(part) {
            match set.shape.encode(elements, kind == MessageType::NewElement) {
                Err(reason) => return self.refuse_for(reason),
                Ok(encoded) => self.push_elements(&set.table, &of, &encoded, kind, flags),
            }
        }
    }

    /// As many messages as the list needs, 65,535 bytes of it each.
    fn push_elements(
        &mut self,
        table: &TableHandle,
        of: &ElementsOf,
        mut elements: &[wire_element::Element],
        kind: MessageType,
        flags: u16,
    ) {
        while !elements.is_empty() {
            let mut written = 0;
            self.push_with(kind, flags, table, |out| {
                written = wire_element::encode_list(of, elements, out);
            });
            elements = elements.get(written.max(1)..).unwrap_or_default();
        }
    }

    /// Does all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`TransactionError::refused`] names each operation that was refused. What can be known wrong is
    /// refused before any system call. A transaction larger than the socket's send buffer may be without
    /// privilege (twice `net.core.wmem_max`) is refused as a whole (EMSGSIZE).
    ///
    /// Where the kernel's answer is lost ([`is_timed_out`](Error::is_timed_out), a buffer that overflowed),
    /// what is made is taken away again. What was deleted, replaced or added to a set stays so.
    pub fn commit(mut self) -> Result<(), TransactionError> {
        if !self.invalid.is_empty() {
            return Err(TransactionError { refused: self.invalid, whole: None });
        }
        if self.operations.is_empty() {
            return Ok(());
        }
        self.batch.append(|out| drop(append_batch_end(out, 0)));
        self.messages.push(self.index());
        let mut attempts =
            if self.expected.is_none() && !self.guarded.is_empty() { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let generation = match self.generation() {
                Ok(generation) => generation,
                Err(error) => return Err(TransactionError::whole(error)),
            };
            match self.attempt(generation) {
                Err(error) if error.is_stale() && attempts > 0 => {}
                result => return result,
            }
        }
    }

    fn attempt(&mut self, before: Option<Generation>) -> Result<(), TransactionError> {
        let generation = self.check_tables(before).map_err(TransactionError::whole)?;
        self.batch.overwrite(GENERATION_AT, &generation.to_be_bytes());
        let Self { netns, batch, numbers, .. } = self;
        let result = netns.nf_tables(|nf_tables| {
            nf_tables.socket.transact(batch, |place, answer| {
                let asked = numbers.binary_search_by_key(&place, |(place, _)| *place);
                let message = Message::decode(answer.kind, answer.payload);
                let cell = asked.ok().and_then(|at| numbers.get(at));
                if let (Some((_, cell)), Some(number)) = (cell, message.and_then(number_of)) {
                    cell.set(number);
                }
            })
        });
        let refusals = result.map_err(|cause| {
            let error = self.failed(cause).hint_on(Errno::EMSGSIZE, too_large);
            TransactionError::whole(self.undone(error, before))
        })?;
        if refusals.is_empty() {
            return Ok(());
        }
        let mut refused = Vec::with_capacity(refusals.len());
        for (place, refusal) in refusals {
            let cause = Cause::from(refusal);
            if place == 0 {
                let error = self.failed(cause).hint_on(Errno::ERESTART, stale);
                return Err(TransactionError::whole(error));
            }
            let index = self.messages.get(place).copied().unwrap_or_default();
            let (action, object) = self.operations.get(index).cloned().unwrap_or_default();
            let error = cause.doing(action, object).in_namespace(&self.netns);
            refused.push(Refused { index, error: explain(error) });
        }
        refused.sort_by_key(|refused| refused.index);
        Err(TransactionError { refused, whole: None })
    }

    /// The generation before, where it has to be known.
    fn generation(&self) -> Result<Option<Generation>, Error> {
        match self.expected {
            None if self.made.is_empty() && self.guarded.is_empty() => Ok(None),
            None => {
                let generation = self.netns.nft_generation().map(Some);
                let (action, object) = self.name();
                generation.map_err(|error| error.while_doing(action, object))
            }
            expected => Ok(expected),
        }
    }

    /// Nothing is left of what may have been done.
    fn undone(&self, error: Error, before: Option<Generation>) -> Error {
        let Some(before) = before.filter(|_| error.is_unknown_outcome() && !self.made.is_empty())
        else {
            return error;
        };
        match undo(&self.netns, before, &self.made) {
            Ok(true) => error,
            Ok(false) => error.hint("others changed the ruleset just then: it may have been done"),
            Err(failure) => {
                log::warn!("left behind: {failure}");
                error.hint("it may have been done")
            }
        }
    }

    fn failed(&self, cause: Cause) -> Error {
        let (action, object) = self.name();
        cause.doing(action, object).in_namespace(&self.netns)
    }

    /// All of it by its first operation.
    fn name(&self) -> (&'static str, String) {
        match self.operations.as_slice() {
            [] => ("commit", "a transaction".into()),
            [one] => one.clone(),
            [(action, first), rest @ ..] => (action, format!("{first} and {} more", rest.len())),
        }
    }

    /// Looks whether the persistent tables are those that are meant, and returns the generation in which
    /// they are; 0 where it makes no difference.
    fn check_tables(&self, now: Option<Generation>) -> Result<u32, Error> {
        for table in &self.guarded {
            info::check_table(table)?;
        }
        let matters = !self.guarded.is_empty() || self.expected.is_some();
        Ok(now.filter(|_| matters).map_or(0, |generation| generation.0))
    }
}

fn number_of(message: Message<'_>) -> Option<u64> {
    match message.kind {
        MessageType::NewTable => wire_table::Table::decode(message.attributes)?.handle,
        MessageType::NewChain => wire_chain::Chain::decode(message.attributes)?.handle,
        MessageType::NewRule => wire_rule::Rule::decode(message.attributes)?.handle,
        MessageType::NewSet => wire_set::Set::decode(message.attributes)?.handle,
        MessageType::NewObject => wire_object::Object::decode(message.attributes)?.handle,
        _ => None,
    }
}

fn too_large() -> String {
    "it does not fit the socket's send buffer: raise net.core.wmem_max, or make it several".into()
}

fn stale() -> String {
    "somebody has changed the ruleset since: read it again".into()
}

/// What bare errnos mean here.
fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::EEXIST, || "something of that name or key is there already".into())
        .hint_on(Errno::EBUSY, || "it is in use: a rule or an element refers to it".into())
        .hint_on(Errno::ENFILE, || "the set's declared size is reached".into())
        .hint_on(Errno::EOPNOTSUPP, || {
            "this kernel, or this kind of chain, does not have what it needs".into()
        })
        .hint_on(Errno::ENOENT, || {
            "what it names is not there, or this kernel was built without an expression of it"
                .into()
        })
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.operations.iter().map(|(action, object)| format!("{action} {object}"));
        f.debug_list().entries(steps).finish()
    }
}
