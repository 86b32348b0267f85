//! Bridge ports and their settings, as `bridge link`.

use std::fmt;

use netlink_packet_route::link::InfoBridgePort;
use nix::errno::Errno;

use super::handle::Link;
use super::index::LinkIndex;
use crate::error::Error;
use crate::netlink::{Batch, RequestType};
use crate::netns::{Netns, Quoted};
use crate::numbered::numbered;
use crate::wire::link::{
    AF_BRIDGE, IFLA_EXT_MASK, IFLA_PROTINFO, LinkView, RTEXT_FILTER_BRVLAN, header,
};
use crate::wire::message::NLM_F_DUMP;

numbered! {
    /// The state of a bridge port (`BR_STATE_*`).
    BridgePortState: u8 {
        /// The port does nothing: its link is down or has no carrier.
        Disabled = 0 "disabled",
        /// The port listens only.
        Listening = 1 "listening",
        /// The port learns addresses and does not forward yet.
        Learning = 2 "learning",
        /// The port forwards.
        Forwarding = 3 "forwarding",
        /// The spanning tree protocol blocks the port.
        Blocking = 4 "blocking",
    }
}

/// The state of a bridge port, a line of `bridge link show`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BridgePortInfo {
    /// The link's index.
    pub index: LinkIndex,
    /// The link's name.
    pub name: String,
    /// The bridge's index.
    pub master: LinkIndex,
    /// The state.
    pub state: BridgePortState,
    /// The priority for the spanning tree protocol.
    pub priority: u16,
    /// The path cost for the spanning tree protocol.
    pub cost: u32,
    /// True if the bridge may send a packet out of the port that received it (hairpin mode).
    pub hairpin: bool,
    /// True if the bridge forwards no packets between this port and other isolated ports.
    pub isolated: bool,
    partial: bool,
}

impl BridgePortInfo {
    fn read(view: LinkView<'_>) -> Option<Self> {
        let options = view.bridge_port()?;
        let mut port = Self {
            index: view.index.into(),
            name: view.name()?.into_owned(),
            master: view.master()?.into(),
            state: BridgePortState::Disabled,
            priority: 0,
            cost: 0,
            hairpin: false,
            isolated: false,
            partial: false,
        };
        for option in options.parse::<InfoBridgePort>() {
            match option {
                Ok(InfoBridgePort::State(state)) => port.state = u8::from(state).into(),
                Ok(InfoBridgePort::Priority(priority)) => port.priority = priority,
                Ok(InfoBridgePort::Cost(cost)) => port.cost = cost,
                Ok(InfoBridgePort::HairpinMode(on)) => port.hairpin = on,
                Ok(InfoBridgePort::Isolated(on)) => port.isolated = on,
                Ok(_) => {}
                Err(_) => port.partial = true,
            }
        }
        Some(port)
    }

    /// Returns whether netloom could not read one of the options that the kernel listed. That
    /// option's field then holds its default value.
    pub fn is_partial(&self) -> bool {
        self.partial
    }
}

/// Writes one line in the words of `bridge link`.
impl fmt::Display for BridgePortInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, master, state, priority, cost, .. } = self;
        write!(f, "{index}: {name} master if{master} state {state} priority {priority} cost {cost}")
    }
}

impl Netns {
    /// Lists the ports of all bridges in the order of their indexes, as `bridge link show`.
    ///
    /// # Errors
    ///
    /// - `ErrorKind::Interrupted` if the list changed during all attempts to read it.
    #[doc(alias = "bridge link show")]
    pub fn bridge_ports(&self) -> Result<Vec<BridgePortInfo>, Error> {
        let all = |batch: &mut Batch| {
            batch.push(RequestType::GetLink, NLM_F_DUMP, &header(AF_BRIDGE, 0), |out| {
                out.u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN);
            })
        };
        let mut ports = self
            .dump("bridge ports", all, |message| BridgePortInfo::read(LinkView::read(message)?))?;
        ports.sort_unstable_by_key(|port| port.index);
        Ok(ports)
    }
}

impl Link {
    /// Reads the state of this bridge port, as `bridge link show dev NAME`. `None` if the link is
    /// not a bridge port.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn port(&self) -> Result<Option<BridgePortInfo>, Error> {
        self.snapshot().get("look at bridge port", |view| Some(BridgePortInfo::read(view)))
    }

    /// Lists the ports of this bridge, as `bridge link show master BRIDGE`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the bridge is gone.
    /// - The errors of [`Netns::bridge_ports`].
    pub fn ports(&self) -> Result<Vec<BridgePortInfo>, Error> {
        let snapshot = self.verified("list ports of")?;
        let mut ports = snapshot.netns.bridge_ports()?;
        ports.retain(|port| port.master == snapshot.id.index);
        Ok(ports)
    }

    /// Turns hairpin mode of this bridge port on or off, as `bridge link set dev PORT hairpin on`:
    /// the bridge may send packets out of the port that received them. Default: off.
    ///
    /// # Errors
    ///
    /// - `is_unsupported()` if the link is not a bridge port.
    /// - `is_not_found()` if the link is gone.
    #[doc(alias("IFLA_BRPORT_MODE", "bridge link set"))]
    pub fn set_hairpin(&self, on: bool) -> Result<(), Error> {
        self.set_port("set hairpin mode of", &InfoBridgePort::HairpinMode(on))
    }

    /// Isolates this bridge port, as `bridge link set dev PORT isolated on`: the bridge forwards
    /// nothing between two isolated ports. Default: off.
    ///
    /// # Errors
    ///
    /// - `is_unsupported()` if the link is not a bridge port.
    /// - `is_not_found()` if the link is gone.
    #[doc(alias("IFLA_BRPORT_ISOLATED", "bridge link set"))]
    pub fn set_isolated(&self, on: bool) -> Result<(), Error> {
        self.set_port("isolate", &InfoBridgePort::Isolated(on))
    }

    fn set_port(&self, action: &'static str, setting: &InfoBridgePort) -> Result<(), Error> {
        let request = |batch: &mut Batch, index| {
            batch.push(RequestType::SetLink, 0, &header(AF_BRIDGE, index), |out| {
                out.nested(IFLA_PROTINFO, |port| port.emit(setting));
            })
        };
        self.request(action, request).map_err(|error| {
            let reason = || format!("{} is not a bridge port", Quoted(&self.snapshot().id.name));
            error.hint_on(Errno::EOPNOTSUPP, reason).hint_on(Errno::EINVAL, reason)
        })
    }
}
