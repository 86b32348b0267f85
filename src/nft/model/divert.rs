//! The builder of rules: where else packets go.

use std::net::{IpAddr, SocketAddr};

use super::datum::Datum;
use super::device::Device;
use super::name;
use super::part::Part;
use super::queue::Queue;
use super::rule::Rule;
use super::synproxy::Synproxy;
use crate::input::link_name;
use crate::link::LinkRef;

impl Rule {
    /// From now on the connection's packets go from link to link past the rules, by a flowtable of the table:
    /// `flow add @NAME`. In a chain at the hook forward. [`Flowtable`](crate::nft::Flowtable).
    #[doc(alias("flow offload", "FLOWOFFLOAD"))]
    pub fn flow_add(mut self, flowtable: &str) -> Self {
        if let Err(reason) = name::check(flowtable) {
            self.rejected.reject("flow_add", flowtable, reason);
        }
        self.with(Part::FlowAdd(flowtable.to_owned()))
    }

    /// Hands the packet to a program, which gives the verdict: `queue`.
    #[doc(alias = "NFQUEUE")]
    pub fn queue(self, queue: Queue) -> Self {
        self.with(Part::Queue(queue))
    }

    /// Sends a copy to this machine of the network: `dup to`. In the families `ip` and `ip6`.
    #[doc(alias("dup to", "TEE"))]
    pub fn dup(self, to: impl Into<Datum>) -> Self {
        self.duplicate("dup", &to.into(), None)
    }

    /// As [`dup`](Self::dup), by this link, which has to exist: `dup to ADDRESS device LINK`.
    pub fn dup_by(mut self, to: impl Into<Datum>, link: impl Into<LinkRef>) -> Self {
        let device = self.device("dup_by", link.into());
        self.duplicate("dup_by", &to.into(), Some(device))
    }

    /// Sends a copy out of a link, which has to exist; in the family `netdev`: `dup to LINK`.
    pub fn dup_to_link(mut self, link: impl Into<LinkRef>) -> Self {
        let device = Some(self.device("dup_to_link", link.into()));
        self.with(Part::Dup { address: None, device })
    }

    /// Sends the packet out of a link, which has to exist, past all that comes after; in the family `netdev`:
    /// `fwd to LINK`.
    #[doc(alias = "fwd to")]
    pub fn fwd(mut self, link: impl Into<LinkRef>) -> Self {
        let device = self.device("fwd", link.into());
        self.with(Part::Fwd { address: None, device })
    }

    /// As [`fwd`](Self::fwd), to a neighbour's hardware address: `fwd ip to ADDRESS device LINK`.
    pub fn fwd_to(mut self, neighbor: impl Into<Datum>, link: impl Into<LinkRef>) -> Self {
        let device = self.device("fwd_to", link.into());
        let address = self.an_address("fwd_to", &neighbor.into());
        self.with(Part::Fwd { address, device })
    }

    /// Hands the packet to a transparent socket at this port of this machine, unchanged; at the hook
    /// prerouting: `tproxy to :PORT`.
    #[doc(alias("TPROXY", "tproxy to"))]
    pub fn tproxy(mut self, port: u16) -> Self {
        self.refuse_port_0("tproxy", port);
        self.with(Part::Tproxy { address: None, port: Some(port) })
    }

    /// As [`tproxy`](Self::tproxy), at this address: `tproxy to ADDRESS:PORT`.
    pub fn tproxy_to(mut self, socket: impl Into<SocketAddr>) -> Self {
        let socket = socket.into();
        self.refuse_port_0("tproxy_to", socket.port());
        self.with(Part::Tproxy { address: Some(socket.ip()), port: Some(socket.port()) })
    }

    /// Answers for a server until the client has shown that it is there: `synproxy`. Its connections must
    /// not be tracked before: [`notrack`](Self::notrack).
    #[doc(alias = "SYNPROXY")]
    pub fn synproxy(self, offer: Synproxy) -> Self {
        self.with(Part::Synproxy(offer))
    }

    fn duplicate(mut self, setter: &'static str, to: &Datum, device: Option<Device>) -> Self {
        let address = self.an_address(setter, to);
        self.with(Part::Dup { address, device })
    }

    fn an_address(&mut self, setter: &'static str, to: &Datum) -> Option<IpAddr> {
        if let Datum::Address(address) = to {
            return Some(*address);
        }
        self.rejected.reject(setter, to, "it is no address");
        None
    }

    pub(crate) fn device(&mut self, setter: &'static str, link: LinkRef) -> Device {
        if let Err(reason) = link_name(link.name()) {
            self.rejected.reject(setter, link.name(), reason);
        }
        Device::Link(link)
    }

    fn refuse_port_0(&mut self, setter: &'static str, port: u16) {
        if port == 0 {
            self.rejected.reject(setter, port, "there is no port 0");
        }
    }
}
