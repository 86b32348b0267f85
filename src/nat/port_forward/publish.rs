//! Creation of published ports, held and persistent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nix::errno::Errno;

use super::builder::PortForward;
use super::guard::Guard;
use super::handle::{Flag, Persistent, PortForwardHandle};
use super::mapping::{ACTION, Mapping, refuse_duplicates};
use super::record::Record;
use super::route::find_links;
use super::rows::{Row, TAG_COUNTER};
use super::ruleset::{SIZE, ruleset};
use super::state::{Known, Ports, Since, TagRows, Turn, change};
use super::table::{NEW, PortElement, PortTable, State};
use super::tag::{TagHash, link_counter};
use super::{loopback, stale};
use crate::error::{Cause, Error};
use crate::nat::guarded::foreign;
use crate::netns::Netns;
use crate::nft::{Generation, Step, Transaction};
use crate::owned::Owned;
use crate::wire::message::NLM_F_CREATE;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::message::MessageType;
use crate::wire::nft::object::{Object, ObjectData, ObjectKind};
use crate::wire::nft::userdata::Comment;

impl PortForward {
    /// Publishes the port.
    ///
    /// # Errors
    ///
    /// - [`is_invalid_input`](Error::is_invalid_input), before any system call, for port 0, an
    ///   empty range, ranges of different lengths and addresses of different families.
    /// - [`is_already_exists`](Error::is_already_exists) if another mapping has the port; the error
    ///   names it.
    /// - [`ENETUNREACH`](Error::raw_os_error) without a route to the target.
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, and without
    ///   `CAP_SYS_ADMIN` for the first use of `nf_tables` in a namespace that the thread is not in.
    #[doc(alias("DNAT", "hostPort", "portmap", "-p"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<PortForwardHandle>, Error> {
        let mut created = create(netns, std::slice::from_ref(self))?;
        created.pop().ok_or_else(|| Error::invalid(ACTION, self, "nothing to do"))
    }

    /// Publishes all of these ports, or none, in one transaction.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, PortForward};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    /// let ports = [80, 443].map(|port| PortForward::new(port, "10.0.0.2"));
    /// let ports = PortForward::create_all(&ports, &host)?;
    /// assert_eq!(ports.len(), 2);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`create`](Self::create). Held and persistent ports can't be created together.
    pub fn create_all(
        forwards: &[Self],
        netns: &Netns,
    ) -> Result<Vec<Owned<PortForwardHandle>>, Error> {
        create(netns, forwards)
    }
}

fn create(netns: &Netns, forwards: &[PortForward]) -> Result<Vec<Owned<PortForwardHandle>>, Error> {
    let Some(first) = forwards.first() else { return Ok(Vec::new()) };
    if let Some(other) = forwards.iter().find(|one| one.tag.is_some() != first.tag.is_some()) {
        let reason =
            "held and persistent ports can't be created together: some have a tag, some don't";
        return Err(Error::invalid(ACTION, other, reason));
    }
    let checked = forwards.iter().map(|forward| forward.check(netns));
    let mut mappings: Vec<_> = checked.collect::<Result<_, _>>()?;
    refuse_duplicates(&mappings)?;
    find_links(netns, forwards, &mut mappings)?;
    let tags: Vec<_> = forwards.iter().map_while(|forward| forward.tag.as_deref()).collect();
    let step: Step<'_> = (ACTION, first);
    let addition = Addition { mappings: &mappings, tags: &tags };
    let Published { owned, is_first, is_steady, generation, lost } =
        change(netns, step, |turn| addition.run(turn))?;
    // From here on, an error drops the owners, which delete all mappings.
    if let Some(error) = lost {
        return Err(error.in_namespace(netns));
    }
    loopback::check(netns, step)?;
    loopback::hold(netns, &addition.local_links(), (is_steady, generation), step)?;
    stale::forget_others(netns, &mappings)?;
    if is_first {
        for obstacle in owned[0].obstacles()? {
            log::warn!("{obstacle}");
        }
    }
    Ok(owned)
}

/// Mappings to add. `tags` has one tag for each mapping, or is empty if the mappings are held.
struct Addition<'a> {
    mappings: &'a [Mapping],
    tags: &'a [&'a str],
}

/// The result of an [`Addition`].
struct Published {
    owned: Vec<Owned<PortForwardHandle>>,
    /// True if the mappings needed a new table.
    is_first: bool,
    /// True if certainly no other program is about to turn off a link that the mappings need.
    is_steady: bool,
    /// The generation of the ruleset after the addition.
    generation: Generation,
    /// The error if the kernel's answer was lost: the mappings may exist.
    lost: Option<Error>,
}

impl Addition<'_> {
    /// Adds the mappings, or none.
    fn run(&self, turn: &mut Turn<'_>) -> Result<Published, Error> {
        let owner = self.tags.is_empty().then(|| turn.socket.port());
        turn.refuse_taken(self.mappings, |table| table.owner != owner)?;
        let mut transaction = turn.transaction();
        transaction.reserve(self.mappings.len().saturating_mul(PortElement::MOST));
        let mut tables = Vec::with_capacity(2);
        for table in [true, false].map(|is_ipv4| PortTable::new(owner, is_ipv4)) {
            if self.of_family(&table).next().is_some() {
                let is_new = push_table(turn, &table, &mut transaction)?;
                tables.push((table, is_new));
            }
        }
        transaction.begin(turn.step.0, "");
        let number = number_of(turn.socket.port(), turn.generation());
        let mut places = vec![0; self.tags.len()];
        for (table, is_new) in &tables {
            self.push_elements(table, &mut transaction);
            if !table.is_held() {
                self.read_counts(turn, table, *is_new)?;
                self.push_rows(turn, table, &mut transaction, (number, &mut places))?;
            }
        }
        let mut lost = None;
        match turn.commit(transaction) {
            Ok(()) => {}
            Err(error) if error.is_outcome_unknown() => lost = Some(error),
            Err(error) => {
                if error.is_already_exists() {
                    turn.refuse_taken(self.mappings, |table| table.owner == owner)?;
                    // The mapping that had the port was deleted meanwhile.
                    turn.unchanged()?;
                }
                return Err(explain(error));
            }
        }
        for (table, is_new) in &tables {
            self.count(turn.ports, table, *is_new);
        }
        let known = &turn.ports.known;
        let is_steady = known.guard == Guard::Whole && self.local_links().is_subset(&known.steady);
        let (since, generation) = (known.since().filter(|_| lost.is_none()), turn.generation());
        if lost.is_some() {
            turn.ports.known = Known::default();
        }
        let owned = self.owners(turn.netns, (number, since), &places);
        let is_first = tables.iter().any(|(_, is_new)| *is_new);
        Ok(Published { owned, is_first, is_steady, generation, lost })
    }

    fn of_family<'m>(&'m self, table: &PortTable) -> impl Iterator<Item = &'m Mapping> + Clone {
        let is_ipv4 = table.is_ipv4;
        self.mappings.iter().filter(move |mapping| mapping.is_ipv4() == is_ipv4)
    }

    /// Returns the links that have to route loopback addresses.
    fn local_links(&self) -> BTreeSet<u32> {
        let local = self.mappings.iter().filter(|mapping| mapping.covers_loopback());
        local.map(|mapping| mapping.link).collect()
    }

    /// Adds the elements of the ports, and the elements of their links. All mappings of a link
    /// share the latter.
    fn push_elements(&self, table: &PortTable, transaction: &mut Transaction) {
        let ports = |is_addressed: bool| {
            let all = self.mappings.iter().enumerate();
            let of_kind = all.filter(move |(_, one)| {
                one.is_ipv4() == table.is_ipv4 && one.host_address.is_some() == is_addressed
            });
            of_kind.flat_map(|(at, mapping)| {
                PortElement::of(*mapping, self.tags.get(at).and_then(|tag| Comment::new(tag)))
            })
        };
        table.push_ports(transaction, NEW, ports);
        let hairpin: BTreeSet<_> = self.of_family(table).map(|mapping| mapping.link).collect();
        let hairpin = Vec::from_iter(hairpin);
        let local = if table.is_ipv4 { self.local_links() } else { BTreeSet::new() };
        let local = Vec::from_iter(local);
        table.push_links(transaction, MessageType::NewElement, (&hairpin, &local));
    }

    /// Adds the rows of persistent mappings, and stores the place of each row in `places`.
    fn push_rows(
        &self,
        turn: &mut Turn<'_>,
        table: &PortTable,
        transaction: &mut Transaction,
        (number, places): (u32, &mut [u16]),
    ) -> Result<(), Error> {
        let known = &mut turn.ports.known;
        let family = usize::from(table.is_ipv4);
        let mut rows = Vec::with_capacity(self.mappings.len());
        let mut counters = BTreeMap::<_, Arc<str>>::new();
        for ((mapping, tag), place) in self.mappings.iter().zip(self.tags).zip(places) {
            if mapping.is_ipv4() != table.is_ipv4 {
                continue;
            }
            let hash = TagHash::of(tag);
            let of_tag = known.rows.entry((table.is_ipv4, hash)).or_default();
            if of_tag.count == 0 {
                rows.push(Row::of_tag(hash, tag));
                known.tags[family] = known.tags[family].map(|count| count + 1);
            }
            *place = of_tag.count.checked_add(1).ok_or_else(|| {
                let reason = format!("`{tag}` has 65,535 mappings, as many as a tag can have");
                Cause::from(Errno::E2BIG).doing(ACTION, mapping).hint(reason)
            })?;
            of_tag.count = *place;
            let use_of = (mapping.link, mapping.covers_loopback());
            let counter =
                counters.entry(use_of).or_insert_with(|| link_counter(use_of.0, use_of.1).into());
            let record = Record { mapping: *mapping, number };
            rows.push(Row::of_mapping(hash, *place, &record, Arc::clone(counter)));
        }
        for name in counters.values().map(|name| &**name).chain([TAG_COUNTER]) {
            let data = Some(ObjectData::Counter(Counter::default()));
            let object = Object { data, ..Object::by_name(&table.name, ObjectKind::Counter, name) };
            transaction.push(MessageType::NewObject, NLM_F_CREATE, table.family(), &object);
        }
        Row::push(transaction, table, NEW, &rows);
        Ok(())
    }

    /// Reads how many rows each tag has, unless the cache has the number.
    fn read_counts(
        &self,
        turn: &mut Turn<'_>,
        table: &PortTable,
        is_new: bool,
    ) -> Result<(), Error> {
        if is_new {
            turn.ports.known.tags[usize::from(table.is_ipv4)] = Some(0);
            return Ok(());
        }
        let tags: BTreeSet<_> = self.tags.iter().map(|tag| (TagHash::of(tag), *tag)).collect();
        let rows = &turn.ports.known.rows;
        let is_unknown = |(hash, _): &(TagHash, &str)| !rows.contains_key(&(table.is_ipv4, *hash));
        let tags: Vec<_> = tags.into_iter().filter(is_unknown).collect();
        let texts = turn.texts(table, tags.iter().map(|(hash, _)| (*hash, 0)))?;
        for ((hash, tag), text) in tags.into_iter().zip(texts) {
            match text {
                None => {
                    let rows = TagRows::default();
                    turn.ports.known.rows.insert((table.is_ipv4, hash), rows);
                }
                Some(text) if text == tag => _ = turn.row_count(table, hash)?,
                Some(other) => {
                    let reason = format!("the tag `{other}` has the same hash: choose another tag");
                    return Err(Error::invalid(turn.step.0, turn.step.1, reason));
                }
            }
        }
        Ok(())
    }

    /// Updates the cache after the mappings of a table were added.
    fn count(&self, ports: &mut Ports, table: &PortTable, is_new: bool) {
        ports.known.created(table);
        let uses = ports.uses(table);
        for mapping in self.of_family(table) {
            // For a persistent table, the cache knows only the links whose uses were read.
            if is_new || table.is_held() {
                uses.entry(mapping.link).or_default();
            }
            if let Some(uses) = uses.get_mut(&mapping.link) {
                uses[usize::from(mapping.covers_loopback())] += 1;
            }
        }
    }

    /// Returns an owner of each mapping.
    fn owners(
        &self,
        netns: &Netns,
        (number, since): (u32, Option<Since>),
        places: &[u16],
    ) -> Vec<Owned<PortForwardHandle>> {
        let flags = Flag::many(self.mappings.len()).enumerate();
        let owner = |((at, flag), mapping): (_, &Mapping)| {
            let persistent = self.tags.get(at).zip(places.get(at)).map(|(tag, place)| {
                Box::new(Persistent { tag: Arc::from(*tag), number, place: *place, since })
            });
            let (netns, mapping) = (netns.clone(), *mapping);
            Owned::new(PortForwardHandle { netns, mapping, flag, persistent })
        };
        flags.zip(self.mappings).map(owner).collect()
    }
}

/// Adds a missing table, or the parts of a table that another program deleted. Returns whether the
/// table is new.
fn push_table(
    turn: &Turn<'_>,
    table: &PortTable,
    transaction: &mut Transaction,
) -> Result<bool, Error> {
    let state = turn.ports.known.state(table);
    match state {
        None => drop(transaction.create_table(&ruleset(table))),
        Some(State::Broken) => transaction.restore(&ruleset(table)),
        Some(State::Foreign) => return Err(foreign(&table.name, turn.step)),
        Some(State::Whole) => {}
    }
    Ok(state.is_none())
}

/// Returns a number for the mappings that this socket creates at this generation. Only one program
/// can change the ruleset at a generation, but another may have prepared an equal mapping at the
/// same generation.
fn number_of(socket_port: u32, generation: Generation) -> u32 {
    // An odd factor gives two generations of a socket, or two sockets at one generation, different
    // numbers.
    const SPREAD: u32 = 0x9e37_79b1;
    generation.0.wrapping_mul(SPREAD) ^ socket_port
}

fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENFILE, || format!("{SIZE} ports are published, as many as a map has room for"))
        .hint_on(Errno::ENOENT, || {
            "this kernel lacks an option that published ports need (CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_IPV4, \
             CONFIG_NFT_FIB_IPV6, CONFIG_NFT_CT)"
                .into()
        })
}
