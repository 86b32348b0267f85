//! The links that a rule names.

use std::fmt;

use crate::link::LinkRef;

/// A link that a statement sends packets to. The kernel wants its index, people say its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    Named(String),
    Index(u32),
}

/// In the words of `nft`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "\"{name}\""),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// The links as they were said. A rule that is read back has none; it is the same rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links(pub(crate) Vec<LinkRef>);

impl PartialEq for Links {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Links {}

impl Links {
    pub(crate) fn add(&mut self, link: LinkRef) {
        if !link.is_name() {
            self.0.push(link);
        }
    }
}
