//! The handle of a route: its whole tuple, with netloom's own protocol number.

use netlink_packet_core::NLM_F_EXCL;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

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
        if self.metric_means_any() {
            self.look()?;
        }
        self.request(&RouteNetlinkMessage::DelRoute(self.message.clone()), 0)
    }
}

impl RouteHandle {
    /// Whether the kernel would delete a route of any metric for it: for IPv4 a metric of 0 in a request
    /// to delete is none (`net/ipv4/fib_semantics.c`, `fib_nh_match`).
    fn metric_means_any(&self) -> bool {
        let metrics = self.message.attributes.iter();
        let has_metric = |one| matches!(one, &RouteAttribute::Priority(metric) if metric != 0);
        self.message.header.address_family == AddressFamily::Inet
            && !metrics.clone().any(has_metric)
    }

    /// Whether there is a route to that destination with exactly that metric, in one look-up: a request to
    /// add it that may neither create nor replace. ENOENT where there is none.
    fn look(&self) -> Result<(), Error> {
        let add = RouteNetlinkMessage::NewRoute(self.message.clone());
        match self.request(&add, NLM_F_EXCL) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => Err(error),
            // EEXIST: it is there. Others, as of a gateway that is out of reach by now, do not say.
            _ => Ok(()),
        }
    }

    fn request(&self, message: &RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        let mut requests = Requests::new();
        requests.push("delete", &"a route", message, flags);
        self.netns.send(requests, |_, _| ())
    }
}
