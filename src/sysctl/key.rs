//! The identity of a sysctl: its path below `/proc/sys/net`, and the index of its link.

use std::fmt;

use crate::error::Error;
use crate::link::{Link, LinkRef};
use crate::netns::{Netns, Quoted};

/// The sysctls of a link that netlink reads and writes, in the order of their numbers from 1.
/// Source: `IPV4_DEVCONF_*` in `include/uapi/linux/ip.h`.
const OVER_NETLINK: &str = "forwarding mc_forwarding proxy_arp accept_redirects secure_redirects send_redirects \
    shared_media rp_filter accept_source_route bootp_relay log_martians tag arp_filter \
    medium_id disable_xfrm disable_policy force_igmp_version arp_announce arp_ignore \
    promote_secondaries arp_accept arp_notify accept_local src_valid_mark proxy_arp_pvlan \
    route_localnet";

/// A sysctl of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// The name as the caller wrote it.
    pub(super) name: String,
    /// The directory below `/proc/sys/net`, such as `ipv4`.
    pub(super) top: String,
    pub(super) place: KeyPath,
}

/// The path of a sysctl below its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyPath {
    /// A sysctl of the whole namespace, such as `conf/all/forwarding`.
    Namespace(String),
    /// A link's own sysctl, such as `conf/eth0/forwarding`. The link is known by its index, because
    /// another link may take over the name.
    Link { tree: String, link: Link, name: String },
}

impl Key {
    /// Finds the sysctl with this name. `link` is the link in the name, if the caller has a handle.
    pub(super) fn find(
        netns: &Netns,
        action: &'static str,
        name: &str,
        link: Option<&LinkRef>,
    ) -> Result<Self, Error> {
        let refuse = |reason| Error::invalid(action, Quoted(name), reason).in_namespace(netns);
        let parts = parts(name).map_err(refuse)?;
        let in_namespace = |top: &str, path: String| {
            let (top, place) = (top.to_owned(), KeyPath::Namespace(path));
            Ok(Self { name: name.to_owned(), top, place })
        };
        match *parts {
            // The kernel has two names for this sysctl.
            ["ipv4", "ip_forward"] => in_namespace("ipv4", "conf/all/forwarding".into()),
            [top, tree @ ("conf" | "neigh"), of, setting] if !matches!(of, "all" | "default") => {
                let link = match link {
                    Some(link) => netns.link_at(link.resolve(netns, action, name)?)?,
                    None => netns.link(of)?,
                };
                let (top, tree, of_link) = (top.to_owned(), tree.to_owned(), setting.to_owned());
                let place = KeyPath::Link { tree, link, name: of_link };
                Ok(Self { name: name.to_owned(), top, place })
            }
            [top, ref path @ ..] => in_namespace(top, path.join("/")),
            [] => Err(refuse(BELOW_NET.into())),
        }
    }

    /// Returns the link and the number of the sysctl, if netlink covers it.
    pub(super) fn number(&self) -> Option<(&Link, u16)> {
        let KeyPath::Link { tree, link, name } = &self.place else { return None };
        let number = number(name)?;
        (self.top == "ipv4" && tree == "conf").then_some((link, number))
    }

    /// Returns the link of a link's own sysctl.
    pub(super) fn link(&self) -> Option<&Link> {
        match &self.place {
            KeyPath::Namespace(_) => None,
            KeyPath::Link { link, .. } => Some(link),
        }
    }

    /// Returns the sysctl's name if it is a switch: setting `forwarding` or `disable_ipv6` of all
    /// links also sets each link's own (`inet_forward_change`, `addrconf_fixup_forwarding`,
    /// `addrconf_disable_ipv6`).
    pub(super) fn as_switch(&self) -> Option<&'static str> {
        match (&*self.top, &self.place) {
            ("ipv4" | "ipv6", KeyPath::Namespace(path)) if path == "conf/all/forwarding" => {
                Some("forwarding")
            }
            ("ipv6", KeyPath::Namespace(path)) if path == "conf/all/disable_ipv6" => {
                Some("disable_ipv6")
            }
            _ => None,
        }
    }

    /// Returns the keys of the switch for all links and of the default for new links, as texts.
    pub(super) fn switch_and_default(&self) -> Option<[String; 2]> {
        let KeyPath::Link { tree, name, .. } = &self.place else { return None };
        Some(["all", "default"].map(|of| format!("{}/{tree}/{of}/{name}", self.top)))
    }
}

/// Returns the number of a link's own IPv4 sysctl.
fn number(name: &str) -> Option<u16> {
    (1..).zip(OVER_NETLINK.split(' ')).find_map(|(number, known)| (known == name).then_some(number))
}

/// Writes the key as records store it. A link is an index after `//`, which no path contains.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            KeyPath::Namespace(path) => write!(f, "{}/{path}", self.top),
            KeyPath::Link { tree, link, name } => {
                f.write_str(&of_link(&self.top, tree, link.index().get(), name))
            }
        }
    }
}

/// Returns the key of a link's own sysctl as text.
pub(super) fn of_link(top: &str, tree: &str, index: u32, name: &str) -> String {
    format!("{top}/{tree}//{index}/{name}")
}

const BELOW_NET: &str = "only settings below `net` belong to a network namespace";

/// Splits a name into its parts below `net`. Refuses a name that would lead out of `/proc/sys/net`.
fn parts(name: &str) -> Result<Vec<&str>, String> {
    let separator = if name.contains('/') { '/' } else { '.' };
    let mut parts = name.split(separator);
    if parts.next() != Some("net") {
        return Err(BELOW_NET.into());
    }
    let parts: Vec<_> = parts.collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains(['/', '\0'])) {
        return Err("a part of the name is empty, or leads out of /proc/sys/net".into());
    }
    if parts.is_empty() { Err(BELOW_NET.into()) } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts_below_net_and_nowhere_else() {
        assert_eq!(parts("net.ipv4.ip_forward"), Ok(vec!["ipv4", "ip_forward"]));
        assert_eq!(
            parts("net/ipv4/conf/eth0.5/forwarding"),
            Ok(vec!["ipv4", "conf", "eth0.5", "forwarding"])
        );
        for bad in ["", "net", "kernel.hostname", "net..ipv4", "net/../kernel/hostname", "/net/a"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(number("forwarding"), Some(1));
        assert_eq!(number("rp_filter"), Some(8));
        assert_eq!(number("arp_notify"), Some(22));
        assert_eq!(number("route_localnet"), Some(26));
    }
}
