//! Locks of a network namespace, for programs that change the same objects in it.

use std::fmt;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::deadline::end_of_wait;
use super::enter::socket_inside;
use super::handle::Netns;
use crate::error::{Cause, Error};
use crate::fault;
use crate::netlink::{DEADLINE, Member, members};
use crate::sys::thread;

/// A lock that every network namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// The lock that programs take with [`Netns::lock`] and [`Netns::lock_shared`].
    Programs = 0,
    /// The lock around sysctls and the records of their owners.
    Settings = 2,
    /// The lock around the sysctls of links that published ports need.
    Ports = 1,
}

impl Lock {
    /// Returns the multicast group of the process that holds the lock exclusively, or is next, as a
    /// bit.
    fn alone(self) -> u32 {
        1 << (2 * self as u32)
    }

    /// Returns the netlink multicast group that a process is in while it holds the lock shared, as
    /// a bit of the group mask.
    fn shared(self) -> u32 {
        self.alone() << 1
    }
}

/// A lock of a network namespace that this process holds. Dropping it, or the end of the process,
/// releases the lock.
#[must_use = "dropping it releases the lock"]
pub struct NetnsLock(Member);

impl Netns {
    /// Takes the namespace's lock exclusively. Programs can agree to hold this lock while they
    /// change objects in the namespace.
    ///
    /// All programs in the network namespace share the lock, whatever their mount namespace and
    /// container. The kernel releases it however the process dies. A fork does not hold it. Taking
    /// the lock requires `CAP_NET_ADMIN`, so an ordinary user can neither take nor block it.
    /// netloom itself never takes this lock. Without these guarantees, `flock /run/NAME.lock` is
    /// the usual way.
    ///
    /// ```
    /// use std::time::Duration;
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let lock = host.lock(Duration::from_secs(1))?;
    /// assert!(host.lock_shared(Duration::from_millis(1)).unwrap_err().is_timed_out());
    /// drop(lock);
    /// let _shared = (host.lock_shared(Duration::ZERO)?, host.lock_shared(Duration::ZERO)?);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`is_timed_out`](Error::is_timed_out) if other programs hold the lock until `timeout` has
    ///   passed.
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    /// - `ENOENT` if the kernel has no `netlink_diag` (`CONFIG_NETLINK_DIAG`).
    pub fn lock(&self, timeout: Duration) -> Result<NetnsLock, Error> {
        let take = |member: Member| {
            self.take(Lock::Programs, &member, timeout).map(|()| NetnsLock(member))
        };
        self.lock_socket().and_then(take).map_err(|cause| cause.doing("lock", self))
    }

    /// Takes the namespace's lock shared: several programs can hold it at once. See
    /// [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// The errors of [`lock`](Self::lock).
    pub fn lock_shared(&self, timeout: Duration) -> Result<NetnsLock, Error> {
        let lock = Lock::Programs;
        let share = |member: Member| {
            self.join(lock, &member, lock.shared(), timeout).map(|_| NetnsLock(member))
        };
        self.lock_socket().and_then(share).map_err(|cause| cause.doing("lock", self))
    }

    /// Opens a socket for taking locks in the namespace.
    pub(crate) fn lock_socket(&self) -> Result<Member, Cause> {
        Member::bind(socket_inside(self.fd(), Member::SOCKET)?, 0, 0)
    }

    /// Takes one of netloom's own locks exclusively. The caller must release the member before it
    /// drops the guard.
    ///
    /// The threads of this process that share the handle first wait for each other. If dozens of
    /// them competed for the kernel's lock, some would miss the deadline.
    pub(crate) fn take_own(
        &self,
        lock: Lock,
        member: &Member,
    ) -> Result<MutexGuard<'_, ()>, Cause> {
        let turn = self.sockets().turns[lock as usize].lock();
        self.take(lock, member, fault::patience(DEADLINE))?;
        Ok(turn)
    }

    /// Returns whether a process holds one of netloom's own locks, or waits for it.
    pub(crate) fn is_locked(&self, lock: Lock) -> Result<bool, Cause> {
        Ok(self.diagnosis(members)?.into_iter().any(|(_, groups)| groups & lock.alone() != 0))
    }

    /// Takes a lock exclusively. Waits for the holders of the shared lock, while no further process
    /// can share it.
    fn take(&self, lock: Lock, member: &Member, timeout: Duration) -> Result<(), Cause> {
        let mut pauses = self.join(lock, member, lock.alone(), timeout)?;
        while self.other_groups(member)? & lock.shared() != 0 {
            pauses.next()?;
        }
        Ok(())
    }

    /// Joins a group as soon as no other process holds the exclusive lock, or waits for it.
    ///
    /// After joining, each process checks again. If two processes join at the same time, each sees
    /// the other. Both then leave, and try again after pauses of different lengths.
    fn join(
        &self,
        lock: Lock,
        member: &Member,
        group: u32,
        timeout: Duration,
    ) -> Result<Pauses, Cause> {
        let end = end_of_wait(Instant::now(), timeout);
        let mut pauses = Pauses { state: member.port(), end };
        loop {
            if self.other_groups(member)? & lock.alone() == 0 {
                member.set_groups(group)?;
                if self.other_groups(member)? & lock.alone() == 0 {
                    return Ok(pauses);
                }
                member.set_groups(0)?;
            }
            pauses.next()?;
        }
    }

    /// Returns the groups that other members are in.
    fn other_groups(&self, own: &Member) -> Result<u32, Cause> {
        let others = self.diagnosis(members)?.into_iter().filter(|(port, _)| *port != own.port());
        Ok(others.fold(0, |all, (_, groups)| all | groups))
    }
}

/// The pauses between attempts. Their lengths differ between processes.
struct Pauses {
    state: u32,
    end: Instant,
}

impl Pauses {
    /// Waits up to about a millisecond, or fails if the deadline has passed.
    fn next(&mut self) -> Result<(), Cause> {
        if Instant::now() >= self.end {
            return Err(Cause::Locked("the network namespace"));
        }
        self.state = self.state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        thread::sleep(Duration::from_micros(50 + u64::from(self.state >> 22)));
        Ok(())
    }
}

impl fmt::Debug for NetnsLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetnsLock").field(&self.0.port()).finish()
    }
}
