//! A watcher's socket, and the models that its notifications change.

use std::collections::BTreeSet;

use super::event::{Event, Resynced};
use super::filter::Filter;
use super::kind::Kind;
use super::model::{Doubt, Model};
use crate::error::{Cause, Error};
use crate::netlink::{Heard, Protocol, Subscription};
use crate::netns::Netns;
use crate::wire::message::Message;

/// The number of lists that may overflow the buffer while they are read.
const ATTEMPTS: u32 = 64;

/// A socket and its models.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) subscription: Subscription,
    models: Vec<Box<dyn Model>>,
    state: State,
}

/// The state of the models, with the number of overflows since they were last complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No list was read yet.
    New(u32),
    /// The models match the notifications so far.
    Current,
    /// Notifications were lost after the first lists.
    Overflowed(u32),
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Something was read. There may be events.
    Done,
    /// There is nothing to read.
    Idle,
}

impl Source {
    /// Joins the groups of kinds that share a protocol.
    pub(super) fn open(
        netns: &Netns,
        protocol: Protocol,
        kinds: &BTreeSet<Kind>,
        filter: &Filter,
        room: usize,
    ) -> Result<Self, Cause> {
        let kinds: Vec<_> = kinds.iter().filter(|kind| kind.protocol() == protocol).collect();
        let groups: BTreeSet<_> = kinds.iter().flat_map(|kind| kind.groups(filter)).collect();
        let groups: Vec<_> = groups.into_iter().collect();
        Ok(Self {
            subscription: netns.subscribe(protocol, &groups, room)?,
            models: kinds.iter().map(|kind| kind.model(filter)).collect(),
            state: State::New(0),
        })
    }

    /// Reports whether the first lists are not read yet.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.state, State::New(_))
    }

    /// Replaces the socket, which a fork shares with its parent.
    pub(super) fn reopen(&mut self, subscription: Subscription) {
        self.subscription = subscription;
        self.overflow();
    }

    /// Reads one datagram, or all lists if notifications were lost. Waits for no notification.
    pub(super) fn step(&mut self, netns: &Netns, events: &mut Vec<Event>) -> Result<Step, Error> {
        if self.state != State::Current {
            self.resync(netns, events)?;
            return Ok(Step::Done);
        }
        match self.subscription.receive().map_err(|cause| reading(cause, netns))? {
            Heard::Datagram(length) => {
                for message in self.subscription.datagram(length) {
                    self.models.iter_mut().for_each(|model| model.take(message, events));
                }
                Ok(Step::Done)
            }
            Heard::Overflow => {
                self.overflow();
                Ok(Step::Done)
            }
            Heard::Nothing => self.doubt(netns, events),
        }
    }

    fn overflow(&mut self) {
        self.state = match self.state {
            State::New(times) => State::New(times + 1),
            State::Current => State::Overflowed(1),
            State::Overflowed(times) => State::Overflowed(times + 1),
        };
    }

    /// Reads all lists, and the notifications that were queued meanwhile. If the buffer overflows
    /// again, the next step tries once more.
    fn resync(&mut self, netns: &Netns, events: &mut Vec<Event>) -> Result<(), Error> {
        // All queued notifications are older than the lists.
        self.subscription.discard().map_err(|cause| reading(cause, netns))?;
        let mut changes = Vec::new();
        if !self.list(netns, |_| true, &mut changes)? {
            self.overflow();
            let (State::New(times) | State::Overflowed(times)) = self.state else { return Ok(()) };
            if !times.is_multiple_of(ATTEMPTS) {
                return Ok(());
            }
            return Err(Cause::Interrupted(ATTEMPTS)
                .doing("watch", "changes")
                .in_namespace(netns)
                .hint("a larger `buffer` holds the changes that come while the lists are read"));
        }
        if let State::Overflowed(overflows) = self.state {
            // Events of connections are no part of a difference, so they stay single events.
            let is_itself = |event: &mut Event| matches!(event, Event::Lost | Event::Conntrack(_));
            events.extend(changes.extract_if(.., is_itself));
            if self.models.iter().any(|model| model.has_difference()) {
                events.push(Event::Resynced(Resynced { changes, overflows }));
            }
        } else {
            events.append(&mut changes);
        }
        self.state = State::Current;
        Ok(())
    }

    /// Checks for changes that the kernel made without a notification.
    fn doubt(&mut self, netns: &Netns, events: &mut Vec<Event>) -> Result<Step, Error> {
        let mut doubts = Vec::with_capacity(self.models.len());
        for model in &mut self.models {
            doubts.push(model.doubt(netns)?);
        }
        if doubts.contains(&Doubt::Real) {
            let is_doubtful = |place: usize| doubts.get(place) == Some(&Doubt::Real);
            if !self.list(netns, is_doubtful, events)? {
                self.overflow();
            }
        } else if !doubts.contains(&Doubt::Later) {
            return Ok(Step::Idle);
        }
        Ok(Step::Done)
    }

    /// Reads the lists of the models at these positions, and the notifications that were queued
    /// meanwhile. Returns whether no notification was lost.
    fn list(
        &mut self,
        netns: &Netns,
        is_wanted: impl Fn(usize) -> bool,
        events: &mut Vec<Event>,
    ) -> Result<bool, Error> {
        let result = self.try_list(netns, is_wanted, events);
        if !matches!(result, Ok(true)) {
            self.models.iter_mut().for_each(|model| model.abandon());
        }
        result
    }

    fn try_list(
        &mut self,
        netns: &Netns,
        is_wanted: impl Fn(usize) -> bool,
        events: &mut Vec<Event>,
    ) -> Result<bool, Error> {
        let is_first = self.is_new();
        for (_, model) in self.models.iter_mut().enumerate().filter(|(at, _)| is_wanted(*at)) {
            model.list(netns, is_first)?;
        }
        let models = &mut self.models;
        let take = |message: Message<'_>| {
            for model in models.iter_mut() {
                model.take(message, events);
            }
        };
        if !self.subscription.drain(take).map_err(|cause| reading(cause, netns))? {
            return Ok(false);
        }
        self.models.iter_mut().for_each(|model| model.complete(is_first, events));
        Ok(true)
    }
}

/// Returns the error of a notification that could not be read.
fn reading(cause: Cause, netns: &Netns) -> Error {
    cause.doing("watch", "changes").in_namespace(netns)
}
