//! A refusal by the kernel in a netlink acknowledgement.

use std::fmt;

use nix::errno::Errno;

/// The errno of a netlink acknowledgement with the extended acknowledgement that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) errno: Errno,
    pub(crate) message: Option<String>,
    /// The path of the refused attribute, such as `IFLA_LINKINFO.IFLA_INFO_KIND`.
    pub(crate) attribute: Option<String>,
    /// The required attribute that the request lacks.
    pub(crate) missing: Option<String>,
    /// The values that the kernel accepts for the attribute.
    pub(crate) policy: Option<String>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, message: None, attribute: None, missing: None, policy: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ErrnoText(self.errno).fmt(f)?;
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

/// Displays an errno as its meaning and its symbolic name.
pub(super) struct ErrnoText(pub(super) Errno);

impl fmt::Display for ErrnoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // libc's texts for these two speak of sockets and symbolic links, which misleads here.
        let meaning = match self.0 {
            Errno::EOPNOTSUPP => "Operation not supported",
            Errno::ELOOP => "It would form a loop, or too many levels",
            errno => errno.desc(),
        };
        write!(f, "{meaning} ({:?})", self.0)
    }
}
