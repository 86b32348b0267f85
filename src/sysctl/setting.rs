//! The common sysctls, each with the type of its values.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use super::handle::{Sysctl, read};
use crate::error::{Cause, Error};
use crate::link::LinkRef;
use crate::netns::Netns;

/// A sysctl of a network namespace whose values have a type.
///
/// Replaces `sysctl NAME` and `sysctl -w NAME=VALUE`. For a sysctl that has no type here, use its
/// name with [`Sysctl`] and [`Netns::sysctl`].
///
/// ```
/// use netloom::{Conf, Namespace, RpFilter, Setting, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let _strict = Setting::rp_filter(Conf::All).to(RpFilter::Strict).create(&red)?;
/// let _ports = Setting::unprivileged_port_start().to(80).create(&red)?;
/// assert_eq!(Setting::rp_filter(Conf::All).read(&red)?, RpFilter::Strict);
/// assert_eq!(red.sysctl("net.ipv4.ip_unprivileged_port_start")?, "80");
///
/// let cable = VethPair::new("veth1", "veth2").create(&red)?;
/// let localhost = Setting::route_localnet(cable.near()).to(true).create(&red)?;
/// drop(localhost);
/// assert!(!Setting::route_localnet("veth1").read(&red)?);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// A link's own IPv4 sysctl is read and written over netlink, without `/proc`.
///
/// Source: Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    name: String,
    link: Option<LinkRef>,
    value: PhantomData<fn() -> T>,
}

/// The links that a sysctl applies to: all, new ones, or a single one.
///
/// The effect of `all` differs. For most sysctls, either `all` or the link's own must be on. For
/// `rp_filter`, the larger value applies. For `accept_ra`, the kernel ignores `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conf {
    /// All existing links.
    All,
    /// The value that new links start with.
    Default,
    /// A single link, by a handle or its name.
    Link(LinkRef),
}

/// Converts a handle or a name of a link.
impl<L: Into<LinkRef>> From<L> for Conf {
    fn from(link: L) -> Self {
        Self::Link(link.into())
    }
}

impl fmt::Display for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Default => "default",
            Self::Link(link) => link.name(),
        })
    }
}

impl<T: SettingValue> Setting<T> {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), link: None, value: PhantomData }
    }

    fn of(family: &str, conf: impl Into<Conf>, name: &str) -> Self {
        let conf = conf.into();
        // Separate by slashes, because a link's name may contain dots.
        let name = format!("net/{family}/conf/{conf}/{name}");
        let Conf::Link(link) = conf else { return Self::new(name) };
        Self { link: Some(link), ..Self::new(name) }
    }

    /// Returns the name as sysctl(8) writes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the value in a namespace.
    ///
    /// # Errors
    ///
    /// - The errors of [`Netns::sysctl`].
    /// - The kernel has a value that the type does not have.
    pub fn read(&self, netns: &Netns) -> Result<T, Error> {
        let text = read(netns, &self.name, self.link.as_ref())?;
        T::from_text(&text).ok_or_else(|| {
            let unknown = Cause::Malformed("this setting has a value that netloom does not know");
            unknown.doing("read sysctl", format!("{}={text}", self.name)).in_namespace(netns)
        })
    }

    /// Returns the sysctl with this value, ready to be [created](Sysctl::create). Dropping the
    /// owner restores the previous value.
    pub fn to(&self, value: T) -> Sysctl {
        Sysctl::of(&self.name, self.link.as_ref(), value.into_text())
    }
}

/// Defines the sysctls that each link has. A row has a constructor, the directory and the kernel's
/// name.
macro_rules! of_links {
    ($($type:ty { $($(#[$doc:meta])* $name:ident = $family:literal $setting:literal,)+ })+) => {$(
        impl Setting<$type> {
            $($(#[$doc])*
            pub fn $name(conf: impl Into<Conf>) -> Self {
                Self::of($family, conf, $setting)
            })+
        }
    )+};
}

of_links! {
    bool {
        /// Forwards IPv4 packets (`net.ipv4.ip_forward`, or a link's own `forwarding`). See also
        /// [`Forwarding`](crate::Forwarding).
        #[doc(alias = "ip_forward")]
        ipv4_forwarding = "ipv4" "forwarding",
        /// Forwards IPv6 packets (`net.ipv6.conf.*.forwarding`). A link that forwards ignores
        /// router advertisements unless [`accept_ra`](Setting::accept_ra) is `Always`.
        /// [`Forwarding`](crate::Forwarding) sets both.
        ipv6_forwarding = "ipv6" "forwarding",
        /// Turns IPv6 off (`disable_ipv6`).
        disable_ipv6 = "ipv6" "disable_ipv6",
        /// Accepts packets whose source is an address of this namespace (`accept_local`).
        accept_local = "ipv4" "accept_local",
        /// Accepts ICMP redirects (`accept_redirects`).
        accept_redirects = "ipv4" "accept_redirects",
        /// Sends ICMP redirects (`send_redirects`).
        send_redirects = "ipv4" "send_redirects",
        /// Logs packets with impossible addresses (`log_martians`).
        log_martians = "ipv4" "log_martians",
        /// When the primary address of a network is deleted, makes the next one primary instead of
        /// deleting all (`promote_secondaries`).
        promote_secondaries = "ipv4" "promote_secondaries",
        /// Routes packets from and to 127.0.0.0/8, which published ports on localhost need
        /// (`route_localnet`).
        route_localnet = "ipv4" "route_localnet",
        /// Announces the link's addresses when it comes up or its hardware address changes
        /// (`arp_notify`).
        arp_notify = "ipv4" "arp_notify",
        /// Answers ARP requests only if the route to the sender leaves by the same link
        /// (`arp_filter`).
        arp_filter = "ipv4" "arp_filter",
        /// Answers ARP requests on behalf of hosts to which there is a route (`proxy_arp`).
        proxy_arp = "ipv4" "proxy_arp",
        /// Announces the link's IPv6 addresses when it comes up or its hardware address changes
        /// (`ndisc_notify`).
        ndisc_notify = "ipv6" "ndisc_notify",
    }
    RpFilter {
        /// Drops packets whose source address has no route back (`rp_filter`).
        rp_filter = "ipv4" "rp_filter",
    }
    AcceptRa {
        /// Accepts IPv6 router advertisements (`accept_ra`).
        accept_ra = "ipv6" "accept_ra",
    }
    ArpIgnore {
        /// Selects the ARP requests to answer (`arp_ignore`).
        arp_ignore = "ipv4" "arp_ignore",
    }
    ArpAnnounce {
        /// Selects the source address of ARP requests (`arp_announce`).
        arp_announce = "ipv4" "arp_announce",
    }
    ArpAccept {
        /// Adds a neighbour entry for an unsolicited ARP announcement (`arp_accept`).
        arp_accept = "ipv4" "arp_accept",
    }
}

impl Setting<u16> {
    /// The lowest port that a process may bind without `CAP_NET_BIND_SERVICE`
    /// (`ip_unprivileged_port_start`). The kernel's default is 1024.
    pub fn unprivileged_port_start() -> Self {
        Self::new("net.ipv4.ip_unprivileged_port_start")
    }
}

impl Setting<RangeInclusive<u32>> {
    /// The groups that may ping without `CAP_NET_RAW` (`ping_group_range`). The kernel's default, 1
    /// to 0, allows no group. In an ordinary user's namespace these groups do not exist, so the
    /// default cannot be restored there.
    pub fn ping_group_range() -> Self {
        Self::new("net.ipv4.ping_group_range")
    }
}

/// A type that a sysctl's value can have. The trait is sealed: netloom implements it for its own
/// types and for types of std.
pub trait SettingValue: sealed::Text {}

impl<T: sealed::Text> SettingValue for T {}

mod sealed {
    /// The conversion from and to the text in `/proc/sys`.
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

/// Defines an enum that the kernel represents as a number.
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
    /// The check of source addresses that have no route back. See RFC 3704.
    RpFilter {
        /// Accepts all packets.
        Off = 0,
        /// Accepts a packet only if the best route to its source leaves by the link that received
        /// it.
        Strict = 1,
        /// Accepts a packet only if there is any route to its source.
        Loose = 2,
    }
}

numbered! {
    /// The links on which IPv6 router advertisements are accepted.
    AcceptRa {
        /// No link.
        Never = 0,
        /// Links that do not forward: the kernel's default.
        UnlessForwarding = 1,
        /// All links.
        Always = 2,
    }
}

numbered! {
    /// The selection of the ARP requests to answer.
    ArpIgnore {
        /// Requests for any address of this namespace: the kernel's default.
        AnyLink = 0,
        /// Requests for addresses of the link that receives them.
        SameLink = 1,
        /// Requests for addresses of the link that receives them, if the sender is in the
        /// address's prefix.
        SameNetwork = 2,
        /// Requests for addresses without the scope `host`.
        NotHostScope = 3,
        /// No request.
        Never = 8,
    }
}

numbered! {
    /// The selection of the source address of ARP requests.
    ArpAnnounce {
        /// Any address of this namespace: the kernel's default.
        Any = 0,
        /// An address in the network of the target, if there is one.
        SameNetwork = 1,
        /// The best address for the target, regardless of the packet's source address.
        Best = 2,
    }
}

numbered! {
    /// The ARP announcements that add a neighbour entry without a request.
    ArpAccept {
        /// No announcement: the kernel's default.
        Never = 0,
        /// All.
        Always = 1,
        /// Announcements of senders in the same prefix. Since Linux 6.0.
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
