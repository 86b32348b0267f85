//! The builder of published ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mapping::{ACTION, Mapping};
use crate::error::Error;
use crate::input::{FirstRejected, Input, is_of_no_machine, link_name_to_look_up};
use crate::link::LinkRef;
use crate::nat::guarded::check_tag;
use crate::netns::Netns;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A published port: a port of this namespace, forwarded to a container.
///
/// Replaces `docker run -p 8080:80` and the five `iptables` rules behind it.
///
/// ```
/// use netloom::{Bridge, Namespace, PortForward};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
///
/// let web = PortForward::new(8080, "10.0.0.2").target_port(80).create(&host)?;
/// let dns = PortForward::new(53, "10.0.0.3").udp().host_address("127.0.0.1").create(&host)?;
/// let media = PortForward::new(5000..=5009, "10.0.0.4").udp().create(&host)?;
///
/// let taken = PortForward::new(8080, "10.0.0.9").create(&host).unwrap_err();
/// assert!(taken.is_already_exists());
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// # Who reaches it
///
/// - Other machines reach the port if the namespace forwards ([`Forwarding`](crate::Forwarding)).
///   The container sees the client's own address.
/// - The namespace itself reaches the port at any of its addresses and at `127.0.0.1`. So do other
///   containers by the same link, and the container itself. The container sees the namespace's
///   address. With `br_netfilter`, a bridge sends a container's packets back to it only if its port
///   has hairpin mode ([`Link::set_hairpin`](crate::Link::set_hairpin)).
/// - Only the namespace itself reaches a port on a loopback address; a neighbour that routes to it
///   does not. `::1` and the link-local addresses `fe80::/10` keep their ports: the kernel lets no
///   packet from `::1` out, and a link-local address belongs to one link.
///
/// A port at one address takes precedence over the same port at all addresses. A process that
/// listens on the port itself is no longer reached.
///
/// If a base chain of another program drops forwarded packets, other machines don't reach the port:
/// `create` logs a warning, and [`obstacles`](crate::PortForwardHandle::obstacles) lists such
/// chains.
///
/// # Loopback addresses
///
/// A port at `127.0.0.1` needs the setting `route_localnet` on the link to the container. netloom
/// turns the setting on, and off again with the last such port that uses the link, whichever
/// process published it. Before netloom turns the setting on, it creates the table
/// `netloom-loopback`, which drops packets from links to `127.0.0.0/8`. No process owns that table.
/// While the setting is on, the link has an alternative name that begins with `netloom-localnet`,
/// and `lo` has the alternative name `netloom-localnet`.
///
/// A killed process leaves all of these. The next deletion of a port or [`reap`](crate::reap())
/// removes them. `nft flush ruleset` deletes the table, but leaves the setting on. The next
/// creation, deletion or list of ports by any process, or `reap`, restores a safe state.
///
/// # Cost
///
/// Each port is one element of a map, so the cost is the same beside one port and beside ten
/// thousand. A range has as many elements as ports. A family has at most 65,536 ports at single
/// addresses, and as many at all addresses.
///
/// # Held or persistent
///
/// A *held* port, the default, is in a table that this process owns. The kernel deletes it when the
/// process ends, and no other process can change it. A *persistent* port, with
/// [`persistent`](Self::persistent), outlives the process. `create` refuses a port that another
/// mapping already has, held or persistent, of any process.
///
/// # Stale connections
///
/// When a UDP mapping is created or deleted, netloom deletes the conntrack entries of exactly this
/// address and port. Otherwise a client that never stops sending would keep its old path. TCP
/// connections end by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct PortForward {
    pub(super) protocol: Protocol,
    pub(super) host_address: Option<IpAddr>,
    pub(super) host_ports: PortRange,
    pub(super) target: Option<IpAddr>,
    pub(super) target_ports: Option<PortRange>,
    // Boxed to save memory: there may be thousands of builders, and most have neither a link nor a
    // tag.
    pub(super) link: Option<Box<LinkRef>>,
    pub(super) tag: Option<Box<str>>,
    pub(super) rejected: FirstRejected,
}

impl PortForward {
    /// Publishes a TCP port, or a range as `5000..=5009`, at all local addresses of the target's
    /// family. Packets are forwarded to the same port of the container at `target`.
    pub fn new(host_ports: impl Into<PortRange>, target: impl Input<IpAddr>) -> Self {
        let mut rejected = FirstRejected::default();
        let host_ports = host_ports.into();
        if let Err(reason) = host_ports.check() {
            rejected.reject("new", host_ports, reason);
        }
        let target = rejected.read("new", target);
        Self {
            protocol: Protocol::TCP,
            host_address: None,
            host_ports,
            target,
            target_ports: None,
            link: None,
            tag: None,
            rejected,
        }
    }

    /// Sets the container's port, or a range as long as the published range. Default: the published
    /// port.
    pub fn target_port(mut self, ports: impl Into<PortRange>) -> Self {
        let ports = ports.into();
        if let Err(reason) = ports.check() {
            self.rejected.reject("target_port", ports, reason);
        }
        self.target_ports = Some(ports);
        self
    }

    /// Publishes a UDP port, as `-p 53:53/udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Publishes an SCTP port, as `-p 3868:3868/sctp`.
    pub fn sctp(self) -> Self {
        self.protocol(Protocol::SCTP)
    }

    /// Sets the protocol. Default: TCP.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        if !protocol.has_ports() {
            self.rejected.reject("protocol", protocol, "it has no ports");
        }
        self.protocol = protocol;
        self
    }

    /// Publishes the port only at this local address, as `-p 192.0.2.1:8080:80`. The port works
    /// while the namespace has the address; packets to an address of another machine are not
    /// changed. Default: all local addresses.
    pub fn host_address(mut self, address: impl Input<IpAddr>) -> Self {
        if let Some(address) = self.rejected.read("host_address", address) {
            if let Some(reason) = not_a_host_address(address) {
                self.rejected.reject("host_address", address, reason);
            }
            self.host_address = Some(address);
        }
        self
    }

    /// Sets the link to the container, such as its bridge. Default: the link of the route to the
    /// container; the route must exist when `create` is called.
    pub fn link(mut self, link: impl Into<LinkRef>) -> Self {
        let link = link.into();
        if let Err(reason) = link_name_to_look_up(link.name()) {
            self.rejected.reject("link", link.name(), reason);
        }
        self.link = Some(Box::new(link));
        self
    }

    /// Makes the port outlive the process. Any process finds it by the tag
    /// ([`Netns::port_forwards_with_tag`]), which has at most 127 bytes. Several ports may have one
    /// tag.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, Owned, PortForward};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    /// let web = PortForward::new(8080, "10.0.0.2").target_port(80).persistent("net1/web");
    /// web.create(&host)?.keep();
    ///
    /// // Another process, later:
    /// let ports = host.port_forwards_with_tag("net1/web")?;
    /// assert_eq!(ports[0].host_ports().first(), 8080);
    /// let refused = PortForward::new(8080, "10.0.0.3").persistent("net1/other").create(&host);
    /// assert!(refused.unwrap_err().to_string().contains("`net1/web` has the port"));
    /// for port in ports {
    ///     Owned::adopt(port).delete()?;
    /// }
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// Persistent ports are in a table `netloom-ports` of each family, in which `nft list ruleset`
    /// shows their tags. `nft flush ruleset` deletes these tables.
    pub fn persistent(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if let Err(reason) = check_tag(&tag) {
            self.rejected.reject("persistent", &tag, reason);
        }
        self.tag = Some(tag.into());
        self
    }

    /// Checks everything that needs no system call. Returns the mapping, without its link.
    pub(super) fn check(&self, netns: &Netns) -> Result<Mapping, Error> {
        self.rejected.check(ACTION, self)?;
        let invalid = |reason: &str| Error::invalid(ACTION, self, reason);
        let Some(target) = self.target else {
            return Err(invalid("the port forward has no target"));
        };
        if is_of_no_machine(target) || target.is_loopback() {
            return Err(invalid("the target is not the address of a container"));
        }
        if self.host_address.is_some_and(|address| address.is_ipv4() != target.is_ipv4()) {
            return Err(invalid("the host address and the target belong to different families"));
        }
        if self.target_ports.is_some_and(|ports| ports.len() != self.host_ports.len()) {
            return Err(invalid("the ranges of ports have different lengths"));
        }
        if let Some(link) = &self.link {
            link.check_home(netns, ACTION, self)?;
        }
        Ok(self.mapping(target))
    }

    fn mapping(&self, target: IpAddr) -> Mapping {
        let Self { protocol, host_address, host_ports, .. } = *self;
        let target_ports = self.target_ports.unwrap_or(host_ports);
        Mapping { protocol, host_address, host_ports, target, target_ports, link: 0 }
    }
}

fn not_a_host_address(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() || address.is_multicast() => {
            Some("not a valid local address; all local addresses are the default")
        }
        IpAddr::V6(Ipv6Addr::LOCALHOST) => {
            Some("the kernel lets no packet from ::1 out, so it can't be forwarded")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("a link-local address belongs to one link, and is not published")
        }
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("no machine has the broadcast address"),
        _ => None,
    }
}

/// Formats the mapping like `docker port`: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapping(self.target.unwrap_or(Ipv4Addr::UNSPECIFIED.into())).fmt(f)
    }
}
