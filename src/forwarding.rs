//! Forwarding: a namespace, or single links of it, as a router.

use std::fmt;

use crate::error::Error;
use crate::link::{Link, LinkRef};
use crate::netns::{Netns, Quoted, Sysctl, SysctlHandle};
use crate::owned::sealed::Remove;
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
/// The kernel takes a whole namespace's IPv4 switch as one for all its links, when it is put back as
/// well. Where IPv6 forwarding goes on, links that accept router advertisements go on accepting them.
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
    /// done is undone.
    pub fn create(&self, netns: &Netns) -> Result<Owned<ForwardingHandle>, Error> {
        let mut on = Owned::adopt(ForwardingHandle { parts: Vec::new() });
        if self.links.is_empty() {
            let name =
                if self.ipv6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
            if self.ipv6 {
                for link in netns.links()? {
                    on.keep_router_advertisements(netns, &link.name)?;
                }
            }
            on.set(netns, name.into())?;
        }
        for link in &self.links {
            let index = link.resolve(netns, "turn on forwarding of")?;
            if self.ipv6 {
                let name = netns.link_at(index)?.name().to_owned();
                on.keep_router_advertisements(netns, &name)?;
                on.set(netns, format!("net/ipv6/conf/{name}/forwarding"))?;
            } else {
                let link = netns.link_at(index)?;
                let before = link.ipv4_forwarding()?;
                // First the way back: an answer that is lost may be that of a change that was made.
                on.parts.push(Part::Link { link: link.clone(), before });
                link.set_ipv4_forwarding(true)?;
            }
        }
        Ok(on)
    }
}

/// Forwarding that is on. Deleting it puts back what was there.
#[derive(Clone)]
pub struct ForwardingHandle {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Sysctl(SysctlHandle),
    Link { link: Link, before: bool },
}

impl ForwardingHandle {
    fn set(&mut self, netns: &Netns, name: String) -> Result<(), Error> {
        self.parts.push(Part::Sysctl(Sysctl::new(name, 1).create(netns)?.keep()));
        Ok(())
    }

    /// A router ignores advertisements unless `accept_ra` is 2.
    fn keep_router_advertisements(&mut self, netns: &Netns, link: &str) -> Result<(), Error> {
        let name = format!("net/ipv6/conf/{link}/accept_ra");
        match netns.sysctl(&name) {
            Ok(value) if value == "1" => {
                let raised = Sysctl::new(name, 2).create(netns)?;
                self.parts.push(Part::Sysctl(raised.keep()));
                Ok(())
            }
            // The link is gone, or has no IPv6.
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// All parts, the last one first; the first failure is told, when all have been tried.
impl Remove for ForwardingHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut result = Ok(());
        for part in self.parts.iter().rev() {
            let done = match part {
                Part::Sysctl(handle) => sealed::Remove::remove(handle),
                Part::Link { link, before } => link.set_ipv4_forwarding(*before),
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

/// `IPV4_DEVCONF_FORWARDING` (`include/uapi/linux/ip.h`).
const FORWARDING: u16 = 1;

impl Link {
    /// Whether IPv4 packets that come in here are forwarded.
    fn ipv4_forwarding(&self) -> Result<bool, Error> {
        Ok(self.ipv4_setting(FORWARDING)? != 0)
    }

    fn set_ipv4_forwarding(&self, on: bool) -> Result<(), Error> {
        self.set_ipv4_setting(FORWARDING, u32::from(on))
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ipv6 { "IPv6 forwarding" } else { "IPv4 forwarding" })?;
        self.links.iter().try_for_each(|link| write!(f, " on {}", Quoted(link.name())))
    }
}
