//! Members of a firewall's sets: links by the names that rules compare, or by index.

use std::fmt;

use crate::error::Error;
use crate::link::{Link, LinkRef};
use crate::netns::Netns;
use crate::nft::{Constant, Field, Interval, Type};

/// A way for rules to match a link, by name or by index, with the sets of links matched that way.
pub(super) struct Way {
    pub(super) kind: Type,
    pub(super) input: Field,
    pub(super) output: Field,
    pub(super) networks: &'static str,
    pub(super) ports: &'static str,
}

/// The ways to match a link: by name, and by index.
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

/// The names of the sets of allowed paths, by the [way](WAYS) to match the incoming link, then by
/// the way to match the outgoing link.
pub(super) const PATHS: [[&str; 2]; 2] =
    [["paths", "paths-to-links"], ["paths-from-links", "paths-of-links"]];

/// Returns the indexes in [`WAYS`] for the incoming and the outgoing link, with the name of the set
/// of paths, for each set of [`PATHS`].
pub(super) fn paths() -> impl Iterator<Item = (usize, usize, &'static str)> {
    PATHS
        .iter()
        .enumerate()
        .flat_map(|(from, sets)| sets.iter().enumerate().map(move |(to, name)| (from, to, *name)))
}

/// A link as a member of sets: the index of its way in [`WAYS`], and its key in the sets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) way: usize,
    pub(super) key: Interval,
}

impl Member {
    /// Creates the member of a link: a handle is matched by index, so that a rename changes
    /// nothing. A name is matched by name.
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

    /// Returns the members under which the sets may have the link: first by the way in which the
    /// caller refers to the link, then by the other way. A handle's old name counts only while no
    /// link has it.
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

    /// Refuses an alternative name of a link: rules compare the main name, so they would never
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
