//! An attachment: a container's interface on a network. The names that netloom-cni uses derive from
//! it.

use std::fmt;

use crate::call::is_identifier;

/// The primary key of the CNI specification: network, container, interface. The names of links and
/// of tagged objects are computed from the key, so that the plugin finds them without a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attachment {
    pub(crate) network: String,
    pub(crate) container: String,
    pub(crate) ifname: String,
}

impl Attachment {
    /// Returns the attachment with these names. `None` for names that a call can't have: a file
    /// may have been damaged, and a path must not lead out of its directory.
    pub(crate) fn of(network: &str, container: &str, ifname: &str) -> Option<Self> {
        let is_one = is_identifier(container) && !ifname.is_empty() && !ifname.contains('/');
        is_one.then(|| Self {
            network: network.to_owned(),
            container: container.to_owned(),
            ifname: ifname.to_owned(),
        })
    }

    /// Returns the name of the attachment's record file. A container id has no `@`, so the first
    /// `@` separates container and interface.
    pub(crate) fn file_name(&self) -> String {
        format!("{}@{}", self.container, self.ifname)
    }

    /// Parses the name of a record file.
    pub(crate) fn of_file(network: &str, name: &str) -> Option<Self> {
        let (container, ifname) = name.split_once('@')?;
        Self::of(network, container, ifname)
    }

    /// Returns the name of the host's end of the container's cable.
    pub(crate) fn link_name(&self) -> String {
        link_name(self.hash())
    }

    /// Returns the comment that marks every packet filter object of this attachment.
    pub(crate) fn tag(&self) -> String {
        format!("{}{:016x}", Self::tag_prefix(&self.network), self.hash())
    }

    /// Returns the prefix that the tags of all attachments to a network share.
    pub(crate) fn tag_prefix(network: &str) -> String {
        format!("netloom-cni.{:016x}.", hash(&[network]))
    }

    /// Returns the name of the host's end of the cable, computed from an attachment's tag.
    pub(crate) fn link_of(tag: &str) -> Option<String> {
        let hash = u64::from_str_radix(tag.rsplit('.').next()?, 16).ok()?;
        Some(link_name(hash))
    }

    fn hash(&self) -> u64 {
        hash(&[&self.network, &self.container, &self.ifname])
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, container, ifname } = self;
        write!(f, "container `{container}` (`{ifname}` on network `{network}`)")
    }
}

fn link_name(hash: u64) -> String {
    format!("veth{:011x}", hash & 0xfff_ffff_ffff)
}

/// Computes the FNV-1a hash. The standard library's hashers may change between versions, but the
/// names must not.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
