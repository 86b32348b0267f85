//! Lists of links, and the current state of one link.

use super::handle::Link;
use super::info::{LinkInfo, LinkView};
use crate::error::Error;
use crate::netns::Netns;
use crate::wire::link::LinkView as Wire;

impl Netns {
    /// Lists all links in the order of their indexes, as `ip link list`.
    ///
    /// ```
    /// use netloom::{Namespace, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _cable = VethPair::new("veth1", "veth2").create(&red)?;
    /// let names: Vec<_> = red.links()?.into_iter().map(|link| link.name).collect();
    /// assert_eq!(names, ["lo", "veth2", "veth1"]);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `ErrorKind::Interrupted` if the list changed during all attempts to read it. A partial
    ///   list is never returned.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn links(&self) -> Result<Vec<LinkInfo>, Error> {
        let mut links = self.fold_links(Vec::new, |list, link| list.push(LinkInfo::from(link)))?;
        links.sort_unstable_by_key(|link| link.index);
        Ok(links)
    }

    /// Visits all links without storing them, so that memory use does not grow with their number.
    /// [`links`](Self::links) returns them as values, sorted by index.
    ///
    /// If the list changes while the kernel sends it, netloom reads it again and starts the fold
    /// over with `start`. The result is always that of one complete list.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _bridge = Bridge::new("br0").create(&red)?;
    /// let is_bridge = |link: &netloom::LinkView<'_>| link.kind() == Some(netloom::LinkKind::Bridge);
    /// let bridges = red.fold_links(|| 0, |count, link| *count += u32::from(is_bridge(&link)))?;
    /// assert_eq!(bridges, 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `ErrorKind::Interrupted` if the list changed during all attempts to read it.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn fold_links<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, LinkView<'_>),
    ) -> Result<A, Error> {
        self.visit_links(start, |so_far, link| {
            if let Some(link) = LinkView::of(link) {
                visit(so_far, link);
            }
        })
    }
}

impl Link {
    /// Reads the current state of the link, as `ip link show DEV`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn info(&self) -> Result<LinkInfo, Error> {
        let read = |wire: Wire<'_>| LinkView::of(wire).map(LinkInfo::from);
        self.snapshot().get("look at link", read)
    }
}
