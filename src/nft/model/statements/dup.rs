//! Copies of packets: `dup to ADDRESS device LINK`.

use crate::nft::model::prelude::*;

use crate::wire::nft::expr::dup as wire;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dup {
    address: Option<IpAddr>,
    device: Option<Device>,
}

impl Rule {
    /// Sends a copy of the packet to the machine with this address: `dup to`. In the families `ip` and
    /// `ip6`.
    #[doc(alias("dup to", "TEE"))]
    pub fn dup(mut self, to: impl Into<Constant>) -> Self {
        let address = self.address_of("dup", &to.into());
        self.with(Dup { address, device: None })
    }

    /// Sends a copy to this address by this link, which must exist: `dup to ADDRESS device LINK`.
    pub fn dup_by(mut self, to: impl Into<Constant>, link: impl Into<LinkRef>) -> Self {
        let device = Some(self.device("dup_by", link.into()));
        let address = self.address_of("dup_by", &to.into());
        self.with(Dup { address, device })
    }

    /// Sends a copy out of a link, which must exist: `dup to LINK`. In the family `netdev`.
    pub fn dup_to_link(mut self, link: impl Into<LinkRef>) -> Self {
        let device = Some(self.device("dup_to_link", link.into()));
        self.with(Dup { address: None, device })
    }
}

impl Statement for Dup {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let address = self.address.map(|address| encoder.constant(address));
        let index = self.device.as_ref().map(Device::index).transpose()?;
        let device = index.map(|index| encoder.constant(index));
        encoder.push(wire::Dup { address, device });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Dup(dup) = expr else { return None };
        let address = reader.optional(dup.address, Reader::address)?;
        let device = reader.optional(dup.device, Reader::number)?.map(Device::Index);
        Some(Self { address, device })
    }

    fn check(&self, context: Context) -> Result<(), String> {
        context.check_address(self.address)?;
        let family = context.family;
        match (family, self.address) {
            (Family::Ip | Family::Ip6, None) => {
                Err(format!("in the family {family} a copy is sent to an address"))
            }
            (Family::Netdev, Some(_)) => {
                Err("in the family netdev a copy is sent to a link: use dup_to_link()".into())
            }
            (Family::Arp | Family::Bridge | Family::Inet, _) => {
                Err(format!("the family {family} has no copies; only ip, ip6 and netdev have"))
            }
            _ => Ok(()),
        }
    }

    fn device_mut(&mut self) -> Option<&mut Device> {
        self.device.as_mut()
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dup to ")?;
        match (&self.address, &self.device) {
            (Some(address), None) => write!(f, "{address}"),
            (None, Some(device)) => write!(f, "{device}"),
            (Some(address), Some(device)) => write!(f, "{address} device {device}"),
            (None, None) => Ok(()),
        }
    }
}
