//! The model of objects that each have one key: links, addresses, neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::doubt::after_changes;
use super::event::{Change, Event};
use super::filter::Filter;
use super::model::{Doubt, Model};
use crate::address::AddressInfo;
use crate::error::Error;
use crate::link::{LinkIndex, LinkInfo, LinkView};
use crate::neighbor::NeighborInfo;
use crate::netlink::{Batch, RequestType};
use crate::netns::{Netns, number_of_namespace};
use crate::wire::link::{AF_UNSPEC, LinkView as WireLink, WhichLink};
use crate::wire::message::{Message, NLM_F_DUMP};
use crate::wire::route::{AF_INET, AF_INET6};

/// A type of object, and the messages that carry it.
pub(super) trait Object: Clone + PartialEq + Debug + Send + Sync {
    type Key: Ord + Debug + Send + Sync;
    /// The name of the list in errors.
    const LIST: &'static str;
    /// The types of the notifications of a new or changed object, and of a removed one.
    const TYPES: (u16, u16);

    fn request(batch: &mut Batch) -> usize;
    /// Reads the object. `None` for a message of the same type about another kind of object.
    fn read(message: Message<'_>) -> Option<Self>;
    fn key(&self) -> Self::Key;
    fn matches(&self, filter: &Filter) -> bool;
    fn event(change: Change<Self>) -> Event;

    /// The object that this one refers to: the peer of a veth, or the link below.
    fn other(&self) -> Option<Self::Key> {
        None
    }

    /// Reports whether the object is the same as in an older list, except for elapsed lifetimes.
    fn is_same(&self, old: &Self) -> bool {
        self == old
    }
}

/// The objects of a kind.
#[derive(Debug)]
pub(super) struct Objects<T: Object> {
    filter: Filter,
    known: BTreeMap<T::Key, T>,
    /// The list that was read and is not complete.
    listed: Option<BTreeMap<T::Key, T>>,
    /// Objects that are gone. The kernel does not report the resulting changes of other objects,
    /// such as the namespace of a veth's peer that moved.
    gone: BTreeSet<T::Key>,
    /// True once all notifications of the changes are queued.
    is_settled: bool,
}

impl<T: Object> Objects<T> {
    pub(super) fn new(filter: Filter) -> Self {
        let (known, gone) = (BTreeMap::new(), BTreeSet::new());
        Self { filter, known, listed: None, gone, is_settled: false }
    }

    fn refers_to_gone(&self) -> bool {
        let refers = |object: &T| object.other().is_some_and(|other| self.gone.contains(&other));
        !self.gone.is_empty() && self.known.values().any(refers)
    }
}

impl<T: Object> Model for Objects<T> {
    fn list(&mut self, netns: &Netns, _is_first: bool) -> Result<(), Error> {
        let filter = &self.filter;
        let listed = netns.fold(T::LIST, T::request, BTreeMap::new, |listed, message| {
            if let Some(object) = T::read(message).filter(|object| object.matches(filter)) {
                listed.insert(object.key(), object);
            }
        })?;
        self.listed = Some(listed);
        self.gone.clear();
        Ok(())
    }

    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>) {
        let is_there = message.kind == T::TYPES.0;
        if !is_there && message.kind != T::TYPES.1 {
            return;
        }
        let Some(object) = T::read(message) else { return };
        let is_there = is_there && object.matches(&self.filter);
        let key = object.key();
        if let Some(listed) = &mut self.listed {
            if is_there {
                listed.insert(key, object)
            } else {
                listed.remove(&key)
            };
            return;
        }
        if !is_there {
            events.extend(self.known.remove(&key).map(|old| T::event(Change::Removed(old))));
            self.gone.insert(key);
            self.is_settled = false;
            return;
        }
        match self.known.insert(key, object.clone()) {
            None => events.push(T::event(Change::New(object))),
            Some(old) if object == old => {}
            Some(old) => events.push(T::event(Change::Changed { old, new: object })),
        }
    }

    fn complete(&mut self, is_first: bool, events: &mut Vec<Event>) {
        let Some(listed) = self.listed.take() else { return };
        let mut known = mem::take(&mut self.known);
        for (key, new) in &listed {
            let change = match known.remove(key) {
                None if is_first => Change::Existing(new.clone()),
                None => Change::New(new.clone()),
                Some(old) if new.is_same(&old) => continue,
                Some(old) => Change::Changed { old, new: new.clone() },
            };
            events.push(T::event(change));
        }
        events.extend(known.into_values().map(|old| T::event(Change::Removed(old))));
        self.known = listed;
    }

    fn abandon(&mut self) {
        self.listed = None;
    }

    fn doubt(&mut self, netns: &Netns) -> Result<Doubt, Error> {
        if !self.refers_to_gone() {
            self.gone.clear();
            return Ok(Doubt::None);
        }
        if self.is_settled {
            return Ok(Doubt::Real);
        }
        after_changes(netns)?;
        self.is_settled = true;
        Ok(Doubt::Later)
    }
}

impl Object for LinkInfo {
    type Key = u32;
    const LIST: &'static str = "links";
    const TYPES: (u16, u16) = (RequestType::NewLink as u16, RequestType::DelLink as u16);

    fn request(batch: &mut Batch) -> usize {
        let kind = RequestType::GetLink as u16;
        batch.request(kind, NLM_F_DUMP, |out| WhichLink::All.write(out))
    }

    fn read(message: Message<'_>) -> Option<Self> {
        // A bridge reports its ports by messages of its own family: a link that is deleted there
        // leaves the bridge (`br_ifinfo_notify` in `net/bridge/br_netlink.c`).
        if message.payload.first() != Some(&AF_UNSPEC) {
            return None;
        }
        let wire = WireLink::read(message)?;
        // Notifications of wireless drivers carry nothing of the link but its name.
        wire.mtu()?;
        LinkView::of(wire).map(Self::from)
    }

    fn key(&self) -> u32 {
        self.index.get()
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.has_link(self.index.get())
    }

    fn event(change: Change<Self>) -> Event {
        Event::Link(change)
    }

    fn other(&self) -> Option<u32> {
        self.link.map(LinkIndex::get)
    }
}

impl Object for AddressInfo {
    type Key = (u32, IpNet, Option<IpAddr>);
    const LIST: &'static str = "addresses";
    const TYPES: (u16, u16) = (RequestType::NewAddress as u16, RequestType::DelAddress as u16);

    fn request(batch: &mut Batch) -> usize {
        batch.push(RequestType::GetAddress, NLM_F_DUMP, &[0; 8], |_| ())
    }

    fn read(message: Message<'_>) -> Option<Self> {
        Self::read(message)
    }

    fn key(&self) -> Self::Key {
        // The kernel can change the peer of an IPv6 address, so the peer is not part of its key.
        let peer = self.peer.filter(IpAddr::is_ipv4);
        (self.link.get(), self.prefix, peer)
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.has_link(self.link.get()) && filter.has_address(self.prefix.addr())
    }

    fn event(change: Change<Self>) -> Event {
        Event::Address(change)
    }

    fn is_same(&self, old: &Self) -> bool {
        let ran_down = |new: Option<Duration>, old: Option<Duration>| match (new, old) {
            (Some(new), Some(old)) => new <= old,
            (new, old) => new == old,
        };
        let mut then = old.clone();
        (then.valid, then.preferred) = (self.valid, self.preferred);
        ran_down(self.valid, old.valid) && ran_down(self.preferred, old.preferred) && *self == then
    }
}

impl Object for NeighborInfo {
    type Key = (u32, IpAddr);
    const LIST: &'static str = "neighbours";
    const TYPES: (u16, u16) = (28, 29);

    fn request(batch: &mut Batch) -> usize {
        batch.push(RequestType::GetNeighbor, NLM_F_DUMP, &[0; 12], |_| ())
    }

    fn read(message: Message<'_>) -> Option<Self> {
        // Proxy entries are in a separate kernel list. A bridge's entries have the bridge's family.
        const NTF_PROXY: u8 = 1 << 3;
        let &[family, _, _, _, _, _, _, _, _, _, flags, _] = message.payload.first_chunk()?;
        let is_neighbor = matches!(family, AF_INET | AF_INET6) && flags & NTF_PROXY == 0;
        if is_neighbor { Self::read(message) } else { None }
    }

    fn key(&self) -> Self::Key {
        (self.link.get(), self.address)
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.has_link(self.link.get()) && filter.has_address(self.address)
    }

    fn event(change: Change<Self>) -> Event {
        Event::Neighbor(change)
    }
}

/// The id of another namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamespaceId(u32);

impl Object for NamespaceId {
    type Key = u32;
    const LIST: &'static str = "namespace ids";
    const TYPES: (u16, u16) = (RequestType::NewNsId as u16, 89);

    fn request(batch: &mut Batch) -> usize {
        batch.push(RequestType::GetNsId, NLM_F_DUMP, &[0; 4], |_| ())
    }

    fn read(message: Message<'_>) -> Option<Self> {
        number_of_namespace(message).map(Self)
    }

    fn key(&self) -> u32 {
        self.0
    }

    fn matches(&self, _filter: &Filter) -> bool {
        true
    }

    fn event(change: Change<Self>) -> Event {
        Event::NamespaceId(change.map(|id| id.0))
    }
}
