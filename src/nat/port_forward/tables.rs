//! The tables of published ports in a namespace, whoever has them: what is known of them at one generation of
//! the ruleset. While nobody else changes anything, nothing is read again.

use std::collections::BTreeSet;
use std::fmt;

use nix::errno::Errno;

use super::elements::place_of;
use super::guard::{GUARD, Guard};
use super::held::HeldPorts;
use super::mapping::{Mappings, Port, taken};
use super::persistent::Ledger;
use super::ruleset::{PERSISTENT, PortTable};
use super::stale::At;
use crate::error::{Cause, Error};
use crate::nat::guarded::again;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::read;
use crate::protocol::Protocol;
use crate::wire::nft::element::{Element, ElementsOf};
use crate::wire::nft::message::Family;

/// What is being done, and to what.
pub(super) type Step<'a> = (&'static str, &'a dyn fmt::Display);

/// What a namespace's handle keeps beside its socket.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) known: Known,
    pub(super) held: HeldPorts,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    /// None: nothing is known.
    generation: Option<u32>,
    tables: Vec<PortTable>,
    /// The families in which somebody else has a table of the persistent one's name.
    foreign: Vec<Family>,
    ledgers: Vec<Ledger>,
    /// Those whose rules somebody has taken away.
    broken: Vec<PortTable>,
    pub(super) guard: Guard,
    /// Links that route loopback addresses because of mappings, with what drops, as we saw to.
    pub(super) routed: BTreeSet<u32>,
}

impl Known {
    pub(super) fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// Finds the tables, unless they are known.
    fn look(&mut self, socket: &mut Socket) -> Result<u32, Cause> {
        if let Some(generation) = self.generation {
            return Ok(generation);
        }
        let generation = read::generation(socket)?;
        let mut known = Self { generation: Some(generation), ..Self::default() };
        for (family, table) in read::tables(socket)? {
            match PortTable::of(family, &table) {
                Some(found) => {
                    if !found.is_held() {
                        let rules = read::rules(socket, family, &found.name)?;
                        if !found.has_rules(&rules) {
                            known.broken.push(found.clone());
                        }
                    }
                    known.tables.push(found);
                }
                None if family == Family::Ip && table.name.as_deref() == Some(GUARD) => {
                    known.guard = Guard::of(socket, &table)?;
                }
                None if table.name.as_deref() == Some(PERSISTENT) => known.foreign.push(family),
                None => {}
            }
        }
        *self = known;
        Ok(generation)
    }

    /// After a change of ours that was made at this generation, which is the only one since.
    pub(super) fn committed(&mut self) {
        // The kernel leaves out 0.
        self.generation = self.generation.map(|generation| generation.wrapping_add(1).max(1));
        self.ledgers.iter_mut().for_each(Ledger::committed);
    }

    /// After a change whose outcome nobody knows, or that others made.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn has(&self, table: &PortTable) -> bool {
        self.tables.contains(table)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &PortTable> {
        self.tables.iter()
    }

    pub(super) fn is_broken(&self, table: &PortTable) -> bool {
        self.broken.contains(table)
    }

    /// That its rules are there from now on.
    pub(super) fn mended(&mut self, table: &PortTable) {
        self.broken.retain(|known| known != table);
    }

    pub(super) fn is_foreign(&self, table: &PortTable) -> bool {
        self.foreign.contains(&table.family())
    }

    /// That it is there from now on, with nothing in it.
    pub(super) fn made(&mut self, table: &PortTable) {
        if !table.is_held() {
            self.ledgers.push(Ledger::of_new(table.clone()));
        }
        self.tables.push(table.clone());
    }

    pub(super) fn gone(&mut self, table: &PortTable) {
        self.mended(table);
        self.tables.retain(|known| known != table);
        self.ledgers.retain(|ledger| ledger.table != *table);
    }

    /// The notes of the persistent table of a family, which is there.
    pub(super) fn ledger(&mut self, table: &PortTable) -> &mut Ledger {
        let at = self.ledgers.iter().position(|ledger| ledger.table == *table);
        let at = at.unwrap_or_else(|| {
            self.ledgers.push(Ledger::new(table.clone()));
            self.ledgers.len() - 1
        });
        &mut self.ledgers[at]
    }

    /// Refuses mappings one of whose ports is in a table that `is_meant`: who has it.
    pub(super) fn refuse_taken<'m>(
        &self,
        socket: &mut Socket,
        mappings: &impl Mappings<'m>,
        is_meant: impl Fn(&PortTable) -> bool,
    ) -> Result<(), Error> {
        for table in self.tables.iter().filter(|table| is_meant(table)) {
            let of_family = mappings.clone().filter(|one| one.is_ipv4() == table.is_ipv4);
            for mapping in of_family {
                let ports: Vec<_> = mapping.ports().map(|(port, _)| port).collect();
                let found = find(socket, table, &ports)
                    .map_err(|cause| cause.doing("look who has the port of", mapping))?;
                let mut found = ports.iter().zip(found);
                if let Some((port, element)) =
                    found.find_map(|(port, element)| Some((*port, element?)))
                {
                    return Err(taken(mapping, &table.holder(port, &element)));
                }
            }
        }
        Ok(())
    }
}

/// The elements of these ports, each at its place, where there is one.
pub(super) fn find(
    socket: &mut Socket,
    table: &PortTable,
    ports: &[Port],
) -> Result<Vec<Option<Element>>, Cause> {
    let places = ports.iter().map(|port| {
        let (set, key) = place_of(*port);
        (ElementsOf::new(&table.name, set), key)
    });
    let places: Vec<_> = places.collect();
    let keys: Vec<_> = places.iter().map(|(of, key)| (of, *key)).collect();
    read::elements(socket, table.family(), &keys)
}

/// Has a change decided by what is known and made at that generation; where somebody was faster, once more.
pub(super) fn change<T>(
    netns: &Netns,
    step: Step<'_>,
    mut work: impl FnMut(&mut Socket, &mut Ports, u32) -> Result<T, Error>,
) -> Result<T, Error> {
    with(netns, step, |socket, ports| {
        again(step, || {
            let found = ports.known.look(socket).map_err(|cause| cause.doing(step.0, step.1));
            let done = found.and_then(|generation| work(socket, ports, generation));
            if done.is_err() {
                ports.known.forget();
            }
            done
        })
    })
}

/// With the namespace's socket, and what is kept beside it.
pub(super) fn with<T>(
    netns: &Netns,
    (_, shown): Step<'_>,
    work: impl FnOnce(&mut Socket, &mut Ports) -> Result<T, Error>,
) -> Result<T, Error> {
    netns
        .nf_tables(|nf_tables| {
            let (socket, ports) = nf_tables.with()?;
            Ok(work(socket, ports))
        })
        .map_err(|cause| cause.doing("open nf_tables for", shown))
        .flatten()
        .map_err(|error| error.in_namespace(netns))
}

/// At which of these a UDP mapping is for that one address, in any table.
pub(super) fn addressed(netns: &Netns, asked: &BTreeSet<At>) -> Result<BTreeSet<At>, Error> {
    let step: Step<'_> = ("look for", &"a port");
    change(netns, step, |socket, ports, generation| {
        let mut found = BTreeSet::new();
        for table in &ports.known.tables {
            let of_family = asked.iter().filter(|(address, _)| address.is_ipv4() == table.is_ipv4);
            let of_family: Vec<_> = of_family.copied().collect();
            let all =
                of_family.iter().map(|(address, port)| (Protocol::UDP, Some(*address), *port));
            let elements = find(socket, table, &all.collect::<Vec<_>>());
            let elements = elements.map_err(|cause| cause.doing(step.0, step.1))?;
            let there = of_family.into_iter().zip(elements).filter(|(_, one)| one.is_some());
            found.extend(there.map(|(at, _)| at));
        }
        unchanged(socket, generation, step)?;
        Ok(found)
    })
}

/// What was read is not to be trusted where somebody changed something: one may have taken another's place.
pub(super) fn unchanged(
    socket: &mut Socket,
    generation: u32,
    (action, shown): Step<'_>,
) -> Result<(), Error> {
    match read::generation(socket) {
        Ok(now) if now == generation => Ok(()),
        Ok(_) => Err(Cause::from(Errno::ERESTART).doing(action, shown)),
        Err(cause) => Err(cause.doing(action, shown)),
    }
}
