//! The names of links, for lists that print names instead of indexes.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::link::LinkIndex;
use crate::netns::Netns;
use crate::text::Escaped;

/// The names of a namespace's links by index, read once for any number of lines.
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
    /// The names of no links: lines show indexes, as in `if3`.
    pub(crate) const NONE: &'static Self = &Self(BTreeMap::new());

    /// The name of the link with this index.
    pub fn get(&self, index: LinkIndex) -> Option<&str> {
        self.0.get(&index).map(String::as_str)
    }

    /// The text of a link in a line: its name, or `if3` for an unknown index.
    pub(crate) fn show(&self, index: LinkIndex) -> impl fmt::Display {
        Show(move |f: &mut fmt::Formatter<'_>| match self.get(index) {
            Some(name) => write!(f, "{}", Escaped(name)),
            None => write!(f, "if{index}"),
        })
    }
}

/// A closure that prints, as a value that does.
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
