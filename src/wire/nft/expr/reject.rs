//! `reject`: drops the packet and sends an error to its sender.
//!
//! ```text
//! NFTA_REJECT_TYPE       1  be32   ICMP unreachable 0, TCP reset 1, ICMPX unreachable 2
//! NFTA_REJECT_ICMP_CODE  2  u8
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_reject_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Field, up_to, wire_enum};

const NFTA_REJECT_TYPE: u16 = 1;
const NFTA_REJECT_ICMP_CODE: u16 = 2;

const NFT_REJECT_ICMP_UNREACH: u32 = 0;
const NFT_REJECT_TCP_RST: u32 = 1;
const NFT_REJECT_ICMPX_UNREACH: u32 = 2;

wire_enum! {
    /// A code that the kernel translates for either protocol.
    #[doc(alias = "nft_reject_inet_code")]
    IcmpxCode: u8 {
        NoRoute = 0,
        PortUnreachable = 1,
        HostUnreachable = 2,
        AdminProhibited = 3,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reject {
    /// An ICMP or `ICMPv6` code, depending on the family.
    Icmp(u8),
    TcpReset,
    /// A code for tables of both protocols.
    Icmpx(IcmpxCode),
}

impl Codec for Reject {
    const KNOWN: u64 = up_to(NFTA_REJECT_ICMP_CODE);

    fn encode(&self, out: &mut Writer<'_>) {
        let (kind, code) = match self {
            Self::Icmp(code) => (NFT_REJECT_ICMP_UNREACH, *code),
            Self::TcpReset => (NFT_REJECT_TCP_RST, 0),
            Self::Icmpx(code) => (NFT_REJECT_ICMPX_UNREACH, code.number()),
        };
        kind.write(out, NFTA_REJECT_TYPE);
        code.write(out, NFTA_REJECT_ICMP_CODE);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let code = attributes.strict::<Option<u8>>(NFTA_REJECT_ICMP_CODE)?;
        match (attributes.strict(NFTA_REJECT_TYPE)?, code) {
            (NFT_REJECT_ICMP_UNREACH, Some(code)) => Some(Self::Icmp(code)),
            (NFT_REJECT_TCP_RST, None | Some(0)) => Some(Self::TcpReset),
            (NFT_REJECT_ICMPX_UNREACH, Some(code)) => IcmpxCode::from_number(code).map(Self::Icmpx),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' \
        //   'add rule ip t c reject with icmp admin-prohibited'
        expression(
            Reject::Icmp(13),
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000000 05000200 0d000000",
        );
        // The same with: reject with tcp reset
        expression(
            Reject::TcpReset,
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000001 05000200 00000000",
        );
        // tools/nft-bytes 'add table inet t' 'add chain inet t c' \
        //   'add rule inet t c reject with icmpx host-unreachable'
        expression(
            Reject::Icmpx(IcmpxCode::HostUnreachable),
            "24000180 0b000100 72656a65 63740000 14000280 08000100 00000002 05000200 02000000",
        );
    }

    #[test]
    fn a_reset_needs_no_code() {
        also_means(
            "1c000180 0b000100 72656a65 63740000 0c000280 08000100 00000001",
            Reject::TcpReset,
        );
    }
}
