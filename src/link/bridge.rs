//! Bridges.

use std::time::Duration;

use nix::errno::Errno;

use super::bridge_info::{
    IFLA_BR_AGEING_TIME, IFLA_BR_FORWARD_DELAY, IFLA_BR_MCAST_SNOOPING, IFLA_BR_MULTI_BOOLOPT,
    IFLA_BR_STP_STATE, IFLA_BR_VLAN_FILTERING, NO_FILTERING,
};
use super::configure::{Remaining, configure};
use super::create::create_link;
use super::handle::Link;
use super::settings::{Settings, link_setters};
use crate::error::Error;
use crate::netns::{Netns, Quoted};
use crate::owned::Owned;
use crate::wire::attribute::Writer;

/// A bridge to be: a switch inside the kernel, whose ports are other links.
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
/// Its hardware address is set at birth: the kernel would else give it that of its lowest port, and
/// change it as ports come and go. Source: ip-link(8), `net/bridge/br_netlink.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Bridge {
    settings: Settings,
    stp: Option<bool>,
    forward_delay: Option<Duration>,
    ageing: Option<Duration>,
    vlan_filtering: Option<bool>,
    multicast_snooping: Option<bool>,
    link_local_learning: Option<bool>,
}

impl Bridge {
    /// A bridge of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self {
            settings: Settings::new(name.as_ref()),
            stp: None,
            forward_delay: None,
            ageing: None,
            vlan_filtering: None,
            multicast_snooping: None,
            link_local_learning: None,
        }
    }

    link_setters!();

    /// Turns the spanning tree protocol on or off, as `stp_state`. Default: off.
    #[doc(alias = "IFLA_BR_STP_STATE")]
    pub fn stp(mut self, on: bool) -> Self {
        self.stp = Some(on);
        self
    }

    /// How long a port listens and learns before it forwards, in hundredths of a second, as
    /// `forward_delay`. Default: 15 s, of no effect while the spanning tree protocol is off.
    #[doc(alias = "IFLA_BR_FORWARD_DELAY")]
    pub fn forward_delay(mut self, delay: Duration) -> Self {
        self.forward_delay = Some(delay);
        self
    }

    /// How long a learned address is remembered, in hundredths of a second, as `ageing_time`. Default:
    /// 300 s.
    #[doc(alias = "IFLA_BR_AGEING_TIME")]
    pub fn ageing_time(mut self, time: Duration) -> Self {
        self.ageing = Some(time);
        self
    }

    /// Keeps ports apart by VLAN, as `vlan_filtering`. Default: off.
    #[doc(alias = "IFLA_BR_VLAN_FILTERING")]
    pub fn vlan_filtering(mut self, on: bool) -> Self {
        self.vlan_filtering = Some(on);
        self
    }

    /// Sends multicast only where it was asked for, as `mcast_snooping`. Default: on.
    #[doc(alias = "IFLA_BR_MCAST_SNOOPING")]
    pub fn multicast_snooping(mut self, on: bool) -> Self {
        self.multicast_snooping = Some(on);
        self
    }

    /// Learns where a station is from frames to the link-local addresses `01:80:c2:00:00:0X` too, which no
    /// filter sees before; `no_linklocal_learn` turns it off. Default: on. Since Linux 5.0.
    #[doc(alias("no_linklocal_learn", "BR_BOOLOPT_NO_LL_LEARN"))]
    pub fn link_local_learning(mut self, on: bool) -> Self {
        self.link_local_learning = Some(on);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call. A name that is taken is
    /// [`is_already_exists`](Error::is_already_exists); a kernel without bridges, or asked for VLAN
    /// filtering without `CONFIG_BRIDGE_VLAN_FILTERING`, is [`is_unsupported`](Error::is_unsupported).
    /// Nothing is left where it fails.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        const ACTION: &str = "create bridge";
        self.settings.check(ACTION)?;
        let mac = self.settings.birth_mac();
        let request = self.settings.create_request(mac, netns).map_err(|cause| {
            cause.doing(ACTION, Quoted(&self.settings.name)).in_namespace(netns)
        })?;
        let mut request = request.up(self.settings.born_up());
        let master = match &self.settings.master {
            Some(master) => Some(master.resolve(netns, ACTION, Quoted(&self.settings.name))?),
            None => None,
        };
        if let Some(index) = master {
            request = request.master(index);
        }
        let request = request.kind("bridge", |options| self.write_options(options));
        let bridge = create_link(ACTION, netns, &self.settings, mac, request);
        let bridge = Owned::new(bridge.map_err(|error| self.explain(error))?);
        let up = self.settings.up && !self.settings.born_up();
        configure(&bridge, &self.settings, Remaining { up, ..Remaining::default() })?;
        Ok(bridge)
    }

    /// Of a kind of link that it does not have the kernel says so in words ("Unknown device type"); of an
    /// option, nothing but the errno.
    fn explain(&self, error: Error) -> Error {
        if self.vlan_filtering.is_none() || error.kernel_message().is_some() {
            return error;
        }
        error.hint_on(Errno::EOPNOTSUPP, || NO_FILTERING.into())
    }

    fn write_options(&self, out: &mut Writer<'_>) {
        if let Some(on) = self.stp {
            out.u32(IFLA_BR_STP_STATE, on.into());
        }
        for (kind, time) in
            [(IFLA_BR_FORWARD_DELAY, self.forward_delay), (IFLA_BR_AGEING_TIME, self.ageing)]
        {
            if let Some(time) = time {
                out.u32(kind, hundredths(time));
            }
        }
        for (kind, on) in [
            (IFLA_BR_VLAN_FILTERING, self.vlan_filtering),
            (IFLA_BR_MCAST_SNOOPING, self.multicast_snooping),
        ] {
            if let Some(on) = on {
                out.u8(kind, on.into());
            }
        }
        if let Some(on) = self.link_local_learning {
            out.bytes(IFLA_BR_MULTI_BOOLOPT, &link_local_learning(on));
        }
    }
}

/// `struct br_boolopt_multi`: what the bits are, and which of them are meant.
fn link_local_learning(on: bool) -> [u8; 8] {
    const BR_BOOLOPT_NO_LL_LEARN: u32 = 1 << 0;
    let value = if on { 0 } else { BR_BOOLOPT_NO_LL_LEARN };
    let mut option = [0; 8];
    option[..4].copy_from_slice(&value.to_ne_bytes());
    option[4..].copy_from_slice(&BR_BOOLOPT_NO_LL_LEARN.to_ne_bytes());
    option
}

/// In `USER_HZ`, as bridges count time: 100 a second.
fn hundredths(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / 10).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::LinkRequest;
    use netlink_packet_core::Parseable;
    use netlink_packet_route::link::{
        BridgeBooleanOptionFlags, BridgeBooleanOptions, BridgeStpState, InfoBridge, InfoData,
        LinkAttribute, LinkInfo, LinkMessage,
    };

    proptest::proptest! {
        /// Another implementation reads what is sent, whichever options it is.
        #[test]
        fn options_are_as_netlink_packet_route_reads_them(
            [stp, filtering, snooping, learning] in proptest::array::uniform4(proptest::option::of(proptest::bool::ANY)),
            [delay, ageing] in proptest::array::uniform2(proptest::option::of(0u32..)),
        ) {
            let mut bridge = Bridge::new("br0");
            let mut options = Vec::new();
            let hundredths = |count: u32| Duration::from_millis(u64::from(count) * 10);
            if let Some(on) = stp {
                bridge = bridge.stp(on);
                let state = if on { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
                options.push(InfoBridge::StpState(state));
            }
            if let Some(count) = delay {
                bridge = bridge.forward_delay(hundredths(count));
                options.push(InfoBridge::ForwardDelay(count));
            }
            if let Some(count) = ageing {
                bridge = bridge.ageing_time(hundredths(count));
                options.push(InfoBridge::AgeingTime(count));
            }
            if let Some(on) = filtering {
                bridge = bridge.vlan_filtering(on);
                options.push(InfoBridge::VlanFiltering(on));
            }
            if let Some(on) = snooping {
                bridge = bridge.multicast_snooping(on);
                options.push(InfoBridge::MulticastSnooping(on));
            }
            if let Some(on) = learning {
                bridge = bridge.link_local_learning(on);
                let mask = BridgeBooleanOptionFlags::NoLinkLocalLearn;
                let value = if on { BridgeBooleanOptionFlags::empty() } else { mask };
                options.push(InfoBridge::MultiBoolOpt(BridgeBooleanOptions { value, mask }));
            }
            let request = LinkRequest::named("br0").kind("bridge", |out| bridge.write_options(out));
            let message = LinkMessage::parse(request.as_bytes()).unwrap();
            let [_, LinkAttribute::LinkInfo(info)] = &message.attributes[..] else {
                panic!("{message:?}")
            };
            assert_eq!(info[1], LinkInfo::Data(InfoData::Bridge(options)));
        }
    }
}
