//! Lists of routes.

use super::info::{RouteInfo, RouteView};
use crate::error::Error;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::wire::message::NLM_F_DUMP;
use crate::wire::route::RTMSG;

impl Netns {
    /// Visits all routes of all tables without storing them, so that memory use does not grow with
    /// their number. [`routes`](Self::routes) returns them as values.
    ///
    /// If the list changes while the kernel sends it, netloom reads it again and starts the fold
    /// over with a new value of `start`. The result is always that of one complete list.
    ///
    /// ```
    /// use netloom::{Namespace, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
    /// let in_main = red.fold_routes(|| 0, |count, route| *count += u32::from(route.table() == 254))?;
    /// assert_eq!(in_main, 1);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    #[doc(alias("ip route show", "RTM_GETROUTE"))]
    pub fn fold_routes<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, RouteView<'_>),
    ) -> Result<A, Error> {
        let all =
            |batch: &mut Batch| batch.push(RequestType::GetRoute, NLM_F_DUMP, &[0; RTMSG], |_| ());
        self.fold("routes", all, start, |so_far, message| {
            if let Some(route) = RouteView::read(message) {
                visit(so_far, route);
            }
        })
    }

    /// Lists all routes of all tables, IPv4 and IPv6, as `ip route show table all`. The routes that
    /// `ip route` prints have a [`table`](RouteInfo::table) of 254. For very many routes,
    /// [`fold_routes`](Self::fold_routes) needs less memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    #[doc(alias("route", "ip route show", "RTM_GETROUTE"))]
    pub fn routes(&self) -> Result<Vec<RouteInfo>, Error> {
        self.fold_routes(Vec::new, |list, route| list.push(route.into()))
    }
}
