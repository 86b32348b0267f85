//! Bridge ports, as `bridge link` lists them.

use std::fmt;

use super::handle::Link;
use super::index::LinkIndex;
use crate::error::Error;
use crate::netlink::{RequestType, RouteRequest};
use crate::netns::{Netns, Quoted};
use crate::wire::attribute::Attribute;
use crate::wire::link::{
    AF_BRIDGE, IFLA_EXT_MASK, LinkView, RTEXT_FILTER_BRVLAN, WhichLink, header,
};

/// What a bridge does with a port's packets (net/bridge, `BR_STATE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BridgePortState {
    /// Takes no part.
    Disabled,
    /// Blocked by the spanning tree protocol.
    Blocking,
    /// Listening only.
    Listening,
    /// Learns addresses, does not forward yet.
    Learning,
    /// Forwards.
    Forwarding,
}

impl From<u8> for BridgePortState {
    fn from(state: u8) -> Self {
        match state {
            1 => Self::Listening,
            2 => Self::Learning,
            3 => Self::Forwarding,
            4 => Self::Blocking,
            _ => Self::Disabled,
        }
    }
}

impl fmt::Display for BridgePortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Blocking => "blocking",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
        })
    }
}

/// A bridge port as the kernel lists it, a line of `bridge link show`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgePortInfo {
    /// The link's index.
    pub index: LinkIndex,
    /// The link's name.
    pub name: String,
    /// The bridge's index.
    pub master: LinkIndex,
    /// Whether it forwards.
    pub state: BridgePortState,
    /// The spanning tree protocol's priority.
    pub priority: u16,
    /// The spanning tree protocol's path cost.
    pub cost: u32,
    /// Whether packets may go back out of the port they came in.
    pub hairpin: bool,
    /// Whether it is kept apart from other isolated ports.
    pub isolated: bool,
}

const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_PRIORITY: u16 = 2;
const IFLA_BRPORT_COST: u16 = 3;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

impl BridgePortInfo {
    fn read(view: LinkView<'_>) -> Option<Self> {
        let port = view.bridge_port()?;
        let byte = |kind| port.get(kind).and_then(Attribute::u8).unwrap_or(0);
        Some(Self {
            index: view.index.into(),
            name: view.name()?.into_owned(),
            master: view.master()?.into(),
            state: byte(IFLA_BRPORT_STATE).into(),
            priority: port.get(IFLA_BRPORT_PRIORITY).and_then(Attribute::u16).unwrap_or(0),
            cost: port.get(IFLA_BRPORT_COST).and_then(Attribute::u32).unwrap_or(0),
            hairpin: byte(IFLA_BRPORT_MODE) != 0,
            isolated: byte(IFLA_BRPORT_ISOLATED) != 0,
        })
    }
}

/// One line, in the words of `bridge link`.
impl fmt::Display for BridgePortInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, master, state, priority, cost, .. } = self;
        write!(f, "{index}: {name} master if{master} state {state} priority {priority} cost {cost}")
    }
}

impl Netns {
    /// The ports of all bridges, in the order of their indexes, as `bridge link show`.
    ///
    /// # Errors
    ///
    /// Where the list changed each time it was read: it is whole, or an error.
    #[doc(alias = "bridge link show")]
    pub fn bridge_ports(&self) -> Result<Vec<BridgePortInfo>, Error> {
        let all = RouteRequest::new(RequestType::GetLink, &header(AF_BRIDGE, 0), |out| {
            out.u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN);
        });
        let mut ports = self
            .dump("bridge ports", &all, |message| BridgePortInfo::read(LinkView::read(message)?))?;
        ports.sort_unstable_by_key(|port| port.index);
        Ok(ports)
    }
}

impl Link {
    /// What it is as a bridge's port, as `bridge link show dev NAME`; none where it is no bridge's port.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone.
    pub fn port(&self) -> Result<Option<BridgePortInfo>, Error> {
        let read = |view: LinkView<'_>| Some(BridgePortInfo::read(view));
        self.netns.look_up_link(WhichLink::At(self.index), read).map_err(|cause| {
            cause.doing("look at bridge port", Quoted(&self.name)).in_namespace(&self.netns)
        })
    }

    /// The ports of this bridge, as `bridge link show` with those of others left out.
    ///
    /// # Errors
    ///
    /// As [`Netns::bridge_ports`].
    pub fn ports(&self) -> Result<Vec<BridgePortInfo>, Error> {
        let mut ports = self.netns.bridge_ports()?;
        ports.retain(|port| port.master == self.index);
        Ok(ports)
    }
}
