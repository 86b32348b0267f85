//! What makes a setting itself: its place under `/proc/sys/net`, and for a link's own the link's index.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::{AF_INET, AF_INET6};
use nix::net::if_::{if_indextoname, if_nametoindex};

use super::held::Access;
use crate::error::{Cause, NET_ADMIN, takes};
use crate::fault;
use crate::netlink::{Batch, Protocol, Socket};
use crate::wire::message::NLM_F_DUMP;
use crate::wire::netconf::{self, Of, RTM_GETNETCONF};

const ROOT: &str = "/proc/sys/net";

/// Which setting of a namespace is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SettingId {
    /// One of the namespace, by its file.
    OfNamespace(PathBuf),
    /// A link's own, as `ipv4/conf`, index, `forwarding`: by the index, as the name may change and be
    /// another link's then.
    OfLink { directory: String, index: u32, name: String },
}

impl SettingId {
    pub(crate) fn of_link(directory: &str, index: u32, name: &str) -> Self {
        Self::OfLink { directory: directory.to_owned(), index, name: name.to_owned() }
    }

    /// Of the parts of a name that is below `net`. To be called inside the namespace.
    pub(super) fn of_parts(parts: &[&str]) -> Self {
        match parts {
            // Two names for one.
            ["net", "ipv4", "ip_forward"] => {
                Self::OfNamespace(conf("ipv4/conf", "all", "forwarding"))
            }
            ["net", family, tree @ ("conf" | "neigh"), link, name]
                if !matches!(*link, "all" | "default") =>
            {
                match if_nametoindex(*link) {
                    Ok(index) => Self::of_link(&format!("{family}/{tree}"), index, name),
                    // The kernel says so when the file is opened.
                    Err(_) => Self::of_file(parts),
                }
            }
            _ => Self::of_file(parts),
        }
    }

    fn of_file(parts: &[&str]) -> Self {
        Self::OfNamespace(
            parts.iter().fold("/proc/sys".into(), |path: PathBuf, part| path.join(part)),
        )
    }

    /// Of a link's own, the link's index.
    pub(super) fn link(&self) -> Option<u32> {
        match self {
            Self::OfNamespace(_) => None,
            Self::OfLink { index, .. } => Some(*index),
        }
    }

    fn file(&self) -> Result<PathBuf, Cause> {
        match self {
            Self::OfNamespace(path) => Ok(path.clone()),
            Self::OfLink { directory, index, name } => {
                // if_indextoname(3) says ENXIO.
                let link = if_indextoname(*index).or(Err(Errno::ENODEV))?;
                Ok(conf(directory, OsStr::from_bytes(link.as_bytes()), name))
            }
        }
    }

    /// What the kernel sets along with it, and how that is now: where this is a switch for all links,
    /// each link's own, `default`, which new links start from, and for IPv4 forwarding
    /// `all/accept_redirects` (`inet_forward_change`, `addrconf_fixup_forwarding`). To be called inside.
    pub(super) fn followers(&self, lists: &mut Lists) -> Result<Followers, Cause> {
        let is = |directory, name| *self == Self::OfNamespace(conf(directory, "all", name));
        if is("ipv4/conf", "forwarding") {
            let mut all = lists.forwarding(AF_INET, "ipv4/conf")?;
            let redirects = Self::OfNamespace(conf("ipv4/conf", "all", "accept_redirects"));
            if let Some(value) = redirects.read_if_there()? {
                all.values.insert(redirects, value);
            }
            Ok(all)
        } else if is("ipv6/conf", "forwarding") {
            lists.forwarding(AF_INET6, "ipv6/conf")
        } else if is("ipv6/conf", "disable_ipv6") {
            Ok(Followers { values: by_file("ipv6/conf", "disable_ipv6")?, switch: None })
        } else {
            Ok(Followers::default())
        }
    }

    /// Whether what follows it tells what it is itself.
    pub(super) fn is_told_by_followers(&self) -> bool {
        // Where there is no IPv6, the file says so, and no list.
        *self == Self::OfNamespace(conf("ipv4/conf", "all", "forwarding"))
    }

    /// Nothing where it is gone, as a link may go at any moment.
    pub(super) fn read_if_there(&self) -> Result<Option<String>, Cause> {
        match self.read() {
            Err(cause) if is_gone(&cause) => Ok(None),
            value => value.map(Some),
        }
    }

    /// For a link's own: the switch for all links, and what new links start from.
    pub(super) fn leaders(&self) -> Option<[Self; 2]> {
        let Self::OfLink { directory, name, .. } = self else { return None };
        Some(["all", "default"].map(|one| Self::OfNamespace(conf(directory, one, name))))
    }
}

/// Whether the link it was of is gone.
pub(super) fn is_gone(cause: &Cause) -> bool {
    matches!(cause.errno(), Some(Errno::ENOENT | Errno::ENODEV))
}

/// What follows a switch, and perhaps what the switch is, of the same moment.
#[derive(Debug, Default)]
pub(super) struct Followers {
    pub(super) values: BTreeMap<SettingId, String>,
    pub(super) switch: Option<String>,
}

/// Where lists are read by, opened once for all that one change needs.
#[derive(Debug, Default)]
pub(super) struct Lists(Option<Socket>);

impl Lists {
    /// In one list, however many links there are.
    fn forwarding(&mut self, family: i32, directory: &str) -> Result<Followers, Cause> {
        let socket = match &mut self.0 {
            Some(socket) => socket,
            none => none.insert(Socket::open(Protocol::Route)?),
        };
        let mut batch = Batch::default();
        let header = [family.to_ne_bytes()[0], 0, 0, 0];
        batch.request(RTM_GETNETCONF, NLM_F_DUMP, |out| out.extend(header));
        let mut found = Followers::default();
        for (of, value) in socket.dump_batch(&mut batch, netconf::forwarding)? {
            let id = match of {
                Of::All => {
                    found.switch = Some(value.to_string());
                    continue;
                }
                Of::Default => SettingId::OfNamespace(conf(directory, "default", "forwarding")),
                Of::Link(index) => SettingId::of_link(directory, index, "forwarding"),
            };
            found.values.insert(id, value.to_string());
        }
        Ok(found)
    }
}

/// By the file of `default` and of each link.
fn by_file(directory: &str, name: &str) -> Result<BTreeMap<SettingId, String>, Cause> {
    let mut ids = vec![SettingId::OfNamespace(conf(directory, "default", name))];
    fault::system_call("open")?;
    for link in fs::read_dir(Path::new(ROOT).join(directory))? {
        let link = link?.file_name();
        if link == "all" || link == "default" {
            continue;
        }
        fault::system_call("socket")?;
        match if_nametoindex(link.as_os_str()) {
            Ok(index) => ids.push(SettingId::of_link(directory, index, name)),
            // It went meanwhile.
            Err(Errno::ENODEV | Errno::ENXIO) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let read = |id: SettingId| match id.read_if_there() {
        Ok(value) => value.map(|value| Ok((id, value))),
        Err(cause) => Some(Err(cause)),
    };
    ids.into_iter().filter_map(read).collect()
}

fn conf(directory: &str, link: impl AsRef<Path>, name: &str) -> PathBuf {
    Path::new(ROOT).join(directory).join(link).join(name)
}

/// By its file, on a thread that is inside: `/proc/sys/net` shows the namespace of who opens it.
impl Access for SettingId {
    type Failure = Cause;

    fn read(&self) -> Result<String, Cause> {
        fault::system_call("read")?;
        Ok(fs::read_to_string(self.file()?)?.trim_end().to_owned())
    }

    fn write(&self, value: &str) -> Result<(), Cause> {
        let file = self.file()?;
        fault::system_call("write")?;
        let write = || fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes());
        write().map_err(|error| match Cause::from(error) {
            Cause::System(errno) => takes(NET_ADMIN)(errno),
            cause => cause,
        })
    }

    fn failure(&self, cause: Cause) -> Cause {
        cause
    }
}
