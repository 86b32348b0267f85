//! The model of the existing objects of one kind.

use std::fmt::Debug;

use super::event::Event;
use crate::error::Error;
use crate::netns::Netns;
use crate::wire::message::Message;

/// The objects of one kind that exist according to the events so far.
///
/// A list is read into a second model, and notifications change that model until it is complete. A
/// notification may be older than the list. Then the list or a later notification has the newer
/// state of the object. The difference between the two models is the change meanwhile.
pub(super) trait Model: Debug + Send + Sync {
    /// Reads the list of all objects, for the first time or after an overflow.
    fn list(&mut self, netns: &Netns, is_first: bool) -> Result<(), Error>;

    /// Applies a notification. Appends the event, unless a list was read and is not complete.
    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>);

    /// Completes the list that was read, and appends the difference. Everything is
    /// [`Existing`](super::Change::Existing) the first time.
    fn complete(&mut self, is_first: bool, events: &mut Vec<Event>);

    /// Discards the list that was read.
    fn abandon(&mut self);

    /// Reports whether the difference between two lists contains every missed change.
    fn has_difference(&self) -> bool {
        true
    }

    /// Checks for changes that the kernel makes without a notification. Called when the queue is
    /// empty.
    fn doubt(&mut self, netns: &Netns) -> Result<Doubt, Error> {
        let _ = netns;
        Ok(Doubt::None)
    }
}

/// The result of a check whether the model still matches the kernel's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// The queue must be read once more before the check.
    Later,
    /// The list must be read again.
    Real,
}
