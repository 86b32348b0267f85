//! Forwarding: a namespace, or single links of it, as a router.

use std::fmt;

use crate::error::Error;
use crate::link::{Ipv4Conf, LinkRef, LinkSettingHandle};
use crate::netns::{Netns, Quoted, Sysctl, SysctlHandle};
use crate::owned::sealed::{Remove, Removed};
use crate::owned::{Owned, sealed};

/// Forwarding to be: in a whole namespace, or of what comes in on single links.
///
/// Replaces `sysctl -w net.ipv4.ip_forward=1`, and `net.ipv4.conf.DEV.forwarding=1` without `/proc`, over
/// netlink. What was there is put back when the owner goes.
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
/// A whole namespace's switch is one for all its links; when it is put back, those that forwarded before,
/// or have an owner of their own, go on. Of several owners the last to go puts back. Where IPv6 forwarding
/// goes on, links that accept router advertisements go on accepting them, those that come later included:
/// these keep `accept_ra=2` when it goes off, which then means what 1, the kernel's default, does.
/// Source: Documentation/networking/ip-sysctl.rst.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Forwarding {
    ipv6: bool,
    links: Vec<LinkRef>,
}

impl Forwarding {
    /// Of IPv4 packets.
    #[doc(alias = "ip_forward")]
    pub fn ipv4() -> Self {
        Self { ipv6: false, links: Vec::new() }
    }

    /// Of IPv6 packets.
    pub fn ipv6() -> Self {
        Self { ipv6: true, links: Vec::new() }
    }

    /// Only of what comes in on this link; may be called again for more. Default: the whole namespace.
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.links.push(link.into());
        self
    }

    /// Turns it on.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where a link is gone or the kernel has no IPv6. What was
    /// done is undone. For a whole namespace that is not the thread's, and for IPv6, it takes `CAP_SYS_ADMIN`, as
    /// [`Sysctl`](crate::Sysctl) does.
    pub fn create(&self, netns: &Netns) -> Result<Owned<ForwardingHandle>, Error> {
        let mut on = Owned::new(ForwardingHandle { netns: netns.clone(), parts: Vec::new() });
        if self.links.is_empty() {
            let name =
                if self.ipv6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
            if self.ipv6 {
                // The links that come later take theirs from here.
                on.handle_mut().keep_router_advertisements_of_new_links()?;
                for link in netns.links()? {
                    on.handle_mut().keep_router_advertisements((link.index.get(), &link.name))?;
                }
            }
            on.handle_mut().parts.push(Part::Sysctl(Sysctl::new(name, 1).create(netns)?.keep()));
        }
        for link in &self.links {
            let index = link.resolve(netns, "turn on", self)?;
            let link = netns.link_at(index)?;
            if self.ipv6 {
                let name = link.name();
                let link = (index, name.as_str());
                on.handle_mut().keep_router_advertisements(link)?;
                on.handle_mut().set(link, "forwarding", 1)?;
            } else {
                let one = Ipv4Conf::Forwarding.to(1).create(&link)?;
                on.handle_mut().parts.push(Part::Link(one.keep()));
            }
        }
        Ok(on)
    }
}

/// Forwarding that is on. Deleting it puts back what was there. It keeps its namespace alive.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardingHandle {
    netns: Netns,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Sysctl(SysctlHandle),
    Link(LinkSettingHandle),
}

impl ForwardingHandle {
    /// The namespace that forwards.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// Sets an IPv6 setting of a link, by its index and name.
    fn set(&mut self, link: (u32, &str), name: &str, value: u32) -> Result<(), Error> {
        let one = Sysctl::create_on_link(&self.netns, link, ("ipv6/conf", name), value)?;
        self.parts.push(Part::Sysctl(one));
        Ok(())
    }

    /// A router ignores advertisements unless `accept_ra` is 2.
    fn keep_router_advertisements(&mut self, link: (u32, &str)) -> Result<(), Error> {
        if self.accepts_router_advertisements(link.1)? {
            self.set(link, "accept_ra", 2)?;
        }
        Ok(())
    }

    fn keep_router_advertisements_of_new_links(&mut self) -> Result<(), Error> {
        if self.accepts_router_advertisements("default")? {
            let raised = Sysctl::new("net.ipv6.conf.default.accept_ra", 2).create(&self.netns)?;
            self.parts.push(Part::Sysctl(raised.keep()));
        }
        Ok(())
    }

    fn accepts_router_advertisements(&self, link: &str) -> Result<bool, Error> {
        match self.netns.sysctl(&format!("net/ipv6/conf/{link}/accept_ra")) {
            // One that is raised already may be so for another owner, who goes first.
            Ok(value) => Ok(value != "0"),
            // The link is gone, or has no IPv6.
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// All parts, the last one first; the first failure is told, when all have been tried.
impl Remove for ForwardingHandle {
    fn remove(&self) -> Result<Removed, Error> {
        Removed::unless_missing(self.remove_once())
    }
}

impl ForwardingHandle {
    fn remove_once(&self) -> Result<(), Error> {
        let mut result = Ok(());
        for part in self.parts.iter().rev() {
            let done = match part {
                Part::Sysctl(handle) => sealed::Remove::remove(handle),
                Part::Link(handle) => sealed::Remove::remove(handle),
            };
            match done {
                Err(error) if !error.is_not_found() => result = result.and(Err(error)),
                _ => {}
            }
        }
        result
    }
}

impl fmt::Debug for ForwardingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.parts).finish()
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ipv6 { "IPv6 forwarding" } else { "IPv4 forwarding" })?;
        self.links.iter().try_for_each(|link| write!(f, " on {}", Quoted(link.name())))
    }
}
