//! Addresses of links.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::link::{Link, LinkIndex};
use crate::netlink::{RequestType, Requests, RouteRequest};
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::route::PROTOCOL;
use crate::wire::address::{
    AddressView, IFA_ADDRESS, IFA_BROADCAST, IFA_F_NODAD, IFA_F_PERMANENT, IFA_F_TENTATIVE,
    IFA_FLAGS, IFA_LOCAL, IFA_PROTO, header,
};
use crate::wire::attribute::Writer;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};

/// An address to be: what a link is reached by, with the length of its network's prefix.
///
/// Replaces `ip address add ADDRESS dev NAME`. A literal such as `"10.0.0.2/24"` is one, wherever a
/// setter takes an address.
///
/// ```
/// use netloom::{Address, Bridge, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").create(&host)?;
/// let _address = Address::new("10.0.0.1/24").broadcast_auto().create(&bridge)?;
/// let listed = &host.addresses()?[0];
/// assert_eq!(listed.to_string(), "10.0.0.1/24 brd 10.0.0.255 dev if2");
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: ip-address(8), net/ipv4/devinet.c, net/ipv6/addrconf.c.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Address {
    prefix: Option<IpNet>,
    broadcast: Broadcast,
    detect_duplicates: bool,
    rejected: FirstRejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broadcast {
    None,
    Auto,
    Given(Ipv4Addr),
}

impl Address {
    /// This address, as `10.0.0.2/24` or `fd00::2/64`.
    pub fn new(address: impl Input<IpNet>) -> Self {
        let mut rejected = FirstRejected::default();
        let prefix = rejected.read("address", address);
        Self { prefix, broadcast: Broadcast::None, detect_duplicates: false, rejected }
    }

    /// With the broadcast address of its network, as `brd +`: all host bits set. A /31 or /32 has none,
    /// nor has an IPv6 address. Default: none.
    #[doc(alias("brd +", "IFA_BROADCAST"))]
    pub fn broadcast_auto(mut self) -> Self {
        self.broadcast = Broadcast::Auto;
        self
    }

    /// With this broadcast address, as `brd ADDRESS`.
    pub fn broadcast(mut self, broadcast: Ipv4Addr) -> Self {
        if self.prefix.is_some_and(|prefix| prefix.addr().is_ipv6()) {
            self.rejected.reject(
                "broadcast",
                broadcast,
                "an IPv6 network has no broadcast address",
            );
        }
        self.broadcast = Broadcast::Given(broadcast);
        self
    }

    /// Has the kernel ask the network for duplicates before an IPv6 address is used, which takes a
    /// second or more. Default: not (`nodad`), as fits networks that one program sets up.
    #[doc(alias("nodad", "IFA_F_NODAD"))]
    pub fn detect_duplicates(mut self) -> Self {
        self.detect_duplicates = true;
        self
    }

    /// Adds it to a link.
    ///
    /// # Errors
    ///
    /// A literal that is no address is refused before any system call. An address that the link has
    /// already is [`is_already_exists`](Error::is_already_exists).
    #[doc(alias("ip address add", "RTM_NEWADDR"))]
    pub fn create(&self, link: &Link) -> Result<Owned<AddressHandle>, Error> {
        const ACTION: &str = "add address";
        self.rejected.check(ACTION, self)?;
        let Some((prefix, message)) = self.prefix.zip(self.add(link.index().get())) else {
            return Err(Error::invalid(ACTION, self, "it has no value"));
        };
        let mut requests = Requests::new();
        requests.push(ACTION, self, &message, NLM_F_CREATE | NLM_F_EXCL);
        let handle = AddressHandle { link: link.clone(), prefix };
        link.namespace().send(requests, |_, _| ()).map_err(|error| {
            if error.is_outcome_unknown() {
                handle.delete_if_ours();
            }
            explain(error, link.name())
        })?;
        Ok(Owned::new(handle))
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.prefix.is_some_and(|prefix| prefix.addr().is_ipv6())
    }

    pub(crate) fn rejected(&self) -> &FirstRejected {
        &self.rejected
    }

    /// The request that adds it; none where the literal was bad.
    pub(crate) fn add(&self, index: u32) -> Option<RouteRequest> {
        let prefix = self.prefix?;
        let is_used_at_once = prefix.addr().is_ipv6() && !self.detect_duplicates;
        Some(request(RequestType::NewAddress, prefix, index, |out| {
            out.u8(IFA_PROTO, PROTOCOL);
            if let Some(broadcast) = self.broadcast_of(prefix) {
                out.ip(IFA_BROADCAST, broadcast.into());
            }
            if is_used_at_once {
                out.u32(IFA_FLAGS, IFA_F_NODAD);
            }
        }))
    }

    fn broadcast_of(&self, prefix: IpNet) -> Option<Ipv4Addr> {
        match (self.broadcast, prefix) {
            (Broadcast::Given(address), IpNet::V4(_)) => Some(address),
            (Broadcast::Auto, IpNet::V4(net)) if net.prefix_len() <= 30 => Some(net.broadcast()),
            _ => None,
        }
    }
}

/// What the kernel's errno for an address of this link means.
pub(crate) fn explain(error: Error, link: &str) -> Error {
    error
        .hint_on(Errno::EEXIST, || format!("`{link}` has this address already"))
        .hint_on(Errno::EACCES, || {
            format!("IPv6 is off on `{link}` (net.ipv6.conf.{link}.disable_ipv6)")
        })
        // IPv4 is there wherever links are.
        .hint_on(Errno::EOPNOTSUPP, || {
            "this kernel has no IPv6 (booted with ipv6.disable=1, or without CONFIG_IPV6)".into()
        })
}

/// The request that means this address, to add or to delete it, with what `more` writes.
fn request(
    kind: RequestType,
    prefix: IpNet,
    index: u32,
    more: impl FnOnce(&mut Writer<'_>),
) -> RouteRequest {
    let header = header(Some(prefix), index);
    RouteRequest::new(kind, &header, |out| {
        out.ip(IFA_LOCAL, prefix.addr());
        out.ip(IFA_ADDRESS, prefix.addr());
        more(out);
    })
}

/// Those of one link; 0 means all.
fn all_of(link: u32) -> RouteRequest {
    RouteRequest::new(RequestType::GetAddress, &header(None, link), |_| ())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => prefix.fmt(f),
            None => f.write_str("(no address)"),
        }
    }
}

macro_rules! from {
    ($($from:ty),+) => {$(
        impl From<$from> for Address {
            fn from(address: $from) -> Self {
                Self::new(address)
            }
        }
    )+};
}
from!(&str, String, &String, IpNet, Ipv4Net, Ipv6Net);

/// An address that a link has.
///
/// When an IPv4 network's first address on a link is deleted, the kernel deletes that network's other
/// addresses there with it, whoever added them, unless the link promotes them
/// (`net.ipv4.conf.DEV.promote_secondaries`). Their owners then find them gone, which is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressHandle {
    link: Link,
    prefix: IpNet,
}

impl AddressHandle {
    /// The address with the length of its prefix.
    pub fn prefix(&self) -> IpNet {
        self.prefix
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.prefix.addr()
    }

    /// The link that has it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// After an answer was lost: it may be there, and is ours if it says that netloom made it.
    fn delete_if_ours(&self) {
        let namespace = self.link.namespace();
        let listed = namespace.dump("addresses", &all_of(self.link.index().get()), |message| {
            let view = AddressView::read(message)?;
            let ours = view.index == self.link.index().get() && view.protocol() == Some(PROTOCOL);
            (ours && view.prefix == self.prefix.prefix_len()).then(|| view.local())?
        });
        if listed.is_ok_and(|ours| ours.contains(&self.prefix.addr())) {
            drop(Owned::new(self.clone()));
        }
    }
}

/// As `ip address del`, while the link's index is still its own: it may be a stranger's, with the same address.
impl Remove for AddressHandle {
    fn remove(&self) -> Result<(), Error> {
        if !self.link.is_there()? {
            let gone = Cause::from(Errno::ENODEV).doing("delete address", self.prefix);
            return Err(gone.in_namespace(self.link.namespace()));
        }
        let message =
            request(RequestType::DelAddress, self.prefix, self.link.index().get(), |_| ());
        let mut requests = Requests::new();
        requests.push("delete address", &self.prefix, &message, 0);
        self.link.namespace().send(requests, |_, _| ())
    }
}

/// An address as the kernel lists it, a line of `ip address`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressInfo {
    /// The index of the link that has it.
    pub link: LinkIndex,
    /// The address with the length of its prefix.
    pub prefix: IpNet,
    /// The other end, where it is point-to-point.
    pub peer: Option<IpAddr>,
    /// Its broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Its label: an IPv4 address has one, by default its link's name.
    pub label: Option<String>,
    /// Whether duplicates are still being looked for.
    pub tentative: bool,
    /// Whether it was set for good, not for a lifetime.
    pub permanent: bool,
}

impl AddressInfo {
    fn read(view: AddressView<'_>) -> Option<Self> {
        let has = |flag: u32| view.flags() & flag != 0;
        Some(Self {
            link: view.index.into(),
            prefix: IpNet::new(view.local()?, view.prefix).ok()?,
            peer: view.peer(),
            broadcast: view.broadcast(),
            label: view.label(),
            tentative: has(IFA_F_TENTATIVE),
            permanent: has(IFA_F_PERMANENT),
        })
    }
}

/// One line, in the words of `ip address`.
impl fmt::Display for AddressInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if let Some(peer) = self.peer {
            write!(f, " peer {peer}")?;
        }
        if let Some(broadcast) = self.broadcast {
            write!(f, " brd {broadcast}")?;
        }
        write!(f, " dev if{}", self.link)
    }
}

impl Netns {
    /// All addresses of all links, IPv4 and IPv6, as `ip address show`.
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read: it is whole, or an error.
    #[doc(alias("ip addr show", "RTM_GETADDR"))]
    pub fn addresses(&self) -> Result<Vec<AddressInfo>, Error> {
        self.addresses_of(0)
    }

    /// Those of one link; 0 means all. The kernel filters: strict checking is on.
    fn addresses_of(&self, link: u32) -> Result<Vec<AddressInfo>, Error> {
        self.dump("addresses", &all_of(link), |message| {
            AddressInfo::read(AddressView::read(message)?)
        })
    }
}

impl Link {
    /// Its addresses, IPv4 and IPv6, as `ip address show dev NAME`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone.
    pub fn addresses(&self) -> Result<Vec<AddressInfo>, Error> {
        self.namespace().addresses_of(self.index().get())
    }

    /// One of its addresses, by what it is with the length of its prefix, whoever added it.
    /// [`Owned::adopt`] takes on the duty to delete it.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").address("10.0.0.1/24").create(&host)?;
    /// Owned::adopt(bridge.address("10.0.0.1/24")?).delete()?;
    /// assert!(bridge.address("10.0.0.1/24").unwrap_err().is_not_found());
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where it has no such address, or is gone.
    pub fn address(&self, address: impl Input<IpNet>) -> Result<AddressHandle, Error> {
        const ACTION: &str = "find address";
        let mut rejected = FirstRejected::default();
        let prefix = rejected.read("address", address);
        rejected.check(ACTION, self)?;
        let has = |prefix: &IpNet| -> Result<bool, Error> {
            Ok(self.addresses()?.iter().any(|info| info.prefix == *prefix))
        };
        match prefix {
            Some(prefix) if has(&prefix)? => Ok(AddressHandle { link: self.clone(), prefix }),
            prefix => {
                let shown = prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
                let gone = Cause::from(Errno::EADDRNOTAVAIL).doing(ACTION, shown);
                Err(gone.in_namespace(self.namespace()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;

    #[test]
    fn broadcast_is_worked_out_as_ip_does() {
        let broadcast = |text: &str| {
            let address = Address::new(text).broadcast_auto();
            address.broadcast_of(address.prefix.unwrap()).map(|address| address.to_string())
        };
        assert_eq!(broadcast("10.0.0.1/24").as_deref(), Some("10.0.0.255"));
        assert_eq!(broadcast("10.0.0.1/30").as_deref(), Some("10.0.0.3"));
        assert_eq!(broadcast("10.1.2.3/8").as_deref(), Some("10.255.255.255"));
        for none in ["10.0.0.1/31", "10.0.0.1/32", "fd00::1/64"] {
            assert_eq!(broadcast(none), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_reads_back(
            address: [u8; 16],
            ipv6: bool,
            length in 0u8..=128,
            index: u32,
            broadcast: bool,
        ) {
            let [a, b, c, d, ..] = address;
            let ip = if ipv6 { IpAddr::from(address) } else { IpAddr::from([a, b, c, d]) };
            let prefix = IpNet::new(ip, if ipv6 { length } else { length % 33 }).unwrap();
            let mut asked = Address::new(prefix);
            if broadcast {
                asked = asked.broadcast_auto();
            }
            // As text it is the same.
            assert_eq!(Address::new(prefix.to_string()).add(index), Address::new(prefix).add(index));
            let message = asked.add(index).unwrap();
            let payload = message.payload();
            let message = Message { kind: 20, flags: 0, sequence: 0, payload };
            let read = AddressInfo::read(AddressView::read(message).unwrap()).unwrap();
            assert_eq!((read.prefix, read.link, read.peer), (prefix, index.into(), None));
            let expected = match prefix {
                IpNet::V4(net) if broadcast && net.prefix_len() < 31 => Some(net.broadcast()),
                _ => None,
            };
            assert_eq!(read.broadcast, expected);
        }
    }
}
