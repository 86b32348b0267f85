//! Settings of a namespace under `/proc/sys/net`, read and set inside it, put back when the owner goes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::errno::Errno;

use super::enter::inside;
use super::open::{Netns, Quoted};
use super::sockets::lock;
use crate::error::{Cause, Error};
use crate::owned::Owned;
use crate::owned::sealed::Remove;

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
/// before the first comes back with the last. Where somebody else has changed it in between, it is
/// left alone. The usual ones have types: see [`Setting`](crate::Setting). Source: sysctl(8), Documentation/networking/ip-sysctl.rst.
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
    /// kernel refuses is `EINVAL`; a read-only `/proc/sys` is `EROFS`.
    #[doc(alias = "sysctl -w")]
    pub fn create(&self, netns: &Netns) -> Result<Owned<SysctlHandle>, Error> {
        const ACTION: &str = "set sysctl";
        let path = path(&self.name).map_err(|reason| Error::invalid(ACTION, self, reason))?;
        let mut holds = lock(&netns.held_sysctls().0);
        let before = netns.read_setting(&path);
        let shown = before.and_then(|before| {
            let written = netns.write_setting(&path, &self.value);
            match written.and_then(|()| netns.read_setting(&path)) {
                Ok(value) => Ok((before, value)),
                Err(cause) => {
                    // Where it was written all the same: not to be left so.
                    if netns.read_setting(&path).is_ok_and(|now| now != before) {
                        netns.write_setting(&path, &before).ok();
                    }
                    Err(cause)
                }
            }
        });
        let (before, value) = shown.map_err(|cause| {
            let error = cause.doing(ACTION, self).in_namespace(netns);
            error
                .hint_on(Errno::ENOENT, unknown)
                .hint_on(Errno::EINVAL, || "the kernel does not take this value for it".into())
        })?;
        let id = holds.next;
        holds.next += 1;
        let hold = holds
            .by_path
            .entry(path.clone())
            .or_insert_with(|| Hold { original: before, values: Vec::new() });
        hold.values.push((id, value));
        Ok(Owned::adopt(SysctlHandle { netns: netns.clone(), name: self.name.clone(), path, id }))
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A setting that was changed. Deleting it puts back what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlHandle {
    netns: Netns,
    name: String,
    path: PathBuf,
    id: u64,
}

impl SysctlHandle {
    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Remove for SysctlHandle {
    fn remove(&self) -> Result<(), Error> {
        self.put_back()
            .map_err(|cause| cause.doing("put back sysctl", &self.name).in_namespace(&self.netns))
    }
}

impl SysctlHandle {
    fn put_back(&self) -> Result<(), Cause> {
        let mut holds = lock(&self.netns.held_sysctls().0);
        let Some(hold) = holds.by_path.get_mut(&self.path) else { return Ok(()) };
        let Some(at) = hold.values.iter().position(|(id, _)| *id == self.id) else { return Ok(()) };
        let was_the_last = at + 1 == hold.values.len();
        let ours = hold.values[at].1.clone();
        let next = match at.checked_sub(1) {
            Some(before) => &hold.values[before].1,
            None => &hold.original,
        };
        if was_the_last && *next != ours && self.netns.read_setting(&self.path)? == ours {
            self.netns.write_setting(&self.path, next)?;
        }
        // Only now: where it fails it is still ours to put back.
        hold.values.remove(at);
        if hold.values.is_empty() {
            holds.by_path.remove(&self.path);
        }
        Ok(())
    }
}

/// The settings of a namespace that have owners.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Holds>);

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    by_path: BTreeMap<PathBuf, Hold>,
}

/// What was there before, and what each owner set, the last one in force.
#[derive(Debug)]
struct Hold {
    original: String,
    values: Vec<(u64, String)>,
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
        let path = path(name).map_err(|reason| Error::invalid(ACTION, Quoted(name), reason))?;
        self.read_setting(&path).map_err(|cause| {
            cause.doing(ACTION, name).in_namespace(self).hint_on(Errno::ENOENT, unknown)
        })
    }

    /// `/proc/sys/net` shows the namespace of the thread that opens it.
    fn read_setting(&self, path: &Path) -> Result<String, Cause> {
        let text = inside(self.fd(), || fs::read_to_string(path))??;
        Ok(text.trim_end().to_owned())
    }

    fn write_setting(&self, path: &Path, value: &str) -> Result<(), Cause> {
        inside(self.fd(), || {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).open(path)?;
            std::io::Write::write_all(&mut file, value.as_bytes())
        })??;
        Ok(())
    }
}

fn unknown() -> String {
    "there is no such setting in this namespace, or /proc is not mounted".into()
}

/// The file of a setting, which never leaves `/proc/sys/net`.
fn path(name: &str) -> Result<PathBuf, String> {
    let separator = if name.contains('/') { '/' } else { '.' };
    let parts: Vec<_> = name.split(separator).collect();
    if parts.len() < 2 || parts[0] != "net" {
        return Err("only settings below `net` belong to a network namespace".into());
    }
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains(['/', '\0'])) {
        return Err("a part of the name is empty, or leads out of /proc/sys/net".into());
    }
    Ok(parts.iter().fold(PathBuf::from("/proc/sys"), |path, part| path.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_below_net_and_nowhere_else() {
        let path = |name| path(name).map(|path| path.display().to_string());
        assert_eq!(path("net.ipv4.ip_forward").as_deref(), Ok("/proc/sys/net/ipv4/ip_forward"));
        assert_eq!(
            path("net/ipv4/conf/eth0.5/forwarding").as_deref(),
            Ok("/proc/sys/net/ipv4/conf/eth0.5/forwarding")
        );
        for bad in ["", "net", "kernel.hostname", "net..ipv4", "net/../kernel/hostname", "/net/a"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
