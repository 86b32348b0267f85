//! Transactions: many changes to a namespace's ruleset, all or nothing.

mod commit;
mod encode;
mod error;
mod explain;
mod lookups;
mod ranges;
mod undo;

use std::collections::BTreeSet;
use std::fmt;

use super::generation::Generation;
use super::handle::{
    ChainHandle, FlowtableHandle, ObjectHandle, RuleHandle, SetHandle, TableHandle,
};
use super::number::Number;
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
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::message::{MessageType, append_batch_begin};
use crate::wire::nft::table::TableFlags;
use crate::wire::nft::{chain as wire_chain, rule as wire_rule, table as wire_table};

pub use error::{Refused, TransactionError};

/// Several changes that the kernel applies together or not at all. Packets never see only some of
/// them.
///
/// Replaces `nft -f`. Each operation has an index, counted from 0 in the order of the calls. A
/// refusal names the index.
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
/// The handles of created objects can be used in the same transaction. After the commit, use
/// [`Owned::adopt`](crate::Owned::adopt) to delete such an object on drop. Nothing is sent before
/// `commit`.
#[must_use = "a transaction does nothing until `commit`"]
pub struct Transaction {
    netns: Netns,
    batch: Batch,
    /// The operation that each message of the batch belongs to. The first message begins the batch.
    messages: Vec<usize>,
    operations: Vec<Operation>,
    /// The numbers that echoes fill in, each with the position of its message in the batch.
    numbers: Vec<(usize, Number)>,
    /// The [identities](Number::identity) of the objects that the transaction creates.
    created: BTreeSet<usize>,
    /// True if the batch creates an object, and the kernel refuses the batch if the object exists.
    creates: bool,
    /// True if the transaction creates a persistent table, which any program can change.
    creates_persistent: bool,
    next_set: u32,
    /// The tables that operations refer to.
    named: Vec<TableHandle>,
    expected: Option<Generation>,
    /// True if the caller already looked up all names at the expected generation.
    is_trusted: bool,
    invalid: Vec<Refused>,
    /// The named sets that the transaction creates.
    new_sets: Vec<lookups::NamedSet>,
    lookups: Vec<lookups::NamedSet>,
    /// Changes to sets with intervals, in order.
    ranges: Vec<ranges::Change>,
}

/// The action and the object of an operation.
type Operation = (&'static str, String);

const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;
const ADD: u16 = NLM_F_CREATE | NLM_F_APPEND;

impl Transaction {
    /// Creates a transaction without operations.
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
            created: BTreeSet::new(),
            creates: false,
            creates_persistent: false,
            next_set: 0,
            named: Vec::new(),
            expected: None,
            is_trusted: false,
            invalid: Vec::new(),
            new_sets: Vec::new(),
            lookups: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// Creates a transaction that the kernel refuses at any other generation. The caller has looked
    /// up the tables at this generation, so `commit` does not verify them again.
    pub(crate) fn decided_at(netns: &Netns, generation: Generation) -> Self {
        Self { expected: Some(generation), is_trusted: true, ..Self::new(netns) }
    }

    /// Refuses the transaction with [`is_stale`](TransactionError::is_stale) if another program
    /// changed the ruleset since this generation. So a program that reads the ruleset and then
    /// changes it never overwrites a change unseen.
    #[doc(alias = "NFNL_BATCH_GENID")]
    pub fn if_unchanged_since(&mut self, generation: Generation) -> &mut Self {
        self.expected = Some(generation);
        self
    }

    /// Creates a table with all contents of the builder.
    pub fn create_table(&mut self, table: &Table) -> TableHandle {
        self.begin("create table", table);
        self.creates_persistent |= table.comment().is_some();
        let (family, name) = (table.family, table.name.clone());
        let (netns, comment) = (self.netns.clone(), table.comment().map(Into::into));
        let handle = TableHandle { netns, family, name, number: self.new_number(), comment };
        let message = table.check().map(|()| table.message());
        self.push_new(MessageType::NewTable, CREATE, &handle, (message, &handle.number));
        // All chains first: elements and rules may jump to any of them.
        let chains = self.new_chains(&handle, table, CREATE);
        for object in &table.objects {
            self.new_object(&handle, object);
        }
        for flowtable in &table.flowtables {
            self.new_flowtable(&handle, flowtable);
        }
        for spec in &table.sets {
            self.new_set(&handle, spec, CREATE);
        }
        self.new_rules(&chains, table);
        handle
    }

    /// Restores an existing table to what `table` describes: clears the dormant flag, creates
    /// missing chains and sets, and replaces all rules. The elements of existing sets stay.
    pub(crate) fn restore(&mut self, table: &Table) {
        self.begin("restore table", table);
        let (family, name, number) = (table.family, table.name.clone(), self.new_number());
        let awake = wire_table::Table { userdata: None, ..table.message() };
        self.push(MessageType::NewTable, 0, family, &awake);
        let all = wire_rule::Rule { table: name.clone(), ..wire_rule::Rule::default() };
        self.push(MessageType::DeleteRule, 0, family, &all);
        let handle = TableHandle { netns: self.netns.clone(), family, name, number, comment: None };
        let chains = self.new_chains(&handle, table, NLM_F_CREATE);
        for spec in &table.sets {
            self.new_set(&handle, spec, NLM_F_CREATE);
        }
        self.new_rules(&chains, table);
    }

    /// Creates a chain with its rules.
    pub fn create_chain(&mut self, table: &TableHandle, chain: &Chain) -> ChainHandle {
        self.begin(chain::ACTION, chain);
        self.names(table);
        let handle = self.new_chain(table, chain, CREATE);
        for rule in &chain.rules {
            self.new_rule(&handle, rule, ADD, |_| ());
        }
        handle
    }

    /// Adds a rule to a chain, and creates the chain if the table lacks it. Counts as one
    /// operation, whose errors name `action`.
    pub(crate) fn ensure_rule(
        &mut self,
        action: &'static str,
        table: &TableHandle,
        (chain, rule): (&Chain, &Rule),
    ) -> RuleHandle {
        self.begin(action, "");
        self.names(table);
        let chain = self.new_chain(table, chain, NLM_F_CREATE);
        let handle = RuleHandle { chain, number: self.new_number() };
        self.new_numbered_rule(&handle, rule, ADD, |_| ());
        handle
    }

    /// Creates a set with its elements.
    pub fn create_set(&mut self, table: &TableHandle, set: &Set) -> SetHandle {
        self.create(table, &set.0)
    }

    /// Creates a map with its elements.
    pub fn create_map(&mut self, table: &TableHandle, map: &Map) -> SetHandle {
        self.create(table, &map.0)
    }

    pub(super) fn create(&mut self, table: &TableHandle, spec: &Spec) -> SetHandle {
        self.begin(set::ACTION, spec);
        self.names(table);
        self.new_set(table, spec, CREATE)
    }

    /// Creates a named object, such as a counter, for rules to share.
    pub fn create_object(&mut self, table: &TableHandle, object: &Object) -> ObjectHandle {
        self.begin("create object", object);
        self.names(table);
        self.new_object(table, object)
    }

    /// Creates a flowtable.
    pub fn create_flowtable(
        &mut self,
        table: &TableHandle,
        flowtable: &Flowtable,
    ) -> FlowtableHandle {
        self.begin(flowtable::ACTION, flowtable);
        self.names(table);
        self.new_flowtable(table, flowtable)
    }

    /// Adds a rule to the end of a chain.
    pub fn add_rule(&mut self, chain: &ChainHandle, rule: &Rule) -> RuleHandle {
        self.rule("add rule", chain, rule, ADD, |_| ())
    }

    /// Inserts a rule at the beginning of a chain.
    pub fn insert_rule(&mut self, chain: &ChainHandle, rule: &Rule) -> RuleHandle {
        self.rule("insert rule", chain, rule, NLM_F_CREATE, |_| ())
    }

    /// Adds a rule after an existing rule.
    pub fn add_rule_after(&mut self, other: &RuleHandle, rule: &Rule) -> RuleHandle {
        let at = other.number.if_known();
        let handle = self.rule("add rule", &other.chain, rule, ADD, |rule| rule.position = at);
        self.needs_number(&other.number);
        handle
    }

    /// Inserts a rule before an existing rule.
    pub fn insert_rule_before(&mut self, other: &RuleHandle, rule: &Rule) -> RuleHandle {
        let at = other.number.if_known();
        let insert = |rule: &mut wire_rule::Rule| rule.position = at;
        let handle = self.rule("insert rule", &other.chain, rule, NLM_F_CREATE, insert);
        self.needs_number(&other.number);
        handle
    }

    /// Replaces an existing rule. Afterwards its handle and its owner identify the new rule.
    pub fn replace_rule(&mut self, old: &RuleHandle, rule: &Rule) -> &mut Self {
        self.begin("replace rule", rule);
        self.names_in(&old.chain.table, &old.chain.number);
        self.needs_number(&old.number);
        let at = old.number.if_known();
        self.new_numbered_rule(old, rule, NLM_F_REPLACE, |rule| rule.handle = at);
        self
    }

    /// Adds elements to a set or map. An element that it already has is not changed.
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

    /// Adds elements to a verdict map with keys of this type. Fails if the map has one of the keys.
    /// The same transaction may create the map.
    pub(crate) fn add_new_elements(
        &mut self,
        table: &TableHandle,
        (map, key): (&str, Type),
        elements: impl IntoIterator<Item = Element>,
    ) {
        let shape = Shape {
            key: vec![key],
            data: Some(DataKind::Verdict),
            interval: false,
            timeout: false,
        };
        let (table, name, number) = (table.clone(), map.to_owned(), self.new_number());
        let set = SetHandle { table, name, shape, number };
        let elements: Vec<_> = elements.into_iter().collect();
        self.begin("add elements to map", &set);
        self.elements(&set, &elements, MessageType::NewElement, CREATE);
    }

    /// Adds one element. Fails if the set or map has it.
    pub(super) fn create_element(&mut self, set: &SetHandle, element: &Element) {
        self.begin("add element to set", format_args!("{set}: {element}"));
        let (kind, flags) = (MessageType::NewElement, CREATE | NLM_F_ECHO);
        self.elements(set, std::slice::from_ref(element), kind, flags);
    }

    /// Deletes elements. Fails if the set or map lacks one of them.
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

    /// Deletes all elements of a set or map.
    pub fn flush_set(&mut self, set: &SetHandle) -> &mut Self {
        self.begin("flush set", set);
        self.names_in(&set.table, &set.number);
        let of = ElementsOf::new(&set.table.name, &set.name);
        self.push(MessageType::DeleteElement, 0, set.table.family, &of);
        self.flush_ranges(set);
        self
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, chain: &ChainHandle) -> &mut Self {
        self.begin("flush chain", chain);
        self.names_in(&chain.table, &chain.number);
        let all = wire_rule::Rule::new(&chain.table.name, &chain.name, Vec::new());
        self.push(MessageType::DeleteRule, 0, chain.table.family, &all);
        self
    }

    /// Sets the policy of a base chain.
    #[doc(alias = "NFTA_CHAIN_POLICY")]
    pub fn set_policy(&mut self, chain: &ChainHandle, policy: Policy) -> &mut Self {
        self.begin("set policy of chain", format_args!("{chain} to {policy}"));
        self.names_in(&chain.table, &chain.number);
        let message = wire_chain::Chain { policy: Some(policy), ..chain.message() };
        self.push(MessageType::NewChain, 0, chain.table.family, &message);
        self
    }

    /// Makes a table dormant, so that its chains see no packets, or wakes it.
    #[doc(alias = "NFT_TABLE_F_DORMANT")]
    pub fn set_dormant(&mut self, table: &TableHandle, on: bool) -> &mut Self {
        self.begin(if on { "make dormant" } else { "wake" }, table);
        self.names(table);
        let mut flags = TableFlags::empty();
        flags.set(TableFlags::OWNER, table.is_held());
        flags.set(TableFlags::DORMANT, on);
        let message =
            wire_table::Table { flags: Some(flags), ..wire_table::Table::by_name(&table.name) };
        self.push(MessageType::NewTable, 0, table.family, &message);
        self
    }

    /// Deletes a table with all its contents.
    pub fn delete_table(&mut self, table: &TableHandle) -> &mut Self {
        self.begin("delete table", table);
        self.in_this_namespace(&table.netns);
        self.exists_or_created(&table.number);
        table.number.set_may_be_deleted();
        self.push(MessageType::DeleteTable, 0, table.family, &table.message());
        self
    }

    /// Deletes a rule.
    pub fn delete_rule(&mut self, rule: &RuleHandle) -> &mut Self {
        self.begin("delete rule", rule);
        let chain = &rule.chain;
        self.names_in(&chain.table, &chain.number);
        self.needs_number(&rule.number);
        let message = wire_rule::Rule::by_handle(&chain.table.name, &chain.name, rule.number());
        self.push(MessageType::DeleteRule, 0, chain.table.family, &message);
        self
    }

    /// Returns the number of operations.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether the transaction has no operations.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// Implements the deletions of named objects, each as `METHOD(VARIABLE: HANDLE), ACTION, MESSAGE`.
macro_rules! deletions {
    ($($(#[$doc:meta])* $method:ident($object:ident: $handle:ty), $action:literal, $kind:ident;)+) => {
        impl Transaction {$(
            $(#[$doc])*
            pub fn $method(&mut self, $object: &$handle) -> &mut Self {
                self.begin($action, $object);
                self.names_in(&$object.table, &$object.number);
                self.push(MessageType::$kind, 0, $object.table.family, &$object.message());
                self
            }
        )+}
    };
}

deletions! {
    /// Deletes a chain, which must be empty.
    delete_chain(chain: ChainHandle), "delete chain", DeleteChain;
    /// Deletes a set or map with its elements. No rule may use it.
    delete_set(set: SetHandle), "delete set", DeleteSet;
    /// Deletes an object. No rule may use it.
    delete_object(object: ObjectHandle), "delete object", DeleteObject;
    /// Deletes a flowtable. No rule may use it.
    delete_flowtable(flowtable: FlowtableHandle), "delete flowtable", DeleteFlowtable;
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.operations.iter().map(|(action, object)| format!("{action} {object}"));
        f.debug_list().entries(steps).finish()
    }
}
