//! `tproxy`: hands the packet to a local socket without changing it.
//!
//! ```text
//! NFTA_TPROXY_FAMILY    1  be32   ip, ip6, or unspecified for both
//! NFTA_TPROXY_REG_ADDR  2  be32   register of the address
//! NFTA_TPROXY_REG_PORT  3  be32   register of the port
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_tproxy_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::message::Family;
use crate::wire::nft::register::Register;

const NFTA_TPROXY_FAMILY: u16 = 1;
const NFTA_TPROXY_REG_ADDR: u16 = 2;
const NFTA_TPROXY_REG_PORT: u16 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tproxy {
    pub(crate) family: Family,
    pub(crate) address: Option<Register>,
    pub(crate) port: Option<Register>,
}

impl Codec for Tproxy {
    fn encode(&self, out: &mut Writer<'_>) {
        out.field(NFTA_TPROXY_FAMILY, &self.family);
        out.optional(NFTA_TPROXY_REG_ADDR, self.address.as_ref());
        out.optional(NFTA_TPROXY_REG_PORT, self.port.as_ref());
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_TPROXY_REG_PORT)?;
        Some(Self {
            family: fields.required(NFTA_TPROXY_FAMILY)?,
            address: fields.optional(NFTA_TPROXY_REG_ADDR)?,
            port: fields.optional(NFTA_TPROXY_REG_PORT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c tcp dport 1 tproxy to 127.0.0.1:50080'
        expression(
            Tproxy { family: Family::Ip, address: Some(R1), port: Some(R2) },
            "2c000180 0b000100 7470726f 78790000 1c000280
             08000100 00000002 08000200 00000001 08000300 00000002",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c tcp dport 1 tproxy to :50080'
        expression(
            Tproxy { family: Family::Unspecified, address: None, port: Some(R1) },
            "24000180 0b000100 7470726f 78790000 14000280 08000100 00000000 08000300 00000001",
        );
    }
}
