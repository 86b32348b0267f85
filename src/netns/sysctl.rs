//! Settings of a namespace under `/proc/sys/net`, read and set inside it, put back when the owner goes.

use std::fmt;

use nix::errno::Errno;

use super::enter::{enter, home_from, on_thread};
use super::handle::Netns;
use super::held::Access;
use super::label::Quoted;
use super::link_identity::LinkIdentity;
use super::setting_id::SettingId;
use crate::error::{Cause, Error};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

const ACTION: &str = "set sysctl";

/// A setting to be: a sysctl of a network namespace, by its name.
///
/// Replaces `sysctl -w NAME=VALUE`. What was there is put back when the owner goes.
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
/// Of several owners of one setting the last made counts, in whatever order they go; the value from
/// before the first comes back with the last, whichever handles of the namespace they were made with.
/// Where somebody else has changed it in between, it is left alone. A link's own setting is put back by
/// the link, whatever its name is by then. What the kernel sets along with a switch for all links
/// (`forwarding`, `disable_ipv6`) comes back with the switch.
/// The usual ones have types: see [`Setting`](crate::Setting). Source: sysctl(8), Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Sysctl {
    name: String,
    value: String,
}

impl Sysctl {
    /// The setting of this name, as `net.ipv4.ip_forward`, with this value. Where a part of the name has
    /// dots in it, as some links' names do, separate the parts by `/`: `net/ipv4/conf/eth0.5/forwarding`.
    pub fn new(name: impl Into<String>, value: impl fmt::Display) -> Self {
        Self { name: name.into(), value: value.to_string() }
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// A name that is not below `net` is refused before any system call: such a setting belongs to no
    /// network namespace. An unknown one is [`is_not_found`](Error::is_not_found); a value that the
    /// kernel refuses is `EINVAL`; a read-only `/proc/sys` is `EROFS`. In another namespace than the thread's
    /// it takes `CAP_SYS_ADMIN`, as the files are looked up inside.
    #[doc(alias = "sysctl -w")]
    pub fn create(&self, netns: &Netns) -> Result<Owned<SysctlHandle>, Error> {
        let parts = parts(&self.name).map_err(|reason| Error::invalid(ACTION, self, reason))?;
        self.hold(netns, || SettingId::of_parts(&parts)).map(Owned::new)
    }

    /// Sets it, where a link's own is meant, by the link's index.
    pub(crate) fn create_on_link(
        netns: &Netns,
        (index, link): (u32, &str),
        (directory, name): (&str, &str),
        value: impl fmt::Display,
    ) -> Result<SysctlHandle, Error> {
        let sysctl = Self::new(format!("net/{directory}/{link}/{name}"), value);
        sysctl.hold(netns, || SettingId::of_link(directory, index, name))
    }

    fn hold(
        &self,
        netns: &Netns,
        which: impl FnOnce() -> SettingId + Send,
    ) -> Result<SysctlHandle, Error> {
        let set = || {
            let id = which();
            let link = id.link().map(|index| LinkIdentity::at(index, netns)).transpose()?;
            let owner = netns.held_settings().set_file(&id, &self.value, netns.fd())?;
            Ok(SysctlHandle { netns: netns.clone(), name: self.name.clone(), id, link, owner })
        };
        there(netns, set).map_err(|cause: Cause| {
            let error = cause.doing(ACTION, self).in_namespace(netns);
            error
                .hint_on(Errno::ENOENT, unknown)
                .hint_on(Errno::EINVAL, || "the kernel does not take this value for it".into())
        })
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A setting that was changed. Deleting it puts back what was there. It keeps its namespace alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlHandle {
    netns: Netns,
    name: String,
    id: SettingId,
    /// Of a link's own, the link.
    link: Option<LinkIdentity>,
    owner: u64,
}

impl SysctlHandle {
    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it is a setting of.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }
}

impl Remove for SysctlHandle {
    fn remove(&self) -> Result<Removed, Error> {
        Removed::unless_missing(self.remove_once())
    }
}

impl SysctlHandle {
    fn remove_once(&self) -> Result<(), Error> {
        let held = self.netns.held_settings();
        let put_back = || {
            if let Some(link) = &self.link
                && !link.is_there(&self.netns)?
            {
                // Its index is a stranger's by now.
                return Err(Errno::ENODEV.into());
            }
            there(&self.netns, || held.put_back(&self.id, self.owner, &self.id))
        };
        held.with_spare(self.netns.fd(), put_back).map_err(|cause| {
            let error = cause.doing("put back sysctl", &self.name).in_namespace(&self.netns);
            if error.is_not_found() {
                // It went with its link.
                held.forget(&self.id, self.owner);
            }
            error
        })
    }
}

impl Netns {
    /// Reads a setting, as `sysctl -n NAME`.
    ///
    /// # Errors
    ///
    /// As [`Sysctl::create`].
    #[doc(alias = "sysctl -n")]
    pub fn sysctl(&self, name: &str) -> Result<String, Error> {
        const ACTION: &str = "read sysctl";
        let parts = parts(name).map_err(|reason| Error::invalid(ACTION, Quoted(name), reason))?;
        let read = || SettingId::of_parts(&parts).read();
        there(self, read).map_err(|cause| {
            cause.doing(ACTION, name).in_namespace(self).hint_on(Errno::ENOENT, unknown)
        })
    }
}

/// On the calling thread where that is there already: it saves the time a thread takes.
fn there<T: Send>(
    netns: &Netns,
    work: impl FnOnce() -> Result<T, Cause> + Send,
) -> Result<T, Cause> {
    let Some(home) = home_from(netns.fd())? else { return work() };
    on_thread(|| {
        let _home = enter(netns.fd(), Some(home))?;
        work()
    })
}

fn unknown() -> String {
    "there is no such setting in this namespace, or /proc is not mounted".into()
}

/// The parts of a name, which never leads out of `/proc/sys/net`.
fn parts(name: &str) -> Result<Vec<&str>, String> {
    let separator = if name.contains('/') { '/' } else { '.' };
    let parts: Vec<_> = name.split(separator).collect();
    if parts.len() < 2 || parts[0] != "net" {
        return Err("only settings below `net` belong to a network namespace".into());
    }
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains(['/', '\0'])) {
        return Err("a part of the name is empty, or leads out of /proc/sys/net".into());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts_below_net_and_nowhere_else() {
        assert_eq!(parts("net.ipv4.ip_forward"), Ok(vec!["net", "ipv4", "ip_forward"]));
        assert_eq!(
            parts("net/ipv4/conf/eth0.5/forwarding"),
            Ok(vec!["net", "ipv4", "conf", "eth0.5", "forwarding"])
        );
        for bad in ["", "net", "kernel.hostname", "net..ipv4", "net/../kernel/hostname", "/net/a"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
