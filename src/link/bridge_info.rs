//! The settings of a bridge that exists, as `ip -details link show` lists them.

use std::fmt;
use std::time::Duration;

use netlink_packet_route::link::{BridgeStpState, InfoBridge};
use nix::errno::Errno;

use super::handle::Link;
use super::message::write_kind;
use crate::error::Error;
use crate::netlink::{Batch, RequestType};
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::link::{AF_UNSPEC, LinkView, header};

/// The settings of a bridge: a part of what `ip -details link show type bridge` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // the kernel's own switches, each by its name
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BridgeInfo {
    /// True if the spanning tree protocol runs, in the kernel or in a user-space program.
    pub stp: bool,
    /// The priority for the spanning tree protocol.
    pub priority: u16,
    /// The time for which a port listens and learns before it forwards, with the spanning tree
    /// protocol.
    pub forward_delay: Duration,
    /// The time for which a learned address is remembered.
    pub ageing_time: Duration,
    /// True if the bridge filters by VLAN. Always `false` in a kernel without
    /// `CONFIG_BRIDGE_VLAN_FILTERING`.
    pub vlan_filtering: bool,
    /// The VLAN that a new port joins untagged (`vlan_default_pvid`), 1 by default. `None` if a new
    /// port joins no VLAN, or the kernel has no `CONFIG_BRIDGE_VLAN_FILTERING`.
    pub default_vlan: Option<u16>,
    /// True if multicast is sent only to ports that asked for it.
    pub multicast_snooping: bool,
    partial: bool,
}

impl BridgeInfo {
    fn read(options: Attributes<'_>) -> Self {
        let mut info = Self {
            stp: false,
            priority: 0,
            forward_delay: Duration::ZERO,
            ageing_time: Duration::ZERO,
            vlan_filtering: false,
            default_vlan: None,
            multicast_snooping: false,
            partial: false,
        };
        for option in options.parse::<InfoBridge>() {
            match option {
                Ok(InfoBridge::StpState(state)) => info.stp = state != BridgeStpState::Disabled,
                Ok(InfoBridge::Priority(priority)) => info.priority = priority,
                Ok(InfoBridge::ForwardDelay(delay)) => info.forward_delay = hundredths(delay),
                Ok(InfoBridge::AgeingTime(time)) => info.ageing_time = hundredths(time),
                Ok(InfoBridge::VlanFiltering(on)) => info.vlan_filtering = on,
                Ok(InfoBridge::VlanDefaultPvid(id)) => {
                    info.default_vlan = Some(id).filter(|&id| id != 0);
                }
                Ok(InfoBridge::MulticastSnooping(on)) => info.multicast_snooping = on,
                Ok(_) => {}
                Err(_) => info.partial = true,
            }
        }
        info
    }

    /// Returns whether netloom could not read one of the options that the kernel listed. That
    /// option's field then holds its default value.
    pub fn is_partial(&self) -> bool {
        self.partial
    }
}

/// Converts a time in `USER_HZ`, the unit of bridges.
fn hundredths(count: u32) -> Duration {
    Duration::from_millis(u64::from(count) * 10)
}

/// Writes one line in the words of `ip -details link`.
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
    /// Reads the settings of this bridge, as `ip -details link show DEV`. `None` if the link is no
    /// bridge.
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
    /// - `is_not_found()` if the link is gone.
    #[doc(alias("ip -details link show", "IFLA_INFO_DATA"))]
    pub fn bridge_info(&self) -> Result<Option<BridgeInfo>, Error> {
        let read = |view: LinkView<'_>| Some(view.options("bridge").map(BridgeInfo::read));
        self.snapshot().get("look at bridge", read)
    }

    /// Turns VLAN filtering of this bridge on or off, as `ip link set DEV type bridge
    /// vlan_filtering 1`.
    ///
    /// The bridge then forwards untagged frames among the ports whose `pvid` is the same VLAN: all
    /// ports, as long as each has the default VLAN. It forwards tagged frames only to ports that
    /// [joined](super::BridgeVlan) their VLAN.
    ///
    /// # Errors
    ///
    /// - `is_unsupported()` in a kernel without `CONFIG_BRIDGE_VLAN_FILTERING`, or if the link is
    ///   not a bridge.
    #[doc(alias("IFLA_BR_VLAN_FILTERING", "ip link set type bridge"))]
    pub fn set_vlan_filtering(&self, on: bool) -> Result<(), Error> {
        // RTM_NEWLINK without NLM_F_CREATE changes the options of an existing link.
        let options = |out: &mut Writer<'_>| out.emit(&InfoBridge::VlanFiltering(on));
        let request = |batch: &mut Batch, index| {
            batch.push(RequestType::NewLink, 0, &header(AF_UNSPEC, index), |link| {
                write_kind(link, "bridge", options);
            })
        };
        self.request("set VLAN filtering of", request).map_err(|error| {
            error.hint_on(Errno::EOPNOTSUPP, || match self.bridge_info() {
                Ok(None) => format!("`{}` is not a bridge", self.name()),
                _ => NO_FILTERING.into(),
            })
        })
    }
}

/// The hint for an errno about VLAN filtering: the kernel sends no text with the errno.
pub(super) const NO_FILTERING: &str =
    "this kernel's bridges do not filter by VLAN (CONFIG_BRIDGE_VLAN_FILTERING)";

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of the options that Linux 6.12 lists for a bridge, in the kernel's order.
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
    fn the_settings_of_a_bridge_are_read() {
        let info = BridgeInfo::read(Attributes::new(LISTED));
        assert_eq!(
            (info.forward_delay, info.ageing_time),
            (Duration::from_secs(15), Duration::from_secs(300))
        );
        assert_eq!((info.stp, info.vlan_filtering, info.multicast_snooping), (true, true, true));
        assert_eq!((info.priority, info.default_vlan), (32768, Some(1)));
        let words = "bridge stp_state 1 priority 32768 vlan_filtering 1 mcast_snooping 1 vlan_default_pvid 1";
        assert_eq!(info.to_string(), words);
        assert!(!info.is_partial());
    }

    #[test]
    fn an_option_of_another_length_is_absent_and_the_rest_is_read() {
        let mut listed = LISTED.to_vec();
        listed[32] = 4; // vlan_filtering without a value
        listed.drain(36..40);
        let info = BridgeInfo::read(Attributes::new(&listed));
        assert!(info.is_partial() && !info.vlan_filtering && info.multicast_snooping, "{info:?}");
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        for cut in 0..LISTED.len() {
            let info = BridgeInfo::read(Attributes::new(&LISTED[..cut]));
            assert!(info.default_vlan.is_none() || cut >= LISTED.len() - 2, "{cut}");
        }
    }
}
