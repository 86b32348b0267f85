//! Requests with a name each, so that a failure says which of them was refused.

use std::fmt::Display;

use nix::errno::Errno;

use super::request::RouteRequest;
use super::{Batch, Socket};
use crate::error::{Cause, Error, Refusal};
use crate::wire::message::Message;

/// Rtnetlink requests for one datagram, with what each does and to what.
///
/// Rtnetlink goes on after a refusal: a later request must never rely on a name or index that an
/// earlier one of the same datagram was to make.
///
/// More than [`AT_ONCE`](Self::AT_ONCE) go in several.
#[derive(Debug, Default)]
pub(crate) struct Requests<'a> {
    batches: Vec<Batch>,
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    action: &'static str,
    object: &'a dyn Display,
    /// An errno that is no failure here.
    tolerated: Option<Errno>,
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.action, self.object)
    }
}

impl<'a> Requests<'a> {
    /// In one datagram: each may be answered by a refusal, and all of those fit the receive buffer.
    pub(crate) const AT_ONCE: usize = 100;

    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(
        &mut self,
        action: &'static str,
        object: &'a dyn Display,
        message: &RouteRequest,
        flags: u16,
    ) -> &mut Self {
        self.push_with(action, object, |batch| batch.push(message, flags))
    }

    /// As [`push`](Self::push), for a request that `write` adds to its batch.
    pub(crate) fn push_with(
        &mut self,
        action: &'static str,
        object: &'a dyn Display,
        write: impl FnOnce(&mut Batch) -> usize,
    ) -> &mut Self {
        if self.steps.len().is_multiple_of(Self::AT_ONCE) {
            self.batches.push(Batch::default());
        }
        if let Some(batch) = self.batches.last_mut() {
            write(batch);
        }
        self.steps.push(Step { action, object, tolerated: None });
        self
    }

    /// Has this errno of the request pushed last count as done.
    pub(crate) fn tolerate(&mut self, errno: Errno) {
        if let Some(step) = self.steps.last_mut() {
            step.tolerated = Some(errno);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Sends them all, up to a datagram in which something was refused; the first refusal is the error.
    pub(crate) fn send(
        self,
        socket: &mut Socket,
        mut on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<(), Error> {
        self.send_once(socket, &mut on_answer)
    }

    /// Once for all callers: a program would have a copy for each.
    fn send_once(
        self,
        socket: &mut Socket,
        on_answer: &mut dyn FnMut(usize, Message<'_>),
    ) -> Result<(), Error> {
        for (mut batch, steps) in self.batches.into_iter().zip(self.steps.chunks(Self::AT_ONCE)) {
            let failed = |place: usize, cause: Cause| match steps.get(place) {
                Some(step) => cause.doing(step.action, step.object),
                None => cause.doing("send", "a request"),
            };
            let refusals =
                socket.exchange(&mut batch, &mut *on_answer).map_err(|cause| failed(0, cause))?;
            let counts = |(place, refusal): &(usize, Refusal)| {
                steps.get(*place).is_none_or(|step| step.tolerated != Some(refusal.errno))
            };
            let first = refusals.into_iter().filter(counts).min_by_key(|(place, _)| *place);
            if let Some((place, refusal)) = first {
                return Err(failed(place, refusal.into()));
            }
        }
        Ok(())
    }
}
