//! The events of a watcher.

use std::fmt;

use crate::address::AddressInfo;
use crate::conntrack::ConntrackEntry;
use crate::link::LinkInfo;
use crate::link_names::{LinkNames, Show};
use crate::neighbor::NeighborInfo;
use crate::nft::Generation;
use crate::route::RouteInfo;
use crate::text::{Escaped, part};

/// A change of one object, with its old and new value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Change<T> {
    /// The object existed when the watcher started.
    Existing(T),
    /// The object is new.
    New(T),
    /// The object changed.
    Changed {
        /// The value before the change.
        old: T,
        /// The value after the change.
        new: T,
    },
    /// The object is gone. The value is its last known value.
    Removed(T),
}

impl<T> Change<T> {
    /// Returns the value before the change. `None` for a new object, and for one that existed when
    /// the watcher started.
    pub fn before(&self) -> Option<&T> {
        match self {
            Self::Existing(_) | Self::New(_) => None,
            Self::Changed { old, .. } | Self::Removed(old) => Some(old),
        }
    }

    /// Returns the value after the change. `None` for a removed object.
    pub fn after(&self) -> Option<&T> {
        match self {
            Self::Existing(new) | Self::New(new) | Self::Changed { new, .. } => Some(new),
            Self::Removed(_) => None,
        }
    }

    pub(super) fn map<U>(self, of: impl Fn(T) -> U) -> Change<U> {
        match self {
            Self::Existing(value) => Change::Existing(of(value)),
            Self::New(value) => Change::New(of(value)),
            Self::Changed { old, new } => Change::Changed { old: of(old), new: of(new) },
            Self::Removed(value) => Change::Removed(of(value)),
        }
    }

    /// Returns the new value, or the last known value of a removed object.
    pub fn value(&self) -> &T {
        match self {
            Self::Existing(value)
            | Self::New(value)
            | Self::Changed { new: value, .. }
            | Self::Removed(value) => value,
        }
    }
}

/// An event of a [`Watcher`](crate::Watcher).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Event {
    /// A change of a link.
    Link(Change<LinkInfo>),
    /// A change of an address.
    Address(Change<AddressInfo>),
    /// A change of a route.
    Route(Change<RouteInfo>),
    /// A change of a neighbour.
    Neighbor(Change<NeighborInfo>),
    /// A change of the ids that the namespace assigns to other namespaces.
    NamespaceId(Change<u32>),
    /// A tracked connection started, changed or ended.
    Conntrack(ConntrackEvent),
    /// A transaction changed the `nf_tables` ruleset.
    Ruleset(RulesetChange),
    /// The kernel dropped notifications of tracked connections. The program can list the existing
    /// connections.
    Lost,
    /// The kernel dropped notifications, and the watcher read all lists again.
    Resynced(Resynced),
}

/// The changes between the last event and the lists that were read after an overflow.
///
/// The kernel drops notifications if the watcher reads them too slowly for its
/// [`buffer`](crate::Watch::buffer).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Resynced {
    /// The changes, at most one for each object.
    pub changes: Vec<Event>,
    /// The number of buffer overflows: above 1 if the buffer overflowed again while the lists were
    /// read.
    pub overflows: u32,
}

/// An event of a tracked connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ConntrackEvent {
    /// The connection existed when the watcher started.
    Existing(ConntrackEntry),
    /// The connection started.
    New(ConntrackEntry),
    /// The state, the mark or the NAT of the connection changed. The value is the new value.
    Updated(ConntrackEntry),
    /// The connection ended, or was deleted. The value is its last known value.
    Ended(ConntrackEntry),
}

/// Formats the event as `conntrack -E` does.
impl fmt::Display for ConntrackEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing(entry) => write!(f, "{entry}"),
            Self::New(entry) => write!(f, "[NEW] {entry}"),
            Self::Updated(entry) => write!(f, "[UPDATE] {entry}"),
            Self::Ended(entry) => write!(f, "[DESTROY] {entry}"),
        }
    }
}

/// A transaction that changed the `nf_tables` ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RulesetChange {
    /// The generation before the transaction. `None` when the watcher starts.
    pub old: Option<Generation>,
    /// The generation after the transaction.
    pub new: Generation,
    /// The process that committed the transaction, if the kernel reported it.
    pub process: Option<u32>,
    /// The name of the process, if the kernel reported it.
    pub process_name: Option<String>,
}

impl Event {
    /// Reports whether the object existed when the watcher started.
    pub fn is_existing(&self) -> bool {
        match self {
            Self::Link(change) => matches!(change, Change::Existing(_)),
            Self::Address(change) => matches!(change, Change::Existing(_)),
            Self::Route(change) => matches!(change, Change::Existing(_)),
            Self::Neighbor(change) => matches!(change, Change::Existing(_)),
            Self::NamespaceId(change) => matches!(change, Change::Existing(_)),
            Self::Conntrack(event) => matches!(event, ConntrackEvent::Existing(_)),
            Self::Ruleset(change) => change.old.is_none(),
            Self::Resynced(_) | Self::Lost => false,
        }
    }

    /// Formats the event as `ip monitor` does, with the links' names: `Deleted ` and a line.
    pub fn display<'a>(&'a self, names: &'a LinkNames) -> impl fmt::Display + 'a {
        Show(|f: &mut fmt::Formatter<'_>| self.write(f, names))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, names: &LinkNames) -> fmt::Result {
        match self {
            Self::Link(change) => line(f, change, ToString::to_string),
            Self::Address(change) => line(f, change, |info| info.display(names).to_string()),
            Self::Route(change) => line(f, change, |info| info.display(names).to_string()),
            Self::Neighbor(change) => line(f, change, |info| info.display(names).to_string()),
            Self::NamespaceId(change) => line(f, change, |id| format!("nsid {id}")),
            Self::Conntrack(event) => write!(f, "{event}"),
            Self::Ruleset(change) => {
                write!(f, "# new generation {}", change.new.0)?;
                part(f, " by process ", change.process)?;
                let name = change.process_name.as_deref();
                name.map_or(Ok(()), |name| write!(f, " ({})", Escaped(name)))
            }
            Self::Lost => f.write_str("events of tracked connections were lost"),
            Self::Resynced(resynced) => {
                write!(f, "resynced, {} changes", resynced.changes.len())?;
                resynced.changes.iter().try_for_each(|event| {
                    f.write_str("\n")?;
                    event.write(f, names)
                })
            }
        }
    }
}

fn line<T>(
    f: &mut fmt::Formatter<'_>,
    change: &Change<T>,
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    f.write_str(if change.after().is_none() { "Deleted " } else { "" })?;
    f.write_str(&show(change.value()))
}

/// Formats the event as `ip monitor` does, with the links' indexes: `dev if3`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, LinkNames::NONE)
    }
}
