//! The cause of an error, before the caller adds the operation and its object.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

use super::kind::ErrorKind;
use super::refusal::{ErrnoText, Refusal};

/// The cause of a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// netloom refused the value; no request was sent.
    #[error("{0}")]
    Invalid(String),
    /// The object may have been replaced by another, so nothing was changed. The text says how they
    /// differ.
    #[error("{0}")]
    Replaced(String),
    /// The kernel refused the request in a netlink acknowledgement.
    #[error("{0}")]
    Kernel(Refusal),
    /// The kernel refused the request because it was built without the feature.
    #[error("{0}")]
    Lacking(Refusal),
    /// A system call failed.
    #[error("{}", ErrnoText(*.0))]
    System(Errno),
    /// A system call failed because the named privilege is missing.
    #[error("{}", ErrnoText(*.0))]
    Denied(Errno, &'static str),
    /// The kernel did not answer before the deadline.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Another process held the lock until the deadline.
    #[error("another process holds the lock of {0}")]
    Locked(&'static str),
    /// The kernel dropped answers that did not fit the receive buffer.
    #[error("the kernel dropped answers: the receive buffer overflowed (ENOBUFS)")]
    Overrun,
    /// The answer could not be received.
    #[error("the answer could not be received: {}", ErrnoText(*.0))]
    Unread(Errno),
    /// The list changed during each of this many attempts to read it.
    #[error("the list changed while it was read, {0} times in a row (NLM_F_DUMP_INTR)")]
    Interrupted(u32),
    /// The answer was malformed.
    #[error("the kernel's answer could not be read: {0}")]
    Malformed(&'static str),
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        Self::Kernel(refusal)
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::System(Errno::from_raw(errno)),
            None if error.kind() == io::ErrorKind::TimedOut => Self::System(Errno::ETIMEDOUT),
            None => Self::Invalid(error.to_string()),
        }
    }
}

impl Cause {
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel(refusal) | Self::Lacking(refusal) => Some(refusal.errno),
            Self::System(errno) | Self::Unread(errno) | Self::Denied(errno, _) => Some(*errno),
            Self::Overrun => Some(Errno::ENOBUFS),
            Self::TimedOut(_) | Self::Locked(_) => Some(Errno::ETIMEDOUT),
            Self::Invalid(_) | Self::Replaced(_) | Self::Interrupted(_) | Self::Malformed(_) => {
                None
            }
        }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::Replaced(_) => ErrorKind::Replaced,
            Self::Lacking(_) => ErrorKind::Unsupported,
            Self::TimedOut(_) | Self::Locked(_) => ErrorKind::TimedOut,
            Self::Interrupted(_) => ErrorKind::Interrupted,
            Self::Overrun | Self::Unread(_) | Self::Malformed(_) => ErrorKind::OutcomeUnknown,
            Self::Kernel(Refusal { errno, .. }) | Self::System(errno) | Self::Denied(errno, _) => {
                of_errno(*errno)
            }
        }
    }

    /// Returns whether the request was sent and its answer was lost. The kernel may have made the
    /// change.
    pub(super) fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::TimedOut(_)) || self.kind() == ErrorKind::OutcomeUnknown
    }

    /// Marks a refusal that can only mean that the kernel lacks the feature.
    pub(crate) fn lacking(self) -> Self {
        match self {
            Self::Kernel(refusal) => Self::Lacking(refusal),
            same => same,
        }
    }

    /// The hint that fits this cause for most operations.
    pub(super) fn usual_hint(&self) -> Option<&'static str> {
        match (self, self.errno()?) {
            (Self::Denied(_, privilege), _) => Some(privilege),
            // A system call names its privilege as `Denied`. All netlink requests need the same
            // privilege.
            (Self::Kernel(_), Errno::EPERM) => Some(
                "this needs CAP_NET_ADMIN in the user namespace that owns the network namespace; \
                 as an ordinary user try it under `unshare -rnm`",
            ),
            (_, Errno::EMFILE) => Some("the process is at its limit of open files (RLIMIT_NOFILE)"),
            (_, Errno::ENOSPC) => {
                Some("a limit of the kernel is reached, such as user.max_net_namespaces")
            }
            (_, Errno::EROFS) => {
                Some("the file system is mounted read-only, as in most containers")
            }
            _ => None,
        }
    }
}

fn of_errno(errno: Errno) -> ErrorKind {
    match errno {
        Errno::ENODEV | Errno::ENOENT | Errno::ESRCH => ErrorKind::NotFound,
        Errno::EEXIST => ErrorKind::AlreadyExists,
        Errno::EPERM | Errno::EACCES => ErrorKind::PermissionDenied,
        Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT | Errno::ENOSYS => {
            ErrorKind::Unsupported
        }
        Errno::EBUSY => ErrorKind::Busy,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOSPC | Errno::EXFULL => ErrorKind::LimitReached,
        Errno::ETIMEDOUT => ErrorKind::TimedOut,
        _ => ErrorKind::Other,
    }
}
