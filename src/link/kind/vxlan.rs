//! Ethernet in UDP.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::link::InfoVxlan;

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::input::Input;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::index::LinkIndex;
use crate::link::options::{Options, link_info, option_setters};
use crate::link::reference::LinkRef;
use crate::link::settings::{Settings, link_setters};
use crate::netns::{Netns, Quoted};
use crate::numbered::numbered;
use crate::owned::Owned;

pub(super) const KIND: Kind = Kind { required: |out| out.emit(&InfoVxlan::Id(7)), ..Kind::PLAIN };

const ACTION: &str = "create VXLAN";

/// The port of VXLAN (RFC 7348). The kernel's default is an older one, 8,472.
const PORT: u16 = 4789;

numbered! {
    /// The "don't fragment" flag of the packets that carry frames over IPv4.
    VxlanFragment: u8 {
        /// Off: routers may fragment.
        Allow = 0 "unset",
        /// On.
        Forbid = 1 "set",
        /// The flag of the packet inside.
        Inherit = 2 "inherit",
    }
}

/// The flag that the kernel uses if none is asked for.
impl Default for VxlanFragment {
    fn default() -> Self {
        Self::Allow
    }
}

/// A VXLAN link to create: an Ethernet among hosts, in UDP packets over IPv4 or IPv6.
///
/// Replaces `ip link add name NAME type vxlan id N remote ADDRESS dstport 4789`.
///
/// ```
/// use netloom::{Namespace, Vxlan};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let overlay = Vxlan::new("overlay", 42).local("192.0.2.1").remote("192.0.2.2").up();
/// let overlay = overlay.create(&host)?;
/// assert_eq!(overlay.vxlan_info()?.map(|info| (info.vni, info.port)), Some((42, 4789)));
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ip-link(8), `drivers/net/vxlan/vxlan_core.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Vxlan {
    settings: Settings,
    parent: Option<LinkRef>,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    options: Options<InfoVxlan>,
}

impl Vxlan {
    /// Describes a VXLAN link with this network identifier (VNI), of 24 bits.
    pub fn new(name: impl AsRef<str>, vni: u32) -> Self {
        let mut this = Self::with(name.as_ref(), InfoVxlan::Id(vni));
        if vni >= 1 << 24 {
            this.settings.rejected.reject("vni", vni, "a VNI has 24 bits: it is up to 16,777,215");
        }
        this
    }

    /// Describes a VXLAN link that takes the VNI and the remote address of each packet from a
    /// route, a tc action or a BPF program, as `external`. Learning is off, as with `ip`.
    #[doc(alias = "IFLA_VXLAN_COLLECT_METADATA")]
    pub fn external(name: impl AsRef<str>) -> Self {
        let mut this = Self::with(name.as_ref(), InfoVxlan::CollectMetadata(true));
        this.options.set(InfoVxlan::Learning(false));
        this
    }

    fn with(name: &str, option: InfoVxlan) -> Self {
        let mut options = Options::default();
        options.set(option);
        options.set(InfoVxlan::Port(PORT));
        let settings = Settings::new(name);
        Self { settings, parent: None, remote: None, local: None, options }
    }

    link_setters!(
        mac: "a random one",
        mtu: "1,500; with a parent, the parent's less 50 (IPv4) or 70 (IPv6)",
        queues: "1"
    );

    /// Sets the address that frames to an unknown station are sent to, as `remote ADDRESS` or, for
    /// a multicast address, `group ADDRESS`.
    ///
    /// A multicast address needs a [`parent`](Self::parent).
    #[doc(alias("IFLA_VXLAN_GROUP", "IFLA_VXLAN_GROUP6"))]
    pub fn remote(mut self, address: impl Input<IpAddr>) -> Self {
        self.remote = self.settings.rejected.read("remote", address).or(self.remote);
        self
    }

    /// Sets the source address of the packets, as `local ADDRESS`. Default: by the route.
    #[doc(alias("IFLA_VXLAN_LOCAL", "IFLA_VXLAN_LOCAL6"))]
    pub fn local(mut self, address: impl Input<IpAddr>) -> Self {
        self.local = self.settings.rejected.read("local", address).or(self.local);
        self
    }

    /// Sends and receives by this link alone, a handle or a name that is looked up, as `dev LINK`.
    #[doc(alias = "IFLA_VXLAN_LINK")]
    pub fn parent(mut self, parent: impl Into<LinkRef>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// Sets how long a learned address is remembered, in whole seconds, as `ageing`. Default: 300
    /// s.
    #[doc(alias = "IFLA_VXLAN_AGEING")]
    pub fn ageing_time(mut self, time: Duration) -> Self {
        match u32::try_from(time.as_secs()) {
            Ok(seconds) if time.subsec_nanos() == 0 => {
                self.options.set(InfoVxlan::Ageing(seconds));
            }
            _ => {
                let reason = "a VXLAN link counts time in whole seconds of 32 bits";
                self.settings.rejected.reject("ageing_time", format!("{time:?}"), reason);
            }
        }
        self
    }

    /// Sets the range of source ports, which spread the flows, as `srcport FIRST LAST`. Default:
    /// the range for local ports.
    #[doc(alias = "IFLA_VXLAN_PORT_RANGE")]
    pub fn source_ports(mut self, ports: std::ops::RangeInclusive<u16>) -> Self {
        let (first, last) = ports.into_inner();
        if first > last || first == 0 {
            let text = format!("{first}..={last}");
            self.settings.rejected.reject("source_ports", text, "a range of ports is not empty");
        }
        self.options.set(InfoVxlan::PortRange((first, last)));
        self
    }

    option_setters! {
        /// Sets the UDP port of all ends, as `dstport`. Default: 4,789; the kernel's is 8,472.
        #[doc(alias = "IFLA_VXLAN_PORT")]
        port(port: u16) => InfoVxlan::Port(port);

        /// Sets the time to live of the packets, as `ttl N`; 0 is the default of the namespace.
        /// Default: 0.
        #[doc(alias = "IFLA_VXLAN_TTL")]
        ttl(ttl: u8) => InfoVxlan::Ttl(ttl);

        /// Takes the time to live from the packet inside, as `ttl inherit`. Default: off.
        #[doc(alias = "IFLA_VXLAN_TTL_INHERIT")]
        ttl_inherit() => InfoVxlan::TtlInheritFlag;

        /// Sets the type of service of the packets, as `tos N`; 1 takes that of the packet inside.
        /// Default: 0.
        #[doc(alias = "IFLA_VXLAN_TOS")]
        tos(tos: u8) => InfoVxlan::Tos(tos);

        /// Sets the "don't fragment" flag of packets over IPv4, as `df`. Default: off.
        #[doc(alias = "IFLA_VXLAN_DF")]
        fragment(fragment: VxlanFragment) => InfoVxlan::Df(u8::from(fragment).into());

        /// Turns learning of stations from the frames that arrive on or off, as `nolearning`.
        /// Default: on.
        #[doc(alias = "IFLA_VXLAN_LEARNING")]
        learning(on: bool) => InfoVxlan::Learning(on);

        /// Sets how many addresses are learned at most, as `maxaddress`. Default: no limit.
        #[doc(alias = "IFLA_VXLAN_LIMIT")]
        max_addresses(count: u32) => InfoVxlan::Limit(count);

        /// Answers ARP and neighbour solicitations from the neighbour table, as `proxy`. Default:
        /// off.
        #[doc(alias = "IFLA_VXLAN_PROXY")]
        proxy(on: bool) => InfoVxlan::Proxy(on);

        /// Sends packets to a known router's station straight to their destination's, as `rsc`.
        /// Default: off.
        #[doc(alias = "IFLA_VXLAN_RSC")]
        route_short_circuit(on: bool) => InfoVxlan::Rsc(on);

        /// Reports frames to unknown stations to programs, as `l2miss`. Default: off.
        #[doc(alias = "IFLA_VXLAN_L2MISS")]
        report_link_misses(on: bool) => InfoVxlan::L2Miss(on);

        /// Reports packets to unknown neighbours to programs, as `l3miss`. Default: off.
        #[doc(alias = "IFLA_VXLAN_L3MISS")]
        report_network_misses(on: bool) => InfoVxlan::L3Miss(on);

        /// Turns UDP checksums over IPv4 on or off, as `udpcsum`. Default: on.
        #[doc(alias = "IFLA_VXLAN_UDP_CSUM")]
        udp_checksum(on: bool) => InfoVxlan::UDPCsum(on);

        /// Sends packets over IPv6 without a UDP checksum, as `udp6zerocsumtx`. Default: off.
        #[doc(alias = "IFLA_VXLAN_UDP_ZERO_CSUM6_TX")]
        udp6_zero_checksum_tx(on: bool) => InfoVxlan::UDPZeroCsumTX(on);

        /// Receives packets over IPv6 without a UDP checksum, as `udp6zerocsumrx`. Default: off.
        #[doc(alias = "IFLA_VXLAN_UDP_ZERO_CSUM6_RX")]
        udp6_zero_checksum_rx(on: bool) => InfoVxlan::UDPZeroCsumRX(on);

        /// Carries the mark of packets as a group policy, as `gbp`. Default: off.
        #[doc(alias = "IFLA_VXLAN_GBP")]
        group_policy() => InfoVxlan::Gbp;

        /// Filters by VNI: the link of [`external`](Self::external) receives only those of its own
        /// list, as `vnifilter`. Default: off. Since Linux 5.18.
        #[doc(alias = "IFLA_VXLAN_VNIFILTER")]
        vni_filter(on: bool) => InfoVxlan::Vnifilter(on);
    }

    /// Creates the link.
    ///
    /// # Errors
    ///
    /// The errors of [`create_between`](Self::create_between).
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        self.create_between(netns, netns)
    }

    /// Creates the link in one namespace, while its packets take the routes of another one, in one
    /// message.
    ///
    /// The parent is a link of the namespace `underlay`.
    ///
    /// # Errors
    ///
    /// A value that can be known wrong is refused before any system call, such as addresses of two
    /// families. Nothing is left after a failure.
    /// - `is_already_exists()` if a link has the name, or another VXLAN link the VNI and the port.
    /// - `is_unsupported()` in a kernel without the module `vxlan`.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create_between(&self, underlay: &Netns, netns: &Netns) -> Result<Owned<Link>, Error> {
        let object = Quoted(&self.settings.name);
        self.settings.check(ACTION)?;
        self.check().map_err(|reason| Error::invalid(ACTION, &object, reason))?;
        let mut options = self.options.clone();
        let parent = self.parent.as_ref();
        let parent = parent.map(|parent| parent.resolve(underlay, ACTION, &object)).transpose()?;
        if let Some(index) = parent {
            options.set(InfoVxlan::Link(index));
        }
        for (address, v4, v6) in [
            (self.remote, InfoVxlan::Group as fn(_) -> _, InfoVxlan::Group6 as fn(_) -> _),
            (self.local, InfoVxlan::Local, InfoVxlan::Local6),
        ] {
            match address {
                Some(IpAddr::V4(address)) => options.set(v4(address)),
                Some(IpAddr::V6(address)) => options.set(v6(address)),
                None => {}
            }
        }
        let new = NewLink {
            sender: underlay,
            options: &|out| options.write(out),
            ..NewLink::of(ACTION, &LinkKind::Vxlan, &self.settings, netns)
        };
        new.create()
    }

    /// Checks that the options fit one another.
    fn check(&self) -> Result<(), String> {
        let is_external =
            self.options.iter().any(|one| matches!(one, InfoVxlan::CollectMetadata(_)));
        let filters = self.options.iter().any(|one| *one == InfoVxlan::Vnifilter(true));
        match (self.remote, self.local) {
            (Some(remote), Some(local)) if remote.is_ipv4() != local.is_ipv4() => {
                Err(format!("remote {remote} and local {local} are of two families"))
            }
            (Some(remote), _) if remote.is_multicast() && self.parent.is_none() => {
                Err(format!("remote {remote} is a multicast address, which needs parent()"))
            }
            (Some(remote), _) if remote.is_unspecified() => {
                Err(format!("remote {remote} is no host's address"))
            }
            (_, Some(local)) if local.is_multicast() || local.is_unspecified() => {
                Err(format!("local {local} is no host's address"))
            }
            _ if filters && !is_external => Err("vni_filter() needs Vxlan::external()".into()),
            _ => Ok(()),
        }
    }
}

link_info! {
    /// The options of a VXLAN link, as `ip -details link` lists them.
    VxlanInfo of Vxlan by
    /// Reads the options of this VXLAN link. `None` if the link is of another kind.
    vxlan_info, InfoVxlan {
        /// The network identifier; 0 for an external link.
        vni: u32 = InfoVxlan::Id(vni) => *vni;
        /// True if each packet brings its VNI and its remote address.
        external: bool = InfoVxlan::CollectMetadata(on) => *on;
        /// True if the link receives only the VNIs of its list.
        vni_filter: bool = InfoVxlan::Vnifilter(on) => *on;
        /// The address that frames to an unknown station are sent to.
        remote: Option<IpAddr> =
            InfoVxlan::Group(ip) => Some((*ip).into()), InfoVxlan::Group6(ip) => Some((*ip).into());
        /// The source address of the packets.
        local: Option<IpAddr> =
            InfoVxlan::Local(ip) => Some((*ip).into()), InfoVxlan::Local6(ip) => Some((*ip).into());
        /// The link that sends and receives the packets, in the namespace of the underlay.
        parent: Option<LinkIndex> = InfoVxlan::Link(index) => Some((*index).into());
        /// The UDP port of all ends.
        port: u16 = InfoVxlan::Port(port) => *port;
        /// The first and the last source port; both 0 for the range of local ports.
        source_ports: (u16, u16) = InfoVxlan::PortRange(ports) => *ports;
        /// The time to live of the packets; 0 is the default of the namespace.
        ttl: u8 = InfoVxlan::Ttl(ttl) => *ttl;
        /// True if the time to live is that of the packet inside.
        ttl_inherit: bool = InfoVxlan::TtlInherit(on) => *on != 0;
        /// The type of service of the packets; 1 stands for that of the packet inside.
        tos: u8 = InfoVxlan::Tos(tos) => *tos;
        /// The "don't fragment" flag of packets over IPv4.
        fragment: VxlanFragment = InfoVxlan::Df(df) => u8::from(*df).into();
        /// True if stations are learned from the frames that arrive.
        learning: bool = InfoVxlan::Learning(on) => *on;
        /// The time for which a learned address is remembered.
        ageing_time: Duration =
            InfoVxlan::Ageing(seconds) => Duration::from_secs(u64::from(*seconds));
        /// The largest number of learned addresses; 0 is no limit.
        max_addresses: u32 = InfoVxlan::Limit(count) => *count;
        /// True if ARP is answered from the neighbour table.
        proxy: bool = InfoVxlan::Proxy(on) => *on;
        /// True if packets to a known router's station take the shorter way.
        route_short_circuit: bool = InfoVxlan::Rsc(on) => *on;
        /// True if frames to unknown stations are reported to programs.
        report_link_misses: bool = InfoVxlan::L2Miss(on) => *on;
        /// True if packets to unknown neighbours are reported to programs.
        report_network_misses: bool = InfoVxlan::L3Miss(on) => *on;
        /// True if packets over IPv4 have a UDP checksum.
        udp_checksum: bool = InfoVxlan::UDPCsum(on) => *on;
        /// True if packets over IPv6 are sent without a UDP checksum.
        udp6_zero_checksum_tx: bool = InfoVxlan::UDPZeroCsumTX(on) => *on;
        /// True if packets over IPv6 are received without a UDP checksum.
        udp6_zero_checksum_rx: bool = InfoVxlan::UDPZeroCsumRX(on) => *on;
        /// True if the mark of packets is carried as a group policy.
        group_policy: bool = InfoVxlan::Gbp => true;
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let overlay = Vxlan::new("vxlan0", 42).remote("192.0.2.2").up().create(netns)?;
    overlay.delete().map_err(Error::from)
}
