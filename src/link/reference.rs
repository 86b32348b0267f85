//! References to links: by handle, which is exact, or by name, which is looked up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::handle::Link;
use nix::errno::Errno;

use crate::error::Error;
use crate::netns::{Netns, NetnsId};
use crate::owned::Owned;

/// A reference to a link: `&link`, or a name that is looked up by `create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRef(Reference);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    Name(String),
    Identity { netns: NetnsId, index: u32, name: Arc<str> },
}

impl LinkRef {
    pub(crate) fn name(&self) -> &str {
        match &self.0 {
            Reference::Name(name) => name,
            Reference::Identity { name, .. } => name,
        }
    }

    /// Returns whether the reference is a name, which still has to be looked up.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.0, Reference::Name(_))
    }

    /// Refers to the link with this index, which a list of this namespace has.
    pub(crate) fn of_index(netns: &Netns, index: u32) -> Self {
        let name = format!("if{index}").into();
        Self(Reference::Identity { netns: netns.id(), index, name })
    }

    /// Returns the index, if the reference is a handle. `None` for a name.
    pub(crate) fn index_of_handle(&self) -> Option<u32> {
        match self.0 {
            Reference::Name(_) => None,
            Reference::Identity { index, .. } => Some(index),
        }
    }

    /// Returns the index: from the handle, or from `names`, which were looked up before.
    pub(crate) fn index(&self, names: &BTreeMap<&str, u32>) -> Option<u32> {
        match &self.0 {
            Reference::Name(name) => names.get(name.as_str()).copied(),
            Reference::Identity { index, .. } => Some(*index),
        }
    }

    /// Returns the index of the link in `netns`. An error names `action` and `object`: what the
    /// caller was doing.
    pub(crate) fn resolve(
        &self,
        netns: &Netns,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<u32, Error> {
        match &self.0 {
            Reference::Name(name) => match netns.link(name) {
                Ok(link) => Ok(link.index().get()),
                Err(error) => Err(error
                    .while_doing(action, object)
                    .hint_on(Errno::ENODEV, || format!("there is no link {self}"))),
            },
            Reference::Identity { index, .. } => {
                self.check_home(netns, action, object).map(|()| *index)
            }
        }
    }

    /// Refuses a handle whose link is in another namespace. A name is accepted unchecked.
    pub(crate) fn check_home(
        &self,
        netns: &Netns,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<(), Error> {
        match &self.0 {
            Reference::Identity { netns: home, .. } if *home != netns.id() => {
                let reason = format!("{self} is in another namespace, {home}");
                Err(Error::invalid(action, object, reason).in_namespace(netns))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for LinkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name())
    }
}

impl<N: Into<String>> From<N> for LinkRef {
    fn from(name: N) -> Self {
        Self(Reference::Name(name.into()))
    }
}

impl From<&Link> for LinkRef {
    fn from(link: &Link) -> Self {
        let snapshot = link.snapshot();
        let (index, name) = (snapshot.id.index, Arc::clone(&snapshot.id.name));
        Self(Reference::Identity { netns: snapshot.netns.id(), index, name })
    }
}

impl From<&Owned<Link>> for LinkRef {
    fn from(link: &Owned<Link>) -> Self {
        Self::from(&**link)
    }
}
