//! Addresses of links.

mod info;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::address::{AddressAttribute, AddressFlags};
use nix::errno::Errno;

pub use info::AddressInfo;

use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::link::Link;
use crate::netlink::{Batch, RequestType, Requests};
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};
use crate::route::PROTOCOL;
use crate::wire::message::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};

/// An address to add to a link, with its prefix length.
///
/// Replaces `ip address add ADDRESS dev NAME`. Setters that take an address also take a literal
/// such as `"10.0.0.2/24"`.
///
/// ```
/// use netloom::{Address, Bridge, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").create(&host)?;
/// let _address = Address::new("10.0.0.1/24").broadcast_auto().create(&bridge)?;
/// let listed = &host.addresses()?[0];
/// assert_eq!(listed.to_string(), "10.0.0.1/24 brd 10.0.0.255 scope global dev if2 label br0");
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
    pub(crate) rejected: FirstRejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broadcast {
    None,
    Auto,
    Given(Ipv4Addr),
}

impl Address {
    /// Describes an address such as `10.0.0.2/24` or `fd00::2/64`.
    ///
    /// The builder refuses `0.0.0.0`, `::` and multicast addresses: no link can have such an
    /// address.
    pub fn new(address: impl Input<IpNet>) -> Self {
        let mut rejected = FirstRejected::default();
        let prefix = rejected.read("address", address);
        // The kernel accepts 0.0.0.0 and ignores it.
        let is_refused = |address: IpAddr| address.is_unspecified() || address.is_multicast();
        if let Some(prefix) = prefix.filter(|prefix| is_refused(prefix.addr())) {
            rejected.reject("address", prefix, "no link can have this address");
        }
        Self { prefix, broadcast: Broadcast::None, detect_duplicates: false, rejected }
    }

    /// Sets the broadcast address to the highest address of the network, as `brd +`. Does nothing
    /// for a /31, a /32 and an IPv6 address, which have no broadcast address. Default: no broadcast
    /// address.
    #[doc(alias("brd +", "IFA_BROADCAST"))]
    pub fn broadcast_auto(mut self) -> Self {
        self.broadcast = Broadcast::Auto;
        self
    }

    /// Sets this broadcast address, as `brd ADDRESS`.
    pub fn broadcast(mut self, broadcast: Ipv4Addr) -> Self {
        if self.is_ipv6() {
            let reason = "an IPv6 network has no broadcast address";
            self.rejected.reject("broadcast", broadcast, reason);
        }
        self.broadcast = Broadcast::Given(broadcast);
        self
    }

    /// Turns duplicate address detection on for an IPv6 address, which delays its use by a second
    /// or more. Default: off (`nodad`), which suits networks that one program sets up.
    #[doc(alias("nodad", "IFA_F_NODAD"))]
    pub fn detect_duplicates(mut self) -> Self {
        self.detect_duplicates = true;
        self
    }

    /// Adds the address to a link.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad literal, before any system call
    /// - `is_already_exists()` if the link has the address already
    /// - `is_not_found()` if the link is gone
    #[doc(alias("ip address add", "RTM_NEWADDR"))]
    pub fn create(&self, link: &Link) -> Result<Owned<AddressHandle>, Error> {
        const ACTION: &str = "add address";
        self.rejected.check(ACTION, self)?;
        let index = link.verified_index(ACTION, self)?;
        let Some(prefix) = self.prefix else {
            return Err(Error::invalid(ACTION, self, "the builder has no address"));
        };
        let mut requests = Requests::default();
        requests.push(ACTION, self, |batch| self.add(index, batch));
        let handle = AddressHandle { link: link.clone(), prefix, peer: None };
        link.namespace().send(requests).map_err(|error| {
            if error.is_outcome_unknown() {
                handle.delete_if_ours();
            }
            explain(error, &link.name())
        })?;
        Ok(Owned::new(handle))
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.prefix.is_some_and(|prefix| prefix.addr().is_ipv6())
    }

    /// Appends the request that adds the address, for a builder that was checked before.
    pub(crate) fn add(&self, index: u32, batch: &mut Batch) -> usize {
        let header = header(self.prefix, index);
        batch.push(RequestType::NewAddress, NLM_F_CREATE | NLM_F_EXCL, &header, |out| {
            let Some(prefix) = self.prefix else { return };
            out.emit(&AddressAttribute::Local(prefix.addr()));
            out.emit(&AddressAttribute::Address(prefix.addr()));
            out.emit(&AddressAttribute::Protocol(PROTOCOL.into()));
            if let Some(broadcast) = self.broadcast_of(prefix) {
                out.emit(&AddressAttribute::Broadcast(broadcast));
            }
            if prefix.addr().is_ipv6() && !self.detect_duplicates {
                out.emit(&AddressAttribute::Flags(AddressFlags::Nodad));
            }
        })
    }

    fn broadcast_of(&self, prefix: IpNet) -> Option<Ipv4Addr> {
        match (self.broadcast, prefix) {
            (Broadcast::Given(address), IpNet::V4(_)) => Some(address),
            (Broadcast::Auto, IpNet::V4(net)) if net.prefix_len() <= 30 => Some(net.broadcast()),
            _ => None,
        }
    }
}

/// Adds a hint that explains the kernel's errno for an address of this link.
pub(crate) fn explain(error: Error, link: &str) -> Error {
    error
        .hint_on(Errno::EEXIST, || format!("`{link}` has this address already"))
        .hint_on(Errno::EACCES, || {
            format!("IPv6 is off on `{link}` (net.ipv6.conf.{link}.disable_ipv6)")
        })
        // EOPNOTSUPP must be about IPv6: a kernel with links always has IPv4.
        .hint_on(Errno::EOPNOTSUPP, || {
            "this kernel has no IPv6 (booted with ipv6.disable=1, or without CONFIG_IPV6)".into()
        })
}

/// Returns the `struct ifaddrmsg` of a request. A `prefix` of `None` means all addresses of both
/// families, a `link` of 0 means all links.
fn header(prefix: Option<IpNet>, link: u32) -> [u8; 8] {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    let mut header = [0; 8];
    if let Some(prefix) = prefix {
        let family = if prefix.addr().is_ipv4() { AF_INET } else { AF_INET6 };
        [header[0], header[1]] = [family, prefix.prefix_len()];
    }
    header[4..].copy_from_slice(&link.to_ne_bytes());
    header
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
/// When the first address of an IPv4 network on a link is deleted, the kernel also deletes the
/// link's other addresses in that network, whichever program added them. The sysctl
/// `net.ipv4.conf.DEV.promote_secondaries` prevents that. Deleting an address that is gone already
/// succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressHandle {
    link: Link,
    prefix: IpNet,
    /// The other end of a point-to-point address. The kernel compares it on deletion.
    peer: Option<IpAddr>,
}

impl AddressHandle {
    /// Returns the address with its prefix length.
    pub fn prefix(&self) -> IpNet {
        self.prefix
    }

    /// Returns the address without its prefix length.
    pub fn ip(&self) -> IpAddr {
        self.prefix.addr()
    }

    /// Returns the link that has the address.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Deletes the address after its `create` got no answer, if the kernel lists an address that
    /// netloom added.
    fn delete_if_ours(&self) {
        let ours = |info: AddressInfo| info.protocol == Some(PROTOCOL);
        if self.listed().is_ok_and(|listed| listed.is_some_and(ours)) {
            drop(Owned::new(self.clone()));
        }
    }

    /// Returns the kernel's current entry for the address.
    fn listed(&self) -> Result<Option<AddressInfo>, Error> {
        let list = self.link.addresses()?;
        Ok(list.into_iter().find(|info| (info.prefix, info.peer) == (self.prefix, self.peer)))
    }
}

const ACTION: &str = "delete address";

/// Deletes the address as `ip address del`, if the link is still the same: another link may have
/// taken its index.
impl Remove for AddressHandle {
    fn remove(&self) -> Result<Removed, Error> {
        self.link.remove_part(ACTION, self.prefix, || self.remove_once())
    }
}

impl AddressHandle {
    fn remove_once(&self) -> Result<Removed, Error> {
        let namespace = self.link.namespace();
        let index = self.link.index().get();
        let header = header(Some(self.prefix), index);
        let mut requests = Requests::default();
        requests.push(ACTION, &self.prefix, |batch| {
            batch.push(RequestType::DelAddress, 0, &header, |out| {
                out.emit(&AddressAttribute::Local(self.ip()));
                out.emit(&AddressAttribute::Address(self.peer.unwrap_or(self.ip())));
            })
        });
        match namespace.send(requests) {
            Ok(()) => Ok(Removed::Deleted),
            Err(error) if error.errno() == Some(Errno::EADDRNOTAVAIL) => {
                if self.listed()?.is_none() {
                    return Ok(Removed::Gone);
                }
                let reason =
                    format!("the kernel lists the address, but answers {}", error.reason());
                Err(Error::invalid(ACTION, self.prefix, reason).in_namespace(namespace))
            }
            Err(error) => Err(error),
        }
    }
}

impl Netns {
    /// Lists all addresses of all links, IPv4 and IPv6, as `ip address show`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    #[doc(alias("ip addr show", "RTM_GETADDR"))]
    pub fn addresses(&self) -> Result<Vec<AddressInfo>, Error> {
        self.addresses_of(0)
    }

    /// Lists the addresses of one link, or of all links if `link` is 0. The kernel does the
    /// filtering, because strict checking is on.
    fn addresses_of(&self, link: u32) -> Result<Vec<AddressInfo>, Error> {
        let all = |batch: &mut Batch| {
            batch.push(RequestType::GetAddress, NLM_F_DUMP, &header(None, link), |_| ())
        };
        self.dump("addresses", all, AddressInfo::read)
    }
}

impl Link {
    /// Lists the link's addresses, IPv4 and IPv6, as `ip address show dev NAME`.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the link is gone.
    pub fn addresses(&self) -> Result<Vec<AddressInfo>, Error> {
        self.namespace().addresses_of(self.index().get())
    }

    /// Finds an address of the link by address and prefix length, whichever program added it.
    /// [`Owned::adopt`] takes over the duty to delete the address.
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
    /// `is_not_found()` if the link has no such address, or is gone.
    pub fn address(&self, address: impl Input<IpNet>) -> Result<AddressHandle, Error> {
        const ACTION: &str = "find address";
        let mut rejected = FirstRejected::default();
        let prefix = rejected.read("address", address);
        rejected.check(ACTION, self)?;
        let listed = self.addresses()?.into_iter().find(|info| Some(info.prefix) == prefix);
        if let Some(AddressInfo { prefix, peer, .. }) = listed {
            return Ok(AddressHandle { link: self.clone(), prefix, peer });
        }
        let shown = prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
        let gone = Cause::from(Errno::ENOENT).doing(ACTION, shown);
        Err(gone.in_namespace(self.namespace()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;

    #[test]
    fn addresses_that_no_link_can_have_are_refused() {
        for bad in ["0.0.0.0/24", "::/64", "224.0.0.1/24", "ff02::1/64"] {
            let error = Address::new(bad).rejected.check("add address", "x").unwrap_err();
            assert!(error.is_invalid_input(), "{bad}");
        }
        for good in ["0.0.0.1/8", "255.255.255.255/32", "::1/128", "127.0.0.2/8"] {
            assert!(Address::new(good).rejected.check("add address", "x").is_ok(), "{good}");
        }
    }

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
            let written = |address: Address| {
                let mut batch = Batch::default();
                address.add(index, &mut batch);
                batch
            };
            // A builder from text writes the same request.
            assert_eq!(written(Address::new(prefix.to_string())), written(Address::new(prefix)));
            let batch = written(asked);
            let payload = batch.payload(0);
            let message = Message { kind: 20, flags: 0, sequence: 0, payload };
            let read = AddressInfo::read(message).unwrap();
            assert_eq!((read.prefix, read.link, read.peer), (prefix, index.into(), None));
            let expected = match prefix {
                IpNet::V4(net) if broadcast && net.prefix_len() < 31 => Some(net.broadcast()),
                _ => None,
            };
            assert_eq!(read.broadcast, expected);
        }
    }
}
