//! Tracked connections. No model keeps them, because there may be very many, and each packet changes
//! one.

use std::collections::HashSet;
use std::mem;

use super::event::{ConntrackEvent, Event};
use super::model::Model;
use crate::conntrack::{ConntrackEntry, ConntrackFilter};
use crate::error::Error;
use crate::netns::Netns;
use crate::wire::conntrack::Entry;
use crate::wire::message::{Message, NLM_F_CREATE};

/// The notifications of the connections that a filter matches.
#[derive(Debug)]
pub(super) struct Connections {
    filter: ConntrackFilter,
    /// The connections of the first list, until it is complete.
    listed: Option<Vec<ConntrackEntry>>,
    /// The notifications that were queued while the list was read.
    queued: Vec<ConntrackEvent>,
}

impl Connections {
    pub(super) fn new(filter: ConntrackFilter) -> Self {
        Self { filter, listed: None, queued: Vec::new() }
    }
}

impl Model for Connections {
    fn list(&mut self, netns: &Netns, is_first: bool) -> Result<(), Error> {
        // After an overflow there is no model to compare a new list with.
        self.listed = Some(if is_first { self.filter.list(netns)? } else { Vec::new() });
        Ok(())
    }

    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>) {
        let Some((entry, is_deleted)) = Entry::read_notification(message) else { return };
        if !self.filter.matches_entry(&entry) {
            return;
        }
        let Some(connection) = ConntrackEntry::read(&entry) else { return };
        let event = if is_deleted {
            ConntrackEvent::Ended(connection)
        } else if message.flags & NLM_F_CREATE != 0 {
            ConntrackEvent::New(connection)
        } else {
            ConntrackEvent::Updated(connection)
        };
        match self.listed {
            Some(_) => self.queued.push(event),
            None => events.push(Event::Conntrack(event)),
        }
    }

    fn complete(&mut self, is_first: bool, events: &mut Vec<Event>) {
        let Some(listed) = self.listed.take() else { return };
        if !is_first {
            events.push(Event::Lost);
        }
        let is_new = |event: &ConntrackEvent| match event {
            ConntrackEvent::New(entry) => Some((entry.zone, entry.protocol, entry.original)),
            _ => None,
        };
        let new: HashSet<_> = self.queued.iter().filter_map(is_new).collect();
        let is_known =
            |entry: &ConntrackEntry| !new.contains(&(entry.zone, entry.protocol, entry.original));
        let existing = listed.into_iter().filter(is_known).map(ConntrackEvent::Existing);
        events.extend(existing.chain(mem::take(&mut self.queued)).map(Event::Conntrack));
    }

    fn abandon(&mut self) {
        self.listed = None;
        self.queued.clear();
    }

    fn has_difference(&self) -> bool {
        false
    }
}
