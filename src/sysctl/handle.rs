//! Sysctls by name.

use std::fmt;
use std::sync::Arc;

use super::directory::Directory;
use super::key::Key;
use super::owners::Owner;
use crate::error::{Cause, Error};
use crate::link::{Link, LinkRef};
use crate::netns::{Look, Netns};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

const SET: &str = "set sysctl";
const PUT_BACK: &str = "put back sysctl";

/// A sysctl of a network namespace, by its name, with a value.
///
/// Replaces `sysctl -w NAME=VALUE`. Dropping the owner restores the previous value.
///
/// ```
/// use netloom::{Namespace, Sysctl};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let strict = Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&red)?;
/// assert_eq!(red.sysctl("net.ipv4.conf.all.rp_filter")?, "1");
/// drop(strict);
/// assert_eq!(red.sysctl("net.ipv4.conf.all.rp_filter")?, "0");
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// A sysctl can have several owners, in all programs of the network namespace. The value of the
/// newest owner applies, in whatever order the owners are dropped. After the last owner, the sysctl
/// gets back the value from before the first. If a program dies, the kernel ends its ownership
/// without restoring the value; the remaining owners restore it. An owner is counted only with
/// `CAP_NET_ADMIN` and a kernel that has `nf_tables` and `netlink_diag`. Otherwise it restores the
/// value that it found.
///
/// If another program wrote a value meanwhile, that value stays. A link's own sysctl follows the
/// link through a rename. The sysctls that the kernel changes along with a switch for all links
/// (`forwarding`, `disable_ipv6`) are restored with the switch. Common sysctls have types: see
/// [`Setting`](crate::Setting).
///
/// Source: sysctl(8), Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Sysctl {
    name: String,
    /// The link in the name, if the caller passed a handle.
    link: Option<LinkRef>,
    value: String,
}

impl Sysctl {
    /// Describes a sysctl by its name, such as `net.ipv4.ip_forward`, and its value. If a part of
    /// the name contains dots, as the names of some links do, use `/` as separator:
    /// `net/ipv4/conf/eth0.5/forwarding`.
    pub fn new(name: impl Into<String>, value: impl fmt::Display) -> Self {
        Self { name: name.into(), link: None, value: value.to_string() }
    }

    pub(super) fn of(name: &str, link: Option<&LinkRef>, value: impl fmt::Display) -> Self {
        Self { link: link.cloned(), ..Self::new(name, value) }
    }

    /// Sets the sysctl.
    ///
    /// # Errors
    ///
    /// - A name outside `net` is refused before any system call: such a sysctl belongs to no
    ///   network namespace.
    /// - [`is_not_found`](Error::is_not_found) if there is no such setting or link.
    /// - `EINVAL` if the kernel refuses the value, `EROFS` if `/proc/sys` is read-only.
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_SYS_ADMIN`, if
    ///   the thread is in another namespace: netloom enters `netns` to open its `/proc/sys/net`. A
    ///   link's own IPv4 setting is sent over netlink, which needs only `CAP_NET_ADMIN`.
    #[doc(alias = "sysctl -w")]
    pub fn create(&self, netns: &Netns) -> Result<Owned<SysctlHandle>, Error> {
        self.set(netns, None).map(Owned::new)
    }

    /// Sets the sysctl through the given directory. Opens the directory of the namespace if none is
    /// given.
    pub(super) fn set(
        &self,
        netns: &Netns,
        directory: Option<&Arc<Directory>>,
    ) -> Result<SysctlHandle, Error> {
        let set = || {
            let key = Key::find(netns, SET, &self.name, self.link.as_ref())?;
            let directory = directory.cloned().unwrap_or_else(|| Directory::of(netns, &key.top));
            Owner::set(directory, key, &self.value)
        };
        let owner = set().map_err(|error: Error| error.while_doing(SET, self))?;
        Ok(SysctlHandle(Arc::new(owner)))
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A sysctl that was changed. Deleting it restores the previous value. The handle keeps its
/// namespace alive.
#[derive(Debug, Clone)]
pub struct SysctlHandle(Arc<Owner>);

impl SysctlHandle {
    /// Returns the name as the caller wrote it.
    pub fn name(&self) -> &str {
        &self.0.key.name
    }

    /// Returns the namespace of the sysctl.
    pub fn namespace(&self) -> &Netns {
        &self.0.directory.netns
    }
}

impl PartialEq for SysctlHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SysctlHandle {}

impl Remove for SysctlHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let Owner { key, directory, .. } = &*self.0;
        let remove = || match key.link().map_or(Ok(Look::Same), Link::look)? {
            Look::Same => self.0.put_back(),
            // The kernel deleted the setting with the link.
            Look::Gone => self.0.record(false).map(|()| Removed::Gone),
            Look::Differs(text) => Err(directory.explain(Cause::Replaced(text), &key.name)),
        };
        directory.with_spare(remove).map_err(|error| error.while_doing(PUT_BACK, &key.name))
    }

    fn kept(&self) {
        if let Err(error) = self.0.record(false) {
            log::warn!("still counted as an owner: {error}");
        }
    }

    fn adopted(&self) {
        if let Err(error) = self.0.record(true) {
            log::warn!("not counted as an owner: {error}");
        }
    }
}

impl Netns {
    /// Reads a setting, as `sysctl -n NAME`.
    ///
    /// # Errors
    ///
    /// The errors of [`Sysctl::create`].
    #[doc(alias = "sysctl -n")]
    pub fn sysctl(&self, name: &str) -> Result<String, Error> {
        read(self, name, None)
    }
}

/// Reads a sysctl by name. `link` is the link in the name, if the caller has a handle.
pub(super) fn read(netns: &Netns, name: &str, link: Option<&LinkRef>) -> Result<String, Error> {
    const ACTION: &str = "read sysctl";
    let read = || {
        let key = Key::find(netns, ACTION, name, link)?;
        Directory::of(netns, &key.top).read(&key)
    };
    read().map_err(|error: Error| error.while_doing(ACTION, name))
}
