//! The builder of network namespaces.

use std::os::fd::AsFd;

use nix::sched::{CloneFlags, unshare};

use super::enter::{GoHome, on_thread};
use super::named;
use super::open::{Label, Netns, Quoted, own_file};
use super::sockets::Sockets;
use crate::error::{Cause, Error};
use crate::fault;
use crate::owned::Owned;

/// A network namespace to be: anonymous, or with a name that `ip netns` knows.
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
    /// One that has no name and leaves nothing on disk: it lives as long as a handle, a process or a
    /// socket is in it, and goes with the last, also when the program is killed.
    pub fn anonymous() -> Self {
        Self { name: None }
    }

    /// One with a name under `/run/netns`, exactly as `ip netns add NAME` makes it. It outlives the
    /// program unless its owner is dropped.
    #[doc(alias = "ip netns add")]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()) }
    }

    /// Makes it. Its loopback link is down, as the kernel makes it.
    ///
    /// # Errors
    ///
    /// A name that is empty, `.`, `..`, longer than 255 bytes or has a `/` in it is refused before any system
    /// call. A name that is taken is [`is_already_exists`](Error::is_already_exists), also when it is
    /// stale. Without `CAP_SYS_ADMIN` it is [`is_permission_denied`](Error::is_permission_denied).
    #[doc(alias("CLONE_NEWNET", "unshare"))]
    pub fn create(&self) -> Result<Owned<Netns>, Error> {
        match &self.name {
            None => {
                let netns = fresh().map_err(|cause| cause.doing("create", "a namespace"))?;
                Ok(Owned::adopt(netns))
            }
            Some(name) => create_named(name),
        }
    }
}

fn create_named(name: &str) -> Result<Owned<Netns>, Error> {
    const ACTION: &str = "create namespace";
    named::check(name, ACTION)?;
    // The name first: it is what others may have taken.
    named::reserve(name).map_err(|cause| named::explain_taken(cause, ACTION, name))?;
    let attach = || {
        let netns = fresh()?;
        named::bind(name, netns.as_fd())?;
        netns.relabeled(Label::Named(name.to_owned()))
    };
    match attach() {
        Ok(netns) => Ok(Owned::adopt(netns)),
        Err(cause) => {
            named::release(name);
            Err(cause.doing(ACTION, Quoted(name)))
        }
    }
}

/// A new namespace with its sockets.
fn fresh() -> Result<Netns, Cause> {
    on_thread(|| {
        let home = own_file()?;
        fault::system_call("unshare")?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let _home = GoHome(home);
        Netns::assemble(own_file()?, Label::Anonymous, Sockets::open_here()?)
    })
}
