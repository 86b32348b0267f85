//! The handle of a route: its whole tuple, with netloom's own protocol number.

use super::remove;
use crate::error::Error;
use crate::netns::Netns;
use crate::owned::sealed::{Remove, Removed};

/// A route that exists.
///
/// A route is deleted only if all of its tuple is listed: table, destination, metric, gateway, link,
/// source, scope, metrics and netloom's own protocol number. A route of another program is never hit,
/// except by another process with netloom that makes the same route after ours was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHandle {
    pub(super) netns: Netns,
    /// The payload of the request that made the route.
    pub(super) message: Box<[u8]>,
}

impl RouteHandle {
    /// The namespace of the route.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }
}

impl Remove for RouteHandle {
    fn remove(&self) -> Result<Removed, Error> {
        remove::delete(&self.netns, &[&self.message])
            .map(|()| Removed::Deleted)
            .map_err(|cause| cause.doing("delete", "a route").in_namespace(&self.netns))
    }
}
