//! The exemption from connection tracking: `notrack`.

use crate::nft::model::prelude::*;
pub(super) use crate::wire::nft::expr::notrack::Notrack;

impl Rule {
    /// Exempts the packet from connection tracking: `notrack`. The chain must run before connection
    /// tracking (`Priority::RAW`).
    pub fn notrack(self) -> Self {
        self.with(Notrack {})
    }
}

impl Statement for Notrack {
    one_expression!(self => *self, Expr::Notrack(_) => Some(Self {}));

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("notrack")
    }
}
