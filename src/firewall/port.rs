//! Guarded ports: what a container sends carries its own addresses.

use std::fmt;
use std::net::IpAddr;

use super::handle::{FirewallHandle, PORTS};
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name};
use crate::link::LinkRef;
use crate::mac::MacAddr;
use crate::netns::Netns;
use crate::nft::{
    Chain, ChainHandle, Datum, Element, Field, Rule, SetHandle, Span, Transaction, Verdict,
};
use crate::owned::Owned;
use crate::owned::sealed::Remove;

/// A bridge port to be guarded: frames with another source are dropped as they come in.
///
/// Replaces `ebtables -A PREROUTING -i PORT -s ! MAC -j DROP`, and the same for addresses and ARP.
///
/// With a MAC address: other sources of frames, and of ARP. With addresses: other sources of IPv4, IPv6 and
/// ARP, and whatever is neither; IPv6 link-local sources, the unspecified one while an address is being
/// taken, and DHCP requests are let through.
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
    /// Of the port of this name, which need not exist yet.
    pub fn new(link: impl Into<LinkRef>) -> Self {
        let link = link.into();
        let mut rejected = FirstRejected::default();
        if let Err(reason) = link_name(link.name()) {
            rejected.reject("new", link.name(), reason);
        }
        Self { link, mac: None, addresses: Vec::new(), rejected }
    }

    /// The hardware address behind it. Default: any.
    pub fn mac(mut self, mac: impl Input<MacAddr>) -> Self {
        self.mac = self.rejected.read("mac", mac);
        if let Some(mac) = self.mac.filter(|mac| !mac.is_unicast()) {
            self.rejected.reject(
                "mac",
                mac,
                "no frame comes from it: it stands for no one station",
            );
        }
        self
    }

    /// An address behind it, IPv4 or IPv6; may be called again for more. Default: any.
    pub fn address(mut self, address: impl Input<IpAddr>) -> Self {
        if let Some(address) = self.rejected.read("address", address) {
            if address.is_unspecified() || address.is_multicast() {
                self.rejected.reject("address", address, "no machine has it");
            }
            self.addresses.push(address);
        }
        self
    }

    /// Guards it.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call.
    /// [`is_already_exists`](Error::is_already_exists) where it is guarded already.
    pub fn create(&self, firewall: &FirewallHandle) -> Result<Owned<PortGuardHandle>, Error> {
        self.check(firewall.bridged.netns())?;
        let ports = firewall.bridged.set(PORTS)?;
        let mut transaction = Transaction::new(firewall.bridged.netns());
        let chain = self.add_to(&mut transaction, firewall);
        transaction.commit()?;
        Ok(Owned::adopt(PortGuardHandle { ports, chain, link: self.link.name().to_owned() }))
    }

    pub(super) fn name(&self) -> &str {
        self.link.name()
    }

    pub(super) fn check(&self, netns: &Netns) -> Result<(), Error> {
        self.rejected.check(ACTION, self)?;
        self.link.check_home(netns, ACTION, self)?;
        if self.mac.is_none() && self.addresses.is_empty() {
            return Err(Error::invalid(
                ACTION,
                self,
                "neither a MAC address nor an address is said",
            ));
        }
        Ok(())
    }

    /// A chain of its own, and an element that leads there.
    pub(super) fn add_to(
        &self,
        transaction: &mut Transaction,
        firewall: &FirewallHandle,
    ) -> ChainHandle {
        let table = &firewall.bridged;
        let chain = self.rules().into_iter().fold(Chain::new(self.chain_name()), Chain::rule);
        let handle = transaction.create_chain(table, &chain);
        transaction.add_new_elements(table, PORTS, [self.element()]);
        handle
    }

    fn element(&self) -> Element {
        let name = Span::One(Datum::Name(self.link.name().to_owned()));
        Element::new(name).verdict(Verdict::Goto(self.chain_name()))
    }

    /// A link's name may have what no chain's may: those bytes become hexadecimal.
    fn chain_name(&self) -> String {
        let mut name = String::from("from.");
        for byte in self.link.name().bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                name.push(byte.into());
            } else {
                name.extend(['.', hex(byte >> 4), hex(byte & 15)]);
            }
        }
        name
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
        let any_v4 = Span::from("0.0.0.0");
        let v4: Vec<Span> = v4.into_iter().map(Span::from).collect();
        let mut v6: Vec<Span> = v6.into_iter().map(Span::from).collect();
        v6.extend(["::", "fe80::/10"].map(Span::from));
        // A probe for an address in use comes from none.
        let arp: Vec<_> = v4.iter().cloned().chain([any_v4.clone()]).collect();
        rules.push(drop(Rule::new().not().any_of(Field::ArpIpSource, arp)));
        rules.push(Rule::new().source(any_v4).udp().dport(DHCP_SERVER).back());
        rules.push(drop(if v4.is_empty() {
            Rule::new().ipv4()
        } else {
            Rule::new().not().any_of(Field::Ip4Source, v4)
        }));
        rules.push(drop(Rule::new().not().any_of(Field::Ip6Source, v6)));
        rules.push(drop(Rule::new().not().any_of(Field::EtherType, ETHER_TYPES)));
        rules
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

impl fmt::Display for PortGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}

/// A port that is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortGuardHandle {
    ports: SetHandle,
    chain: ChainHandle,
    link: String,
}

impl PortGuardHandle {
    /// The chain that its frames go through.
    pub fn chain(&self) -> &ChainHandle {
        &self.chain
    }
}

/// The element first, which leads to the chain, in one transaction.
impl Remove for PortGuardHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut transaction = Transaction::new(self.ports.table().netns());
        let name = Span::One(Datum::Name(self.link.clone()));
        transaction.delete_elements(&self.ports, [name]);
        transaction.flush_chain(&self.chain);
        transaction.delete_chain(&self.chain);
        Ok(transaction.commit()?)
    }
}
