//! The settings that all kinds of links share, and their setters.

use std::fmt;

use super::message::LinkRequest;
use super::reference::LinkRef;
use crate::address::Address;
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name};
use crate::mac::MacAddr;
use crate::netns::{Netns, Quoted};

/// The smallest and the largest MTU of Ethernet (`ETH_MIN_MTU` and `ETH_MAX_MTU` in `include/uapi/linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// The smallest MTU of IPv6 (RFC 8200).
const IPV6_MTU: u32 = 1280;

/// The settings that all kinds share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(super) name: String,
    pub(super) mac: Option<MacAddr>,
    pub(super) mtu: Option<u32>,
    pub(super) master: Option<LinkRef>,
    pub(super) addresses: Vec<Address>,
    pub(super) up: bool,
    pub(super) group: Option<u32>,
    pub(super) queues: Option<u32>,
    pub(super) no_ipv6_address: bool,
    rejected: FirstRejected,
}

impl Settings {
    pub(super) fn new(name: &str) -> Self {
        let mut rejected = FirstRejected::default();
        if let Err(reason) = link_name(name) {
            rejected.reject("name", name, reason);
        }
        Self {
            name: name.to_owned(),
            mac: None,
            mtu: None,
            master: None,
            addresses: Vec::new(),
            up: false,
            group: None,
            queues: None,
            no_ipv6_address: false,
            rejected,
        }
    }

    pub(super) fn set_mac(&mut self, mac: impl Input<MacAddr>) {
        self.mac = read_mac(&mut self.rejected, mac).or(self.mac);
    }

    pub(super) fn set_mtu(&mut self, mtu: u32) {
        if !MTU.contains(&mtu) {
            let reason = format!("an MTU is from {} to {} bytes", MTU.start(), MTU.end());
            self.rejected.reject("mtu", mtu, reason);
        }
        self.mtu = Some(mtu);
    }

    pub(super) fn set_queues(&mut self, queues: u32) {
        if !(1..=4096).contains(&queues) {
            self.rejected.reject("queues", queues, "a link has from 1 to 4,096 queues");
        }
        self.queues = Some(queues);
    }

    pub(super) fn add_address(&mut self, address: Address) {
        self.rejected.also(address.rejected());
        self.addresses.push(address);
    }

    /// Rejects a value of a setter of the kind's own.
    pub(super) fn reject(&mut self, setter: &'static str, value: impl fmt::Display, why: &str) {
        self.rejected.reject(setter, value, why);
    }

    pub(super) fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, Quoted(&self.name))?;
        let small = self.mtu.is_some_and(|mtu| mtu < IPV6_MTU);
        match self.addresses.iter().find(|address| small && address.is_ipv6()) {
            Some(address) => {
                let reason =
                    format!("{address} needs an MTU of {IPV6_MTU} at least, as all of IPv6");
                Err(Error::invalid(action, Quoted(&self.name), reason))
            }
            None => Ok(()),
        }
    }

    /// Returns whether the create request may set the link up: not if a setting has to precede that.
    pub(super) fn starts_up(&self) -> bool {
        self.up && !self.no_ipv6_address && self.mac.is_none()
    }

    /// Looks up the master in the namespace of the link.
    pub(super) fn master_in(
        &self,
        netns: &Netns,
        action: &'static str,
    ) -> Result<Option<u32>, Error> {
        let resolve = |master: &LinkRef| master.resolve(netns, action, Quoted(&self.name));
        self.master.as_ref().map(resolve).transpose()
    }

    /// Returns the create request with a hardware address, and the tag in it.
    ///
    /// In a namespace that outlives this process the group is our tag there, unless a group was asked for.
    pub(super) fn create_request(
        &self,
        action: &'static str,
        mac: MacAddr,
        netns: &Netns,
    ) -> Result<(LinkRequest, Option<u32>), Error> {
        let mut request = LinkRequest::named(&self.name).mac(mac);
        if let Some(mtu) = self.mtu {
            request = request.mtu(mtu);
        }
        let tag = if self.group.is_none() { netns.link_tag() } else { Ok(None) };
        let tag =
            tag.map_err(|cause| cause.doing(action, Quoted(&self.name)).in_namespace(netns))?;
        if let Some(group) = self.group.or(tag) {
            request = request.group(group);
        }
        if let Some(queues) = self.queues {
            request = request.queues(queues);
        }
        Ok((request, tag))
    }
}

/// Reads a hardware address that one station can have.
pub(super) fn read_mac(rejected: &mut FirstRejected, mac: impl Input<MacAddr>) -> Option<MacAddr> {
    let mac = rejected.read("mac", mac)?;
    if !mac.is_unicast() {
        rejected.reject(
            "mac",
            mac,
            "a link's address is that of one station: not multicast, not zero",
        );
    }
    Some(mac)
}

/// Defines the setters that all kinds share, for a builder with a `settings` field. Takes the kind's default
/// hardware address, MTU and number of queues, for the docs.
macro_rules! link_setters {
    (mac: $mac:literal, mtu: $mtu:literal, queues: $queues:literal) => {
        /// Sets the hardware address, as `address MAC`.
        ///
        #[doc = concat!("Default: ", $mac, ".")]
        #[doc(alias = "IFLA_ADDRESS")]
        pub fn mac(mut self, mac: impl $crate::input::Input<$crate::mac::MacAddr>) -> Self {
            self.settings.set_mac(mac);
            self
        }

        /// Sets the largest packet, from 68 to 65,535 bytes without the link-layer header, as `mtu N`.
        ///
        #[doc = concat!("Default: ", $mtu, ".")]
        #[doc(alias = "IFLA_MTU")]
        pub fn mtu(mut self, mtu: u32) -> Self {
            self.settings.set_mtu(mtu);
            self
        }

        /// Makes the link a port of a bridge in its namespace, as `master BRIDGE`. The bridge is a handle, or a
        /// name that is looked up.
        #[doc(alias("IFLA_MASTER", "enslave"))]
        pub fn master(mut self, bridge: impl Into<$crate::link::LinkRef>) -> Self {
            self.settings.master = Some(bridge.into());
            self
        }

        /// Adds an address, as `ip address add ADDRESS dev NAME`. Each call adds one.
        pub fn address(mut self, address: impl Into<$crate::address::Address>) -> Self {
            self.settings.add_address(address.into());
            self
        }

        /// Sets the link up, as `ip link set NAME up`. Default: down.
        pub fn up(mut self) -> Self {
            self.settings.up = true;
            self
        }

        /// Puts the link in a group, by number, as `group N`.
        ///
        /// Default: 0. In a namespace that outlives the program: a number by which [`reap`](crate::reap) knows
        /// the program that created the link.
        #[doc(alias = "IFLA_GROUP")]
        pub fn group(mut self, group: u32) -> Self {
            self.settings.group = Some(group);
            self
        }

        /// Sets the number of transmit and of receive queues, as `numtxqueues N numrxqueues N`.
        ///
        #[doc = concat!("Default: ", $queues, ".")]
        #[doc(alias("IFLA_NUM_TX_QUEUES", "IFLA_NUM_RX_QUEUES"))]
        pub fn queues(mut self, queues: u32) -> Self {
            self.settings.set_queues(queues);
            self
        }

        /// Keeps the kernel from generating an IPv6 address for the link, as `addrgenmode none`.
        ///
        /// A bridge port and the ends of an IPv4-only network need none. Each such address causes multicast
        /// packets, which a bridge floods to all its ports.
        #[doc(alias("IFLA_INET6_ADDR_GEN_MODE", "addrgenmode"))]
        pub fn no_ipv6_address(mut self) -> Self {
            self.settings.no_ipv6_address = true;
            self
        }
    };
}
pub(super) use link_setters;
