//! The one error type: the operation, its object, its namespace, and the cause.

mod cause;
mod kind;
mod refusal;

use std::borrow::Cow;
use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::text::escaped;

pub(crate) use cause::Cause;
pub use kind::ErrorKind;
pub(crate) use refusal::Refusal;

/// The reason why an operation failed.
///
/// The text names the operation, the object, the namespace, the errno, the kernel's own words, the
/// attribute that the kernel points at, and a hint where the bare errno misleads:
///
/// ```text
/// create veth pair `veth1` in namespace `red`: File exists (EEXIST);
/// hint: a link named `veth1` is already in namespace `red`
/// ```
///
/// Programs decide by [`kind`](Self::kind), the `is_*` predicates or
/// [`raw_os_error`](Self::raw_os_error). No program has to parse the text.
///
/// [`source`](std::error::Error::source) returns the errno as an [`io::Error`], if the kernel gave
/// one.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Report>);

#[derive(Debug, thiserror::Error)]
#[error("{action} {object}{}: {cause}{}", After(" in ", namespace), After("; hint: ", hint))]
struct Report {
    action: Cow<'static, str>,
    object: String,
    namespace: Option<String>,
    cause: Cause,
    hint: Option<Cow<'static, str>>,
    /// The errno as a type of std, which `source` returns.
    #[source]
    os: Option<io::Error>,
}

/// A part of the text that may be absent, with the words that introduce it.
struct After<'a, T>(&'static str, &'a Option<T>);

impl<T: fmt::Display> fmt::Display for After<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.as_ref().map_or(Ok(()), |part| write!(f, "{}{part}", self.0))
    }
}

/// The hint of system calls that enter or create a network namespace.
pub(crate) const SYS_ADMIN: &str = "this needs CAP_SYS_ADMIN in the user namespaces of the process and \
     of the network namespace; as an ordinary user try it under `unshare -rnm`";
pub(crate) const NET_ADMIN: &str = "this needs CAP_NET_ADMIN in the user namespace that owns the network \
     namespace, or to be root there";

/// Returns a function for `map_err`: EPERM and EACCES become a cause that names this privilege.
pub(crate) fn takes(privilege: &'static str) -> impl Fn(Errno) -> Cause {
    move |errno| match errno {
        Errno::EPERM | Errno::EACCES => Cause::Denied(errno, privilege),
        errno => Cause::System(errno),
    }
}

impl Cause {
    /// Returns an error with this cause, the operation and its object.
    pub(crate) fn doing(
        self,
        action: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
    ) -> Error {
        Error(Box::new(Report {
            action: action.into(),
            object: escaped(object.to_string()),
            namespace: None,
            hint: self.usual_hint().map(Cow::Borrowed),
            os: self.errno().map(|errno| io::Error::from_raw_os_error(errno as i32)),
            cause: self,
        }))
    }
}

impl Error {
    /// Refuses a value before any system call.
    pub(crate) fn invalid(
        action: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        Cause::Invalid(escaped(reason.into())).doing(action, object)
    }

    /// Replaces the operation and the object by those of the larger operation that this error made
    /// fail.
    #[must_use]
    pub(crate) fn while_doing(mut self, action: &'static str, object: impl fmt::Display) -> Self {
        self.0.action = Cow::Borrowed(action);
        self.0.object = escaped(object.to_string());
        self
    }

    /// Adds the namespace to the error text.
    #[must_use]
    pub(crate) fn in_namespace(mut self, namespace: impl fmt::Display) -> Self {
        self.0.namespace = Some(escaped(namespace.to_string()));
        self
    }

    /// Replaces the usual hint by a better one.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(match hint.into() {
            Cow::Owned(hint) => escaped(hint).into(),
            hint @ Cow::Borrowed(_) => hint,
        });
        self
    }

    /// Replaces the hint if the errno is this one.
    #[must_use]
    pub(crate) fn hint_on(self, errno: Errno, hint: impl FnOnce() -> String) -> Self {
        if self.errno() == Some(errno) { self.hint(hint()) } else { self }
    }

    pub(crate) fn errno(&self) -> Option<Errno> {
        self.0.cause.errno()
    }

    /// Returns the text of the cause alone.
    pub(crate) fn reason(&self) -> String {
        self.0.cause.to_string()
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    /// Returns the operation, such as `create bridge`.
    pub fn action(&self) -> &str {
        &self.0.action
    }

    /// Returns the object of the operation: a link's name, a prefix, a path. Names have backticks
    /// in the error text, but not here.
    pub fn object(&self) -> &str {
        let shown = self.shown_object();
        let name = shown.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        name.filter(|name| !name.contains('`')).unwrap_or(shown)
    }

    /// Returns the object as the error text shows it.
    pub(crate) fn shown_object(&self) -> &str {
        &self.0.object
    }

    /// Returns the namespace of the object, if the operation had one.
    pub fn namespace(&self) -> Option<&str> {
        self.0.namespace.as_deref()
    }

    /// Returns the errno, if the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno().map(|errno| errno as i32)
    }

    /// Returns the kernel's own text (`NLMSGERR_ATTR_MSG`), if the kernel sent one.
    pub fn kernel_message(&self) -> Option<&str> {
        self.refusal()?.message.as_deref()
    }

    /// Returns the path of the refused attribute, such as `IFLA_LINKINFO.IFLA_INFO_KIND`.
    pub fn attribute(&self) -> Option<&str> {
        self.refusal()?.attribute.as_deref()
    }

    /// Returns the hint, if the errno alone would mislead.
    pub fn remedy(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.0.cause {
            Cause::Kernel(refusal) | Cause::Lacking(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Returns whether the kind is [`ErrorKind::NotFound`].
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Returns whether the kind is [`ErrorKind::AlreadyExists`].
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// Returns whether the kind is [`ErrorKind::PermissionDenied`].
    pub fn is_permission_denied(&self) -> bool {
        self.kind() == ErrorKind::PermissionDenied
    }

    /// Returns whether the kind is [`ErrorKind::Unsupported`].
    pub fn is_unsupported(&self) -> bool {
        self.kind() == ErrorKind::Unsupported
    }

    /// Returns whether the kind is [`ErrorKind::InvalidInput`].
    pub fn is_invalid_input(&self) -> bool {
        self.kind() == ErrorKind::InvalidInput
    }

    /// Returns whether the kind is [`ErrorKind::TimedOut`].
    pub fn is_timed_out(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Returns whether the request was sent and its answer was lost, so that the change may have
    /// been made.
    ///
    /// That holds for [`ErrorKind::OutcomeUnknown`], and for a request that timed out.
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.cause.is_outcome_unknown()
    }
}

/// Prints as [`Display`](fmt::Display) does, because a `main` that returns an error prints its
/// `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Keeps the errno ([`io::Error::raw_os_error`]), which std cannot carry beside a text.
///
/// An error without an errno becomes the source of the [`io::Error`], with its text.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (Some(errno), _) => io::Error::from_raw_os_error(errno),
            (None, ErrorKind::InvalidInput) => io::Error::new(io::ErrorKind::InvalidInput, error),
            (None, _) => io::Error::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: Errno) -> Error {
        Cause::from(Refusal::from(errno)).doing("create link", "`wg0`")
    }

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
            "create link `wg0` in namespace `red`: Operation not supported (EOPNOTSUPP): \
             Unknown device type at IFLA_LINKINFO.IFLA_INFO_KIND; \
             hint: this kernel has no `wireguard` links"
        );
        assert!(error.is_unsupported());
        assert_eq!((error.object(), error.raw_os_error()), ("wg0", Some(95)));
        assert_eq!(error.attribute(), Some("IFLA_LINKINFO.IFLA_INFO_KIND"));
        assert!(size_of::<Error>() == size_of::<usize>());
    }

    /// libc describes these errnos for sockets and for paths.
    #[test]
    fn an_errno_is_described_as_the_kernel_means_it_here() {
        for (errno, meaning, wrong) in [
            (Errno::EOPNOTSUPP, "Operation not supported", "endpoint"),
            (Errno::ELOOP, "It would form a loop, or too many levels", "symbolic"),
        ] {
            for cause in [Cause::from(errno), Refusal::from(errno).into(), Cause::Unread(errno)] {
                let text = cause.doing("change", "it").to_string();
                assert!(text.contains(meaning) && !text.contains(wrong), "{text}");
            }
        }
    }

    #[test]
    fn an_object_of_several_names_keeps_its_backticks() {
        let object = |shown: &str| Error::invalid("do", shown, "no").object().to_owned();
        assert_eq!(object("`a`"), "a");
        assert_eq!(object("`a` to `b`"), "`a` to `b`");
        assert_eq!(object("10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn names_of_other_programs_reach_no_terminal_raw() {
        let error = Cause::from(Errno::ENOENT)
            .doing("find link", "`a\u{1b}[2J\nb`")
            .in_namespace("`\u{202e}red`")
            .hint(String::from("try `\u{7}`"));
        let text = error.to_string();
        assert!(!text.contains(['\u{1b}', '\n', '\u{202e}', '\u{7}']), "{text:?}");
        assert!(text.contains("`a\\u{1b}[2J\\nb`"), "{text}");
    }

    #[test]
    fn each_cause_has_its_kind() {
        let expected = [
            (refused(Errno::ENODEV), ErrorKind::NotFound),
            (refused(Errno::EEXIST), ErrorKind::AlreadyExists),
            (refused(Errno::EPERM), ErrorKind::PermissionDenied),
            (refused(Errno::EBUSY), ErrorKind::Busy),
            (refused(Errno::EXFULL), ErrorKind::LimitReached),
            (refused(Errno::EADDRNOTAVAIL), ErrorKind::Other),
            (refused(Errno::ERANGE), ErrorKind::Other),
            (Cause::Overrun.doing("list", "links"), ErrorKind::OutcomeUnknown),
            (Cause::Interrupted(64).doing("list", "links"), ErrorKind::Interrupted),
            (Cause::Locked("it").doing("lock", "it"), ErrorKind::TimedOut),
            (Error::invalid("create", "it", "no"), ErrorKind::InvalidInput),
        ];
        for (error, kind) in expected {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn the_errno_survives_conversion_and_stands_in_the_chain_of_sources() {
        use std::error::Error as _;
        let error = refused(Errno::EBUSY);
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(16));
        assert_eq!(io::Error::from(error).raw_os_error(), Some(16));
        let invalid = io::Error::from(Error::invalid("create", "it", "no such value"));
        assert_eq!(invalid.kind(), io::ErrorKind::InvalidInput);
        assert!(invalid.to_string().contains("no such value"));
    }
}
