//! The handle of routes: all their attributes, with netloom's own protocol number.

use std::fmt;
use std::sync::Arc;

use super::remove;
use crate::error::Error;
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::owned::sealed::{Remove, Removed};

/// A route that exists, or many that were created together.
///
/// A route is deleted only if a listed route has the same table, destination, metric, gateway,
/// link, source, scope, metrics and netloom's own protocol number. So the routes of other programs
/// are safe. The exception: another process with netloom creates the same route after this one was
/// deleted. Many routes are deleted a hundred in a datagram.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteHandle {
    netns: Netns,
    /// The requests that created the routes.
    routes: Arc<Batch>,
}

impl RouteHandle {
    pub(super) fn new(netns: Netns, routes: Batch) -> Self {
        Self { netns, routes: Arc::new(routes) }
    }

    /// Returns the namespace of the routes.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Returns the number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Returns whether the handle refers to no route.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Remove for RouteHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let routes: Vec<_> = (0..self.len()).map(|place| self.routes.payload(place)).collect();
        let deleted = remove::delete(&self.netns, &routes).map_err(|cause| {
            let object = match self.len() {
                1 => "a route".into(),
                many => format!("{many} routes"),
            };
            cause.doing("delete", object).in_namespace(&self.netns)
        });
        deleted.map(|()| Removed::Deleted)
    }
}

impl fmt::Debug for RouteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteHandle")
            .field("namespace", &self.netns)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
