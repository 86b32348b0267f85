//! Veth pairs: cables with two ends, each in a namespace.

use std::net::IpAddr;

use nix::errno::Errno;

use super::change::explain_master;
use super::configure::{Remaining, configure};
use super::create::create_link;
use super::group::{self, Doomed, Ends};
use super::handle::Link;
use super::message::LinkRequest;
use super::reference::LinkRef;
use super::settings::{Settings, link_setters};
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::netns::{Identity, Netns, Quoted};
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::together::sealed::Later;

/// A veth pair to be: a cable whose two ends are links, in one namespace or in two.
///
/// Replaces `ip link add A netns X type veth peer name B netns Y`: both ends are born where they
/// belong, which takes 0.3 ms where making them here and moving one takes 16.
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
/// assert_eq!(cable.peer().namespace(), &*blue);
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

/// One end of a [`VethPair`]. A name alone is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an end does nothing until its pair is created"]
pub struct VethEnd {
    settings: Settings,
    gateways: Vec<IpAddr>,
    loopback_up: bool,
    rejected: FirstRejected,
}

impl VethEnd {
    /// An end of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self {
            settings: Settings::new(name.as_ref()),
            gateways: Vec::new(),
            loopback_up: false,
            rejected: FirstRejected::default(),
        }
    }

    link_setters!();

    /// Makes a default route out of this end, as `ip route add default via GATEWAY dev NAME`; once a
    /// family. The end has to be [`up`](Self::up). The route goes with the end.
    pub fn gateway(mut self, gateway: impl Input<IpAddr>) -> Self {
        if let Some(gateway) = self.rejected.read("gateway", gateway) {
            if self.gateways.iter().any(|other| other.is_ipv6() == gateway.is_ipv6()) {
                let reason = "one default gateway a family: there is one already";
                self.rejected.reject("gateway", gateway, reason);
            }
            self.gateways.push(gateway);
        }
        self
    }

    /// Sets the loopback link of the end's namespace up as well, in the same datagram.
    pub fn loopback_up(mut self) -> Self {
        self.loopback_up = true;
        self
    }

    fn check(&self, action: &'static str) -> Result<(), Error> {
        self.settings.check(action)?;
        self.rejected.check(action, Quoted(&self.settings.name))?;
        if self.gateways.is_empty() || self.settings.up {
            return Ok(());
        }
        let reason = "gateway(…) needs up(): the kernel takes no route out of a link that is down";
        Err(Error::invalid(action, Quoted(&self.settings.name), reason))
    }

    fn remaining(&self, born_up: bool, master: Option<u32>) -> Remaining<'_> {
        Remaining {
            master,
            up: self.settings.up && !born_up,
            gateways: &self.gateways,
            loopback_up: self.loopback_up,
        }
    }
}

impl<N: AsRef<str>> From<N> for VethEnd {
    fn from(name: N) -> Self {
        Self::new(name)
    }
}

impl VethPair {
    /// A pair with these ends, each a name or a [`VethEnd`].
    pub fn new(near: impl Into<VethEnd>, peer: impl Into<VethEnd>) -> Self {
        Self { near: near.into(), peer: peer.into() }
    }

    /// Makes both ends in one namespace, as `ip link add A type veth peer name B`.
    ///
    /// # Errors
    ///
    /// As [`create_between`](Self::create_between).
    pub fn create(&self, netns: &Netns) -> Result<Owned<Veth>, Error> {
        self.create_between(netns, netns)
    }

    /// Makes the near end in one namespace and its peer in another, in one message.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call, such as two ends of the same name in the
    /// same namespace. A name that is taken is [`is_already_exists`](Error::is_already_exists). Nothing
    /// is left where it fails.
    #[doc(alias("ip link add", "RTM_NEWLINK", "VETH_INFO_PEER"))]
    pub fn create_between(&self, near: &Netns, peer: &Netns) -> Result<Owned<Veth>, Error> {
        const ACTION: &str = "create veth pair";
        let (near_end, peer_end) = (&self.near.settings, &self.peer.settings);
        self.near.check(ACTION)?;
        self.peer.check(ACTION)?;
        if near_end.name == peer_end.name && near == peer {
            let reason = "both ends have this name, in the same namespace";
            return Err(Error::invalid(ACTION, Quoted(&near_end.name), reason).in_namespace(near));
        }
        let master = |end: &Settings, netns: &Netns| {
            let resolve = |master: &LinkRef| master.resolve(netns, ACTION, Quoted(&end.name));
            end.master.as_ref().map(resolve).transpose()
        };
        let near_master = master(near_end, near)?;
        let peer_master = master(peer_end, peer)?;
        let (mac, peer_mac) = (near_end.birth_mac(), peer_end.birth_mac());
        let unmarked = |cause: Cause, end: &Settings, netns: &Netns| {
            cause.doing(ACTION, Quoted(&end.name)).in_namespace(netns)
        };
        let mut far = peer_end
            .create_request(peer_mac, peer)
            .map_err(|cause| unmarked(cause, peer_end, peer))?;
        // To be moved to where it is does no harm, and asks for nobody's identity.
        if !near.is_clone_of(peer) {
            far = far.namespace(peer);
        }
        let request =
            near_end.create_request(mac, near).map_err(|cause| unmarked(cause, near_end, near))?;
        let request = self.request(request, &far, near_master);
        let near_link = create_link(ACTION, near, near_end, mac, request)
            .map_err(|error| self.explain_taken(error, near, peer))?;
        let Some(peer_index) = near_link.identity.link else {
            drop(Owned::new(near_link));
            let cause = Cause::Malformed("a veth without its peer");
            return Err(cause.doing(ACTION, Quoted(&near_end.name)));
        };
        let kind = near_link.identity.kind.clone();
        let identity = Identity { kind, mac: Some(peer_mac), link: Some(near_link.index) };
        let name = peer_end.name.as_str().into();
        let far = Link { netns: peer.clone(), index: peer_index, name, identity };
        let veth = Owned::new(Veth { near: near_link, peer: far });
        let explain = |error, netns, end: &Settings, index| match (&end.master, index) {
            (Some(master), Some(index)) => explain_master(error, netns, master, index),
            _ => error,
        };
        configure(&veth.near, near_end, self.near.remaining(near_end.born_up(), None))?;
        // Both ends up in the create message: ENOTCONN. So the peer comes up in a datagram of its own.
        configure(&veth.peer, peer_end, self.peer.remaining(false, peer_master))
            .map_err(|error| explain(error, peer, peer_end, peer_master))?;
        Ok(veth)
    }

    fn request(&self, near: LinkRequest, far: &LinkRequest, master: Option<u32>) -> LinkRequest {
        const VETH_INFO_PEER: u16 = 1;
        let mut request = near.up(self.near.settings.born_up());
        if let Some(index) = master {
            request = request.master(index);
        }
        request.kind("veth", |options| options.bytes(VETH_INFO_PEER, far.as_bytes()))
    }

    /// The kernel says EEXIST for either end, and not which.
    fn explain_taken(&self, error: Error, near: &Netns, peer: &Netns) -> Error {
        error.hint_on(Errno::EEXIST, || {
            let ends = [(&self.near.settings.name, near), (&self.peer.settings.name, peer)];
            let taken = ends.into_iter().find(|(name, netns)| netns.link(name).is_ok());
            match taken {
                Some((name, netns)) => format!("a link named `{name}` is already in {netns}"),
                None => "a link of one of these names was there".into(),
            }
        })
    }
}

/// A veth pair that exists: its near end and the peer.
///
/// Deleting it deletes both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    near: Link,
    peer: Link,
}

impl Veth {
    /// The end that was given first.
    pub fn near(&self) -> &Link {
        &self.near
    }

    /// The end that was given second.
    pub fn peer(&self) -> &Link {
        &self.peer
    }

    /// The near end, to rename or move.
    pub fn near_mut(&mut self) -> &mut Link {
        &mut self.near
    }

    /// The peer, to rename or move.
    pub fn peer_mut(&mut self) -> &mut Link {
        &mut self.peer
    }
}

/// By its near end, with which the kernel deletes the other. Where somebody moved the near end, it is
/// still a cable: the peer takes it along.
impl Remove for Veth {
    fn remove(&self) -> Result<(), Error> {
        match self.near.remove() {
            Err(error) if error.is_not_found() => self.peer.remove(),
            result => result,
        }
    }

    fn kept(&self) {
        self.near.kept();
        self.peer.kept();
    }

    fn adopted(&self) {
        self.near.adopted();
        self.peer.adopted();
    }

    fn remove_later(&self, later: &mut Later) -> bool {
        later.with(|doomed: &mut Doomed| doomed.push(self.near.clone(), Some(self.peer.clone())));
        true
    }

    fn remove_all(cables: &[&Self]) -> Vec<Result<(), Error>> {
        let ends = cables.iter().map(|cable| Ends { one: &cable.near, other: Some(&cable.peer) });
        group::remove_all(&ends.collect::<Vec<_>>())
    }
}
