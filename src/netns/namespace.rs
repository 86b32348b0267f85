//! The builder of network namespaces.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use super::handle::Netns;
use super::label::Quoted;
use super::name_file::NameFile;
use super::named;
use super::open::fresh;
use crate::error::{Cause, Error};
use crate::owned::Owned;

/// A network namespace to create: anonymous, or with a name that `ip netns` knows.
///
/// Replaces `ip netns add NAME` and `unshare -n`.
///
/// ```
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let blue = Namespace::named("blue").create()?; // `ip netns exec blue …` works now
/// assert_ne!(red.id(), blue.id());
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Namespace {
    name: Option<String>,
}

impl Namespace {
    /// Describes a namespace without a name, which leaves nothing on disk. It dies with its last
    /// handle, process or socket, even if the program is killed.
    pub fn anonymous() -> Self {
        Self { name: None }
    }

    /// Describes a namespace with a name under `/run/netns`, as `ip netns add NAME`. It outlives
    /// the program, unless its owner is dropped.
    #[doc(alias = "ip netns add")]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()) }
    }

    /// Creates the namespace. Its loopback link is down.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` before any system call, if the name is empty, `.`, `..`, longer than
    ///   255 bytes or contains `/` or NUL.
    /// - `is_already_exists()` if the name is in use, even by a stale file.
    /// - `is_permission_denied()` without `CAP_SYS_ADMIN`.
    #[doc(alias("CLONE_NEWNET", "unshare"))]
    pub fn create(&self) -> Result<Owned<Netns>, Error> {
        match &self.name {
            None => {
                let netns = fresh().map_err(|cause| cause.doing("create", "a namespace"))?;
                Ok(Owned::new(netns))
            }
            Some(name) => create_named(name),
        }
    }

    /// Gives the name to an existing namespace, for example an anonymous one, like `ip netns attach
    /// NAME PID`. The returned owner owns only the name. Dropping it deletes the name; the
    /// namespace lives on while it is in use.
    ///
    /// ```
    /// use netloom::{Namespace, Netns};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let name = Namespace::named("red").attach(&red)?; // `ip netns exec red …` works now
    /// assert_eq!(Netns::open("red")?, *red);
    /// name.delete()?;
    /// assert!(Netns::open("red").is_err());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - The errors of [`create`](Self::create).
    /// - `is_invalid_input()` if the builder is [`anonymous`](Self::anonymous).
    #[doc(alias = "ip netns attach")]
    pub fn attach(&self, netns: &Netns) -> Result<Owned<Netns>, Error> {
        const ACTION: &str = "attach namespace name";
        match &self.name {
            None => {
                Err(Error::invalid(ACTION, netns, "an anonymous namespace has no name to attach"))
            }
            Some(name) => naming(ACTION, name, || Ok(netns.clone())),
        }
    }
}

fn create_named(name: &str) -> Result<Owned<Netns>, Error> {
    const ACTION: &str = "create namespace";
    naming(ACTION, name, fresh)
}

/// Reserves a name, and mounts on it the namespace that `namespace` returns.
fn naming(
    action: &'static str,
    name: &str,
    namespace: impl FnOnce() -> Result<Netns, Cause>,
) -> Result<Owned<Netns>, Error> {
    named::check(name, action)?;
    // Reserve the name first, because another program may have it.
    let file = NameFile::create(name).map_err(|cause| named::explain_taken(cause, action, name))?;
    let attach = || {
        let netns = namespace()?;
        // A named namespace and its links may outlive this process.
        netns.sockets().is_private.store(false, Ordering::Relaxed);
        file.bind(netns.as_fd())?;
        Ok(netns)
    };
    let attached: Result<Netns, Cause> = attach();
    match attached {
        Ok(netns) => Ok(Owned::new(netns.named(name, file))),
        Err(cause) => {
            file.unlink().ok();
            Err(cause.doing(action, Quoted(name)))
        }
    }
}
