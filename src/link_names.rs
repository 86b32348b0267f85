//! The names of links, for lists that print names instead of indexes.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::link::LinkIndex;
use crate::netns::Netns;
use crate::text::Escaped;

/// The names of a namespace's links by index. Read once, they serve to print any number of lines.
///
/// ```
/// use netloom::{Bridge, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let _bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
/// let names = host.link_names()?;
/// let lines: Vec<_> = host.addresses()?.iter().map(|a| a.display(&names).to_string()).collect();
/// assert!(lines.iter().any(|line| line == "10.0.0.1/24 scope global dev br0"));
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkNames(BTreeMap<LinkIndex, String>);

impl LinkNames {
    /// An empty list: lines then show the index, as in `if3`.
    pub(crate) const NONE: &'static Self = &Self(BTreeMap::new());

    /// Returns the name of the link with this index.
    pub fn get(&self, index: LinkIndex) -> Option<&str> {
        self.0.get(&index).map(String::as_str)
    }

    /// Returns the text for a link in a line: its name, or `if3` if the index is unknown.
    pub(crate) fn show(&self, index: LinkIndex) -> impl fmt::Display {
        Show(move |f: &mut fmt::Formatter<'_>| match self.get(index) {
            Some(name) => write!(f, "{}", Escaped(name)),
            None => write!(f, "if{index}"),
        })
    }
}

/// A value that prints by calling a closure.
pub(crate) struct Show<F>(pub(crate) F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Show<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

impl Netns {
    /// Reads the names of all links, for the `display` methods of listed routes, addresses and
    /// neighbours.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    pub fn link_names(&self) -> Result<LinkNames, Error> {
        let names = self.list_links(|view| Some((view.index.into(), view.name()?.into_owned())))?;
        Ok(LinkNames(names.into_iter().collect()))
    }
}
