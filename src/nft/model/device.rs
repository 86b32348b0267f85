//! The links that rules, chains and flowtables refer to.

use std::fmt;

use crate::input::{FirstRejected, link_name};
use crate::link::LinkRef;
use crate::wire::nft::data::Value;

/// A link that the kernel needs by index: a reference by the caller, or the index itself.
///
/// Two references with the same name are equal, because a rule read back only has names.
#[derive(Debug, Clone)]
pub(crate) enum Device {
    Link(LinkRef),
    Index(u32),
}

impl Device {
    fn name(&self) -> Result<&str, u32> {
        match self {
            Self::Link(link) => Ok(link.name()),
            Self::Index(index) => Err(*index),
        }
    }

    /// Returns the index as a value for a register.
    pub(crate) fn index(&self) -> Result<Value, String> {
        match self {
            Self::Index(index) => Ok(Value::host_u32(*index)),
            Self::Link(link) => Err(format!("the index of {link} is not known yet")),
        }
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Device {}

/// Formats the device as `nft` does.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Ok(name) => write!(f, "\"{name}\""),
            Err(index) => write!(f, "{index}"),
        }
    }
}

/// The links of a base chain or flowtable, sorted by name. In the kernel's messages they are names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Devices(Vec<LinkRef>);

impl Devices {
    /// Adds a link. Rejects a name that no link can have.
    pub(crate) fn add(&mut self, link: LinkRef, rejected: &mut FirstRejected) {
        if let Err(reason) = link_name(link.name()) {
            rejected.reject("dev", link.name(), reason);
        }
        self.insert(link);
    }

    fn insert(&mut self, link: LinkRef) {
        let place = self.0.partition_point(|one| one.name() < link.name());
        self.0.insert(place, link);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn links(&self) -> &[LinkRef] {
        &self.0
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().map(|link| link.name().to_owned()).collect();
        names.dedup();
        names
    }
}

impl PartialEq for Devices {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for Devices {}

impl<S: AsRef<str>> FromIterator<S> for Devices {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut devices = Self::default();
        names.into_iter().for_each(|name| devices.insert(LinkRef::from(name.as_ref())));
        devices
    }
}
