//! An attachment: a container on a network by an interface, and the names that come from that.

/// The specification's primary key. Whatever the plugin leaves behind bears a name made from it, so
/// that it is found again without a list being read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attachment {
    pub(crate) network: String,
    pub(crate) container: String,
    pub(crate) ifname: String,
}

impl Attachment {
    /// The name of its file. A container's id has no `@`, so the first one parts the two.
    pub(crate) fn file_name(&self) -> String {
        format!("{}@{}", self.container, self.ifname)
    }

    /// The attachment that a file's name stands for.
    pub(crate) fn of_file(network: &str, name: &str) -> Option<Self> {
        let (container, ifname) = name.split_once('@')?;
        let is_one = !container.is_empty() && !ifname.is_empty();
        is_one.then(|| Self {
            network: network.to_owned(),
            container: container.to_owned(),
            ifname: ifname.to_owned(),
        })
    }

    /// The host's end of its cable.
    pub(crate) fn link_name(&self) -> String {
        link_name(self.hash())
    }

    /// The comment of every packet filter object that belongs to this attachment.
    pub(crate) fn tag(&self) -> String {
        format!("{}{:016x}", Self::tag_prefix(&self.network), self.hash())
    }

    /// The prefix that the tags of all attachments to a network share.
    pub(crate) fn tag_prefix(network: &str) -> String {
        format!("netloom-cni.{:016x}.", hash(&[network]))
    }

    /// The host's end of the cable of the attachment with this tag, whatever else is known of it.
    pub(crate) fn link_of(tag: &str) -> Option<String> {
        let hash = u64::from_str_radix(tag.rsplit('.').next()?, 16).ok()?;
        Some(link_name(hash))
    }

    fn hash(&self) -> u64 {
        hash(&[&self.network, &self.container, &self.ifname])
    }
}

fn link_name(hash: u64) -> String {
    format!("veth{:011x}", hash & 0xfff_ffff_ffff)
}

/// FNV-1a: the same in every version of the plugin, which std's hashers do not promise.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
