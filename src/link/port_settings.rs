//! Settings of a bridge port that exists, as `bridge link set`, and the VLANs it is in, as `bridge vlan`.

use std::fmt;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::handle::Link;
use crate::error::Error;
use crate::input::FirstRejected;
use crate::netlink::Requests;
use crate::netns::Quoted;
use crate::owned::Owned;
use crate::owned::sealed::Remove;
use crate::wire::attribute::Writer;

const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
const BRIDGE_VLAN_INFO_PVID: u16 = 1 << 1;
const BRIDGE_VLAN_INFO_UNTAGGED: u16 = 1 << 2;

impl Link {
    /// Whether packets may go back out of this bridge port they came in, as
    /// `bridge link set dev PORT hairpin on`. A new port's do not.
    ///
    /// # Errors
    ///
    /// Where it is no bridge's port ([`is_unsupported`](Error::is_unsupported)) or gone.
    #[doc(alias("IFLA_BRPORT_MODE", "bridge link set"))]
    pub fn set_hairpin(&self, on: bool) -> Result<(), Error> {
        self.set_port("set hairpin mode of", IFLA_BRPORT_MODE, on)
    }

    /// Whether this bridge port is kept apart from the other isolated ones, as
    /// `bridge link set dev PORT isolated on`. A new port is not.
    ///
    /// # Errors
    ///
    /// Where it is no bridge's port ([`is_unsupported`](Error::is_unsupported)) or gone.
    #[doc(alias("IFLA_BRPORT_ISOLATED", "bridge link set"))]
    pub fn set_isolated(&self, on: bool) -> Result<(), Error> {
        self.set_port("isolate", IFLA_BRPORT_ISOLATED, on)
    }

    /// Takes this bridge port out of a VLAN, as `bridge vlan del dev PORT vid ID`: out of 1, say, which
    /// ports are in by default. Not to be in it is no error.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`.
    #[doc(alias = "bridge vlan del")]
    pub fn leave_vlan(&self, id: u16) -> Result<(), Error> {
        self.vlan("leave VLAN", &BridgeVlan::new(id), RouteNetlinkMessage::DelLink)
    }

    fn set_port(&self, action: &'static str, setting: u16, on: bool) -> Result<(), Error> {
        let mut settings = Vec::new();
        Writer::new(&mut settings).u8(setting, on.into());
        let request = self.of_bridge(IFLA_PROTINFO | NLA_F_NESTED, settings);
        self.ask(action, &RouteNetlinkMessage::SetLink(request)).map_err(|error| {
            let reason = || format!("`{}` is no bridge's port", self.name);
            error.hint_on(Errno::EOPNOTSUPP, reason).hint_on(Errno::EINVAL, reason)
        })
    }

    fn vlan(
        &self,
        action: &'static str,
        vlan: &BridgeVlan,
        request: fn(LinkMessage) -> RouteNetlinkMessage,
    ) -> Result<(), Error> {
        let mut entries = Vec::new();
        let [flags, id] = [vlan.flags(), vlan.id].map(u16::to_ne_bytes);
        Writer::new(&mut entries).bytes(IFLA_BRIDGE_VLAN_INFO, &[flags, id].concat());
        let message = self.of_bridge(IFLA_AF_SPEC | NLA_F_NESTED, entries);
        self.ask(action, &request(message)).map_err(|error| {
            error.hint_on(Errno::EOPNOTSUPP, || {
                "it is no bridge's port, or this kernel's bridges do not know VLANs \
                 (CONFIG_BRIDGE_VLAN_FILTERING)"
                    .into()
            })
        })
    }

    fn of_bridge(&self, attribute: u16, value: Vec<u8>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.interface_family = AddressFamily::Bridge;
        message.header.index = self.index;
        message.attributes.push(LinkAttribute::Other(DefaultNla::new(attribute, value)));
        message
    }

    fn ask(&self, action: &'static str, request: &RouteNetlinkMessage) -> Result<(), Error> {
        let object = Quoted(&self.name);
        let mut requests = Requests::new();
        requests.push(action, &object, request, 0);
        self.netns.send(requests, |_, _| ())
    }
}

/// A VLAN for a bridge port to be in, of a bridge that [filters](super::Bridge::vlan_filtering).
///
/// Replaces `bridge vlan add dev PORT vid ID`.
///
/// ```no_run
/// use netloom::{Bridge, BridgeVlan, Namespace, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").vlan_filtering(true).up().create(&host)?;
/// let cable = VethPair::new("port1", "eth0").create(&host)?;
/// cable.near().set_master(&bridge)?;
/// let _access = BridgeVlan::new(100).pvid().untagged().create(cable.near())?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: bridge(8), `net/bridge/br_vlan.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct BridgeVlan {
    id: u16,
    pvid: bool,
    untagged: bool,
    rejected: FirstRejected,
}

impl BridgeVlan {
    /// The VLAN of this number, from 1 to 4094.
    pub fn new(id: u16) -> Self {
        let mut rejected = FirstRejected::default();
        if !(1..=4094).contains(&id) {
            rejected.reject("new", id, "a VLAN's number is from 1 to 4094");
        }
        Self { id, pvid: false, untagged: false, rejected }
    }

    /// Frames that come in without a tag are of it, as `pvid`.
    pub fn pvid(mut self) -> Self {
        self.pvid = true;
        self
    }

    /// Its frames go out without a tag, as `untagged`. Default: tagged.
    pub fn untagged(mut self) -> Self {
        self.untagged = true;
        self
    }

    /// Puts the port in it.
    ///
    /// # Errors
    ///
    /// A number that no VLAN has is refused before any system call.
    /// [`is_unsupported`](Error::is_unsupported) where the link is no bridge's port, or in a kernel
    /// without `CONFIG_BRIDGE_VLAN_FILTERING`.
    #[doc(alias("bridge vlan add", "IFLA_BRIDGE_VLAN_INFO"))]
    pub fn create(&self, port: &Link) -> Result<Owned<BridgeVlanHandle>, Error> {
        const ACTION: &str = "join VLAN";
        self.rejected.check(ACTION, self)?;
        let handle = BridgeVlanHandle { port: port.clone(), id: self.id };
        port.vlan(ACTION, self, RouteNetlinkMessage::SetLink).inspect_err(|error| {
            if error.is_unknown_outcome() {
                handle.remove().ok();
            }
        })?;
        Ok(Owned::adopt(handle))
    }

    fn flags(&self) -> u16 {
        let flag = |on: bool, flag: u16| if on { flag } else { 0 };
        flag(self.pvid, BRIDGE_VLAN_INFO_PVID) | flag(self.untagged, BRIDGE_VLAN_INFO_UNTAGGED)
    }
}

impl fmt::Display for BridgeVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// A VLAN that a port is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeVlanHandle {
    port: Link,
    id: u16,
}

impl BridgeVlanHandle {
    /// The bridge port.
    pub fn port(&self) -> &Link {
        &self.port
    }

    /// The VLAN's number.
    pub fn id(&self) -> u16 {
        self.id
    }
}

/// As `bridge vlan del`.
impl Remove for BridgeVlanHandle {
    fn remove(&self) -> Result<(), Error> {
        self.port.leave_vlan(self.id)
    }
}
