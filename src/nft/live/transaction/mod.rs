//! Transactions: many changes to a namespace's packet filter, all or nothing.

mod commit;
mod lack;
mod messages;
mod ranges;
mod refusal;

use std::collections::HashSet;
use std::fmt;

use super::chain::ChainHandle;
use super::flowtable::FlowtableHandle;
use super::generation::Generation;
use super::number::Number;
use super::object::ObjectHandle;
use super::operations::{FEW, FEW_BYTES};
use super::rule::RuleHandle;
use super::set::SetHandle;
use super::table::TableHandle;
use super::undo::Made;
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::nft::model::chain::{self, Chain};
use crate::nft::model::element::Element;
use crate::nft::model::family::Policy;
use crate::nft::model::flowtable::{self, Flowtable};
use crate::nft::model::interval::{DataKind, Shape};
use crate::nft::model::object::Object;
use crate::nft::model::rule::Rule;
use crate::nft::model::set::{self, Map, Set, Spec};
use crate::nft::model::table::Table;
use crate::nft::model::types::Type;
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::{MessageType, append_batch_begin};
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::table as wire_table;

use lack::Lack;
pub use refusal::{Refused, TransactionError};

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
    /// The [identities](Number::identity) of what it makes.
    makes: HashSet<usize>,
    next_set: u32,
    /// Tables that are named in it: they have to be those still.
    named: Vec<TableHandle>,
    /// Those that it deletes.
    deletes: Vec<Number>,
    expected: Option<Generation>,
    made: Vec<Made>,
    invalid: Vec<Refused>,
    /// What a message that names nothing else can only lack.
    lacks: Vec<(usize, Lack)>,
    /// Changes to sets with intervals, in order.
    ranges: Vec<ranges::Change>,
    /// It takes away by name what another made, see `undo.rs`.
    is_undo: bool,
}

const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

impl Transaction {
    /// One that changes nothing yet.
    #[doc(alias("nft -f", "NFNL_MSG_BATCH_BEGIN"))]
    pub fn new(netns: &Netns) -> Self {
        let mut batch = Batch::with_room(FEW, FEW_BYTES);
        batch.append(|out| drop(append_batch_begin(out, 0, Some(0))));
        let mut messages = Vec::with_capacity(FEW);
        messages.push(0);
        Self {
            netns: netns.clone(),
            batch,
            messages,
            operations: Vec::new(),
            numbers: Vec::new(),
            makes: HashSet::new(),
            next_set: 0,
            named: Vec::new(),
            deletes: Vec::new(),
            expected: None,
            made: Vec::new(),
            invalid: Vec::new(),
            lacks: Vec::new(),
            ranges: Vec::new(),
            is_undo: false,
        }
    }

    /// One that takes away by name what another transaction made for certain.
    pub(crate) fn undoing(netns: &Netns) -> Self {
        Self { is_undo: true, ..Self::new(netns) }
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
        let number = self.new_number();
        let (family, name) = (table.family, table.name.clone());
        let (netns, tag) = (self.netns.clone(), table.tag.as_deref().map(Into::into));
        let handle = TableHandle { netns, family, name, number: number.clone(), tag };
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
        for flowtable in &table.flowtables {
            self.make_flowtable(&handle, flowtable);
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

    pub(crate) fn create(&mut self, table: &TableHandle, spec: &Spec) -> SetHandle {
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

    /// A flowtable, into which rules put connections.
    pub fn create_flowtable(
        &mut self,
        table: &TableHandle,
        flowtable: &Flowtable,
    ) -> FlowtableHandle {
        self.begin(flowtable::ACTION, flowtable);
        self.names(table);
        self.make_flowtable(table, flowtable)
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
        self.names_in(&old.chain.table, &old.chain.number);
        self.needs_number(&old.number);
        let number = old.number.clone();
        let at = number.if_known();
        self.made.push(Made::Replaced(old.clone()));
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
        let (table, name, number) = (table.clone(), map.to_owned(), self.new_number());
        let set = SetHandle { table, name, shape, number };
        let elements: Vec<_> = elements.into_iter().collect();
        self.begin("add elements to map", &set);
        self.made.push(Made::Elements(set.clone(), elements.clone()));
        self.elements(&set, &elements, MessageType::NewElement, CREATE);
    }

    /// One element, which must not be there.
    pub(crate) fn create_element(&mut self, set: &SetHandle, element: &Element) {
        self.begin("add element to set", format_args!("{set}: {element}"));
        self.made.push(Made::Elements(set.clone(), vec![element.clone()]));
        self.elements(
            set,
            std::slice::from_ref(element),
            MessageType::NewElement,
            CREATE | NLM_F_ECHO,
        );
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
        self.names_in(&set.table, &set.number);
        let of = ElementsOf::new(&set.table.name, &set.name);
        self.push(MessageType::DeleteElement, 0, &set.table, &of);
        self.flush_ranges(set);
        self
    }

    /// Takes all rules of a chain.
    pub fn flush_chain(&mut self, chain: &ChainHandle) -> &mut Self {
        self.begin("flush chain", chain);
        self.names_in(&chain.table, &chain.number);
        let all = wire_rule::Rule::new(&chain.table.name, &chain.name, Vec::new());
        self.push(MessageType::DeleteRule, 0, &chain.table, &all);
        self
    }

    /// What becomes of packets that no rule of a base chain decides on, from now on.
    #[doc(alias = "NFTA_CHAIN_POLICY")]
    pub fn set_policy(&mut self, chain: &ChainHandle, policy: Policy) -> &mut Self {
        self.begin("set policy of chain", format_args!("{chain} to {policy}"));
        self.names_in(&chain.table, &chain.number);
        let message = wire_chain::Chain { policy: Some(policy.wire()), ..chain.known_as() };
        self.push(MessageType::NewChain, 0, &chain.table, &message);
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
        self.has_or_makes(&table.number);
        self.deletes.push(table.number.clone());
        self.push(MessageType::DeleteTable, 0, table, &message);
        self
    }

    /// Deletes a chain, which has to be empty.
    pub fn delete_chain(&mut self, chain: &ChainHandle) -> &mut Self {
        self.begin("delete chain", chain);
        self.names_in(&chain.table, &chain.number);
        self.push(MessageType::DeleteChain, 0, &chain.table, &chain.known_as());
        self
    }

    /// Deletes a rule.
    pub fn delete_rule(&mut self, rule: &RuleHandle) -> &mut Self {
        self.begin("delete rule", rule);
        let chain = &rule.chain;
        self.names_in(&chain.table, &chain.number);
        self.needs_number(&rule.number);
        let (table, number) = (&chain.table.name, rule.number.get());
        let message = wire_rule::Rule::by_handle(table, &chain.name, number);
        self.push(MessageType::DeleteRule, 0, &chain.table, &message);
        self
    }

    /// Deletes a set or map with its elements.
    pub fn delete_set(&mut self, set: &SetHandle) -> &mut Self {
        self.begin("delete set", set);
        self.names_in(&set.table, &set.number);
        self.push(MessageType::DeleteSet, 0, &set.table, &set.known_as());
        self
    }

    /// Deletes an object, which no rule may use any more.
    pub fn delete_object(&mut self, object: &ObjectHandle) -> &mut Self {
        self.begin("delete object", object);
        self.names_in(&object.table, &object.number);
        self.push(MessageType::DeleteObject, 0, &object.table, &object.known_as());
        self
    }

    /// Deletes a flowtable, which no rule may use any more.
    pub fn delete_flowtable(&mut self, flowtable: &FlowtableHandle) -> &mut Self {
        self.begin("delete flowtable", flowtable);
        self.names_in(&flowtable.table, &flowtable.number);
        self.push(MessageType::DeleteFlowtable, 0, &flowtable.table, &flowtable.known_as());
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
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.operations.iter().map(|(action, object)| format!("{action} {object}"));
        f.debug_list().entries(steps).finish()
    }
}
