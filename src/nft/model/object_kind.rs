//! The kinds of named objects.

use std::fmt;

use crate::wire::nft::object::ObjectType;

/// The kind of a named object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// Counts packets and bytes.
    Counter,
    /// Passes packets up to so many bytes, or from there on.
    Quota,
    /// Passes packets up to a rate.
    Limit,
    /// Passes packets up to so many connections.
    Connections,
    /// Answers TCP handshakes in place of a server.
    Synproxy,
}

impl ObjectKind {
    pub(crate) fn wire(self) -> ObjectType {
        match self {
            Self::Counter => ObjectType::Counter,
            Self::Quota => ObjectType::Quota,
            Self::Limit => ObjectType::Limit,
            Self::Connections => ObjectType::Connlimit,
            Self::Synproxy => ObjectType::Synproxy,
        }
    }

    pub(crate) fn from_wire(kind: ObjectType) -> Option<Self> {
        [Self::Counter, Self::Quota, Self::Limit, Self::Connections, Self::Synproxy]
            .into_iter()
            .find(|one| one.wire() == kind)
    }
}

/// Formats the kind as `nft` does.
impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Connections => "ct count",
            Self::Synproxy => "synproxy",
        })
    }
}
