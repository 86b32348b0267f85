//! The number of connections: `ct count 10`.

use crate::nft::model::prelude::*;
pub(super) use crate::wire::nft::expr::connlimit::Connlimit;

impl Rule {
    /// Matches while the number of connections is at most `count`: `ct count`.
    #[doc(alias = "connlimit-upto")]
    pub fn connections(self, count: u32) -> Self {
        self.with(Connlimit { count, inverted: false })
    }

    /// Matches while there are more than this number of connections: `ct count over`.
    #[doc(alias = "connlimit-above")]
    pub fn connections_over(self, count: u32) -> Self {
        self.with(Connlimit { count, inverted: true })
    }
}

impl Statement for Connlimit {
    one_expression!(self => *self, Expr::Connlimit(limit) => Some(*limit));

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ct count {}{}", Over(self.inverted), self.count)
    }
}
