//! What a bridge is set to, as `ip -details link show` lists it, and what of that is changed later.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use super::handle::Link;
use super::message::LinkRequest;
use crate::error::Error;
use crate::netlink::RouteRequest;
use crate::netns::Quoted;
use crate::wire::attribute::{Attribute, Attributes, Writer};
use crate::wire::link::{LinkView, WhichLink};

pub(super) const IFLA_BR_FORWARD_DELAY: u16 = 1;
pub(super) const IFLA_BR_AGEING_TIME: u16 = 4;
pub(super) const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_PRIORITY: u16 = 6;
pub(super) const IFLA_BR_VLAN_FILTERING: u16 = 7;
pub(super) const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
pub(super) const IFLA_BR_MULTI_BOOLOPT: u16 = 46;

/// What a bridge is set to, of what `ip -details link show type bridge` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeInfo {
    /// Whether the spanning tree protocol runs, be it the kernel's or a program's.
    pub stp: bool,
    /// The spanning tree protocol's priority.
    pub priority: u16,
    /// How long a port listens and learns before it forwards, with the spanning tree protocol.
    pub forward_delay: Duration,
    /// How long a learned address is remembered.
    pub ageing_time: Duration,
    /// Whether ports are kept apart by VLAN. Never in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`.
    pub vlan_filtering: bool,
    /// The VLAN that a new port is in, untagged: 1 unless that was changed. None where that is off, or the
    /// kernel's bridges know no VLANs.
    pub default_vlan: Option<u16>,
    /// Whether multicast is sent only where it was asked for.
    pub multicast_snooping: bool,
}

impl BridgeInfo {
    fn read(data: Attributes<'_>) -> Self {
        let byte = |kind| data.get(kind).and_then(Attribute::u8).unwrap_or(0);
        let short = |kind| data.get(kind).and_then(Attribute::u16).unwrap_or(0);
        // In USER_HZ, 100 a second.
        let time = |kind| {
            let hundredths = data.get(kind).and_then(Attribute::u32).unwrap_or(0);
            Duration::from_millis(u64::from(hundredths) * 10)
        };
        Self {
            stp: data.get(IFLA_BR_STP_STATE).and_then(Attribute::u32).unwrap_or(0) != 0,
            priority: short(IFLA_BR_PRIORITY),
            forward_delay: time(IFLA_BR_FORWARD_DELAY),
            ageing_time: time(IFLA_BR_AGEING_TIME),
            vlan_filtering: byte(IFLA_BR_VLAN_FILTERING) != 0,
            default_vlan: Some(short(IFLA_BR_VLAN_DEFAULT_PVID)).filter(|&id| id != 0),
            multicast_snooping: byte(IFLA_BR_MCAST_SNOOPING) != 0,
        }
    }
}

/// One line, in the words of `ip -details link`.
impl fmt::Display for BridgeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { priority, stp, vlan_filtering, multicast_snooping, .. } = self;
        let [stp, filtering, snooping] =
            [stp, vlan_filtering, multicast_snooping].map(|&on| u8::from(on));
        write!(
            f,
            "bridge stp_state {stp} priority {priority} vlan_filtering {filtering} mcast_snooping {snooping}"
        )?;
        self.default_vlan.map_or(Ok(()), |id| write!(f, " vlan_default_pvid {id}"))
    }
}

impl Link {
    /// What it is set to as a bridge, as `ip -details link show DEV`; none where it is none.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").stp(true).create(&host)?;
    /// assert!(bridge.bridge_info()?.is_some_and(|info| info.stp && !info.vlan_filtering));
    /// assert_eq!(host.link("lo")?.bridge_info()?, None);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone.
    #[doc(alias("ip -details link show", "IFLA_INFO_DATA"))]
    pub fn bridge_info(&self) -> Result<Option<BridgeInfo>, Error> {
        let read = |view: LinkView<'_>| Some(view.bridge().map(BridgeInfo::read));
        self.netns.look_up_link(WhichLink::At(self.index), read).map_err(|cause| {
            cause.doing("look at bridge", Quoted(&self.name)).in_namespace(&self.netns)
        })
    }

    /// Has this bridge keep its ports apart by VLAN, or no longer, as
    /// `ip link set DEV type bridge vlan_filtering 1`. Frames without a tag go on among the ports that are in
    /// the default VLAN, as all are unless that was changed; tagged ones go where a port was
    /// [put into](super::BridgeVlan) their VLAN, and no further.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`, or where
    /// it is no bridge.
    #[doc(alias("IFLA_BR_VLAN_FILTERING", "ip link set type bridge"))]
    pub fn set_vlan_filtering(&self, on: bool) -> Result<(), Error> {
        let filtering = |options: &mut Writer<'_>| options.u8(IFLA_BR_VLAN_FILTERING, on.into());
        let request = LinkRequest::at(self.index).kind("bridge", filtering);
        // A kind's own settings are changed by the request that makes links, without the flag that makes one.
        let change: fn(LinkRequest) -> RouteRequest = LinkRequest::create;
        self.request("set VLAN filtering of", request, change).map_err(|error| {
            error.hint_on(Errno::EOPNOTSUPP, || match self.bridge_info() {
                Ok(None) => format!("`{}` is no bridge", self.name),
                _ => NO_FILTERING.into(),
            })
        })
    }
}

/// Of a kind of link that it does not have the kernel says so in words; of an option, nothing but the errno.
pub(super) const NO_FILTERING: &str =
    "this kernel's bridges do not filter by VLAN (CONFIG_BRIDGE_VLAN_FILTERING)";

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of what Linux 6.12 lists of a bridge, in its order.
    const LISTED: &[u8] = &[
        8, 0, 1, 0, 0xdc, 5, 0, 0, // forward_delay 1500
        8, 0, 4, 0, 0x30, 0x75, 0, 0, // ageing_time 30000
        8, 0, 5, 0, 1, 0, 0, 0, // stp_state 1
        6, 0, 6, 0, 0, 0x80, 0, 0, // priority 32768
        5, 0, 7, 0, 1, 0, 0, 0, // vlan_filtering 1
        5, 0, 23, 0, 1, 0, 0, 0, // mcast_snooping 1
        6, 0, 39, 0, 1, 0, 0, 0, // vlan_default_pvid 1
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn a_bridge_s_settings_are_read() {
        let info = BridgeInfo::read(Attributes::new(LISTED));
        assert_eq!(
            (info.forward_delay, info.ageing_time),
            (Duration::from_secs(15), Duration::from_secs(300))
        );
        assert_eq!((info.stp, info.vlan_filtering, info.multicast_snooping), (true, true, true));
        assert_eq!((info.priority, info.default_vlan), (32768, Some(1)));
        let words = "bridge stp_state 1 priority 32768 vlan_filtering 1 mcast_snooping 1 vlan_default_pvid 1";
        assert_eq!(info.to_string(), words);
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        for cut in 0..LISTED.len() {
            let info = BridgeInfo::read(Attributes::new(&LISTED[..cut]));
            assert!(info.default_vlan.is_none() || cut >= LISTED.len() - 2, "{cut}");
        }
    }
}
