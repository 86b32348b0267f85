//! The handle of a route: its whole tuple, with netloom's own protocol number.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;

use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::Netns;
use crate::owned::sealed::Remove;

/// A route that exists. It is deleted by all that netloom set, its own protocol number among it, so
/// that no route of anybody else's can be hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHandle {
    pub(super) netns: Netns,
    pub(super) message: RouteMessage,
}

impl RouteHandle {
    /// The namespace it is in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }
}

impl Remove for RouteHandle {
    fn remove(&self) -> Result<(), Error> {
        let delete = RouteNetlinkMessage::DelRoute(self.message.clone());
        let mut requests = Requests::new();
        requests.push("delete", &"a route", &delete, 0);
        self.netns.send(requests, |_, _| ())
    }
}
