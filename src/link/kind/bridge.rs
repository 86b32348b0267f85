//! Bridges.

use std::time::Duration;

use netlink_packet_route::link::{
    BridgeBooleanOptionFlags, BridgeBooleanOptions, BridgeStpState, InfoBridge,
};
use nix::errno::Errno;

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::bridge_info::NO_FILTERING;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::options::Options;
use crate::link::settings::{Settings, link_setters};
use crate::netns::{Netns, Quoted};
use crate::owned::Owned;

pub(super) const KIND: Kind = Kind::PLAIN;

/// The forward delays that the spanning tree protocol allows (`BR_MIN_FORWARD_DELAY` and
/// `BR_MAX_FORWARD_DELAY` in `net/bridge/br_private_stp.h`).
const STP_DELAY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(30);

/// A bridge to create: a switch inside the kernel, whose ports are other links.
///
/// Replaces `ip link add name NAME type bridge`.
///
/// ```
/// use netloom::{Bridge, Namespace, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
/// let cable = VethPair::new("veth1", "veth2").create(&host)?;
/// cable.near().set_master(&bridge)?;
/// assert_eq!(host.bridge_ports()?[0].master, bridge.index());
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// netloom gives a new bridge a fixed hardware address. Otherwise the bridge would take the lowest
/// address among its ports, and change it whenever the ports change. Source: ip-link(8),
/// `net/bridge/br_netlink.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Bridge {
    settings: Settings,
    options: Options<InfoBridge>,
}

impl Bridge {
    /// Describes a bridge with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self { settings: Settings::new(name.as_ref()), options: Options::default() }
    }

    link_setters!(
        mac: "a random one",
        mtu: "1,500, and that of the port with the smallest as soon as the bridge has ports",
        queues: "1"
    );

    /// Turns the spanning tree protocol on or off, as `stp_state`. Default: off.
    #[doc(alias = "IFLA_BR_STP_STATE")]
    pub fn stp(self, on: bool) -> Self {
        let state = if on { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
        self.option(InfoBridge::StpState(state))
    }

    /// Sets how long a port listens and learns before it forwards, as `forward_delay`.
    ///
    /// The time is a multiple of 10 ms, and from 2 to 30 s if the spanning tree protocol is on.
    /// Without that protocol the delay has no effect. Default: 15 s.
    #[doc(alias = "IFLA_BR_FORWARD_DELAY")]
    pub fn forward_delay(self, delay: Duration) -> Self {
        self.time("forward_delay", delay, InfoBridge::ForwardDelay)
    }

    /// Sets how long a learned address is remembered, as `ageing_time`.
    ///
    /// A multiple of 10 ms. Default: 300 s.
    #[doc(alias = "IFLA_BR_AGEING_TIME")]
    pub fn ageing_time(self, time: Duration) -> Self {
        self.time("ageing_time", time, InfoBridge::AgeingTime)
    }

    /// Turns VLAN filtering on or off, as `vlan_filtering`. Default: off.
    #[doc(alias = "IFLA_BR_VLAN_FILTERING")]
    pub fn vlan_filtering(self, on: bool) -> Self {
        self.option(InfoBridge::VlanFiltering(on))
    }

    /// Turns multicast snooping on or off, as `mcast_snooping`: multicast is sent only to ports
    /// that asked for it. Default: on.
    #[doc(alias = "IFLA_BR_MCAST_SNOOPING")]
    pub fn multicast_snooping(self, on: bool) -> Self {
        self.option(InfoBridge::MulticastSnooping(on))
    }

    /// Turns learning from frames to the link-local addresses `01:80:c2:00:00:0X` on or off, as
    /// `no_linklocal_learn`, which is the opposite. A bridge learns from such frames before any
    /// filter sees them. Default: on. Since Linux 5.0.
    #[doc(alias("no_linklocal_learn", "BR_BOOLOPT_NO_LL_LEARN"))]
    pub fn link_local_learning(self, on: bool) -> Self {
        let mask = BridgeBooleanOptionFlags::NoLinkLocalLearn;
        let value = if on { BridgeBooleanOptionFlags::empty() } else { mask };
        self.option(InfoBridge::MultiBoolOpt(BridgeBooleanOptions { value, mask }))
    }

    /// Creates the bridge.
    ///
    /// # Errors
    ///
    /// If a value can be known to be wrong, it is refused before any system call. A failure leaves
    /// nothing behind.
    /// - `is_already_exists()` if a link has the name.
    /// - `is_unsupported()` in a kernel without bridges, or without `CONFIG_BRIDGE_VLAN_FILTERING`
    ///   if VLAN filtering is asked for.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        const ACTION: &str = "create bridge";
        let on = InfoBridge::StpState(BridgeStpState::KernelStp);
        let stp = self.options.iter().any(|option| *option == on);
        let delay = self.options.iter().find_map(|option| match option {
            InfoBridge::ForwardDelay(delay) => Some(Duration::from_millis(u64::from(*delay) * 10)),
            _ => None,
        });
        // The kernel would clamp the delay without an error.
        if let Some(delay) = delay.filter(|delay| stp && !STP_DELAY.contains(delay)) {
            let reason = format!(
                "forward_delay({delay:?}) with stp(true): the protocol takes from 2 to 30 s"
            );
            return Err(Error::invalid(ACTION, Quoted(&self.settings.name), reason));
        }
        let new = NewLink {
            options: &|out| self.options.write(out),
            ..NewLink::of(ACTION, &LinkKind::Bridge, &self.settings, netns)
        };
        new.create().map_err(|error| self.explain(error))
    }

    fn time(mut self, setter: &'static str, time: Duration, to: fn(u32) -> InfoBridge) -> Self {
        match hundredths(time) {
            Ok(time) => self.option(to(time)),
            Err(why) => {
                self.settings.rejected.reject(setter, format!("{time:?}"), why);
                self
            }
        }
    }

    /// Sets an option. Replaces an earlier value of the same option.
    fn option(mut self, option: InfoBridge) -> Self {
        self.options.set(option);
        self
    }

    /// Explains an errno about VLAN filtering. The kernel sends a text for an unknown kind of link
    /// ("Unknown device type"), but none for an unknown option.
    fn explain(&self, error: Error) -> Error {
        let filters = self.options.iter().any(|one| matches!(one, InfoBridge::VlanFiltering(_)));
        if !filters || error.kernel_message().is_some() {
            return error;
        }
        error.hint_on(Errno::EOPNOTSUPP, || NO_FILTERING.into())
    }
}

/// Converts a time to hundredths of a second, the unit of bridges (`USER_HZ`).
fn hundredths(time: Duration) -> Result<u32, &'static str> {
    if !time.subsec_nanos().is_multiple_of(10_000_000) {
        return Err("a bridge's time is a multiple of 10 ms");
    }
    u32::try_from(time.as_millis() / 10).ok().ok_or("a bridge's time is at most 497 days")
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let bridge = Bridge::new("br0").stp(true).up().create(netns)?;
    bridge.delete().map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::write_kind;
    use crate::wire::attribute::Writer;
    use netlink_packet_core::Parseable;
    use netlink_packet_route::link::{InfoData, LinkAttribute, LinkInfo, LinkMessage};

    /// The bytes of `ip link add br0 type bridge stp_state 1 vlan_filtering 1`, without the name.
    #[test]
    #[cfg(target_endian = "little")]
    fn options_are_laid_out_as_the_kernel_wants_them() {
        let bridge = Bridge::new("br0").vlan_filtering(true).stp(false).stp(true);
        let mut request = vec![0; 16];
        write_kind(&mut Writer::new(&mut request), "bridge", |out| bridge.options.write(out));
        let message = LinkMessage::parse(request.as_slice()).unwrap();
        let [LinkAttribute::LinkInfo(info)] = &message.attributes[..] else {
            panic!("{message:?}")
        };
        assert_eq!(
            info[1],
            LinkInfo::Data(InfoData::Bridge(bridge.options.iter().cloned().collect()))
        );
        let mut bytes = Vec::new();
        bridge.options.write(&mut Writer::new(&mut bytes));
        assert_eq!(bytes, [8, 0, 5, 0, 1, 0, 0, 0, 5, 0, 7, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn two_builders_with_the_same_options_are_equal() {
        let one = Bridge::new("br0").stp(true).vlan_filtering(true);
        let other = Bridge::new("br0").stp(false).vlan_filtering(true).stp(true);
        assert_eq!(one, other);
    }

    #[test]
    fn a_time_that_the_kernel_would_cut_is_refused() {
        assert_eq!(hundredths(Duration::from_secs(300)), Ok(30_000));
        assert_eq!(hundredths(Duration::ZERO), Ok(0));
        for time in [Duration::from_millis(9), Duration::from_millis(15), Duration::MAX] {
            assert!(hundredths(time).is_err(), "{time:?}");
        }
    }
}
