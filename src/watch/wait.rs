//! Waiting for a condition, triggered by notifications.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::doubt::after_changes;
use super::filter::Filter;
use super::kind::Kind;
use crate::error::{Cause, Error};
use crate::netlink::{Protocol, Subscription};
use crate::netns::Netns;
use crate::sys::socket::wait_readable;

/// The size of the notification queue. After an overflow, the condition is checked again.
const ROOM: usize = 1 << 16;

/// The groups of policy rules. Source: `include/uapi/linux/rtnetlink.h`, `RTNLGRP_*`.
const IPV4_RULE: u32 = 8;
const IPV6_RULE: u32 = 19;

/// The longest wait: a hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Netns {
    /// Waits until a condition holds, at most for the given time. Checks the condition at once,
    /// after each change of links, addresses, routes, rules or neighbours, and at the end.
    ///
    /// Replaces loops that sleep and check again.
    ///
    /// ```
    /// use netloom::{Namespace, OperationalState, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    /// use std::time::Duration;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let cable = VethPair::new(VethEnd::new("veth1").up(), VethEnd::new("veth2").up()).create(&red)?;
    /// let has_carrier = || Ok(cable.near().info()?.state == OperationalState::Up);
    /// red.wait_for(has_carrier, Duration::from_secs(5))?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_timed_out()` if the condition does not hold in time
    /// - The error that the condition returns
    #[doc(alias = "ip monitor")]
    pub fn wait_for(
        &self,
        mut condition: impl FnMut() -> Result<bool, Error>,
        within: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + within.min(FOR_EVER);
        let failed = |cause: Cause| cause.doing("wait for", "a condition").in_namespace(self);
        let mut changes = self.changes().map_err(failed)?;
        loop {
            // A condition can cause changes itself, so that there is always one to read.
            let is_late = Instant::now() >= end;
            if condition()? {
                return Ok(());
            }
            if is_late {
                let hint = format!("the condition did not hold within {within:?}");
                return Err(failed(Errno::ETIMEDOUT.into()).hint(hint));
            }
            let is_changed = wait_readable(&[changes.as_fd()], Some(end));
            if is_changed.map_err(|errno| failed(errno.into()))? {
                // The kernel reports some changes before it makes them.
                after_changes(self)?;
                changes.discard().map_err(failed)?;
            }
        }
    }

    fn changes(&self) -> Result<Subscription, Cause> {
        let filter = Filter::default();
        let mut groups: BTreeSet<_> =
            Kind::ROUTING.iter().flat_map(|kind| kind.groups(&filter)).collect();
        groups.extend([IPV4_RULE, IPV6_RULE]);
        let groups: Vec<_> = groups.into_iter().collect();
        self.subscribe(Protocol::Route, &groups, ROOM)
    }
}
