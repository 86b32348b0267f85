//! The exemption from connection tracking: `notrack`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::notrack::Notrack;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotrackStatement;

impl Rule {
    /// Exempts the packet from connection tracking: `notrack`. The chain must come before connection
    /// tracking (`Priority::RAW`).
    pub fn notrack(self) -> Self {
        self.with(NotrackStatement)
    }
}

impl Statement for NotrackStatement {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(Notrack);
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        matches!(expr, Expr::Notrack(_)).then_some(Self)
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("notrack")
    }
}
