//! A cache of the tables of published ports in a namespace, read at one generation of the ruleset.
//! It stays valid while no other program changes the ruleset.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nix::errno::Errno;

use super::guard::Guard;
use super::mapping::{Mapping, Port, taken};
use super::ruleset::ruleset;
use super::table::{PortTable, State};
use super::tag::{TagHash, link_counter};
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Generation, Step, Transaction, at_one_generation, reader};
use crate::wire::nft::element::Element;

/// The maximum number of tags whose rows the cache counts.
const MOST_TAGS: usize = 4096;

/// The state of published ports that a namespace handle keeps beside its `nf_tables` socket.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) known: Known,
    /// The held mappings, by family and link. Only this socket can change them.
    held: [LinkUse; 2],
}

/// The number of mappings by link: those without a loopback address, and those with one.
pub(super) type LinkUse = BTreeMap<u32, [u32; 2]>;

/// The start of an unbroken cache: the port of the socket, and the generation of the first read.
pub(super) type Since = (u32, Generation);

/// A cache of the port tables, read at one generation. Valid until another program changes the
/// ruleset.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `None` if nothing was read yet.
    generation: Option<Generation>,
    since: Option<Since>,
    tables: Vec<(PortTable, State)>,
    pub(super) guard: Guard,
    /// True once `loopback::check` found no link that a flushed ruleset left with `route_localnet`
    /// on.
    pub(super) is_loopback_checked: bool,
    /// Links that certainly no other program is about to turn off.
    pub(super) steady: BTreeSet<u32>,
    /// The rows of each tag, by family.
    pub(super) rows: HashMap<(bool, TagHash), TagRows>,
    /// The number of tags, in the IPv6 and in the IPv4 table; `None` if not read yet.
    pub(super) tags: [Option<u32>; 2],
    /// The persistent mappings, by family and link. Has only the links that were looked up.
    persistent: [LinkUse; 2],
}

/// The cached facts about the rows of a tag.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TagRows {
    pub(super) count: u16,
    /// True if a row may have moved since a handle stored its place.
    pub(super) is_moved: bool,
}

impl Known {
    fn read(socket: &mut Socket, generation: Generation) -> Result<Self, Cause> {
        let since = Some((socket.port(), generation));
        let mut known = Self { generation: Some(generation), since, ..Self::default() };
        for (family, listed) in reader::tables(socket)? {
            if let Some(guard) = Guard::of(socket, family, &listed)? {
                known.guard = guard;
            }
            let Some((table, mut state)) = PortTable::of(family, &listed) else { continue };
            if state == State::Whole && !table.is_held() {
                let rules = reader::rules(socket, family, &table.name)?;
                let sets = reader::sets(socket, family, &table.name)?;
                let is_whole = ruleset(&table).is_whole(&rules, &sets);
                state = if is_whole { state } else { State::Broken };
            }
            known.tables.push((table, state));
        }
        Ok(known)
    }

    /// Advances the cached generation by one, after a transaction of this socket at that
    /// generation.
    pub(super) fn committed(&mut self) {
        self.generation = self.generation.map(Generation::next);
        if self.rows.len() > MOST_TAGS {
            self.rows = HashMap::new();
            self.restart();
        }
    }

    /// Restarts the cache at the current generation, because the cache forgot which rows moved.
    /// Mappings created before must be looked up.
    fn restart(&mut self) {
        self.since = self.since.zip(self.generation).map(|((port, _), now)| (port, now));
    }

    pub(super) fn since(&self) -> Option<Since> {
        self.since
    }

    /// Returns the state of a table, or `None` if it does not exist.
    pub(super) fn state(&self, table: &PortTable) -> Option<State> {
        self.tables.iter().find(|(known, _)| known == table).map(|(_, state)| *state)
    }

    /// Returns whether the table exists and is netloom's; rules may be missing.
    pub(super) fn has(&self, table: &PortTable) -> bool {
        self.state(table).is_some_and(|state| state != State::Foreign)
    }

    /// Returns the tables of published ports, of all processes.
    pub(super) fn tables(&self) -> impl Iterator<Item = &PortTable> {
        self.tables.iter().filter(|(_, state)| *state != State::Foreign).map(|(table, _)| table)
    }

    pub(super) fn has_ipv4(&self) -> bool {
        self.tables().any(|table| table.is_ipv4)
    }

    /// Records that a table now exists, with all its rules.
    pub(super) fn created(&mut self, table: &PortTable) {
        self.tables.retain(|(known, _)| known != table);
        self.tables.push((table.clone(), State::Whole));
    }
}

impl Ports {
    /// Returns the cached uses of links by the mappings of a table.
    pub(super) fn uses(&mut self, table: &PortTable) -> &mut LinkUse {
        let of = if table.is_held() { &mut self.held } else { &mut self.known.persistent };
        &mut of[usize::from(table.is_ipv4)]
    }

    pub(super) fn deleted(&mut self, table: &PortTable) {
        self.uses(table).clear();
        let known = &mut self.known;
        known.tables.retain(|(known, _)| known != table);
        if !table.is_held() {
            known.rows.retain(|(is_ipv4, _), _| *is_ipv4 != table.is_ipv4);
            known.tags[usize::from(table.is_ipv4)] = None;
            known.restart();
        }
    }
}

/// One attempt at a change or a look-up, with the tables of one generation.
pub(super) struct Turn<'t> {
    pub(super) netns: &'t Netns,
    pub(super) socket: &'t mut Socket,
    pub(super) ports: &'t mut Ports,
    pub(super) step: Step<'t>,
}

impl Turn<'_> {
    pub(super) fn failed(&self, cause: Cause) -> Error {
        cause.doing(self.step.0, self.step.1)
    }

    pub(super) fn generation(&self) -> Generation {
        self.ports.known.generation.unwrap_or(Generation(0))
    }

    /// Fails if another program changed the ruleset, so that [`change`] tries again.
    pub(super) fn unchanged(&mut self) -> Result<(), Error> {
        let now = Generation::read(self.socket);
        let is_same = now.map_err(|cause| self.failed(cause))? == self.generation();
        if is_same { Ok(()) } else { Err(self.failed(Errno::ERESTART.into())) }
    }

    /// Creates a transaction that the kernel refuses if another program changed the ruleset.
    pub(super) fn transaction(&self) -> Transaction {
        Transaction::decided_at(self.netns, self.generation())
    }

    /// Commits. An error names the action and object of this attempt, unless an operation before
    /// the last was refused, which has its own.
    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<(), Error> {
        let last = transaction.len().saturating_sub(1);
        transaction.commit_on(self.socket).map_err(|failure| {
            let is_named = failure.refused().first().is_some_and(|refused| refused.index < last);
            let error = Error::from(failure);
            if is_named { error } else { error.while_doing(self.step.0, self.step.1) }
        })?;
        self.ports.known.committed();
        Ok(())
    }

    /// Reads the elements of these ports, in the same order.
    pub(super) fn elements(
        &mut self,
        table: &PortTable,
        ports: &[Port],
    ) -> Result<Vec<Option<Element>>, Error> {
        let places = table.places(ports);
        let keys: Vec<_> = places.iter().map(|(of, key)| (of, *key)).collect();
        reader::elements(self.socket, table.family(), &keys).map_err(|cause| self.failed(cause))
    }

    /// Returns how many mappings of a table use a link: without and with a loopback address.
    pub(super) fn uses(&mut self, table: &PortTable, link: u32) -> Result<[u32; 2], Error> {
        match self.ports.uses(table).get(&link) {
            Some(uses) => Ok(*uses),
            None if table.is_held() => Ok([0, 0]),
            None => {
                let mut of =
                    |covers_loopback| self.references(table, &link_counter(link, covers_loopback));
                let uses = [of(false)?, of(true)?];
                self.ports.uses(table).insert(link, uses);
                Ok(uses)
            }
        }
    }

    /// Fails if a table for which `is_meant` holds already has a port of these mappings. The error
    /// names the holder.
    pub(super) fn refuse_taken(
        &mut self,
        mappings: &[Mapping],
        is_meant: impl Fn(&PortTable) -> bool,
    ) -> Result<(), Error> {
        let tables: Vec<_> =
            self.ports.known.tables().filter(|one| is_meant(one)).cloned().collect();
        for table in tables {
            let of_family = mappings.iter().filter(|one| one.is_ipv4() == table.is_ipv4);
            let of_port = of_family.flat_map(|one| one.ports().map(move |(port, _)| (one, port)));
            let (refused, ports): (Vec<&Mapping>, Vec<Port>) = of_port.unzip();
            let found = self.elements(&table, &ports)?;
            let mut found = refused.into_iter().zip(ports).zip(found);
            if let Some(((refused, port), Some(holder))) = found.find(|(_, one)| one.is_some()) {
                return Err(taken(refused, &table.holder(port, &holder)));
            }
        }
        Ok(())
    }
}

/// Runs `work` with the cached tables. Repeats it if another program changed the ruleset meanwhile.
pub(super) fn change<T>(
    netns: &Netns,
    step: Step<'_>,
    mut work: impl FnMut(&mut Turn<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let done = netns.nf_tables(|nf_tables| {
        let (socket, ports) = nf_tables.with::<Ports>()?;
        let known = ports.known.generation;
        Ok(at_one_generation(socket, known, step, |socket, generation| {
            if ports.known.generation != Some(generation) {
                let known = Known::read(socket, generation);
                ports.known = known.map_err(|cause| cause.doing(step.0, step.1))?;
            }
            let result = work(&mut Turn { netns, socket, ports, step });
            result.map(Ok).or_else(|error| {
                let known = std::mem::take(&mut ports.known).generation;
                // An error counts, although the generation changed, if only this attempt's own
                // commits changed it.
                let is_final = known != Some(generation)
                    && error.errno() != Some(Errno::ERESTART)
                    && Generation::read(socket).is_ok_and(|now| known == Some(now));
                if is_final { Ok(Err(error)) } else { Err(error) }
            })
        }))
    });
    let done = done.map_err(|cause| cause.doing("open nf_tables for", step.1)).flatten();
    let done = done.flatten();
    done.map_err(|error| error.in_namespace(netns))
}

/// Runs `work`, which only reads, again and again until the ruleset did not change meanwhile.
pub(super) fn look<T>(
    netns: &Netns,
    step: Step<'_>,
    mut work: impl FnMut(&mut Turn<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    change(netns, step, |turn| {
        let found = work(turn)?;
        turn.unchanged()?;
        Ok(found)
    })
}
