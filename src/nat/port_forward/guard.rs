//! The table that drops packets from links to 127.0.0.0/8 while netloom lets a link route such
//! addresses. No process owns it, so it outlives a process that is killed.
//!
//! ```text
//! table ip netloom-loopback {
//!     chain prerouting {
//!         type filter hook prerouting priority raw;
//!         iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     }
//! }
//! ```

use super::ruleset::loopback_chain;
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::{Family, Table, Transaction, reader};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::table as wire;
use crate::wire::nft::userdata::UserData;

pub(super) const GUARD: &str = "netloom-loopback";
const MARK: &str = "keeps links from 127.0.0.0/8 for published ports of netloom";
const FAMILY: Family = Family::Ip;

fn guard() -> Table {
    Table::new(FAMILY, GUARD).with_comment(MARK).chain(loopback_chain("prerouting"))
}

/// The state of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Guard {
    #[default]
    Absent,
    /// A table of another program with that name.
    Foreign,
    /// Another program deleted the rule, put one before it, or made the table dormant.
    Broken,
    Whole,
}

impl Guard {
    /// Reads the state, given a listed table.
    pub(super) fn of(
        socket: &mut Socket,
        family: Family,
        table: &wire::Table,
    ) -> Result<Option<Self>, Cause> {
        if family != FAMILY || table.name.as_deref() != Some(GUARD) {
            return Ok(None);
        }
        if table.userdata.as_ref().and_then(UserData::as_comment) != Some(MARK) {
            return Ok(Some(Self::Foreign));
        }
        if table.flags.unwrap_or_default().contains(wire::TableFlags::DORMANT) {
            return Ok(Some(Self::Broken));
        }
        let rules = reader::rules(socket, FAMILY, GUARD)?;
        // An earlier rule could accept the packets to drop.
        let is_whole = guard().is_whole(rules.get(..1).unwrap_or_default(), &[]);
        Ok(Some(if is_whole { Self::Whole } else { Self::Broken }))
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Broken | Self::Whole)
    }

    /// Adds the missing parts.
    pub(super) fn push_missing(self, transaction: &mut Transaction) {
        match self {
            Self::Broken => transaction.restore(&guard()),
            _ => drop(transaction.create_table(&guard())),
        }
    }
}

pub(super) fn push_delete(transaction: &mut Transaction) {
    transaction.begin("delete", "the table that drops");
    transaction.push(MessageType::DeleteTable, 0, FAMILY, &wire::Table::by_name(GUARD));
}
