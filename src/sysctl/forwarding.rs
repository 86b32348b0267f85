//! Forwarding: turns a namespace or single links into a router.

use std::fmt;

use super::directory::Directory;
use super::handle::{Sysctl, SysctlHandle};
use super::setting::{AcceptRa, Conf, Setting};
use crate::error::Error;
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

/// The forwarding of packets: in a whole namespace, or only of packets received on some links.
///
/// Replaces `sysctl -w net.ipv4.ip_forward=1` and `net.ipv4.conf.DEV.forwarding=1`. Dropping the
/// owner restores the previous values.
///
/// ```
/// use netloom::{Forwarding, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let router = Namespace::anonymous().create()?;
/// let _v4 = Forwarding::ipv4().create(&router)?;
/// let _v6 = Forwarding::ipv6().create(&router)?;
/// assert_eq!(router.sysctl("net.ipv4.ip_forward")?, "1");
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// The switch of a namespace applies to all its links. When it is restored, links that forwarded
/// before, or that have an owner of their own, keep forwarding. Owners are counted across programs,
/// like those of [`Sysctl`]. A daemon that needs permanent forwarding calls
/// [`enable`](Self::enable).
///
/// Links normally ignore router advertisements when they forward IPv6. Links that accepted them
/// before continue to accept them, and so do new links. New links keep `accept_ra=2` after the
/// owner is dropped, which without forwarding means the same as the kernel's default of 1.
///
/// Source: Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Forwarding {
    ipv6: bool,
    links: Vec<LinkRef>,
}

impl Forwarding {
    /// Describes the forwarding of IPv4 packets.
    #[doc(alias = "ip_forward")]
    pub fn ipv4() -> Self {
        Self { ipv6: false, links: Vec::new() }
    }

    /// Describes the forwarding of IPv6 packets.
    pub fn ipv6() -> Self {
        Self { ipv6: true, links: Vec::new() }
    }

    /// Limits forwarding to packets received on this link. Each call adds a link. Default: all
    /// links.
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.links.push(link.into());
        self
    }

    /// Turns forwarding on until the owner is dropped. A failure leaves nothing changed.
    ///
    /// # Errors
    ///
    /// - [`is_not_found`](Error::is_not_found) if a link is gone or the kernel has no IPv6.
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_SYS_ADMIN`, if the
    ///   thread is in another namespace. For IPv4 forwarding of single links, `CAP_NET_ADMIN`
    ///   suffices.
    pub fn create(&self, netns: &Netns) -> Result<Owned<ForwardingHandle>, Error> {
        let directory = Directory::of(netns, if self.ipv6 { "ipv6" } else { "ipv4" });
        let mut on = Owned::new(ForwardingHandle { netns: netns.clone(), parts: Vec::new() });
        let mut set = |sysctl: &Sysctl| {
            on.handle_mut().parts.push(sysctl.set(netns, Some(&directory))?);
            Ok(())
        };
        if self.links.is_empty() && !self.ipv6 {
            set(&Sysctl::new("net.ipv4.ip_forward", 1))?;
        } else if self.links.is_empty() {
            // Set the default for new links first, so that a link created meanwhile gets the value
            // too.
            accept_router_advertisements(netns, Conf::Default, &mut set)?;
            for link in netns.links()? {
                accept_router_advertisements(netns, link.name.into(), &mut set)?;
            }
            set(&Sysctl::new("net.ipv6.conf.all.forwarding", 1))?;
        }
        for link in &self.links {
            let link = &netns.link_at(link.resolve(netns, "turn on", self)?)?;
            let forwarding = if self.ipv6 {
                accept_router_advertisements(netns, link.into(), &mut set)?;
                Setting::ipv6_forwarding(link)
            } else {
                Setting::ipv4_forwarding(link)
            };
            set(&forwarding.to(true))?;
        }
        Ok(on)
    }

    /// Turns forwarding on permanently, without an owner: for a daemon that other programs rely on.
    ///
    /// A second call changes nothing. Another program that turned forwarding on too, such as
    /// dockerd, is not affected when this program ends. Only an [owner](Self::create) that existed
    /// before restores the switch.
    ///
    /// ```
    /// use netloom::{Forwarding, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// Forwarding::ipv4().enable(&host)?;
    /// assert_eq!(host.sysctl("net.ipv4.ip_forward")?, "1");
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create).
    pub fn enable(&self, netns: &Netns) -> Result<(), Error> {
        self.create(netns)?.keep();
        Ok(())
    }
}

/// Forwarding that is on. Deleting it restores the previous values. The handle keeps its namespace
/// alive.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardingHandle {
    netns: Netns,
    parts: Vec<SysctlHandle>,
}

impl ForwardingHandle {
    /// Returns the namespace that forwards.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }
}

/// Raises `accept_ra` to 2 on links that accept advertisements: as routers they would ignore them.
fn accept_router_advertisements(
    netns: &Netns,
    conf: Conf,
    set: &mut dyn FnMut(&Sysctl) -> Result<(), Error>,
) -> Result<(), Error> {
    let setting = Setting::accept_ra(conf);
    let raised = setting.read(netns).and_then(|now| match now {
        AcceptRa::Never => Ok(()),
        // Another owner may have raised the value, and may be dropped before this one.
        _ => set(&setting.to(AcceptRa::Always)),
    });
    match raised {
        // The link is gone, or has no IPv6.
        Err(error) if error.is_not_found() => Ok(()),
        raised => raised,
    }
}

/// Restores all parts, the last one first, and returns the first failure.
impl Remove for ForwardingHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let mut result = Ok(Removed::Gone);
        for part in self.parts.iter().rev().map(Remove::remove) {
            result = match (result, part) {
                (Ok(Removed::Gone), part) => part,
                (result, Ok(_)) => result,
                (result, Err(error)) => result.and(Err(error)),
            };
        }
        result
    }

    fn kept(&self) {
        self.parts.iter().for_each(Remove::kept);
    }

    fn adopted(&self) {
        self.parts.iter().for_each(Remove::adopted);
    }
}

impl fmt::Debug for ForwardingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(SysctlHandle::name)).finish()
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ipv6 { "IPv6 forwarding" } else { "IPv4 forwarding" })?;
        self.links.iter().try_for_each(|link| write!(f, " on {link}"))
    }
}
