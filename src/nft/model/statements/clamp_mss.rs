//! The TCP segment size: `tcp option maxseg size set rt mtu`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::byteorder::Byteorder;
use crate::wire::nft::expr::exthdr::{Exthdr, ExthdrSpan};
use crate::wire::nft::expr::rt::{Rt, RtKey};

/// The maximum segment size to set in a TCP option. `None` means the size that fits the route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClampMss(Option<u16>);

impl Rule {
    /// Limits the segments of a TCP connection to the size that fits its route, in both directions:
    /// `tcp option maxseg size set rt mtu`. Use it after [`tcp_syn`](Self::tcp_syn).
    #[doc(alias = "clamp-mss-to-pmtu")]
    pub fn clamp_mss(self) -> Self {
        self.with(ClampMss(None))
    }

    /// Limits the segments of a TCP connection to this number of bytes:
    /// `tcp option maxseg size set SIZE`.
    pub fn set_mss(self, size: u16) -> Self {
        self.with(ClampMss(Some(size)))
    }
}

impl Statement for ClampMss {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        if let Some(size) = self.0 {
            encoder.constant(size);
        } else {
            encoder.push(Rt { dreg: R1, key: RtKey::TcpMss });
            encoder.push(Byteorder { sreg: R1, dreg: R1, to_network: true, len: 2, size: 2 });
        }
        encoder.push(Exthdr::write(R1, ExthdrSpan::TCP_MSS));
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        match (expr, reader.following()) {
            (Expr::Exthdr(Exthdr::Write { sreg, span, .. }), _) if *span == ExthdrSpan::TCP_MSS => {
                Some(Self(Some(reader.port(*sreg)?)))
            }
            (
                Expr::Rt(Rt { dreg: R1, key: RtKey::TcpMss }),
                [Expr::Byteorder(_), Expr::Exthdr(Exthdr::Write { span, .. }), ..],
            ) if *span == ExthdrSpan::TCP_MSS => {
                reader.consume(2);
                Some(Self(None))
            }
            _ => None,
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tcp option maxseg size set ")?;
        match self.0 {
            Some(size) => write!(f, "{size}"),
            None => f.write_str("rt mtu"),
        }
    }
}
