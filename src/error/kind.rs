//! The kinds of failures that programs tell apart.

/// The kind of an [`Error`](crate::Error), for programs to match on.
///
/// Several errnos can share a kind. [`Error::raw_os_error`](crate::Error::raw_os_error) returns the
/// errno itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object is not there (ENODEV, ENOENT, ESRCH).
    NotFound,
    /// An object of that name or value is already there (EEXIST).
    AlreadyExists,
    /// A privilege is missing (EPERM, EACCES).
    PermissionDenied,
    /// This kernel lacks the feature (EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT, ENOSYS).
    Unsupported,
    /// The value is invalid in itself. netloom refuses most such values before the first system
    /// call.
    InvalidInput,
    /// Another object may have taken the place of this object. Nothing was changed; the text says
    /// how they differ.
    Replaced,
    /// The object is in use (EBUSY).
    Busy,
    /// A limit is reached: descriptors, table entries, ports of a bridge (EMFILE, ENFILE, ENOSPC,
    /// EXFULL).
    LimitReached,
    /// The deadline passed, or a lock was not free in time (ETIMEDOUT).
    TimedOut,
    /// The kernel's list changed during each attempt to read it.
    Interrupted,
    /// The request was sent, and its answer was lost: the change may have been made.
    OutcomeUnknown,
    /// Another failure, described by its errno and its text.
    Other,
}
