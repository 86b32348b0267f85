//! Transparent proxies: `tproxy to :PORT`.

use crate::nft::model::prelude::*;
use std::net::SocketAddr;

use crate::wire::nft::expr::tproxy as wire;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tproxy {
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl Rule {
    /// Delivers the unchanged packet to a transparent socket at this port of this machine: `tproxy
    /// to :PORT`. At the hook prerouting.
    #[doc(alias("TPROXY", "tproxy to"))]
    pub fn tproxy(self, port: u16) -> Self {
        self.proxy("tproxy", None, port)
    }

    /// Delivers the unchanged packet to a transparent socket at this address: `tproxy to
    /// ADDRESS:PORT`.
    pub fn tproxy_to(self, socket: impl Into<SocketAddr>) -> Self {
        let socket = socket.into();
        self.proxy("tproxy_to", Some(socket.ip()), socket.port())
    }

    fn proxy(mut self, setter: &'static str, address: Option<IpAddr>, port: u16) -> Self {
        if port == 0 {
            self.rejected.reject(setter, port, "there is no port 0");
        }
        self.with(Tproxy { address, port: Some(port) })
    }
}

impl Statement for Tproxy {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let network = self.address.map(Network::of_address).or(encoder.context.network);
        let family = network.map_or(0, |network| network.family() as u32);
        let address = self.address.map(|address| encoder.constant(address));
        let port = self.port.map(|port| encoder.constant(port));
        encoder.push(wire::Tproxy { family, address, port });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Tproxy(tproxy) = expr else { return None };
        let address = reader.optional(tproxy.address, Reader::address)?;
        Some(Self { address, port: reader.optional(tproxy.port, Reader::port)? })
    }

    fn check(&self, context: Context) -> Result<(), String> {
        if self.port.is_some() {
            context.check_ports()?;
        }
        context.check_address(self.address)
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tproxy to {}", self.address.map(display::bracketed).unwrap_or_default())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
