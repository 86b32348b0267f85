//! Lists of links, and one link's present state.

use super::handle::Link;
use super::info::LinkInfo;
use super::view::LinkView;
use crate::error::Error;
use crate::netns::{Netns, Quoted};
use crate::wire::link::{LinkView as Wire, WhichLink};

impl Netns {
    /// All links, in the order of their indexes, as `ip link list`.
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
    /// Where the list changed each time it was read: it is whole, or an error.
    #[doc(alias("ip link list", "RTM_GETLINK"))]
    pub fn links(&self) -> Result<Vec<LinkInfo>, Error> {
        let mut links = self.fold_links(Vec::new, |list, link| list.push(LinkInfo::from(link)))?;
        links.sort_unstable_by_key(|link| link.index);
        Ok(links)
    }
}

impl Link {
    /// Its present state, as `ip link show DEV`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it is gone.
    pub fn info(&self) -> Result<LinkInfo, Error> {
        let read = |wire: Wire<'_>| LinkView::of(wire).map(LinkInfo::from);
        self.netns.look_up_link(WhichLink::At(self.index), read).map_err(|cause| {
            cause.doing("look at link", Quoted(&self.name)).in_namespace(&self.netns)
        })
    }
}
