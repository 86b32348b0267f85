//! The IPv4 settings of a link, over netlink: they work if `/proc` is read-only or missing.

use std::fmt;
use std::num::ParseIntError;

use super::handle::Link;
use crate::error::{Cause, Error};
use crate::netns::{Access, Look, SettingId};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::wire::link::LinkView;

/// An IPv4 setting of a link, as `net.ipv4.conf.DEV.*`, read and set over netlink, without `/proc`.
///
/// The value from before is put back when the owner is dropped:
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
/// A setting and the [`Sysctl`](crate::Sysctl) of the same name share their owners: the value of the newest
/// owner is in force, and the last owner puts back the value from before the first.
///
/// Source: `include/uapi/linux/ip.h` (`IPV4_DEVCONF_*`), Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Ipv4Conf {
    /// Whether packets that this link receives are forwarded. See also [`Forwarding`](crate::Forwarding).
    Forwarding = 1,
    /// Whether ARP requests for addresses of other hosts are answered.
    ProxyArp = 3,
    /// Whether ICMP redirects are accepted.
    AcceptRedirects = 4,
    /// Whether ICMP redirects are sent.
    SendRedirects = 6,
    /// The filter for packets whose source has no route back: 0 off, 1 strict, 2 loose.
    RpFilter = 8,
    /// Whether packets with impossible addresses are logged.
    LogMartians = 11,
    /// Whether ARP requests are answered only if the route back uses this link.
    ArpFilter = 13,
    /// The choice of the source address of ARP requests, from 0 to 2.
    ArpAnnounce = 18,
    /// The choice of ARP requests that are answered, from 0 to 3, and 8 for none.
    ArpIgnore = 19,
    /// Whether the next address of a network takes over when the first is removed.
    PromoteSecondaries = 20,
    /// Whether a gratuitous ARP creates a neighbour entry.
    ArpAccept = 21,
    /// Whether the link announces its addresses when it comes up.
    ArpNotify = 22,
    /// Whether packets with a source address of this host are accepted.
    AcceptLocal = 23,
    /// Whether 127.0.0.0/8 may be routed by this link.
    RouteLocalnet = 26,
}

impl Ipv4Conf {
    /// Pairs the setting with a value, to be [created](LinkSetting::create) on a link.
    pub fn to(self, value: u32) -> LinkSetting {
        LinkSetting { conf: self, value }
    }

    /// Returns the name below `net.ipv4.conf.DEV`.
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
    /// Reads the per-device IPv4 setting with this number (`IPV4_DEVCONF_*`).
    pub(crate) fn ipv4_setting(&self, number: u16) -> Result<i32, Error> {
        let read = |view: LinkView<'_>| view.ipv4_setting(usize::from(number));
        self.place().get("read IPv4 settings of", read)
    }

    /// Sets the per-device IPv4 setting with this number.
    pub(crate) fn set_ipv4_setting(&self, number: u16, value: u32) -> Result<(), Error> {
        self.change("change IPv4 settings of", |link| link.ipv4_setting(number, value))
    }

    /// Reads an IPv4 setting of the link.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    #[doc(alias("IFLA_INET_CONF", "IPV4_DEVCONF"))]
    pub fn ipv4_conf(&self, conf: Ipv4Conf) -> Result<u32, Error> {
        Ok(self.ipv4_setting(conf as u16)?.cast_unsigned())
    }
}

/// An IPv4 setting with a value, to be created on a link. From [`Ipv4Conf::to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct LinkSetting {
    conf: Ipv4Conf,
    value: u32,
}

impl LinkSetting {
    /// Sets the value on a link. Over netlink, the kernel does not check whether the value has a meaning.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - `is_permission_denied()` without `CAP_NET_ADMIN`.
    pub fn create(&self, link: &Link) -> Result<Owned<LinkSettingHandle>, Error> {
        let value = self.value.cast_signed().to_string();
        let over = OverNetlink { link, conf: self.conf };
        let owner = link.place().netns.held_settings().set(&over.id(), &value, &over)?;
        Ok(Owned::new(LinkSettingHandle { link: link.clone(), conf: self.conf, owner }))
    }
}

impl fmt::Display for LinkSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}={}", self.conf, self.value)
    }
}

/// An IPv4 setting of a link that was changed. Deleting it puts back the value from before, unless another
/// program has changed the setting since. It keeps its namespace alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettingHandle {
    link: Link,
    conf: Ipv4Conf,
    owner: u64,
}

impl LinkSettingHandle {
    /// Returns the link.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Remove for LinkSettingHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let over = OverNetlink { link: &self.link, conf: self.conf };
        let (id, place) = (over.id(), self.link.place());
        let held = place.netns.held_settings();
        match self.link.look()? {
            Look::Same => held.put_back(&id, self.owner, &over).map(|()| Removed::Deleted),
            Look::Gone => {
                // The kernel deleted the setting with the link.
                held.forget(&id, self.owner);
                Ok(Removed::Gone)
            }
            Look::Differs(text) => Err(over.failure(Cause::Replaced(text))),
        }
    }
}

/// Access to a setting without `/proc`.
struct OverNetlink<'a> {
    link: &'a Link,
    conf: Ipv4Conf,
}

impl OverNetlink<'_> {
    fn id(&self) -> SettingId {
        SettingId::of_link("ipv4/conf", self.link.index().get(), self.conf.name())
    }
}

/// Reads and writes values as text, as in `/proc`.
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
