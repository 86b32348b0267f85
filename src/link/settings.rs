//! The settings that all kinds of links share: their setters, and their attributes in the create
//! request.

use std::collections::BTreeMap;

use super::reference::LinkRef;
use crate::address::Address;
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name};
use crate::mac::MacAddr;
use crate::netns::{Netns, Quoted};
use crate::route::Route;
use crate::wire::attribute::Writer;
use crate::wire::link::{
    IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES,
    IFLA_TXQLEN,
};

/// The smallest and the largest MTU of Ethernet (`ETH_MIN_MTU` and `ETH_MAX_MTU` in
/// `include/uapi/linux/if_ether.h`).
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// The smallest MTU of IPv6 (RFC 8200).
const IPV6_MTU: u32 = 1280;

/// The settings that all kinds share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(super) name: String,
    pub(super) mac: Option<MacAddr>,
    pub(super) master: Option<LinkRef>,
    /// The numeric attributes of the create request, by attribute type.
    numbers: BTreeMap<u16, u32>,
    pub(super) up: bool,
    pub(super) no_ipv6_address: bool,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) loopback_up: bool,
    pub(super) rejected: FirstRejected,
}

/// The values of a create request that the builder does not hold: netloom chooses or looks them up.
pub(super) struct CreateParams {
    /// The hardware address. A random address proves later that this request created the link.
    pub(super) mac: MacAddr,
    /// A random length of the transmit queue, which proves the same for a kind that keeps no
    /// address. It is sent in the address's place, and changed as soon as the link exists.
    pub(super) queue_length: Option<u32>,
    /// The tag of this process, sent as the link's group. `None` if the user chose a group, or the
    /// namespace dies with this process.
    pub(super) tag: Option<u32>,
    /// The index of the master, looked up by name.
    pub(super) master: Option<u32>,
}

impl CreateParams {
    /// Identifies the link by a random queue length instead of an address: one that no link has
    /// by itself, and within the limits of the kernel (`ifla_policy` in `net/core/rtnetlink.c`).
    pub(super) fn mark_by_queue_length(&mut self) {
        let [.., high, low] = self.mac.octets();
        let number = u32::from(u16::from_be_bytes([high, low]));
        self.queue_length = Some(0x7fff - number % 0x7000);
    }
}

impl Settings {
    pub(super) fn new(name: &str) -> Self {
        let mut settings = Self { name: name.to_owned(), ..Self::default() };
        if let Err(reason) = link_name(name) {
            settings.rejected.reject("name", name, reason);
        }
        settings
    }

    pub(super) fn set_mac(&mut self, mac: impl Input<MacAddr>) {
        self.mac = read_mac(&mut self.rejected, mac).or(self.mac);
    }

    pub(super) fn set_mtu(&mut self, mtu: u32) {
        if !MTU.contains(&mtu) {
            let reason = format!("an MTU is from {} to {} bytes", MTU.start(), MTU.end());
            self.rejected.reject("mtu", mtu, reason);
        }
        self.numbers.insert(IFLA_MTU, mtu);
    }

    pub(super) fn set_group(&mut self, group: u32) {
        self.numbers.insert(IFLA_GROUP, group);
    }

    pub(super) fn set_queues(&mut self, queues: u32) {
        if !(1..=4096).contains(&queues) {
            self.rejected.reject("queues", queues, "a link has from 1 to 4,096 queues");
        }
        self.numbers.extend([IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES].map(|kind| (kind, queues)));
    }

    pub(super) fn add_address(&mut self, address: Address) {
        self.rejected.also(&address.rejected);
        self.addresses.push(address);
    }

    pub(super) fn check(&self, action: &'static str) -> Result<(), Error> {
        let object = Quoted(&self.name);
        self.rejected.check(action, &object)?;
        let is_small = self.numbers.get(&IFLA_MTU).is_some_and(|mtu| *mtu < IPV6_MTU);
        if let Some(address) = self.addresses.iter().find(|address| is_small && address.is_ipv6()) {
            let reason =
                format!("{address} needs an MTU of at least {IPV6_MTU}, the minimum of IPv6");
            return Err(Error::invalid(action, object, reason));
        }
        // A gateway was checked when it was set. A link-local gateway needs no link, because this
        // link is the route's.
        let mut checked = self.routes.iter().filter(|route| route.link().is_some());
        checked.try_for_each(|route| route.check(action))?;
        if self.routes.is_empty() || self.up {
            return Ok(());
        }
        let reason = "a route needs up(): the kernel refuses a route out of a link that is down";
        Err(Error::invalid(action, object, reason))
    }

    /// Returns whether the create request may set the link up. False if some setting must be
    /// applied before that.
    pub(super) fn starts_up(&self) -> bool {
        self.up && !self.no_ipv6_address && self.mac.is_none()
    }

    /// Looks up what the create request needs, in the namespace of the new link.
    pub(super) fn create_params(
        &self,
        action: &'static str,
        netns: &Netns,
        mac: MacAddr,
    ) -> Result<CreateParams, Error> {
        let object = Quoted(&self.name);
        let master = self.master.as_ref().map(|master| master.resolve(netns, action, &object));
        let has_group = self.numbers.contains_key(&IFLA_GROUP);
        let tag = if has_group { Ok(None) } else { netns.link_tag() };
        let tag = tag.map_err(|cause| cause.doing(action, &object).in_namespace(netns))?;
        Ok(CreateParams { mac, queue_length: None, tag, master: master.transpose()? })
    }

    /// Writes the attributes of the create request that all kinds share, except the master.
    pub(super) fn write(&self, link: &mut Writer<'_>, params: &CreateParams) {
        link.string(IFLA_IFNAME, &self.name);
        match params.queue_length {
            Some(length) => link.u32(IFLA_TXQLEN, length),
            None => link.bytes(IFLA_ADDRESS, &params.mac.octets()),
        }
        for (attribute, number) in &self.numbers {
            link.u32(*attribute, *number);
        }
        if let Some(tag) = params.tag {
            link.u32(IFLA_GROUP, tag);
        }
    }
}

/// Reads a hardware address. Refuses an address that is not unicast.
pub(super) fn read_mac(rejected: &mut FirstRejected, mac: impl Input<MacAddr>) -> Option<MacAddr> {
    let mac = rejected.read("mac", mac)?;
    if !mac.is_unicast() {
        rejected.reject("mac", mac, "the address must be unicast: neither multicast nor zero");
    }
    Some(mac)
}

/// Defines the setters that all kinds share, for a builder with a `settings` field. The arguments
/// describe the kind's default hardware address, MTU and number of queues for the docs. A
/// kind whose address the kernel cannot set has no `mac`.
macro_rules! link_setters {
    (mac: $mac:literal, mtu: $mtu:literal, queues: $queues:literal) => {
        $crate::link::settings::link_setters!(mtu: $mtu, queues: $queues);

        /// Sets the hardware address, as `address MAC`.
        ///
        #[doc = concat!("Default: ", $mac, ".")]
        #[doc(alias = "IFLA_ADDRESS")]
        pub fn mac(mut self, mac: impl $crate::input::Input<$crate::mac::MacAddr>) -> Self {
            self.settings.set_mac(mac);
            self
        }
    };
    (mtu: $mtu:literal, queues: $queues:literal) => {
        /// Sets the MTU: the size of the largest packet without the link-layer header, from 68 to
        /// 65,535 bytes. Replaces `mtu N`.
        ///
        #[doc = concat!("Default: ", $mtu, ".")]
        #[doc(alias = "IFLA_MTU")]
        pub fn mtu(mut self, mtu: u32) -> Self {
            self.settings.set_mtu(mtu);
            self
        }

        /// Makes the link a port of a bridge, bond or VRF in its namespace, as `master LINK`. The
        /// master is a handle, or a name that is looked up. A bond takes no port that is up: set it
        /// up through the bond.
        #[doc(alias("IFLA_MASTER", "enslave"))]
        pub fn master(mut self, master: impl Into<$crate::link::LinkRef>) -> Self {
            self.settings.master = Some(master.into());
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
        /// Default: 0. In a namespace that outlives the program, the default is a number by which
        /// [`reap`](crate::reap) recognizes the program that created the link.
        #[doc(alias = "IFLA_GROUP")]
        pub fn group(mut self, group: u32) -> Self {
            self.settings.set_group(group);
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
        /// A bridge port and the ends of an IPv4-only network need no such address. Each one causes
        /// multicast packets, which a bridge floods to all its ports.
        #[doc(alias("IFLA_INET6_ADDR_GEN_MODE", "addrgenmode"))]
        pub fn no_ipv6_address(mut self) -> Self {
            self.settings.no_ipv6_address = true;
            self
        }
    };
}
pub(super) use link_setters;
