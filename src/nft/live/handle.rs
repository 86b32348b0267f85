//! Handles: the identities of tables, chains, rules, sets, objects and flowtables that exist.

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

/// A table that exists.
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
    /// The namespace of the table.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that the kernel gave the table, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Returns whether the kernel deletes the table with the process.
    pub fn is_held(&self) -> bool {
        self.comment.is_none()
    }

    /// The tag of a persistent table.
    pub fn tag(&self) -> Option<&str> {
        tag_in(self.comment.as_deref()?)
    }

    /// Returns whether another table may have the name by now. Only this process can delete a held
    /// table.
    pub(crate) fn may_be_anothers(&self) -> bool {
        !self.is_held() || self.number.may_be_deleted() || self.number.if_known().is_none()
    }

    /// Fails with ENOENT if the name belongs to no table, or to another one: numbers are never
    /// reused.
    pub(crate) fn verify(&self, socket: &mut Socket) -> Result<(), Cause> {
        if !self.may_be_anothers() {
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

/// A chain that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A set or map that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) number: Number,
}

/// A flowtable that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowtableHandle {
    pub(crate) table: TableHandle,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A named object that exists: a counter, a quota, a limit and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHandle {
    pub(crate) table: TableHandle,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) number: Number,
}

/// A rule that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleHandle {
    pub(crate) chain: ChainHandle,
    pub(crate) number: Number,
}

/// Implements the methods shared by handles of named objects. A message names the object by its
/// number if that is known, and by the fields in brackets.
macro_rules! named {
    ($($handle:ident: $wire:ty [$($field:ident)?];)+) => {$(
        impl $handle {
            /// The name.
            pub fn name(&self) -> &str {
                &self.name
            }

            /// The table.
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
    /// The handle of a rule that was read.
    pub(crate) fn rule_read(&self, number: u64) -> RuleHandle {
        RuleHandle { chain: self.clone(), number: Number::known(number) }
    }
}

impl ObjectHandle {
    /// The kind of the object.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }
}

impl RuleHandle {
    /// The number that the kernel gave the rule, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// The chain.
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
