//! The builder of published ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::handle::{self, PortForwardHandle};
use super::mapping::{self, Mapping};
use super::{held, persistent, stale};
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name};
use crate::link::LinkRef;
use crate::nat::guarded::check_tag;
use crate::netns::Netns;
use crate::owned::Owned;
use crate::port::PortRange;
use crate::protocol::Protocol;

pub(super) const ACTION: &str = "forward port";
pub(super) const STOP: &str = "stop forwarding port";

/// It is kept with a number before it, in a comment.
const LONGEST_TAG: usize = 119;

/// A published port to be: a port of this namespace that leads to a container.
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
/// - From outside: with the namespace forwarding ([`Forwarding`](crate::Forwarding)); the container
///   sees the client's own address.
/// - From the namespace itself, at any of its addresses and at `127.0.0.1`; from another container
///   that is reached by the same link; and from the container itself. All of these the container sees
///   with the namespace's address. With `br_netfilter`, a bridge sends a container's packets back to it
///   only where its port has hairpin mode ([`Link::set_hairpin`](crate::Link::set_hairpin)).
/// - A port on a loopback address is reached from the namespace only, never by a neighbour that
///   routes to it. `::1` is not forwarded, as the kernel lets no packet from it out: who listens there
///   keeps the port.
///
/// For `127.0.0.1` the setting `route_localnet` is turned on, on the one link that leads to the
/// container, and put back with the last mapping there, held or persistent, of whichever process; what
/// comes for `127.0.0.0/8` by any link but `lo` is dropped from before that moment on, in a table
/// `netloom-loopback` that nobody owns. A process that is killed leaves these two, and nothing open; they
/// go with the next port that does, and with [`reap`](crate::reap()). `nft flush ruleset` takes that table away, but
/// not the switch.
///
/// A port at one address goes before the same port at all. A process that listens on the port itself
/// is no longer reached.
///
/// # Cost
///
/// One element of a map for each port, so the ten-thousandth costs what the first does; a range is as
/// many. A family has 65,536 at most at single addresses, and as many at all.
///
/// # Held or persistent
///
/// *Held*, the default: in a table of netloom's own that belongs to this process, goes with it however
/// it ends, and that nobody else can change. *Persistent*, with [`tagged`](Self::tagged): for programs
/// that end before the network does. A port that either kind has, of this program or another, is refused.
///
/// # Stale connections
///
/// What the kernel knows of UDP connections to exactly this address and port is forgotten when the
/// mapping comes and when it goes, so that clients that never stop sending notice. TCP connections
/// end by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct PortForward {
    pub(super) protocol: Protocol,
    pub(super) host_address: Option<IpAddr>,
    pub(super) host_ports: PortRange,
    pub(super) target: Option<IpAddr>,
    pub(super) target_ports: Option<PortRange>,
    // There may be thousands, and most have none of these: they have little room.
    pub(super) link: Option<Box<LinkRef>>,
    pub(super) tag: Option<Box<str>>,
    rejected: FirstRejected,
}

impl PortForward {
    /// A TCP port, or a range of them as `5000..=5009`, of all local addresses of the target's family,
    /// that leads to the same port of this container.
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

    /// To this port of the container, or these: as many as there are on this side. Default: the same.
    pub fn target_port(mut self, ports: impl Into<PortRange>) -> Self {
        let ports = ports.into();
        if let Err(reason) = ports.check() {
            self.rejected.reject("target_port", ports, reason);
        }
        self.target_ports = Some(ports);
        self
    }

    /// Of UDP, as `-p 53:53/udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Of SCTP, as `-p 3868:3868/sctp`.
    pub fn sctp(self) -> Self {
        self.protocol(Protocol::SCTP)
    }

    /// Of this protocol. Default: TCP.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        if !protocol.has_ports() {
            self.rejected.reject("protocol", protocol, "it has no ports");
        }
        self.protocol = protocol;
        self
    }

    /// Only at this local address, as `-p 192.0.2.1:8080:80`; it works while the namespace has the
    /// address, and takes nothing that is sent through it to somebody else's. Default: at all local addresses.
    pub fn host_address(mut self, address: impl Input<IpAddr>) -> Self {
        if let Some(address) = self.rejected.read("host_address", address) {
            if address.is_unspecified() || address.is_multicast() {
                let reason = "it is no local address; all of them is the default";
                self.rejected.reject("host_address", address, reason);
            } else if address == IpAddr::V6(Ipv6Addr::LOCALHOST) {
                let reason = "the kernel lets no packet from ::1 out, so it can't be forwarded";
                self.rejected.reject("host_address", address, reason);
            }
            self.host_address = Some(address);
        }
        self
    }

    /// The link that leads to the container, such as its bridge. Default: the one its route goes by when
    /// this is created, so the container's network must be there by then.
    pub fn link(mut self, link: impl Into<LinkRef>) -> Self {
        let link = link.into();
        if let Err(reason) = link_name(link.name()) {
            self.rejected.reject("link", link.name(), reason);
        }
        self.link = Some(Box::new(link));
        self
    }

    /// Makes it persistent: it outlives the program, unless its owner is dropped, and any program finds
    /// it again by the tag, of 119 bytes at most ([`Netns::port_forwards`]). Several may have one tag.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, Owned, PortForward};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    /// let web = PortForward::new(8080, "10.0.0.2").target_port(80).tagged("net1/web");
    /// web.create(&host)?.keep();
    ///
    /// // Another program, later:
    /// let ports = host.port_forwards("net1/web")?;
    /// assert_eq!(ports[0].host_ports().first(), 8080);
    /// let refused = PortForward::new(8080, "10.0.0.3").tagged("net1/other").create(&host);
    /// assert!(refused.unwrap_err().to_string().contains("`net1/web` has the port"));
    /// Owned::delete_all(ports.into_iter().map(Owned::adopt)).map_err(|mut failed| failed.remove(0))?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// Such ports are in a table `netloom-ports` of each family, in which `nft list ruleset` shows whose
    /// they are. It is not held: `nft flush ruleset` takes it away, and `route_localnet` stays on where it
    /// was turned on.
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        let checked = match tag.len() {
            ..=LONGEST_TAG => check_tag(&tag),
            _ => Err("a tag has 119 bytes at most"),
        };
        if let Err(reason) = checked {
            self.rejected.reject("tagged", &tag, reason);
        }
        self.tag = Some(tag.into());
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// Port 0, an empty range, ranges of two lengths and families that differ are refused before any
    /// system call. A port of the protocol and address that is forwarded already is
    /// [`is_already_exists`](Error::is_already_exists), with the one that has it. A target without a
    /// route is [`ENETUNREACH`](Error::raw_os_error). Without `CAP_NET_ADMIN` it is
    /// [`is_permission_denied`](Error::is_permission_denied), and without `CAP_SYS_ADMIN` where it is the first use
    /// of `nf_tables` in a namespace that the thread is not in.
    #[doc(alias("DNAT", "hostPort", "portmap", "-p"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<PortForwardHandle>, Error> {
        let mut made = create(netns, std::slice::from_ref(self))?;
        made.pop().ok_or_else(|| Error::invalid(ACTION, self, "nothing to do"))
    }

    /// Makes all of them, or none, in one transaction.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, PortForward};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    /// let ports = [80, 443].map(|port| PortForward::new(port, "10.0.0.2"));
    /// let ports = PortForward::create_all(&ports, &host)?;
    /// assert_eq!(ports.len(), 2);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create). Held and persistent ones can't be made together.
    pub fn create_all(
        forwards: &[Self],
        netns: &Netns,
    ) -> Result<Vec<Owned<PortForwardHandle>>, Error> {
        create(netns, forwards)
    }

    /// What it is, once nothing is wrong; its link is to be found yet.
    pub(super) fn check(&self, netns: &Netns) -> Result<Mapping, Error> {
        self.rejected.check(ACTION, self)?;
        let invalid = |reason: &str| Error::invalid(ACTION, self, reason);
        let Some(target) = self.target else { return Err(invalid("it has no target")) };
        if target.is_unspecified() || target.is_multicast() || target.is_loopback() {
            return Err(invalid("the target is not the address of a container"));
        }
        if self.host_address.is_some_and(|address| address.is_ipv4() != target.is_ipv4()) {
            return Err(invalid("the host address is of another family than the target"));
        }
        if self.target_ports.is_some_and(|ports| ports.len() != self.host_ports.len()) {
            return Err(invalid("the ranges of ports are of two lengths"));
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

fn create(netns: &Netns, forwards: &[PortForward]) -> Result<Vec<Owned<PortForwardHandle>>, Error> {
    let Some(first) = forwards.first() else { return Ok(Vec::new()) };
    if let Some(other) = forwards.iter().find(|one| one.tag.is_some() != first.tag.is_some()) {
        let reason =
            "held and persistent ports can't be made together: some have a tag, some don't";
        return Err(Error::invalid(ACTION, other, reason));
    }
    let mut owned = Vec::with_capacity(forwards.len());
    for forward in forwards {
        let (netns, mapping) = (netns.clone(), forward.check(netns)?);
        owned.push(Owned::before(PortForwardHandle { netns, mapping, number: 0, kept: None }));
    }
    mapping::refuse_twice(handle::mappings(&owned))?;
    mapping::find_links(netns, forwards, owned.iter_mut().map(|one| &mut one.mapping))?;
    if first.tag.is_none() {
        held::create(netns, &mut owned, first)?;
    } else {
        let tags: Vec<_> = forwards.iter().map_while(|forward| forward.tag.as_deref()).collect();
        persistent::create(netns, &mut owned, &tags, first)?;
    }
    // An error here has all of them go again, with their owners.
    stale::forget_others(netns, handle::mappings(&owned))?;
    Ok(owned)
}

/// As `docker port` has it: `0.0.0.0:8080->10.0.0.2:80/tcp`.
impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mapping(self.target.unwrap_or(Ipv4Addr::UNSPECIFIED.into())).fmt(f)
    }
}
