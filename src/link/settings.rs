//! What every kind of link can be made with, and the setters for it.

use super::message::LinkRequest;
use super::reference::LinkRef;
use crate::address::Address;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input, link_name};
use crate::mac::MacAddr;
use crate::netns::{Netns, Quoted};

/// Ethernet's smallest and largest (`ETH_MIN_MTU` and `ETH_MAX_MTU` in `include/uapi/linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// The least that a link for IPv6 carries (RFC 8200).
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

    /// Whether the create message may set the link up: not where something has to be set before that.
    pub(super) fn born_up(&self) -> bool {
        self.up && !self.no_ipv6_address
    }

    /// The address to be born with: the one asked for, or one that is made up here and not by the
    /// kernel, so that the link is known by it, and nobody changes what looks made up by the kernel.
    pub(super) fn birth_mac(&self) -> MacAddr {
        self.mac.unwrap_or_else(MacAddr::random)
    }

    /// The create request, with all that can be in it.
    ///
    /// In a namespace that outlives this process its group is our tag there, unless another is asked for.
    pub(super) fn create_request(&self, mac: MacAddr, netns: &Netns) -> Result<LinkRequest, Cause> {
        let mut request = LinkRequest::named(&self.name).mac(mac);
        if let Some(mtu) = self.mtu {
            request = request.mtu(mtu);
        }
        let tag = if self.group.is_none() { netns.link_tag()? } else { None };
        if let Some(group) = self.group.or(tag) {
            request = request.group(group);
        }
        if let Some(queues) = self.queues {
            request = request.queues(queues);
        }
        Ok(request)
    }
}

pub(super) fn read_mac(rejected: &mut FirstRejected, mac: impl Input<MacAddr>) -> Option<MacAddr> {
    let mac = rejected.read("mac", mac)?;
    if !mac.is_unicast() {
        rejected.reject(
            "mac",
            mac,
            "a link's address stands for one station: not multicast, not zero",
        );
    }
    Some(mac)
}

/// The setters that all kinds share, for a builder with a `settings` field.
macro_rules! link_setters {
    () => {
        /// Sets the hardware address, as `address MAC`. Default: made up
        /// at random.
        #[doc(alias = "IFLA_ADDRESS")]
        pub fn mac(mut self, mac: impl $crate::input::Input<$crate::mac::MacAddr>) -> Self {
            self.settings.set_mac(mac);
            self
        }

        /// Sets the largest packet, from 68 to 65,535 bytes without the link-layer header, as `mtu N`.
        /// Default: 1,500.
        #[doc(alias = "IFLA_MTU")]
        pub fn mtu(mut self, mtu: u32) -> Self {
            self.settings.set_mtu(mtu);
            self
        }

        /// Makes it a port of a bridge in its namespace, as `master BRIDGE`: by handle, or by a name that
        /// is looked up.
        #[doc(alias("IFLA_MASTER", "enslave"))]
        pub fn master(mut self, bridge: impl Into<$crate::link::LinkRef>) -> Self {
            self.settings.master = Some(bridge.into());
            self
        }

        /// Gives it an address, as `ip address add ADDRESS dev NAME`; may be called again for more.
        pub fn address(mut self, address: impl Into<$crate::address::Address>) -> Self {
            self.settings.add_address(address.into());
            self
        }

        /// Sets it up, as `ip link set NAME up`. Default: down.
        pub fn up(mut self) -> Self {
            self.settings.up = true;
            self
        }

        /// Puts it in a group, by number, as `group N`. Default: 0, but in a namespace that outlives
        /// the program a number by which [`reap`](crate::reap) knows whose it is.
        #[doc(alias = "IFLA_GROUP")]
        pub fn group(mut self, group: u32) -> Self {
            self.settings.group = Some(group);
            self
        }

        /// Sets the number of transmit and receive queues, as `numtxqueues N numrxqueues N`. Default: one
        /// for each possible CPU, each way. With one a container is attached faster: by a tenth or less where there
        /// are two CPUs.
        #[doc(alias("IFLA_NUM_TX_QUEUES", "IFLA_NUM_RX_QUEUES"))]
        pub fn queues(mut self, queues: u32) -> Self {
            self.settings.set_queues(queues);
            self
        }

        /// Keeps the kernel from making up an IPv6 address for it, as `addrgenmode none`. For a
        /// bridge port, which needs none, and for the ends of an IPv4-only network: each such address
        /// brings messages that a bridge floods to all its ports.
        #[doc(alias("IFLA_INET6_ADDR_GEN_MODE", "addrgenmode"))]
        pub fn no_ipv6_address(mut self) -> Self {
            self.settings.no_ipv6_address = true;
            self
        }
    };
}
pub(super) use link_setters;
