//! VLANs of other links.

use std::collections::BTreeMap;

use netlink_packet_route::link::{InfoVlan, VlanFlags, VlanQosMapping};

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::options::{Options, link_info};
use crate::link::reference::LinkRef;
use crate::link::settings::{Settings, link_setters};
use crate::netns::Netns;
use crate::numbered::numbered;

/// A VLAN shares the address of its parent.
pub(super) const KIND: Kind = Kind {
    keeps_address: false,
    module: Some("8021q"),
    required: |out| out.emit(&InfoVlan::Id(7)),
    ..Kind::ON_PARENT
};

numbered! {
    /// The tag of a VLAN's frames, by its `EtherType`.
    VlanProtocol: u16 {
        /// 802.1Q, a customer's tag.
        Dot1Q = 0x8100 "802.1Q",
        /// 802.1ad, a provider's tag around the customer's (`QinQ`).
        Dot1Ad = 0x88a8 "802.1ad",
    }
}

/// The tag that the kernel uses if none is asked for.
impl Default for VlanProtocol {
    fn default() -> Self {
        Self::Dot1Q
    }
}

/// A VLAN link to create: sends with a tag on its parent, and receives the parent's frames with
/// that tag.
///
/// Replaces `ip link add link PARENT name NAME type vlan id N`.
///
/// ```no_run
/// use netloom::{Netns, Vlan};
///
/// let host = Netns::current()?;
/// let office = Vlan::new("eth0.100", "eth0", 100).address("10.1.0.2/24").up().create(&host)?;
/// assert_eq!(office.vlan_info()?.map(|info| info.id), Some(100));
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// A VLAN has the hardware address of its parent and follows it, unless [`mac`](Self::mac) sets
/// another one. It is deleted with its parent. Source: ip-link(8), `net/8021q/vlan_netlink.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Vlan {
    settings: Settings,
    parent: LinkRef,
    options: Options<InfoVlan>,
    flags: (VlanFlags, VlanFlags),
    ingress: BTreeMap<u32, u32>,
    egress: BTreeMap<u32, u32>,
}

impl Vlan {
    /// Describes a VLAN of a parent, by its id, from 1 to 4,094. The parent is a handle, or a name
    /// that is looked up.
    pub fn new(name: impl AsRef<str>, parent: impl Into<LinkRef>, id: u16) -> Self {
        let mut settings = Settings::new(name.as_ref());
        if !(1..=4094).contains(&id) {
            settings.rejected.reject("id", id, "a VLAN is from 1 to 4,094");
        }
        let mut options = Options::default();
        options.set(InfoVlan::Id(id));
        let flags = (VlanFlags::empty(), VlanFlags::empty());
        let (ingress, egress) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, parent: parent.into(), options, flags, ingress, egress }
    }

    link_setters!(mac: "the parent's", mtu: "the parent's", queues: "1");

    /// Sets the tag, as `protocol 802.1ad`. Default: 802.1Q.
    #[doc(alias = "IFLA_VLAN_PROTOCOL")]
    pub fn protocol(mut self, protocol: VlanProtocol) -> Self {
        match protocol {
            VlanProtocol::Other(number) => {
                let reason = "a VLAN has the tag of 802.1Q or 802.1ad";
                self.settings.rejected.reject("protocol", format!("{number:#06x}"), reason);
            }
            known => self.options.set(InfoVlan::Protocol(u16::from(known).into())),
        }
        self
    }

    /// Hides the tag from programs that read whole frames, as `reorder_hdr`. Default: on.
    #[doc(alias = "VLAN_FLAG_REORDER_HDR")]
    pub fn reorder_header(self, on: bool) -> Self {
        self.flag(VlanFlags::ReorderHdr, on)
    }

    /// Registers the VLAN at the switch by GVRP, as `gvrp`. Default: off.
    #[doc(alias = "VLAN_FLAG_GVRP")]
    pub fn gvrp(self, on: bool) -> Self {
        self.flag(VlanFlags::Gvrp, on)
    }

    /// Registers the VLAN at the switch by MVRP, as `mvrp`. Default: off.
    #[doc(alias = "VLAN_FLAG_MVRP")]
    pub fn mvrp(self, on: bool) -> Self {
        self.flag(VlanFlags::Mvrp, on)
    }

    /// Keeps the VLAN up while its parent is down, as `loose_binding`. Default: off.
    #[doc(alias = "VLAN_FLAG_LOOSE_BINDING")]
    pub fn loose_binding(self, on: bool) -> Self {
        self.flag(VlanFlags::LooseBinding, on)
    }

    /// Gives the VLAN a carrier only while a port of its parent, a bridge, carries it, as
    /// `bridge_binding`. Default: off.
    #[doc(alias = "VLAN_FLAG_BRIDGE_BINDING")]
    pub fn bridge_binding(self, on: bool) -> Self {
        self.flag(VlanFlags::BridgeBinding, on)
    }

    /// Sets the kernel's priority of frames that arrive with this priority in the tag, from 0 to 7,
    /// as `ingress-qos-map TAG:KERNEL`. Each call adds one. Default: 0.
    #[doc(alias = "IFLA_VLAN_INGRESS_QOS")]
    pub fn ingress_priority(mut self, tag: u8, kernel: u32) -> Self {
        self.check_priority("ingress_priority", tag);
        self.ingress.insert(tag.into(), kernel);
        self
    }

    /// Sets the priority in the tag, from 0 to 7, of packets with this priority in the kernel, as
    /// `egress-qos-map KERNEL:TAG`. Each call adds one. Default: 0.
    #[doc(alias = "IFLA_VLAN_EGRESS_QOS")]
    pub fn egress_priority(mut self, kernel: u32, tag: u8) -> Self {
        self.check_priority("egress_priority", tag);
        self.egress.insert(kernel, tag.into());
        self
    }

    fn check_priority(&mut self, setter: &'static str, tag: u8) {
        if tag > 7 {
            self.settings.rejected.reject(setter, tag, "a tag's priority is from 0 to 7");
        }
    }

    fn flag(mut self, flag: VlanFlags, on: bool) -> Self {
        self.flags.0.set(flag, on);
        self.flags.1.insert(flag);
        self
    }

    create_on_parent!("is down, unless the binding is loose");

    fn new_link(&self, parent: &Netns, netns: &Netns) -> Result<crate::owned::Owned<Link>, Error> {
        let mut options = self.options.clone();
        if !self.flags.1.is_empty() {
            options.set(InfoVlan::Flags(self.flags));
        }
        let mapping = |map: &BTreeMap<u32, u32>| {
            map.iter().map(|(from, to)| VlanQosMapping::Mapping(*from, *to)).collect()
        };
        options.set(InfoVlan::IngressQos(mapping(&self.ingress)));
        options.set(InfoVlan::EgressQos(mapping(&self.egress)));
        let new = NewLink {
            sender: parent,
            parent: Some(&self.parent),
            options: &|out| options.write(out),
            ..NewLink::of("create VLAN", &LinkKind::Vlan, &self.settings, netns)
        };
        new.create()
    }
}

link_info! {
    /// The options of a VLAN link, as `ip -details link` lists them.
    VlanInfo of Vlan by
    /// Reads the options of this VLAN. `None` if the link is of another kind.
    vlan_info, InfoVlan {
        /// The id.
        id: u16 = InfoVlan::Id(id) => *id;
        /// The tag.
        protocol: VlanProtocol = InfoVlan::Protocol(tag) => u16::from(*tag).into();
        /// True if the tag is hidden from programs that read whole frames.
        reorder_header: bool = InfoVlan::Flags((on, _)) => on.contains(VlanFlags::ReorderHdr);
        /// True if the VLAN is registered by GVRP.
        gvrp: bool = InfoVlan::Flags((on, _)) => on.contains(VlanFlags::Gvrp);
        /// True if the VLAN is registered by MVRP.
        mvrp: bool = InfoVlan::Flags((on, _)) => on.contains(VlanFlags::Mvrp);
        /// True if the VLAN can be up while its parent is down.
        loose_binding: bool = InfoVlan::Flags((on, _)) => on.contains(VlanFlags::LooseBinding);
        /// True if the carrier follows the ports of the bridge below.
        bridge_binding: bool = InfoVlan::Flags((on, _)) => on.contains(VlanFlags::BridgeBinding);
        /// The kernel's priority for each priority in a tag; 0 for others.
        ingress_priorities: BTreeMap<u32, u32> = InfoVlan::IngressQos(map) => mappings(map);
        /// The priority in the tag for each priority in the kernel; 0 for others.
        egress_priorities: BTreeMap<u32, u32> = InfoVlan::EgressQos(map) => mappings(map);
    }
}

fn mappings(listed: &[VlanQosMapping]) -> BTreeMap<u32, u32> {
    let pair = |one: &VlanQosMapping| match one {
        VlanQosMapping::Mapping(from, to) => Some((*from, *to)),
        _ => None,
    };
    listed.iter().filter_map(pair).collect()
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let cable = super::veth::VethPair::new("veth1", "veth2").create(netns)?;
    let vlan = Vlan::new("vlan7", cable.near(), 7).loose_binding(true).up().create(netns)?;
    vlan.delete().map_err(Error::from)
}
