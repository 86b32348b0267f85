//! Lists of links, and the present state of one.

use super::handle::Link;
use super::info::LinkInfo;
use super::view::LinkView;
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
    /// - `ErrorKind::Interrupted` if the list changed during all attempts to read it. A partial list is never returned.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn links(&self) -> Result<Vec<LinkInfo>, Error> {
        let mut links = self.fold_links(Vec::new, |list, link| list.push(LinkInfo::from(link)))?;
        links.sort_unstable_by_key(|link| link.index);
        Ok(links)
    }
}

impl Link {
    /// Reads the present state of the link, as `ip link show DEV`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn info(&self) -> Result<LinkInfo, Error> {
        let read = |wire: Wire<'_>| LinkView::of(wire).map(LinkInfo::from);
        self.place().get("look at link", read)
    }
}
