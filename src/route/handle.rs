//! The handle of routes: all their attributes, as they were asked for or listed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;

use super::builder::Route;
use super::info::RouteInfo;
use super::remove;
use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::owned::sealed::{Remove, Removed};

/// A route that exists, or many that were created together.
///
/// A route is deleted only if a listed route has the same table, destination, metric, gateway,
/// link, source, scope, options and protocol number. That number is 78 for routes of netloom.
/// So the routes of other programs are safe. The exception: another process with netloom creates
/// the same route after this one was deleted. Many routes are deleted a hundred in a datagram.
#[derive(Clone)]
pub struct RouteHandle {
    netns: Netns,
    routes: Arc<Routes>,
}

/// The tuples of routes. All copies of a handle follow a change.
#[derive(Debug)]
struct Routes {
    /// The requests that created the routes, or their listed entries.
    tuples: Batch,
    /// The routes that these were changed to.
    changed: OnceLock<Arc<Routes>>,
}

impl RouteHandle {
    pub(super) fn new(netns: Netns, routes: Batch) -> Self {
        let routes = Routes { tuples: routes, changed: OnceLock::new() };
        Self { netns, routes: Arc::new(routes) }
    }

    /// Returns the namespace of the routes.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Returns the number of routes.
    pub fn len(&self) -> usize {
        self.routes().len()
    }

    /// Returns whether the handle refers to no route.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the route as the kernel has it; of many, the first that is listed. An IPv6 route that
    /// shares its destination and metric with others is listed with the next hops of all.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the route is gone.
    pub fn info(&self) -> Result<RouteInfo, Error> {
        const ACTION: &str = "read";
        let listed = remove::listed(&self.netns, &payloads(self.routes()));
        let listed = listed.map_err(|cause| self.failed(ACTION, cause))?;
        listed.into_iter().next().ok_or_else(|| self.gone(ACTION))
    }

    /// Changes the route, whoever made it: it becomes what `change` makes of its builder. The
    /// handle and all its copies then stand for the changed route.
    ///
    /// Replaces `ip route change`. The destination, the table, the metric and the type of service
    /// identify a route and can't change.
    ///
    /// ```
    /// use netloom::{Namespace, Route, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
    /// let default = Route::default_via("10.0.0.1").create(&red)?;
    /// default.change(|route| route.mtu(1400))?;
    /// assert_eq!(red.route("default")?.info()?.mtu, Some(1400));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the route is gone
    /// - `is_invalid_input()` if the handle stands for several routes, if the route has a nexthop
    ///   object or an encapsulation, and if the kernel would change another route: one with the
    ///   same destination and metric before it, or beside it (IPv6)
    /// - those of [`Route::change`]
    pub fn change(&self, change: impl FnOnce(Route) -> Route) -> Result<(), Error> {
        const ACTION: &str = "change";
        let last = self.last();
        let old = remove::alone(&self.netns, &payloads(&last.tuples));
        let Some(old) = old.map_err(|cause| self.failed(ACTION, cause))? else {
            return Err(self.gone(ACTION));
        };
        let key = |route: &Route| {
            let network = route.network();
            let metric = route.effective_metric(network).unwrap_or(0);
            (network, route.table_or_default(), metric, route.rare().tos, route.rare().from)
        };
        let before = key(&old);
        let new = change(old);
        if key(&new) != before {
            let reason = "destination, table, metric and type of service can't change: create \
                          another route";
            return Err(Error::invalid("change route", new, reason).in_namespace(&self.netns));
        }
        let (changed, result) = match new.try_change(&self.netns) {
            Ok(changed) => (changed.routes, Ok(())),
            Err(partial) if partial.owned().is_empty() => return Err(partial.into()),
            // The answer is lost: the route is as before, or changed.
            Err(partial) => {
                let mut tuples = Batch::default();
                tuples.copy(&last.tuples, 0..1);
                tuples.copy(&partial.owned().routes.tuples, 0..1);
                (Arc::new(Routes { tuples, changed: OnceLock::new() }), Err(partial.into()))
            }
        };
        // Of two changes at the same time, the handle follows one. The route of the other is gone.
        drop(last.changed.set(changed));
        result
    }

    fn routes(&self) -> &Batch {
        &self.last().tuples
    }

    fn last(&self) -> &Routes {
        let mut last = &*self.routes;
        while let Some(changed) = last.changed.get() {
            last = changed;
        }
        last
    }

    fn gone(&self, action: &'static str) -> Error {
        self.failed(action, Errno::ESRCH.into()).hint("no such route is there any more")
    }

    fn failed(&self, action: &'static str, cause: Cause) -> Error {
        let object = match self.len() {
            1 => "a route".into(),
            many => format!("{many} routes"),
        };
        cause.doing(action, object).in_namespace(&self.netns)
    }
}

fn payloads(routes: &Batch) -> Vec<&[u8]> {
    (0..routes.len()).map(|place| routes.payload(place)).collect()
}

impl Remove for RouteHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let deleted = remove::delete(&self.netns, &payloads(self.routes()));
        deleted.map(|()| Removed::Deleted).map_err(|cause| self.failed("delete", cause))
    }
}

impl PartialEq for RouteHandle {
    fn eq(&self, other: &Self) -> bool {
        self.netns == other.netns && self.routes() == other.routes()
    }
}

impl Eq for RouteHandle {}

impl fmt::Debug for RouteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteHandle")
            .field("namespace", &self.netns)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
