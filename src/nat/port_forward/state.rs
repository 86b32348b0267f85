//! The tables of published ports in a namespace, as they were at one generation of the ruleset.
//! While no other program changes the ruleset, nothing is read again.

use std::collections::{BTreeMap, HashMap};

use nix::errno::Errno;

use super::guard::Guard;
use super::mapping::{Mapping, Port, Step, taken};
use super::rows::{self, TagHash};
use super::ruleset;
use super::table::PortTable;
use crate::error::{Cause, Error};
use crate::nat::guarded::again;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::reader;
use crate::wire::nft::element::Element;
use crate::wire::nft::message::Family;

/// The most tags whose number of rows is cached.
const MOST_TAGS: usize = 4096;

/// The state of published ports that a namespace's handle keeps beside its `nf_tables` socket.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) known: Known,
    /// The number of held mappings that use each link, in the IPv6 and in the IPv4 table.
    pub(super) held: [LinkUse; 2],
}

/// The number of mappings that use a link: without a loopback address, and with one.
pub(super) type LinkUse = BTreeMap<u32, [u32; 2]>;

/// A cache of the port tables, read at one generation. Valid until another program changes the
/// ruleset.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `None` if nothing was read yet.
    generation: Option<u32>,
    pub(super) tables: Vec<PortTable>,
    /// Families in which another program has a table of the persistent one's name.
    foreign: Vec<Family>,
    /// Tables from which another program deleted rules.
    broken: Vec<PortTable>,
    pub(super) guard: Guard,
    /// True once the links were checked for a `route_localnet` that a flushed ruleset left on.
    pub(super) is_loopback_checked: bool,
    /// The number of rows of each tag, by family.
    pub(super) rows: HashMap<(bool, TagHash), u16>,
}

impl Known {
    fn read(socket: &mut Socket) -> Result<Self, Cause> {
        let mut known = Self { generation: Some(reader::generation(socket)?), ..Self::default() };
        for (family, listed) in reader::tables(socket)? {
            if let Some(guard) = Guard::of(socket, family, &listed)? {
                known.guard = guard;
            }
            match PortTable::of(family, &listed) {
                Ok(None) => {}
                Ok(Some(table)) => {
                    let is_whole = table.is_held()
                        || ruleset::has_rules(&table, &reader::rules(socket, family, &table.name)?);
                    if !is_whole {
                        known.broken.push(table.clone());
                    }
                    known.tables.push(table);
                }
                Err(family) => known.foreign.push(family),
            }
        }
        Ok(known)
    }

    /// Records that our own transaction, at this generation, was the only change.
    pub(super) fn committed(&mut self) {
        // The kernel leaves out 0.
        self.generation = self.generation.map(|generation| generation.wrapping_add(1).max(1));
        if self.rows.len() > MOST_TAGS {
            self.rows = HashMap::new();
        }
    }

    pub(super) fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// Returns how many rows a tag has.
    pub(super) fn row_count(
        &mut self,
        socket: &mut Socket,
        table: &PortTable,
        hash: TagHash,
    ) -> Result<u16, Cause> {
        let key = (table.is_ipv4, hash);
        if let Some(count) = self.rows.get(&key) {
            return Ok(*count);
        }
        let count = rows::count(socket, table, hash)?;
        self.rows.insert(key, count);
        Ok(count)
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn has(&self, table: &PortTable) -> bool {
        self.tables.contains(table)
    }

    pub(super) fn is_broken(&self, table: &PortTable) -> bool {
        self.broken.contains(table)
    }

    pub(super) fn is_foreign(&self, table: &PortTable) -> bool {
        !table.is_held() && self.foreign.contains(&table.family())
    }

    /// Records that a table exists from now on, with all its rules.
    pub(super) fn created(&mut self, table: &PortTable) {
        self.broken.retain(|broken| broken != table);
        if !self.has(table) {
            self.tables.push(table.clone());
        }
    }

    pub(super) fn deleted(&mut self, table: &PortTable) {
        self.broken.retain(|broken| broken != table);
        self.tables.retain(|known| known != table);
        self.rows.retain(|(is_ipv4, _), _| *is_ipv4 != table.is_ipv4);
    }

    /// Refuses mappings of which a table that `is_meant` has a port; the error names the holder.
    pub(super) fn refuse_taken(
        &self,
        socket: &mut Socket,
        mappings: &[Mapping],
        is_meant: impl Fn(&PortTable) -> bool,
    ) -> Result<(), Error> {
        for table in self.tables.iter().filter(|table| is_meant(table)) {
            for mapping in mappings.iter().filter(|one| one.is_ipv4() == table.is_ipv4) {
                let ports: Vec<_> = mapping.ports().map(|(port, _)| port).collect();
                let found = elements(socket, table, &ports)
                    .map_err(|cause| cause.doing("look for the holder of a port of", mapping))?;
                let mut found = ports.iter().zip(found);
                if let Some((port, holder)) = found.find_map(|(port, one)| Some((*port, one?))) {
                    return Err(taken(mapping, &table.holder(port, &holder)));
                }
            }
        }
        Ok(())
    }
}

/// Reads the elements of ports, each at its place.
pub(super) fn elements(
    socket: &mut Socket,
    table: &PortTable,
    ports: &[Port],
) -> Result<Vec<Option<Element>>, Cause> {
    let places = table.places(ports);
    let keys: Vec<_> = places.iter().map(|(of, key)| (of, *key)).collect();
    reader::elements(socket, table.family(), &keys)
}

/// Runs `work` with the cached ruleset, and again if another program changed it meanwhile.
pub(super) fn change<T>(
    netns: &Netns,
    step: Step<'_>,
    mut work: impl FnMut(&mut Socket, &mut Ports, u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempt = |socket: &mut Socket, ports: &mut Ports| {
        let generation = if let Some(generation) = ports.known.generation {
            generation
        } else {
            ports.known = Known::read(socket).map_err(|cause| cause.doing(step.0, step.1))?;
            ports.known.generation.unwrap_or_default()
        };
        work(socket, ports, generation).map_err(|error| {
            let known = std::mem::take(&mut ports.known).generation;
            // An error from cached data means nothing if the ruleset has changed since.
            let is_stale = !error.is_outcome_unknown()
                && known
                    .is_some_and(|known| reader::generation(socket).is_ok_and(|now| now != known));
            if is_stale { outdated(step) } else { error }
        })
    };
    let repeated = netns.nf_tables(|nf_tables| {
        let (socket, ports) = nf_tables.with()?;
        Ok(again(step, || attempt(socket, ports)))
    });
    let result = repeated.map_err(|cause| cause.doing("open nf_tables for", step.1)).flatten();
    result.map_err(|error| error.in_namespace(netns))
}

/// Fails if another program changed the ruleset since this generation.
pub(super) fn unchanged(socket: &mut Socket, generation: u32, step: Step<'_>) -> Result<(), Error> {
    match reader::generation(socket) {
        Ok(now) if now == generation => Ok(()),
        Ok(_) => Err(outdated(step)),
        Err(cause) => Err(cause.doing(step.0, step.1)),
    }
}

/// Returns the error that has `change` run its work again.
pub(super) fn outdated(step: Step<'_>) -> Error {
    Cause::from(Errno::ERESTART).doing(step.0, step.1)
}
