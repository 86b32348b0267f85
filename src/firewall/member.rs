//! Members of a firewall's sets: links by the names that rules compare, or by index.

use std::fmt;

use crate::error::Error;
use crate::link::{Link, LinkRef};
use crate::netns::Netns;
use crate::nft::{Constant, Field, Interval, Type};

/// How rules match a link: by its name or by its index. Holds the fields to compare and the names
/// of the sets.
pub(super) struct Way {
    pub(super) kind: Type,
    pub(super) input: Field,
    pub(super) output: Field,
    pub(super) networks: &'static str,
    pub(super) ports: &'static str,
}

/// Both ways to match a link: by name (index 0) and by index (index 1).
pub(super) const WAYS: [Way; 2] = [
    Way {
        kind: Type::LinkName,
        input: Field::Iifname,
        output: Field::Oifname,
        networks: "networks",
        ports: "ports",
    },
    Way {
        kind: Type::LinkIndex,
        input: Field::Iif,
        output: Field::Oif,
        networks: "network-links",
        ports: "port-links",
    },
];

/// The names of the sets of connected networks. The first index says how the incoming link is
/// matched, the second how the outgoing link is: by name (0) or by index (1).
pub(super) const PATHS: [[&str; 2]; 2] =
    [["paths", "paths-to-links"], ["paths-from-links", "paths-of-links"]];

/// Returns the two indexes and the name of each set of [`PATHS`].
pub(super) fn paths() -> impl Iterator<Item = (usize, usize, &'static str)> {
    PATHS
        .iter()
        .enumerate()
        .flat_map(|(from, sets)| sets.iter().enumerate().map(move |(to, name)| (from, to, *name)))
}

/// A link as an element of sets: the index in [`WAYS`] of how rules match the link, and its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) way: usize,
    pub(super) key: Interval,
}

impl Member {
    /// Creates the element for a link. A handle is matched by index, so that a rename changes
    /// nothing; a name is matched by name.
    pub(super) fn of(link: &LinkRef) -> Self {
        match link.index_of_handle() {
            Some(index) => Self::at(index),
            None => Self::named(link.name()),
        }
    }

    fn at(index: u32) -> Self {
        Self { way: 1, key: Interval::One(Constant::Number(index)) }
    }

    fn named(name: &str) -> Self {
        Self { way: 0, key: Interval::One(Constant::Name(name.to_owned())) }
    }

    /// Returns the elements that the sets may have for a link: first the element by the caller's
    /// own reference, then the element by the other (name or index). The old name of a handle
    /// counts only if no link has that name.
    pub(super) fn candidates(netns: &Netns, link: &LinkRef) -> Result<Vec<Self>, Error> {
        let by_name = || if_found(netns.link(link.name()));
        let other = match link.index_of_handle() {
            Some(index) => match if_found(netns.link_at(index))? {
                Some(found) => Some(Self::named(&found.name())),
                None => by_name()?.is_none().then(|| Self::named(link.name())),
            },
            None => by_name()?.map(|found| Self::at(found.index().get())),
        };
        Ok([Self::of(link)].into_iter().chain(other).collect())
    }

    /// Refuses an alternative name of a link. Rules compare the main name, so they would never
    /// match.
    pub(super) fn check(
        netns: &Netns,
        link: &LinkRef,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<(), Error> {
        if link.index_of_handle().is_some() {
            return Ok(());
        }
        match if_found(netns.link(link.name())) {
            Ok(Some(found)) if found.name() != link.name() => {
                let name = found.name();
                let reason =
                    format!("{link} is an alternative name of `{name}`, and rules compare names");
                Err(Error::invalid(action, object, reason).in_namespace(netns))
            }
            Err(error) => Err(error.while_doing(action, object)),
            Ok(_) => Ok(()),
        }
    }
}

fn if_found(found: Result<Link, Error>) -> Result<Option<Link>, Error> {
    match found {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
