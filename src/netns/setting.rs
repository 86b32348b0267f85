//! The usual settings by type: what they are called, and what they can be.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::handle::Netns;
use super::sysctl::Sysctl;
use crate::error::{Cause, Error};

/// A sysctl of a network namespace whose values have a type.
///
/// Replaces `sysctl NAME` and `sysctl -w NAME=VALUE`. The others are reached by name, with [`Sysctl`]
/// and [`Netns::sysctl`].
///
/// ```
/// use netloom::{Conf, Namespace, RpFilter, Setting};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let _strict = Setting::rp_filter(Conf::All).to(RpFilter::Strict).create(&red)?;
/// let _ports = Setting::unprivileged_port_start().to(80).create(&red)?;
/// assert_eq!(Setting::rp_filter(Conf::All).read(&red)?, RpFilter::Strict);
/// assert_eq!(red.sysctl("net.ipv4.ip_unprivileged_port_start")?, "80");
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    name: String,
    value: PhantomData<fn() -> T>,
}

/// What a per-device setting is for: `conf/all`, `conf/default` or one link.
///
/// What `all` means differs: for most settings either it or the link's own has to be on, for
/// `rp_filter` the larger counts, and for `accept_ra` it means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conf {
    /// For all links.
    All,
    /// For the links to come.
    Default,
    /// For the link of this name.
    Link(String),
}

impl From<&str> for Conf {
    fn from(link: &str) -> Self {
        Self::Link(link.to_owned())
    }
}

impl From<String> for Conf {
    fn from(link: String) -> Self {
        Self::Link(link)
    }
}

impl fmt::Display for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Default => "default",
            Self::Link(name) => name,
        })
    }
}

impl<T: SettingValue> Setting<T> {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), value: PhantomData }
    }

    fn of(family: &str, conf: impl Into<Conf>, name: &str) -> Self {
        // By slashes: a link's name may have dots in it.
        Self::new(format!("net/{family}/conf/{}/{name}", conf.into()))
    }

    /// Its name, as sysctl(8) takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value in a namespace.
    ///
    /// # Errors
    ///
    /// As [`Netns::sysctl`]; and where it has a value that its type has not.
    pub fn read(&self, netns: &Netns) -> Result<T, Error> {
        let text = netns.sysctl(&self.name)?;
        T::from_text(&text).ok_or_else(|| {
            let unknown = Cause::Malformed("this setting has a value that netloom does not know");
            unknown.doing("read sysctl", format!("{}={text}", self.name)).in_namespace(netns)
        })
    }

    /// The setting with this value: to be [created](Sysctl::create), and put back when the owner goes.
    pub fn to(&self, value: T) -> Sysctl {
        Sysctl::new(self.name.as_str(), value.into_text())
    }
}

impl Setting<bool> {
    /// Whether IPv4 packets are forwarded (`net.ipv4.ip_forward`). [`Forwarding`](crate::Forwarding) can
    /// do it for single links.
    #[doc(alias = "ip_forward")]
    pub fn ipv4_forwarding() -> Self {
        Self::new("net.ipv4.ip_forward")
    }

    /// Whether IPv6 packets are forwarded (`net.ipv6.conf.*.forwarding`). A link that forwards ignores
    /// router advertisements unless [`accept_ra`](Setting::accept_ra) is `Always`, which
    /// [`Forwarding`](crate::Forwarding) sees to.
    pub fn ipv6_forwarding(conf: impl Into<Conf>) -> Self {
        Self::of("ipv6", conf, "forwarding")
    }

    /// Whether IPv6 is off (`disable_ipv6`).
    pub fn disable_ipv6(conf: impl Into<Conf>) -> Self {
        Self::of("ipv6", conf, "disable_ipv6")
    }

    /// Whether packets with a source address of our own are taken in (`accept_local`).
    pub fn accept_local(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "accept_local")
    }

    /// Whether 127.0.0.0/8 may be routed, as for port mappings of localhost (`route_localnet`).
    pub fn route_localnet(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "route_localnet")
    }

    /// Whether a link that comes up, or gets another hardware address, announces its addresses
    /// (`arp_notify`).
    pub fn arp_notify(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "arp_notify")
    }

    /// Whether ARP requests are answered only where the route back leaves by the same link
    /// (`arp_filter`).
    pub fn arp_filter(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "arp_filter")
    }

    /// Whether ARP requests for others, to whom there is a route, are answered (`proxy_arp`).
    pub fn proxy_arp(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "proxy_arp")
    }
}

impl Setting<RpFilter> {
    /// What becomes of packets whose source address has no route back (`rp_filter`).
    pub fn rp_filter(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "rp_filter")
    }
}

impl Setting<AcceptRa> {
    /// Whether IPv6 router advertisements are accepted (`accept_ra`).
    pub fn accept_ra(conf: impl Into<Conf>) -> Self {
        Self::of("ipv6", conf, "accept_ra")
    }
}

impl Setting<ArpIgnore> {
    /// Which ARP requests are answered (`arp_ignore`).
    pub fn arp_ignore(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "arp_ignore")
    }
}

impl Setting<ArpAnnounce> {
    /// Which source address ARP requests have (`arp_announce`).
    pub fn arp_announce(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "arp_announce")
    }
}

impl Setting<ArpAccept> {
    /// Whether an unasked-for ARP announcement makes a new neighbour entry (`arp_accept`).
    pub fn arp_accept(conf: impl Into<Conf>) -> Self {
        Self::of("ipv4", conf, "arp_accept")
    }
}

impl Setting<u16> {
    /// The first port that needs no `CAP_NET_BIND_SERVICE` (`ip_unprivileged_port_start`). The kernel's
    /// default is 1024.
    pub fn unprivileged_port_start() -> Self {
        Self::new("net.ipv4.ip_unprivileged_port_start")
    }
}

impl Setting<RangeInclusive<u32>> {
    /// The groups that may ping without `CAP_NET_RAW` (`ping_group_range`). The kernel's default, 1 to
    /// 0, is none; an ordinary user's namespace, where these groups mean nothing, can't get it back.
    pub fn ping_group_range() -> Self {
        Self::new("net.ipv4.ping_group_range")
    }
}

/// What a typed setting can be. Sealed: the types are netloom's own and std's.
pub trait SettingValue: sealed::Text {}

impl<T: sealed::Text> SettingValue for T {}

mod sealed {
    /// A value as it stands in `/proc/sys`.
    pub trait Text: Sized {
        fn into_text(self) -> String;
        fn from_text(text: &str) -> Option<Self>;
    }
}

impl sealed::Text for bool {
    fn into_text(self) -> String {
        u8::from(self).to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.parse::<i32>().ok()? != 0)
    }
}

impl sealed::Text for u16 {
    fn into_text(self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl sealed::Text for RangeInclusive<u32> {
    fn into_text(self) -> String {
        format!("{} {}", self.start(), self.end())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut ends = text.split_whitespace().map(str::parse);
        Some(ends.next()?.ok()?..=ends.next()?.ok()?)
    }
}

/// An enum that is a number to the kernel.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)+
        }

        impl sealed::Text for $name {
            fn into_text(self) -> String {
                (self as u8).to_string()
            }

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $(stringify!($number) => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

numbered! {
    /// What becomes of packets whose source address has no route back. See RFC 3704.
    RpFilter {
        /// They are taken in.
        Off = 0,
        /// They are dropped unless the best route back leaves by the link they came in by.
        Strict = 1,
        /// They are dropped unless there is any route back.
        Loose = 2,
    }
}

numbered! {
    /// Whether IPv6 router advertisements are accepted.
    AcceptRa {
        /// Never.
        Never = 0,
        /// Where packets are not forwarded: the kernel's default.
        UnlessForwarding = 1,
        /// Always.
        Always = 2,
    }
}

numbered! {
    /// Which ARP requests are answered.
    ArpIgnore {
        /// For any address of this namespace: the kernel's default.
        AnyLink = 0,
        /// Only for addresses of the link they come in by.
        SameLink = 1,
        /// Only for those, and to senders of the same network.
        SameNetwork = 2,
        /// Not for addresses with the scope `host`.
        NotHostScope = 3,
        /// For none.
        Never = 8,
    }
}

numbered! {
    /// Which source address ARP requests have.
    ArpAnnounce {
        /// Any of this namespace: the kernel's default.
        Any = 0,
        /// One of the target's network, where there is one.
        SameNetwork = 1,
        /// The best for the target, whatever the packet has.
        Best = 2,
    }
}

numbered! {
    /// Whether an unasked-for ARP announcement makes a new neighbour entry.
    ArpAccept {
        /// No: the kernel's default.
        Never = 0,
        /// Yes.
        Always = 1,
        /// From senders of the same network. Since Linux 6.0.
        SameNetwork = 2,
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Text;
    use super::*;

    #[test]
    fn values_are_written_as_they_are_read() {
        assert_eq!(RpFilter::from_text(&RpFilter::Loose.into_text()), Some(RpFilter::Loose));
        assert_eq!(ArpIgnore::from_text("8"), Some(ArpIgnore::Never));
        assert_eq!(ArpIgnore::from_text("4"), None);
        assert_eq!(RangeInclusive::from_text("1\t0"), Some(RangeInclusive::new(1, 0)));
        assert_eq!((0..=7).into_text(), "0 7");
        assert_eq!(bool::from_text("2"), Some(true));
        assert_eq!(u16::from_text(""), None);
    }

    #[test]
    fn names_hold_links_with_dots() {
        assert_eq!(Setting::rp_filter("eth0.5").name(), "net/ipv4/conf/eth0.5/rp_filter");
        assert_eq!(Setting::accept_ra(Conf::Default).name(), "net/ipv6/conf/default/accept_ra");
    }
}
