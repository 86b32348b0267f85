//! The exemption from connection tracking: `notrack`.

use std::fmt;

use crate::nft::model::encoder::Encoder;
use crate::nft::model::reader::Reader;
use crate::nft::model::rule::Rule;
use crate::nft::model::statement::Statement;
use crate::wire::nft::expr::Expr;
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
}

/// As `nft` writes it.
impl fmt::Display for NotrackStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("notrack")
    }
}
