//! Forwarding out of a link, in the family `netdev`: `fwd to LINK`.

use crate::nft::model::prelude::*;

use crate::wire::nft::expr::fwd as wire;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fwd {
    address: Option<IpAddr>,
    device: Device,
}

impl Rule {
    /// Sends the packet out of a link, which must exist, and skips all later rules and hooks: `fwd
    /// to LINK`. In the family `netdev`.
    #[doc(alias = "fwd to")]
    pub fn fwd(mut self, link: impl Into<LinkRef>) -> Self {
        let device = self.device("fwd", link.into());
        self.with(Fwd { address: None, device })
    }

    /// Sends the packet by a link to the neighbour with this address: `fwd ip to ADDRESS device
    /// LINK`.
    pub fn fwd_to(mut self, neighbor: impl Into<Constant>, link: impl Into<LinkRef>) -> Self {
        let device = self.device("fwd_to", link.into());
        let address = self.address_of("fwd_to", &neighbor.into());
        self.with(Fwd { address, device })
    }
}

impl Statement for Fwd {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let device = encoder.constant(self.device.index()?);
        let address = self.address.map(|address| encoder.constant(address));
        let family = self.address.map(|address| Network::of_address(address).family());
        encoder.push(wire::Fwd { device, address, family });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Fwd(fwd) = expr else { return None };
        let address = reader.optional(fwd.address, Reader::address)?;
        Some(Self { address, device: Device::Index(reader.number(fwd.device)?) })
    }

    fn check(&self, context: Context) -> Result<(), String> {
        match context.family {
            Family::Netdev => Ok(()),
            _ => Err("only the family netdev has fwd".into()),
        }
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn device_mut(&mut self) -> Option<&mut Device> {
        Some(&mut self.device)
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "fwd to {}", self.device),
            Some(address) => {
                let family = if address.is_ipv4() { "ip" } else { "ip6" };
                write!(f, "fwd {family} to {address} device {}", self.device)
            }
        }
    }
}
