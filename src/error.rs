//! The one error: what was being done, to what, where, and why the kernel (or netloom) refused.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// Why something could not be done.
///
/// The text names the operation, the object, the namespace, the errno, the kernel's own words and the
/// attribute they point at, and gives a hint where the bare errno misleads:
///
/// ```text
/// create veth pair `veth1` in namespace `red`: File exists (EEXIST);
/// hint: a link named `veth1` is already in namespace `red`
/// ```
///
/// Programs ask the `is_*` questions or [`raw_os_error`](Self::raw_os_error); nothing has to be read
/// out of the text.
#[non_exhaustive]
pub struct Error(Box<Report>);

#[derive(Debug)]
struct Report {
    action: Cow<'static, str>,
    object: String,
    namespace: Option<String>,
    cause: Cause,
    hint: Option<Cow<'static, str>>,
}

/// What went wrong, before it is known what was being done.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Refused by netloom: nothing was sent.
    Invalid(String),
    /// Refused by the kernel in a netlink answer.
    Kernel(Refusal),
    /// Refused by the kernel, which was built without it.
    Lacking(Refusal),
    /// A system call failed.
    System(Errno),
    /// A system call was refused for want of what the text says.
    Denied(Errno, &'static str),
    /// The kernel did not answer in time.
    TimedOut(Duration),
    /// Somebody else has locked it, for longer than we wait.
    Locked(&'static str),
    /// ENOBUFS: the kernel dropped answers that did not fit the receive buffer.
    Overrun,
    /// An answer may be there, but it can't be received.
    Unread(Errno),
    /// A list changed while it was read, so many times in a row.
    Interrupted(u32),
    /// An answer that could not be read.
    Malformed(&'static str),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::Kernel(refusal) | Self::Lacking(refusal) => refusal.fmt(f),
            Self::System(errno) | Self::Denied(errno, _) => Told(*errno).fmt(f),
            Self::TimedOut(time) => write!(f, "no answer within {time:?}"),
            Self::Locked(what) => write!(f, "{what} is locked by somebody else (flock)"),
            Self::Overrun => {
                f.write_str("the kernel dropped answers: the receive buffer overflowed (ENOBUFS)")
            }
            Self::Unread(errno) => {
                write!(f, "the answer could not be received: {}", Told(*errno))
            }
            Self::Interrupted(times) => {
                write!(
                    f,
                    "the list changed while it was read, {times} times in a row (NLM_F_DUMP_INTR)"
                )
            }
            Self::Malformed(what) => write!(f, "the kernel's answer could not be read: {what}"),
        }
    }
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

/// A netlink refusal: the errno and, where the kernel gives them, its own words (extended ack).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) errno: Errno,
    pub(crate) message: Option<String>,
    /// The path of the attribute that was refused, as `IFLA_LINKINFO.IFLA_INFO_KIND`.
    pub(crate) attribute: Option<String>,
    /// The attribute that should have been there.
    pub(crate) missing: Option<String>,
    /// What the kernel would have accepted there.
    pub(crate) policy: Option<String>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, message: None, attribute: None, missing: None, policy: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Told(self.errno).fmt(f)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, " at {attribute}")?;
        }
        if let Some(missing) = &self.missing {
            write!(f, ", missing {missing}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, ", accepted: {policy}")?;
        }
        Ok(())
    }
}

/// An errno as texts have it: what it means, and its symbolic name.
struct Told(Errno);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.0.desc(), self.0)
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
            Self::Invalid(_) | Self::Interrupted(_) | Self::Malformed(_) => None,
        }
    }

    /// Whether the kernel may have done what it was asked for: the request went out, and no answer to
    /// it was read.
    fn is_unknown_outcome(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Overrun | Self::Malformed(_) | Self::Unread(_) => true,
            Self::Invalid(_)
            | Self::Kernel(_)
            | Self::Lacking(_)
            | Self::System(_)
            | Self::Denied(..)
            | Self::Locked(_)
            | Self::Interrupted(_) => false,
        }
    }

    /// The same refusal, where it can only mean that the kernel does not have what was asked for.
    pub(crate) fn lacking(self) -> Self {
        match self {
            Self::Kernel(refusal) => Self::Lacking(refusal),
            same => same,
        }
    }

    /// What it means more often than not, whatever was being done.
    fn usual_hint(&self) -> Option<&'static str> {
        match (self, self.errno()?) {
            (Self::Denied(_, privilege), _) => Some(privilege),
            // Of system calls each has its own.
            (Self::Kernel(_), Errno::EPERM) => Some(
                "this needs CAP_NET_ADMIN in the user namespace that owns the network namespace; \
                 as an ordinary user try it under `unshare -rnm`",
            ),
            (_, Errno::EMFILE) => Some("the process is at its limit of open files (RLIMIT_NOFILE)"),
            (_, Errno::ENOSPC) => {
                Some("a limit of the kernel is reached, such as user.max_net_namespaces")
            }
            (_, Errno::EROFS) => Some("it is mounted read-only here, as in most containers"),
            _ => None,
        }
    }

    /// Says what was being done, and to what.
    pub(crate) fn doing(
        self,
        action: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
    ) -> Error {
        let hint = self.usual_hint().map(Cow::Borrowed);
        Error(Box::new(Report {
            action: action.into(),
            object: object.to_string(),
            namespace: None,
            cause: self,
            hint,
        }))
    }
}

/// What entering or making a network namespace takes.
pub(crate) const SYS_ADMIN: &str = "this needs CAP_SYS_ADMIN in the user namespaces of the process and \
     of the network namespace; as an ordinary user try it under `unshare -rnm`";

/// Says, of a system call that was refused, what it takes.
pub(crate) fn takes(privilege: &'static str) -> impl Fn(Errno) -> Cause {
    move |errno| match errno {
        Errno::EPERM | Errno::EACCES => Cause::Denied(errno, privilege),
        errno => Cause::System(errno),
    }
}

impl Error {
    /// A value that can be known wrong before any system call.
    pub(crate) fn invalid(
        action: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        Cause::Invalid(reason.into()).doing(action, object)
    }

    /// The same failure, as a step of something larger.
    #[must_use]
    pub(crate) fn while_doing(mut self, action: &'static str, object: impl fmt::Display) -> Self {
        self.0.action = Cow::Borrowed(action);
        self.0.object = object.to_string();
        self
    }

    #[must_use]
    pub(crate) fn in_namespace(mut self, namespace: impl fmt::Display) -> Self {
        self.0.namespace = Some(namespace.to_string());
        self
    }

    /// Replaces the usual hint where more is known.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Hints when the errno is this one.
    #[must_use]
    pub(crate) fn hint_on(self, errno: Errno, hint: impl FnOnce() -> String) -> Self {
        if self.errno() == Some(errno) { self.hint(hint()) } else { self }
    }

    pub(crate) fn errno(&self) -> Option<Errno> {
        self.0.cause.errno()
    }

    /// Whether what was asked for may have been done all the same.
    pub(crate) fn is_unknown_outcome(&self) -> bool {
        self.0.cause.is_unknown_outcome()
    }

    /// What was being done, such as `create bridge`.
    pub fn action(&self) -> &str {
        &self.0.action
    }

    /// What it was done to: a link's name, a prefix, a path.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// The namespace it was done in, where there was one.
    pub fn namespace(&self) -> Option<&str> {
        self.0.namespace.as_deref()
    }

    /// The errno, if the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno().map(|errno| errno as i32)
    }

    /// The kernel's own words (an extended acknowledgement's text), if it gave any.
    pub fn kernel_message(&self) -> Option<&str> {
        self.refusal()?.message.as_deref()
    }

    /// The attribute the kernel refused, by its path: `IFLA_LINKINFO.IFLA_INFO_KIND`.
    pub fn attribute(&self) -> Option<&str> {
        self.refusal()?.attribute.as_deref()
    }

    /// Why, without what was being done and the hint.
    pub(crate) fn reason(&self) -> String {
        self.0.cause.to_string()
    }

    /// What to try, where the errno alone would mislead.
    pub fn remedy(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.0.cause {
            Cause::Kernel(refusal) | Cause::Lacking(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The object is not there (ENODEV, ENOENT, ESRCH, EADDRNOTAVAIL).
    pub fn is_not_found(&self) -> bool {
        !matches!(self.0.cause, Cause::Lacking(_))
            && matches!(
                self.errno(),
                Some(Errno::ENODEV | Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL)
            )
    }

    /// Something of that name or value is there already (EEXIST).
    pub fn is_already_exists(&self) -> bool {
        self.errno() == Some(Errno::EEXIST)
    }

    /// A privilege is missing (EPERM, EACCES).
    pub fn is_permission_denied(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }

    /// This kernel does not have it (EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT, ENOSYS).
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.cause, Cause::Lacking(_))
            || matches!(
                self.errno(),
                Some(
                    Errno::EOPNOTSUPP
                        | Errno::EPROTONOSUPPORT
                        | Errno::EAFNOSUPPORT
                        | Errno::ENOSYS
                )
            )
    }

    /// What was asked for can't be: a value, a name, a link of the wrong kind. Nearly always refused by
    /// netloom itself, before any system call.
    pub fn is_invalid_input(&self) -> bool {
        matches!(self.0.cause, Cause::Invalid(_))
    }

    /// The deadline passed first.
    pub fn is_timed_out(&self) -> bool {
        self.errno() == Some(Errno::ETIMEDOUT)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { action, object, namespace, cause, hint } = &*self.0;
        write!(f, "{action} {object}")?;
        if let Some(namespace) = namespace {
            write!(f, " in {namespace}")?;
        }
        write!(f, ": {cause}")?;
        if let Some(hint) = hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

/// As [`Display`](fmt::Display): a `main` that returns an error prints it with `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno).kind(),
            None if error.is_invalid_input() => io::ErrorKind::InvalidInput,
            None => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_everything_that_is_known() {
        let refusal = Refusal {
            message: Some("Unknown device type".into()),
            attribute: Some("IFLA_LINKINFO.IFLA_INFO_KIND".into()),
            ..Refusal::from(Errno::EOPNOTSUPP)
        };
        let error = Cause::from(refusal)
            .doing("create link", "`wg0`")
            .in_namespace("namespace `red`")
            .hint("this kernel has no `wireguard` links");
        assert_eq!(
            error.to_string(),
            "create link `wg0` in namespace `red`: Operation not supported on transport endpoint \
             (EOPNOTSUPP): Unknown device type at IFLA_LINKINFO.IFLA_INFO_KIND; \
             hint: this kernel has no `wireguard` links"
        );
        assert!(error.is_unsupported());
        assert_eq!(error.raw_os_error(), Some(95));
        assert_eq!(error.attribute(), Some("IFLA_LINKINFO.IFLA_INFO_KIND"));
        assert!(size_of::<Error>() == size_of::<usize>());
    }
}
