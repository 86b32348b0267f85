//! The number of connections: `ct count 10`.

use crate::nft::model::display::Over;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::connlimit::{Connlimit, ConnlimitFlags};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) count: u32,
    pub(crate) over: bool,
}

impl Rule {
    /// Matches while the number of connections is at most `count`: `ct count`.
    #[doc(alias = "connlimit-upto")]
    pub fn connections(self, count: u32) -> Self {
        self.with(Connections { count, over: false })
    }

    /// Matches while there are more than so many connections: `ct count over`.
    #[doc(alias = "connlimit-above")]
    pub fn connections_over(self, count: u32) -> Self {
        self.with(Connections { count, over: true })
    }
}

impl Connections {
    pub(crate) fn to_wire(self) -> Connlimit {
        let flags = if self.over { ConnlimitFlags::INVERTED } else { ConnlimitFlags::empty() };
        Connlimit { count: self.count, flags }
    }

    pub(crate) fn from_wire(limit: Connlimit) -> Self {
        Self { count: limit.count, over: limit.flags.contains(ConnlimitFlags::INVERTED) }
    }
}

impl Statement for Connections {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(self.to_wire());
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Connlimit(limit) = expr else { return None };
        Some(Self::from_wire(*limit))
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ct count {}{}", Over(self.over), self.count)
    }
}
