//! Veth pairs: cables with two ends, each in a namespace.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use super::{Kind, LinkKind};
use crate::drop_scope::Deferred;
use crate::error::{Cause, Error};
use crate::input::Input;
use crate::link::configure::{Pending, configure};
use crate::link::create::NewLink;
use crate::link::delete::{Ends, defer};
use crate::link::handle::Link;
use crate::link::settings::{CreateParams, Settings, link_setters};
use crate::mac::MacAddr;
use crate::netns::{LinkIdentity, Netns, Quoted, Tagged};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::route::Route;
use crate::wire::attribute::Writer;
use crate::wire::link::{AF_UNSPEC, IFLA_NET_NS_FD, header};

pub(super) const KIND: Kind = Kind::PLAIN;

const ACTION: &str = "create veth pair";

/// A veth pair to create: a cable whose two ends are links, in one namespace or in two.
///
/// Replaces `ip link add A netns X type veth peer name B netns Y`. Both ends are created in their
/// final namespaces, which takes 0.3 ms. Creating both ends here and moving one takes 16 ms.
///
/// ```
/// use netloom::{Namespace, VethEnd, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let blue = Namespace::anonymous().create()?;
/// let cable = VethPair::new(
///     VethEnd::new("veth1").address("10.0.0.1/24").up(),
///     VethEnd::new("veth2").address("10.0.0.2/24").up(),
/// )
/// .create_between(&red, &blue)?;
/// assert_eq!(cable.peer().namespace(), *blue);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: veth(4), drivers/net/veth.c.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct VethPair {
    near: VethEnd,
    peer: VethEnd,
}

/// An end of a [`VethPair`]. A name converts into an end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an end does nothing until its pair is created"]
pub struct VethEnd {
    settings: Settings,
    /// The end has a default gateway: first for IPv4, then for IPv6.
    has_gateway: [bool; 2],
}

impl VethEnd {
    /// Describes an end with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self { settings: Settings::new(name.as_ref()), has_gateway: [false; 2] }
    }

    link_setters!(
        mac: "a random one",
        mtu: "1,500",
        queues: "one for each possible CPU. With one queue a container is attached up to a tenth faster"
    );

    /// Adds a default route out of this end, as `ip route add default via GATEWAY dev NAME`. Takes
    /// at most one gateway for IPv4 and one for IPv6.
    ///
    /// The end has to be [`up`](Self::up). The kernel deletes the route with the end. Use
    /// [`route`](Self::route) for a metric, or for a gateway outside the end's networks.
    pub fn gateway(mut self, gateway: impl Input<IpAddr>) -> Self {
        let Settings { rejected, routes, .. } = &mut self.settings;
        if let Some(gateway) = rejected.read("gateway", gateway) {
            if std::mem::replace(&mut self.has_gateway[usize::from(gateway.is_ipv6())], true) {
                let reason = "the end has a default gateway of this family already";
                rejected.reject("gateway", gateway, reason);
            }
            routes.push(Route::default_via(gateway));
        }
        self
    }

    /// Adds a route out of this end, as `ip route add … dev NAME`. Each call adds one route.
    ///
    /// The end has to be [`up`](Self::up). The kernel deletes the route with the end.
    ///
    /// ```
    /// use netloom::{Namespace, Route, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let out = Route::default_via("169.254.1.1").on_link().metric(100);
    /// let eth0 = VethEnd::new("eth0").address("10.0.0.2/32").route(out).up();
    /// let _cable = VethPair::new(eth0, "veth1").create(&red)?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    pub fn route(mut self, route: Route) -> Self {
        let route = route.dev(&*self.settings.name);
        self.settings.routes.push(route);
        self
    }

    /// Also sets up the loopback link of the end's namespace, in the same datagram.
    pub fn loopback_up(mut self) -> Self {
        self.settings.loopback_up = true;
        self
    }
}

impl<N: AsRef<str>> From<N> for VethEnd {
    fn from(name: N) -> Self {
        Self::new(name)
    }
}

impl VethPair {
    /// Describes a pair with these ends, each a name or a [`VethEnd`].
    pub fn new(near: impl Into<VethEnd>, peer: impl Into<VethEnd>) -> Self {
        Self { near: near.into(), peer: peer.into() }
    }

    /// Creates both ends in one namespace, as `ip link add A type veth peer name B`.
    ///
    /// # Errors
    ///
    /// The errors of [`create_between`](Self::create_between).
    pub fn create(&self, netns: &Netns) -> Result<Owned<Veth>, Error> {
        self.create_between(netns, netns)
    }

    /// Creates the near end in one namespace and its peer in another, in one message.
    ///
    /// If both ends are set up, they can carry packets when this method returns. The kernel makes
    /// the local route of an IPv6 address a moment later: a first packet within that millisecond
    /// waits a second for the neighbour to answer.
    ///
    /// # Errors
    ///
    /// If a value can be known to be wrong, such as the same name for both ends in one namespace,
    /// it is refused before any system call. A failure leaves nothing behind.
    /// - `is_already_exists()` if a link has one of the names.
    #[doc(alias("ip link add", "RTM_NEWLINK", "VETH_INFO_PEER"))]
    pub fn create_between(&self, near: &Netns, peer: &Netns) -> Result<Owned<Veth>, Error> {
        let (near_end, peer_end) = (&self.near.settings, &self.peer.settings);
        near_end.check(ACTION)?;
        peer_end.check(ACTION)?;
        if near_end.name == peer_end.name && near == peer {
            let reason = "both ends have this name, in the same namespace";
            return Err(Error::invalid(ACTION, Quoted(&near_end.name), reason).in_namespace(near));
        }
        let near_params = near_end.create_params(ACTION, near, MacAddr::random())?;
        let peer_mac = peer_end.mac.unwrap_or_else(MacAddr::random);
        let peer_params = peer_end.create_params(ACTION, peer, peer_mac)?;
        let veth = self.send((near, &near_params), (peer, &peer_params))?;
        let pending = |up, master| Pending { up, master, queue_length: None };
        configure(&veth.near, near_end, &pending(near_end.up && !near_end.starts_up(), None))?;
        // The kernel refuses to create a pair with both ends up (ENOTCONN), so the peer is set up
        // in another datagram.
        configure(&veth.peer, peer_end, &pending(peer_end.up, peer_params.master))?;
        if near_end.up && peer_end.up {
            // The kernel may update the carrier state up to a second late, but does so at once when
            // it lists the link. Only the peer's bridge needs the peer's carrier state.
            veth.near.snapshot().get("look at link", |_| Some(()))?;
            if peer_end.master.is_some() {
                veth.peer.snapshot().get("look at link", |_| Some(()))?;
            }
        }
        Ok(veth)
    }

    /// Sends the create request and reads the indexes of both ends from the answer.
    fn send(
        &self,
        (near, near_params): (&Netns, &CreateParams),
        (peer, peer_params): (&Netns, &CreateParams),
    ) -> Result<Owned<Veth>, Error> {
        const VETH_INFO_PEER: u16 = 1;
        let (near_end, peer_end) = (&self.near.settings, &self.peer.settings);
        // Leave out the peer's namespace if it is the sender's own.
        let is_elsewhere = !near.is_clone_of(peer);
        let options = |out: &mut Writer<'_>| {
            out.nested(VETH_INFO_PEER, |link| {
                link.raw(&header(AF_UNSPEC, 0));
                peer_end.write(link, peer_params);
                if is_elsewhere {
                    link.bytes(IFLA_NET_NS_FD, &peer.fd().as_raw_fd().to_ne_bytes());
                }
            });
        };
        let new = NewLink {
            peer: Some((&peer_end.name, peer)),
            options: &options,
            ..NewLink::of(ACTION, &LinkKind::Veth, near_end, near)
        };
        let near_link = new.send(near_params)?;
        let snapshot = near_link.snapshot();
        let Some(index) = snapshot.id.link else {
            drop(Owned::new(near_link));
            let cause = Cause::Malformed("a veth without its peer");
            return Err(cause.doing(ACTION, Quoted(&near_end.name)));
        };
        let id = LinkIdentity {
            index,
            name: peer_end.name.as_str().into(),
            kind: snapshot.id.kind.clone(),
            mac: Some(peer_params.mac),
            link: Some(snapshot.id.index),
            tag: peer_params.tag.map(|tag| Tagged::new(tag, (peer.id(), index))),
        };
        let peer = Link::new(peer.clone(), id);
        near_link.pair_with(&peer);
        Ok(Owned::new(Veth { near: near_link, peer }))
    }
}

/// A veth pair that exists. Deleting one end deletes the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    near: Link,
    peer: Link,
}

impl Veth {
    /// Returns the near end: the first one given to the builder.
    pub fn near(&self) -> &Link {
        &self.near
    }

    /// Returns the peer: the second end given to the builder.
    pub fn peer(&self) -> &Link {
        &self.peer
    }

    fn ends(&self) -> Ends {
        Ends { one: self.near.clone(), other: Some(self.peer.clone()) }
    }
}

impl Remove for Veth {
    fn remove(&self) -> Result<Removed, Error> {
        self.ends().remove()
    }

    fn kept(&self) {
        self.near.kept();
        self.peer.kept();
    }

    fn adopted(&self) {
        self.near.adopted();
        self.peer.adopted();
    }

    fn defer(&self, deferred: &mut Deferred) -> bool {
        defer(self.ends(), deferred)
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let near = VethEnd::new("veth1").address("10.0.0.1/24").up();
    VethPair::new(near, VethEnd::new("veth2").up()).create(netns)?.delete().map_err(Error::from)
}
