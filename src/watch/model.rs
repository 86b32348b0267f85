//! The model of what exists of one kind.

use std::fmt::Debug;

use super::event::Event;
use crate::error::Error;
use crate::netns::Netns;
use crate::wire::message::Message;

/// The objects of one kind that exist by the events so far.
///
/// A list is read into a second model. Notifications change the second model until it is complete:
/// each is either older than the list, and then a later one or the list has the same object, or
/// newer. Then the difference of both models is what happened meanwhile.
pub(super) trait Model: Debug + Send + Sync {
    /// Reads the list of all that exists: the first one, or one after an overflow.
    fn list(&mut self, netns: &Netns, is_first: bool) -> Result<(), Error>;

    /// Takes a notification. Appends the event, unless a list was read and is not complete.
    fn take(&mut self, message: Message<'_>, events: &mut Vec<Event>);

    /// Completes the list that was read, and appends the difference. Everything is
    /// [`Existing`](super::Change::Existing) the first time.
    fn complete(&mut self, is_first: bool, events: &mut Vec<Event>);

    /// Forgets the list that was read.
    fn abandon(&mut self);

    /// Reports whether the difference of two lists says what was missed.
    fn has_difference(&self) -> bool {
        true
    }

    /// Looks for changes that the kernel makes in silence. Called when the queue is empty.
    fn doubt(&mut self, netns: &Netns) -> Result<Doubt, Error> {
        let _ = netns;
        Ok(Doubt::None)
    }
}

/// A doubt whether the model is what the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// The queue has to be read once more.
    Later,
    /// The list has to be read.
    Real,
}
