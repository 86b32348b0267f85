//! The handle of a route: its whole tuple, with netloom's own protocol number.

use nix::errno::Errno;

use super::{RTM_DELROUTE, RTM_NEWROUTE};
use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::Netns;
use crate::owned::sealed::Remove;
use crate::wire::message::{Message, NLM_F_EXCL};
use crate::wire::route::{AF_INET, RouteView};

/// A route that exists. It is deleted by all that netloom set, its own protocol number among it, so
/// that no route of another program's can be hit: only one that is the same in all of that, as another
/// process with netloom may make it where somebody deleted ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHandle {
    pub(super) netns: Netns,
    /// As in the request that made it, without the header.
    pub(super) message: Box<[u8]>,
}

impl RouteHandle {
    /// The namespace it is in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }
}

impl Remove for RouteHandle {
    fn remove(&self) -> Result<(), Error> {
        if metric_means_any(&self.message) {
            self.look()?;
        }
        self.request(RTM_DELROUTE, 0)
    }
}

impl RouteHandle {
    /// Whether there is a route to that destination with exactly that metric, in one look-up: a request to
    /// add it that may neither create nor replace. ENOENT where there is none.
    fn look(&self) -> Result<(), Error> {
        match self.request(RTM_NEWROUTE, NLM_F_EXCL) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => Err(error),
            // EEXIST: it is there. Others, as of a gateway that is out of reach by now, do not say.
            _ => Ok(()),
        }
    }

    fn request(&self, kind: u16, flags: u16) -> Result<(), Error> {
        let mut requests = Requests::new();
        requests.push_with("delete", &"a route", |batch| {
            batch.request(kind, flags, |out| out.extend_from_slice(&self.message))
        });
        self.netns.send(requests, |_, _| ())
    }
}

/// Whether the kernel would delete a route of any metric for it: for IPv4 a metric of 0 in a request
/// to delete is none (`net/ipv4/fib_semantics.c`, `fib_nh_match`).
pub(super) fn metric_means_any(route: &[u8]) -> bool {
    let message = Message { kind: RTM_NEWROUTE, flags: 0, sequence: 0, payload: route };
    RouteView::read(message)
        .is_none_or(|view| view.family == AF_INET && view.priority().unwrap_or(0) == 0)
}

/// Whether an errno says of a route to be deleted that it is gone, or its link.
pub(super) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ESRCH | Errno::ENOENT | Errno::ENODEV)
}
