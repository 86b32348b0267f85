//! A link's own IPv4 settings, over netlink: where `/proc` is read-only or not there.

use std::fmt;
use std::num::ParseIntError;

use nix::errno::Errno;

use super::handle::Link;
use crate::error::{Cause, Error};
use crate::netns::{Access, SettingId};
use crate::owned::Owned;
use crate::owned::sealed::Remove;

/// A link's own IPv4 setting, as `net.ipv4.conf.DEV.*`.
///
/// Read and set over netlink, without `/proc`. What is set is put back when the owner goes:
///
/// ```
/// use netloom::{Ipv4Conf, Namespace, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let cable = VethPair::new("veth1", "veth2").create(&red)?;
/// let localhost = Ipv4Conf::RouteLocalnet.to(1).create(cable.near())?;
/// assert_eq!(red.sysctl("net.ipv4.conf.veth1.route_localnet")?, "1");
/// drop(localhost);
/// assert_eq!(cable.near().ipv4_conf(Ipv4Conf::RouteLocalnet)?, 0);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Its owners are those of [`Sysctl`](crate::Sysctl), too: the last made counts, and what was there
/// before the first comes back with the last.
///
/// Source: `include/uapi/linux/ip.h` (`IPV4_DEVCONF_*`), Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Ipv4Conf {
    /// Whether packets that come in here are forwarded. See also [`Forwarding`](crate::Forwarding).
    Forwarding = 1,
    /// Whether ARP requests for others are answered.
    ProxyArp = 3,
    /// Whether ICMP redirects are accepted.
    AcceptRedirects = 4,
    /// Whether ICMP redirects are sent.
    SendRedirects = 6,
    /// What becomes of packets whose source has no route back: 0 nothing, 1 strict, 2 loose.
    RpFilter = 8,
    /// Whether packets with impossible addresses are logged.
    LogMartians = 11,
    /// Whether ARP requests are answered only where the route back leaves by this link.
    ArpFilter = 13,
    /// Which source address ARP requests have, from 0 to 2.
    ArpAnnounce = 18,
    /// Which ARP requests are answered, from 0 to 3, and 8 for none.
    ArpIgnore = 19,
    /// Whether the next address of a network takes over when the first is removed.
    PromoteSecondaries = 20,
    /// Whether an unasked-for ARP announcement makes a new neighbour entry.
    ArpAccept = 21,
    /// Whether the link announces its addresses when it comes up.
    ArpNotify = 22,
    /// Whether packets with a source address of our own are taken in.
    AcceptLocal = 23,
    /// Whether 127.0.0.0/8 may be routed by it.
    RouteLocalnet = 26,
}

impl Ipv4Conf {
    /// The setting with this value, to be [created](LinkSetting::create) on a link.
    pub fn to(self, value: u32) -> LinkSetting {
        LinkSetting { conf: self, value }
    }

    /// Its name below `net.ipv4.conf.DEV`.
    fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::ProxyArp => "proxy_arp",
            Self::AcceptRedirects => "accept_redirects",
            Self::SendRedirects => "send_redirects",
            Self::RpFilter => "rp_filter",
            Self::LogMartians => "log_martians",
            Self::ArpFilter => "arp_filter",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpIgnore => "arp_ignore",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::ArpAccept => "arp_accept",
            Self::ArpNotify => "arp_notify",
            Self::AcceptLocal => "accept_local",
            Self::RouteLocalnet => "route_localnet",
        }
    }
}

impl Link {
    /// Reads one of its own IPv4 settings.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone.
    #[doc(alias("IFLA_INET_CONF", "IPV4_DEVCONF"))]
    pub fn ipv4_conf(&self, conf: Ipv4Conf) -> Result<u32, Error> {
        Ok(self.ipv4_setting(conf as u16)?.cast_unsigned())
    }
}

/// A link's setting to be. From [`Ipv4Conf::to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct LinkSetting {
    conf: Ipv4Conf,
    value: u32,
}

impl LinkSetting {
    /// Sets it on a link.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone; without `CAP_NET_ADMIN` it is
    /// [`is_permission_denied`](Error::is_permission_denied). Whether a value has a meaning the kernel
    /// does not check on this way.
    pub fn create(&self, link: &Link) -> Result<Owned<LinkSettingHandle>, Error> {
        let value = self.value.cast_signed().to_string();
        let over = OverNetlink { link, conf: self.conf };
        let owner = link.namespace().held_settings().set(&over.id(), &value, &over)?;
        Ok(Owned::new(LinkSettingHandle { link: link.clone(), conf: self.conf, owner }))
    }
}

impl fmt::Display for LinkSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}={}", self.conf, self.value)
    }
}

/// A link's setting that was changed. Deleting it puts back what was there, unless somebody else has
/// changed it since. It keeps its namespace alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettingHandle {
    link: Link,
    conf: Ipv4Conf,
    owner: u64,
}

impl LinkSettingHandle {
    /// The link.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Remove for LinkSettingHandle {
    fn remove(&self) -> Result<(), Error> {
        let over = OverNetlink { link: &self.link, conf: self.conf };
        let (id, held) = (over.id(), self.link.namespace().held_settings());
        let put_back = || {
            if !self.link.is_there()? {
                // Its index is a stranger's by now.
                return Err(over.failure(Errno::ENODEV.into()));
            }
            held.put_back(&id, self.owner, &over)
        };
        put_back().inspect_err(|error| {
            if error.is_not_found() {
                // It went with its link.
                held.forget(&id, self.owner);
            }
        })
    }
}

/// The way to a setting that needs no `/proc`.
struct OverNetlink<'a> {
    link: &'a Link,
    conf: Ipv4Conf,
}

impl OverNetlink<'_> {
    fn id(&self) -> SettingId {
        SettingId::of_link("ipv4/conf", self.link.index().get(), self.conf.name())
    }
}

/// Values are as in `/proc`, whose owners are the same.
impl Access for OverNetlink<'_> {
    type Failure = Error;

    fn read(&self) -> Result<String, Error> {
        Ok(self.link.ipv4_setting(self.conf as u16)?.to_string())
    }

    fn write(&self, value: &str) -> Result<(), Error> {
        let value: i32 = value.parse().map_err(|error: ParseIntError| {
            Error::invalid("set", self.conf.name(), error.to_string())
        })?;
        self.link.set_ipv4_setting(self.conf as u16, value.cast_unsigned())
    }

    fn failure(&self, cause: Cause) -> Error {
        cause.doing("put back IPv4 settings of", self.link)
    }
}
