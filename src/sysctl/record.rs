//! The records of sysctls' owners in the kernel. Each owner has one, and the kernel deletes it when
//! the owner's process dies.
//!
//! A record is stored in the user data of empty nf_tables tables with the owner flag. Creating one
//! requires `CAP_NET_ADMIN`. All programs in the network namespace see it, and `nft flush ruleset`
//! leaves it. User data has at most 256 bytes, so a record takes as many tables as it needs.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::netns::Netns;
use crate::nft::Transaction;
use crate::nft::live::reader;
use crate::sys::random::random;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::UserData;

const PREFIX: &str = "netloom-setting-";
/// The type of the entry in the user data. `nft` does not know this number, so it ignores the
/// entry.
const PIECE: u8 = 0x6e;
/// The maximal size of an entry in bytes.
const PIECE_LENGTH: usize = 250;

/// The record of an owner of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The id: the name of the record's tables without prefix and piece number. A later owner has a
    /// higher id.
    pub(super) id: String,
    pub(super) key: String,
    /// The value that the owner set, as the kernel shows it.
    pub(super) value: String,
    /// The value that the setting had before the first owner.
    pub(super) found: String,
    /// The sysctls that the kernel changes with a switch for all links, such as `all/forwarding`,
    /// with their values before the first owner. `conf/default` comes first. Links with the value
    /// of `default` are left out, but for `accept_redirects`.
    pub(super) others: Vec<(String, String)>,
}

impl Record {
    /// Returns an id higher than those of all records.
    pub(super) fn next_id(records: &[Self]) -> String {
        let number = |record: &Self| u32::from_str_radix(record.id.get(..8)?, 16).ok();
        let next = records.iter().filter_map(number).max().map_or(0, |last| last.wrapping_add(1));
        // The record of a kept sysctl is gone, so its number may be used again. The random part
        // keeps ids unique.
        format!("{next:08x}{:016x}", u64::from_ne_bytes(random()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let others = self.others.iter().flat_map(|(key, value)| [key, value]);
        let fields: Vec<&str> =
            [&self.key, &self.value, &self.found].into_iter().chain(others).map(|s| &**s).collect();
        fields.join("\0").into_bytes()
    }

    fn from_bytes(id: String, bytes: &[u8]) -> Option<Self> {
        let mut fields = str::from_utf8(bytes).ok()?.split('\0').map(str::to_owned);
        let (key, value, found) = (fields.next()?, fields.next()?, fields.next()?);
        let mut others = Vec::new();
        while let Some(key) = fields.next() {
            others.push((key, fields.next()?));
        }
        Some(Self { id, key, value, found, others })
    }

    fn tables(&self) -> impl Iterator<Item = Table> {
        let bytes = self.to_bytes();
        let pieces: Vec<_> = bytes.chunks(PIECE_LENGTH).map(<[u8]>::to_vec).collect();
        pieces.into_iter().enumerate().map(|(piece, bytes)| Table {
            flags: Some(TableFlags::OWNER),
            userdata: UserData::default().with(PIECE, &bytes),
            ..Table::by_name(&format!("{PREFIX}{}-{piece:04x}", self.id))
        })
    }

    /// Creates the record. It lives as long as the sockets of `netns`, which end with the process.
    pub(super) fn add(&self, netns: &Netns) -> Result<(), Error> {
        self.change(netns, "record owner of", MessageType::NewTable, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes the record. `netns` must be the handle that created it.
    pub(super) fn remove(&self, netns: &Netns) -> Result<(), Error> {
        self.change(netns, "remove owner of", MessageType::DeleteTable, 0)
    }

    fn change(
        &self,
        netns: &Netns,
        action: &'static str,
        kind: MessageType,
        flags: u16,
    ) -> Result<(), Error> {
        let mut transaction = Transaction::new(netns);
        transaction.begin(action, &self.key);
        for mut table in self.tables() {
            if kind == MessageType::DeleteTable {
                (table.flags, table.userdata) = (None, None);
            }
            transaction.push(kind, flags, Family::Inet, &table);
        }
        Ok(transaction.commit()?)
    }
}

/// Lists the records of all owners, the oldest first.
pub(super) fn list(netns: &Netns) -> Result<Vec<Record>, Error> {
    let tables = netns
        .nf_tables(|nf_tables| reader::tables(&mut nf_tables.socket))
        .map_err(|cause| cause.doing("list", "owners of settings").in_namespace(netns))?;
    // Tables sorted by name come record by record, and piece by piece.
    let mut pieces = BTreeMap::new();
    for (family, table) in tables {
        let is_owned = table.flags.is_some_and(|flags| flags.contains(TableFlags::OWNER));
        if let (Family::Inet, true, Some(name), Some(data)) =
            (family, is_owned, table.name, table.userdata)
            && let Some((id, piece)) = name.strip_prefix(PREFIX).and_then(|id| id.split_once('-'))
            && let Some((_, bytes)) = data.entries().find(|(kind, _)| *kind == PIECE)
        {
            pieces.insert((id.to_owned(), piece.to_owned()), bytes.to_vec());
        }
    }
    let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for ((id, _), bytes) in pieces {
        records.entry(id).or_default().extend(bytes);
    }
    Ok(records.into_iter().filter_map(|(id, bytes)| Record::from_bytes(id, &bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_comes_after_the_others() {
        let others = vec![("ipv4/conf//7/forwarding".to_owned(), "1".to_owned())];
        let record = Record {
            id: Record::next_id(&[]),
            key: "ipv4/ip_local_reserved_ports".into(),
            value: "8080".into(),
            found: String::new(),
            others,
        };
        let read = Record::from_bytes(record.id.clone(), &record.to_bytes());
        assert_eq!(read.as_ref(), Some(&record));
        assert!(Record::next_id(std::slice::from_ref(&record)) > record.id);
        assert!(Record::from_bytes(String::new(), b"a\0b").is_none());
    }
}
