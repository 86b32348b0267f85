//! Handles: the identities of existing tables, chains, rules, sets, objects and flowtables.

use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use super::number::Number;
use super::reader;
use crate::error::Cause;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::model::family::Family;
use crate::nft::model::interval::Shape;
use crate::nft::model::object::ObjectKind;
use crate::nft::model::table::tag_in;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::{chain, flowtable, object, set, table};

/// A handle of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHandle {
    pub(crate) netns: Netns,
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) number: Number,
    /// The comment of a persistent table; `None` for a held table.
    pub(crate) comment: Option<Arc<str>>,
}

impl TableHandle {
    /// Returns the namespace of the table.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Returns the family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number (handle) that the kernel gave the table, as `nft -a list ruleset` shows
    /// it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Returns whether the kernel deletes the table when this process ends.
    pub fn is_held(&self) -> bool {
        self.comment.is_none()
    }

    /// Returns the tag of a persistent table.
    pub fn tag(&self) -> Option<&str> {
        tag_in(self.comment.as_deref()?)
    }

    /// Returns whether the name may now belong to another table. A held table keeps its name until
    /// this process deletes it.
    pub(crate) fn may_be_replaced(&self) -> bool {
        !self.is_held() || self.number.may_be_deleted() || self.number.if_known().is_none()
    }

    /// Fails with ENOENT if the name belongs to no table, or to another table. The kernel never
    /// reuses a table's number.
    pub(crate) fn verify(&self, socket: &mut Socket) -> Result<(), Cause> {
        if !self.may_be_replaced() {
            return Ok(());
        }
        let of = table::Table::by_name(&self.name);
        let found: Option<table::Table> =
            reader::get(socket, MessageType::GetTable, self.family, &of)?;
        let number = found.and_then(|table| table.handle);
        let is_it = number.is_some() && number == self.number.if_known();
        if is_it { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }

    /// Returns the handle of a chain read from the kernel.
    pub(crate) fn chain_read(&self, name: &str, number: u64) -> ChainHandle {
        let (table, number) = (self.clone(), Number::known(number));
        ChainHandle { table, name: name.to_owned(), number }
    }

    pub(crate) fn message(&self) -> table::Table {
        match self.number.if_known() {
            Some(number) => table::Table::by_handle(number),
            None => table::Table::by_name(&self.name),
        }
    }
}

impl fmt::Display for TableHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.family, self.name)
    }
}

/// A handle of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A handle of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) number: Number,
}

/// A handle of a flowtable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowtableHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A handle of a named object: a counter, a quota, a limit and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHandle {
    pub(crate) table: TableHandle,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A handle of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleHandle {
    pub(crate) chain: ChainHandle,
    pub(crate) number: Number,
}

/// Implements the shared methods of handles of named objects. A message identifies the object by
/// its number, or by the fields in brackets if the number is unknown.
macro_rules! named {
    ($($handle:ident: $wire:ty [$($field:ident)?];)+) => {$(
        impl $handle {
            /// Returns the name.
            pub fn name(&self) -> &str {
                &self.name
            }

            /// Returns the handle of the table.
            pub fn table(&self) -> &TableHandle {
                &self.table
            }

            pub(crate) fn message(&self) -> $wire {
                match self.number.if_known() {
                    Some(number) => <$wire>::by_handle(&self.table.name, $(self.$field,)? number),
                    None => <$wire>::by_name(&self.table.name, $(self.$field,)? &self.name),
                }
            }
        }

        impl fmt::Display for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(write!(f, "{} ", self.$field)?;)?
                write!(f, "`{} {} {}`", self.table.family, self.table.name, self.name)
            }
        }
    )+};
}

named! {
    ChainHandle: chain::Chain [];
    SetHandle: set::Set [];
    FlowtableHandle: flowtable::Flowtable [];
    ObjectHandle: object::Object [kind];
}

impl ChainHandle {
    /// Returns the handle of a rule read from the kernel.
    pub(crate) fn rule_read(&self, number: u64) -> RuleHandle {
        RuleHandle { chain: self.clone(), number: Number::known(number) }
    }
}

impl ObjectHandle {
    /// Returns the kind of the object.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }
}

impl RuleHandle {
    /// Returns the number (handle) that the kernel gave the rule, as `nft -a list ruleset` shows
    /// it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Returns the handle of the chain.
    pub fn chain(&self) -> &ChainHandle {
        &self.chain
    }
}

impl fmt::Display for RuleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = &self.chain;
        let (family, table) = (chain.table.family, &chain.table.name);
        write!(f, "{} of `{family} {table} {}`", self.number(), chain.name)
    }
}
