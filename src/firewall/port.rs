//! Guards of bridge ports: a container can send only with its own addresses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use nix::errno::Errno;

use super::handle::FirewallHandle;
use super::member::{Member, WAYS};
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input, is_of_no_machine, link_name_in_rules};
use crate::link::LinkRef;
use crate::mac::MacAddr;
use crate::netns::Netns;
use crate::nft::{
    Chain, ChainHandle, Constant, Element, Field, Interval, Rule, SetHandle, Transaction, Verdict,
};
use crate::owned::Owned;
use crate::owned::sealed::{Remove, Removed};

/// A guard for a bridge port: drops incoming frames with another source.
///
/// Replaces `ebtables -A PREROUTING -i PORT -s ! MAC -j DROP`, and the same for addresses and ARP.
///
/// With a MAC address, the guard drops other sources of frames and of ARP. With addresses, it drops
/// other sources of IPv4, IPv6 and ARP. It also drops neighbour advertisements for other addresses,
/// router advertisements, redirects, and other protocols.
///
/// Allowed are DHCP requests, the unspecified source during duplicate address detection, and an
/// IPv6 link-local address. That is the given address, or the one derived from the MAC address
/// (EUI-64, like the kernel's). Without either, any link-local address is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct PortGuard {
    link: LinkRef,
    mac: Option<MacAddr>,
    addresses: Vec<IpAddr>,
    rejected: FirstRejected,
}

const ACTION: &str = "guard port";
const DHCP_SERVER: u16 = 67;

impl PortGuard {
    /// Creates a guard for a bridge port. A handle selects that one link, also after a rename. A
    /// name selects whatever link has the name; the link need not exist yet. `create` refuses an
    /// alternative name. If one port has a guard by handle and another by name, its frames pass
    /// both.
    pub fn new(link: impl Into<LinkRef>) -> Self {
        let link = link.into();
        let mut rejected = FirstRejected::default();
        if let Err(reason) = link_name_in_rules(link.name()) {
            rejected.reject("new", link.name(), reason);
        }
        Self { link, mac: None, addresses: Vec::new(), rejected }
    }

    /// Sets the hardware address behind the port. Default: any.
    ///
    /// The guard drops frames from other addresses. But the bridge learns from frames to the
    /// link-local addresses `01:80:c2:00:00:0X` before any rule sees them (`br_input.c`). Such a
    /// frame can divert another station's replies to this port, unless the bridge has
    /// [`link_local_learning(false)`](crate::Bridge::link_local_learning).
    pub fn mac(mut self, mac: impl Input<MacAddr>) -> Self {
        self.mac = self.rejected.read("mac", mac);
        if let Some(mac) = self.mac.filter(|mac| !mac.is_unicast()) {
            self.rejected.reject(
                "mac",
                mac,
                "the address must be unicast: neither multicast nor zero",
            );
        }
        self
    }

    /// Adds an address behind the port, IPv4 or IPv6. Can be called more than once. Default: any.
    pub fn address(mut self, address: impl Input<IpAddr>) -> Self {
        if let Some(address) = self.rejected.read("address", address) {
            if is_of_no_machine(address) {
                self.rejected.reject("address", address, "no machine has this address");
            }
            self.addresses.push(address);
        }
        self
    }

    /// Adds the guard to an existing firewall.
    ///
    /// # Errors
    ///
    /// Values that are known to be wrong are refused before any system call.
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the port has a guard already.
    pub fn create(&self, firewall: &FirewallHandle) -> Result<Owned<PortGuardHandle>, Error> {
        let netns = firewall.bridged.namespace();
        self.check(netns)?;
        Member::check(netns, &self.link, ACTION, self)?;
        let member = Member::of(&self.link);
        let ports = firewall.bridged.set(WAYS[member.way].ports)?;
        let mut transaction = Transaction::new(netns);
        let chain = self.add_to(&mut transaction, firewall);
        transaction.commit()?;
        Ok(Owned::new(PortGuardHandle { ports, chain, key: member.key }))
    }

    pub(super) fn link(&self) -> &LinkRef {
        &self.link
    }

    pub(super) fn chain_name(&self) -> String {
        chain_name(&Member::of(&self.link))
    }

    pub(super) fn check(&self, netns: &Netns) -> Result<(), Error> {
        self.rejected.check(ACTION, self)?;
        self.link.check_home(netns, ACTION, self)?;
        if self.mac.is_none() && self.addresses.is_empty() {
            return Err(Error::invalid(
                ACTION,
                self,
                "neither a MAC address nor an IP address is given",
            ));
        }
        Ok(())
    }

    /// Adds the guard's chain, and the map element that sends frames of the port to that chain.
    pub(super) fn add_to(
        &self,
        transaction: &mut Transaction,
        firewall: &FirewallHandle,
    ) -> ChainHandle {
        let (table, member) = (&firewall.bridged, Member::of(&self.link));
        let name = chain_name(&member);
        let chain = self.rules().into_iter().fold(Chain::new(&name), Chain::rule);
        let handle = transaction.create_chain(table, &chain);
        let element = element(&member.key, &name);
        let way = &WAYS[member.way];
        transaction.add_new_elements(table, (way.ports, way.kind), [element]);
        handle
    }

    /// Returns the allowed IPv6 sources: the given addresses, and the link-local address.
    fn allowed_v6(&self, said: &[IpAddr]) -> Vec<Interval> {
        let is_link_local =
            |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let derived = self.mac.map(link_local).map(IpAddr::from);
        let derived = derived.filter(|_| !said.iter().any(is_link_local));
        let mut own: Vec<_> = said.iter().copied().chain(derived).map(Interval::from).collect();
        if derived.is_none() && !said.iter().any(is_link_local) {
            own.push(Interval::from("fe80::/10"));
        }
        own
    }

    fn rules(&self) -> Vec<Rule> {
        const ETHER_TYPES: [u16; 3] = [0x0800, 0x0806, 0x86dd];
        let drop = |rule: Rule| rule.counter().drop();
        let mut rules = Vec::new();
        if let Some(mac) = self.mac {
            rules.push(drop(Rule::new().not().source_mac(mac)));
            rules.push(drop(Rule::new().not().is(Field::ArpMacSource, mac)));
        }
        if self.addresses.is_empty() {
            return rules;
        }
        let (v4, v6): (Vec<_>, Vec<_>) = self.addresses.iter().copied().partition(IpAddr::is_ipv4);
        let any_v4 = Interval::from("0.0.0.0");
        let v4: Vec<Interval> = v4.into_iter().map(Interval::from).collect();
        let own_v6 = self.allowed_v6(&v6);
        let v6: Vec<Interval> = own_v6.iter().cloned().chain([Interval::from("::")]).collect();
        // An ARP probe for a duplicate address has the source 0.0.0.0.
        let arp: Vec<_> = v4.iter().cloned().chain([any_v4.clone()]).collect();
        rules.push(drop(Rule::new().not().any_of(Field::ArpIpSource, arp)));
        rules.push(Rule::new().source(any_v4).udp().dport(DHCP_SERVER).back());
        rules.push(drop(if v4.is_empty() {
            Rule::new().ipv4()
        } else {
            Rule::new().not().any_of(Field::Ip4Source, v4)
        }));
        rules.push(drop(Rule::new().not().any_of(Field::Ip6Source, v6)));
        rules.extend(discovery(&own_v6).map(drop));
        rules.push(drop(Rule::new().not().any_of(Field::EtherType, ETHER_TYPES)));
        rules
    }
}

/// Returns rules that drop neighbour discovery messages a container must not send (RFC 4861):
/// router advertisements, redirects and advertisements for addresses of others.
fn discovery(own: &[Interval]) -> [Rule; 4] {
    const ROUTER_ADVERTISEMENT: u8 = 134;
    const SOLICITATION: u8 = 135;
    const ADVERTISEMENT: u8 = 136;
    const REDIRECT: u8 = 137;
    let of = |kind| Rule::new().icmpv6_type(kind);
    // One match for each address, not a set: `nft` 1.0.6 can't load a set of this field.
    let for_others = |rule: Rule| {
        own.iter().cloned().fold(rule, |rule, address| rule.not().is(Field::Icmpv6Target, address))
    };
    [
        of(ROUTER_ADVERTISEMENT),
        of(REDIRECT),
        for_others(of(ADVERTISEMENT)),
        // A solicitation from `::` (duplicate address detection) for an address of another
        // container would keep that container from using its address.
        for_others(of(SOLICITATION).is(Field::Ip6Source, "::")),
    ]
}

/// Returns the link-local address that the kernel derives from a MAC address (RFC 4291, appendix
/// A).
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let mac = mac.octets();
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&[0xfe, 0x80]);
    bytes[8..11].copy_from_slice(&mac[..3]);
    bytes[11..13].copy_from_slice(&[0xff, 0xfe]);
    bytes[13..].copy_from_slice(&mac[3..]);
    bytes[8] ^= 2;
    Ipv6Addr::from(bytes)
}

/// Returns the map element that sends frames of a port to the guard's chain.
fn element(key: &Interval, chain: &str) -> Element {
    Element::new(key.clone()).verdict(Verdict::Goto(chain.to_owned()))
}

/// Returns the name of a guard's chain. Bytes of a link's name that a chain's name can't have
/// become hexadecimal. A guard by index has two dots, which no name of a link yields.
fn chain_name(member: &Member) -> String {
    let link = match &member.key {
        Interval::One(Constant::Name(name)) => name,
        index => return format!("from..{index}"),
    };
    let mut name = String::from("from.");
    for byte in link.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(byte.into());
        } else {
            name.extend(['.', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    name
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

impl fmt::Display for PortGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}

/// The guard of a port in an existing firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortGuardHandle {
    ports: SetHandle,
    chain: ChainHandle,
    key: Interval,
}

impl FirewallHandle {
    /// Finds the guard of a port, whichever program added it. To delete the guard, adopt its handle
    /// with [`Owned::adopt`](crate::Owned::adopt).
    ///
    /// ```
    /// use netloom::{Firewall, Namespace, Owned, PortGuard};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let guard = PortGuard::new("veth1").address("10.0.0.2");
    /// let firewall = Firewall::new().port(guard).create(&host)?;
    /// Owned::adopt(firewall.guard("veth1")?).delete()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the port has no guard.
    pub fn guard(&self, link: impl Into<LinkRef>) -> Result<PortGuardHandle, Error> {
        PortGuardHandle::find(self, &link.into())
    }
}

impl PortGuardHandle {
    pub(super) fn find(firewall: &FirewallHandle, link: &LinkRef) -> Result<Self, Error> {
        const ACTION: &str = "find guard of port";
        let netns = firewall.bridged.namespace();
        link_name_in_rules(link.name()).map_err(|reason| Error::invalid(ACTION, link, reason))?;
        link.check_home(netns, ACTION, link)?;
        let candidates =
            Member::candidates(netns, link).map_err(|error| error.while_doing(ACTION, link))?;
        let mut missing = None;
        for Member { way, key } in candidates {
            match firewall.bridged.chain(&chain_name(&Member { way, key: key.clone() })) {
                Ok(chain) => {
                    let ports = firewall.bridged.set(WAYS[way].ports)?;
                    return Ok(Self { ports, chain, key });
                }
                Err(error) if error.is_not_found() => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let missing = missing.unwrap_or_else(|| Cause::from(Errno::ENOENT).doing(ACTION, link));
        Err(missing)
    }

    /// Returns the chain that checks frames of the port.
    pub fn chain(&self) -> &ChainHandle {
        &self.chain
    }
}

/// Deletes the map element, then the chain that it refers to, in one transaction. If another
/// program deleted one of the two, deletes the other alone.
impl Remove for PortGuardHandle {
    fn remove(&self) -> Result<Removed, Error> {
        let mut transaction = Transaction::new(self.ports.table().namespace());
        transaction.delete_elements(&self.ports, [self.key.clone()]);
        transaction.flush_chain(&self.chain);
        transaction.delete_chain(&self.chain);
        match transaction.commit().map_err(Error::from) {
            Err(error) if error.is_not_found() => {
                match self.ports.get(self.key.clone()) {
                    Ok(Some(listed)) if listed == element(&self.key, self.chain.name()) => {
                        self.ports.remove([self.key.clone()])?;
                    }
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
                self.chain.remove()
            }
            done => done.map(|()| Removed::Deleted),
        }
    }
}
