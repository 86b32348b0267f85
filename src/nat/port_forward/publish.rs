//! Creation of published ports, held and persistent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;

use super::builder::PortForward;
use super::handle::{Held, Identity, Persistent, PortForwardHandle};
use super::mapping::{ACTION, Mapping, Step, refuse_duplicates};
use super::record::Record;
use super::route::find_links;
use super::rows::{self, Row, TagHash};
use super::ruleset::{self, SIZE, TAGS};
use super::state::{Known, LinkUse, Ports, change, unchanged};
use super::table::{PortElement, PortTable};
use super::{loopback, stale};
use crate::error::Error;
use crate::nat::guarded::NotOurs;
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::owned::Owned;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::element::ElementsOf;
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
    let mut owned = Vec::with_capacity(mappings.len());
    let is_first = change(netns, step, |socket, ports, generation| {
        let addition = Addition { mappings: &mappings, tags: &tags, step };
        addition.run(netns, socket, ports, generation, &mut owned)
    })?;
    // On an error from here on, the owners delete all of them.
    loopback::check(netns, step)?;
    let local = mappings.iter().filter(|mapping| mapping.covers_loopback());
    let local: BTreeSet<_> = local.map(|mapping| mapping.link).collect();
    loopback::hold(netns, &local, step)?;
    stale::forget_others(netns, &mappings)?;
    if is_first {
        for obstacle in owned[0].obstacles()? {
            log::warn!("{obstacle}");
        }
    }
    Ok(owned)
}

/// Mappings that are to be added; `tags` has one for each, or none at all.
struct Addition<'a> {
    mappings: &'a [Mapping],
    tags: &'a [&'a str],
    step: Step<'a>,
}

impl Addition<'_> {
    /// Adds the mappings, or none, and fills `owned`. Returns whether they brought a table.
    ///
    /// If the kernel's answer is lost, they may exist, and their owners delete them.
    fn run(
        &self,
        netns: &Netns,
        socket: &mut Socket,
        Ports { known, held }: &mut Ports,
        generation: u32,
        owned: &mut Vec<Owned<PortForwardHandle>>,
    ) -> Result<bool, Error> {
        let Self { mappings, step, .. } = *self;
        let owner = self.tags.is_empty().then(|| socket.port());
        let is_ours = |table: &PortTable| table.owner == owner;
        known.refuse_taken(socket, mappings, |table| !is_ours(table))?;
        let mut transaction = Operations::at_generation(generation);
        transaction.reserve(mappings.len().saturating_mul(PortElement::MOST));
        let tables = [true, false].map(|is_ipv4| PortTable::new(owner, is_ipv4));
        let mut places = vec![0; self.tags.len()];
        let mut is_first = false;
        for table in &tables {
            if self.of_family(table).next().is_some() {
                is_first |= self.push_table(known, table, &mut transaction)?;
                self.push_elements(table, &mut transaction);
                if !table.is_held() {
                    let number = number_of(socket.port(), generation);
                    self.read_counts(socket, known, table)?;
                    self.push_rows(known, table, &mut transaction, number, &mut places)?;
                }
            }
        }
        let committed = transaction.commit(socket, |_| ());
        if committed.as_ref().is_err_and(Error::is_already_exists) {
            known.refuse_taken(socket, mappings, is_ours)?;
            // The holder went meanwhile.
            unchanged(socket, generation, step)?;
        }
        let is_done = committed.is_ok();
        if is_done || committed.as_ref().is_err_and(Error::is_outcome_unknown) {
            count(held, mappings, owner.is_some());
            let number = number_of(socket.port(), generation);
            *owned = self.owners(netns, number, &places);
        }
        committed.map_err(explain)?;
        known.committed();
        for table in tables.iter().filter(|table| self.of_family(table).next().is_some()) {
            known.created(table);
        }
        Ok(is_first)
    }

    fn of_family<'m>(&'m self, table: &PortTable) -> impl Iterator<Item = &'m Mapping> + Clone {
        let is_ipv4 = table.is_ipv4;
        self.mappings.iter().filter(move |mapping| mapping.is_ipv4() == is_ipv4)
    }

    /// Adds the table, or what another program deleted of it. Returns whether it is new.
    fn push_table(
        &self,
        known: &Known,
        table: &PortTable,
        transaction: &mut Operations<'_>,
    ) -> Result<bool, Error> {
        if known.is_foreign(table) {
            let foreign = NotOurs::Foreign(table.name.to_string());
            return Err(foreign.explain(self.step.0, self.step.1));
        }
        let is_new = !known.has(table);
        if is_new {
            ruleset::push_create(table, transaction);
        } else if known.is_broken(table) {
            ruleset::push_repair(table, transaction);
        }
        Ok(is_new)
    }

    /// Adds the ports, and the elements that the mappings of a link share.
    fn push_elements<'s>(&'s self, table: &PortTable, transaction: &mut Operations<'s>) {
        let ports = |is_addressed: bool| {
            let all = self.mappings.iter().enumerate();
            let of_kind = all.filter(move |(_, one)| {
                one.is_ipv4() == table.is_ipv4 && one.host_address.is_some() == is_addressed
            });
            of_kind.flat_map(|(at, mapping)| {
                PortElement::of(*mapping, self.tags.get(at).and_then(|tag| Comment::new(tag)))
            })
        };
        table.push_ports(transaction, self.step, ports);
        let (mut hairpin, mut local) = (BTreeSet::new(), BTreeSet::new());
        for mapping in self.of_family(table) {
            hairpin.insert(mapping.link);
            if mapping.covers_loopback() {
                local.insert(mapping.link);
            }
        }
        let shared = (Vec::from_iter(hairpin), Vec::from_iter(local));
        let kind = MessageType::NewElement;
        table.push_links(transaction, self.step, kind, (&shared.0, &shared.1));
    }

    /// Adds the rows of persistent mappings, and sets the place of each.
    fn push_rows<'s>(
        &'s self,
        known: &mut Known,
        table: &PortTable,
        transaction: &mut Operations<'s>,
        number: u32,
        places: &mut [u16],
    ) -> Result<(), Error> {
        let step = self.step;
        let (mut rows, mut counters) = (Vec::new(), BTreeSet::from([rows::TAG_COUNTER.to_owned()]));
        for ((mapping, tag), place) in self.mappings.iter().zip(self.tags).zip(places) {
            if mapping.is_ipv4() != table.is_ipv4 {
                continue;
            }
            let hash = TagHash::of(tag);
            let count = known.rows.entry((table.is_ipv4, hash)).or_default();
            if *count == 0 {
                rows.push(Row::of_tag(hash, tag));
            }
            *count = count.checked_add(1).ok_or_else(|| {
                let reason = format!("`{tag}` has 65,535 mappings, as many as a tag can have");
                Error::invalid(ACTION, mapping, reason)
            })?;
            *place = *count;
            rows.push(Row::of_mapping(hash, *place, &Record { mapping: *mapping, number }));
            counters.insert(rows::link_counter(mapping.link, mapping.covers_loopback()));
        }
        for counter in counters {
            let data = Some(ObjectData::Counter(Counter::default()));
            let object = Object::by_name(&table.name, ObjectKind::Counter, &counter);
            let object = Object { data, ..object };
            let kind = MessageType::NewObject;
            transaction.push(step, kind, NLM_F_CREATE, table.family(), &object);
        }
        let of = ElementsOf::new(&table.name, TAGS);
        let (kind, flags) = (MessageType::NewElement, NLM_F_CREATE | NLM_F_EXCL);
        transaction.push_elements(step, kind, flags, table.family(), (&of, rows));
        Ok(())
    }

    /// Reads how many rows each tag has, unless that is known.
    fn read_counts(
        &self,
        socket: &mut Socket,
        known: &mut Known,
        table: &PortTable,
    ) -> Result<(), Error> {
        if !known.has(table) {
            return Ok(());
        }
        let (action, shown) = self.step;
        let tags: BTreeSet<_> = self.tags.iter().map(|tag| (TagHash::of(tag), *tag)).collect();
        let is_unknown =
            |(hash, _): &(TagHash, &str)| !known.rows.contains_key(&(table.is_ipv4, *hash));
        let tags: Vec<_> = tags.into_iter().filter(is_unknown).collect();
        let texts = rows::texts(socket, table, tags.iter().map(|(hash, _)| (*hash, 0)))
            .map_err(|cause| cause.doing(action, shown))?;
        for ((hash, tag), text) in tags.into_iter().zip(texts) {
            let count = match text {
                None => 0,
                Some(text) if text == tag => known
                    .row_count(socket, table, hash)
                    .map_err(|cause| cause.doing(action, shown))?,
                Some(other) => {
                    let reason =
                        format!("the tag has the hash of another, `{other}`: choose another tag");
                    return Err(Error::invalid(action, shown, reason));
                }
            };
            known.rows.insert((table.is_ipv4, hash), count);
        }
        Ok(())
    }

    /// Returns an owner of each mapping.
    fn owners(&self, netns: &Netns, number: u32, places: &[u16]) -> Vec<Owned<PortForwardHandle>> {
        let exist: Arc<[AtomicBool]> =
            self.mappings.iter().map(|_| AtomicBool::new(true)).collect();
        let owner = |(at, mapping): (usize, &Mapping)| {
            let identity = match (self.tags.get(at), places.get(at)) {
                (Some(tag), Some(place)) => {
                    let tag = Arc::from(*tag);
                    Identity::Persistent(Box::new(Persistent { tag, number, place: *place }))
                }
                _ => Identity::Held(Held { exist: Arc::clone(&exist), at }),
            };
            Owned::new(PortForwardHandle { netns: netns.clone(), mapping: *mapping, identity })
        };
        self.mappings.iter().enumerate().map(owner).collect()
    }
}

/// Counts held mappings by their links.
fn count(held: &mut [LinkUse; 2], mappings: &[Mapping], is_held: bool) {
    for mapping in mappings.iter().filter(|_| is_held) {
        let uses = held[usize::from(mapping.is_ipv4())].entry(mapping.link).or_default();
        uses[usize::from(mapping.covers_loopback())] += 1;
    }
}

/// Returns a number for what this socket makes at this generation. Only one program changes the
/// ruleset at a generation, but another may have decided on an equal mapping at the same one.
fn number_of(socket_port: u32, generation: u32) -> u32 {
    // Odd, so that two generations of a socket, or two sockets at one generation, differ.
    const SPREAD: u32 = 0x9e37_79b1;
    generation.wrapping_mul(SPREAD) ^ socket_port
}

fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::ENFILE, || format!("{SIZE} ports are published, as many as a map has room for"))
        .hint_on(Errno::ENOENT, || {
            "this kernel lacks a part for it (CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_IPV4, \
             CONFIG_NFT_FIB_IPV6, CONFIG_NFT_CT)"
                .into()
        })
}
