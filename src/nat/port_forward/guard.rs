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

use super::ruleset::{drop_loopback_from_links, loopback_chain};
use crate::error::Cause;
use crate::netlink::Socket;
use crate::nft::{Transaction, reader};
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::UserData;

pub(super) const GUARD: &str = "netloom-loopback";
const MARK: &str = "keeps links from 127.0.0.0/8 for published ports of netloom";
const CHAIN: &str = "prerouting";
const FAMILY: Family = Family::Ip;

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
        table: &Table,
    ) -> Result<Option<Self>, Cause> {
        if family != FAMILY || table.name.as_deref() != Some(GUARD) {
            return Ok(None);
        }
        if table.userdata.as_ref().and_then(UserData::as_comment) != Some(MARK) {
            return Ok(Some(Self::Foreign));
        }
        if table.flags.unwrap_or_default().contains(TableFlags::DORMANT) {
            return Ok(Some(Self::Broken));
        }
        let rules = reader::rules(socket, FAMILY, GUARD)?;
        // An earlier rule could accept the packets to drop.
        let drops = |rule: &Rule| rule.expressions == drop_loopback_from_links();
        Ok(Some(if rules.first().is_some_and(drops) { Self::Whole } else { Self::Broken }))
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Broken | Self::Whole)
    }

    /// Adds the missing parts.
    pub(super) fn push_missing(self, transaction: &mut Transaction) {
        transaction.begin("add", "a table that drops");
        if self == Self::Broken {
            let awake = Table { flags: Some(TableFlags::empty()), ..Table::by_name(GUARD) };
            transaction.push(MessageType::NewTable, 0, FAMILY, &awake);
            let all = Rule { table: GUARD.to_owned(), ..Rule::default() };
            transaction.push(MessageType::DeleteRule, 0, FAMILY, &all);
        } else {
            let (flags, userdata) = (Some(TableFlags::empty()), UserData::comment(MARK));
            let table = Table { flags, userdata, ..Table::by_name(GUARD) };
            let create = NLM_F_CREATE | NLM_F_EXCL;
            transaction.push(MessageType::NewTable, create, FAMILY, &table);
        }
        let chain = loopback_chain(GUARD, CHAIN);
        transaction.push(MessageType::NewChain, NLM_F_CREATE, FAMILY, &chain);
        let rule = Rule::new(GUARD, CHAIN, drop_loopback_from_links());
        transaction.push(MessageType::NewRule, NLM_F_CREATE | NLM_F_APPEND, FAMILY, &rule);
    }
}

pub(super) fn push_delete(transaction: &mut Transaction) {
    transaction.begin("delete", "the table that drops");
    transaction.push(MessageType::DeleteTable, 0, FAMILY, &Table::by_name(GUARD));
}
