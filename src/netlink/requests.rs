//! Requests with a name each, so that a failure says which of them was refused.

use std::fmt::Display;

use netlink_packet_route::RouteNetlinkMessage;

use super::{Batch, Socket};
use crate::error::Error;
use crate::wire::message::Message;

/// Rtnetlink requests for one datagram, with what each does and to what.
///
/// Rtnetlink goes on after a refusal: a later request must never rely on a name or index that an
/// earlier one of the same datagram was to make.
#[derive(Debug, Default)]
pub(crate) struct Requests<'a> {
    batch: Batch,
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    action: &'static str,
    object: &'a dyn Display,
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.action, self.object)
    }
}

impl<'a> Requests<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(
        &mut self,
        action: &'static str,
        object: &'a dyn Display,
        message: &RouteNetlinkMessage,
        flags: u16,
    ) -> &mut Self {
        self.batch.push(message, flags);
        self.steps.push(Step { action, object });
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Sends them all; the first refusal is the error, whatever came after it.
    pub(crate) fn send(
        mut self,
        socket: &mut Socket,
        on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<(), Error> {
        let named = |place: usize| match self.steps.get(place) {
            Some(step) => (step.action, step.object as &dyn Display),
            None => ("send", &"a request" as &dyn Display),
        };
        match socket.exchange(&mut self.batch, on_answer) {
            Err(cause) => {
                let (action, object) = named(0);
                Err(cause.doing(action, object))
            }
            Ok(refusals) => match refusals.into_iter().min_by_key(|(place, _)| *place) {
                None => Ok(()),
                Some((place, refusal)) => {
                    let (action, object) = named(place);
                    Err(crate::error::Cause::from(refusal).doing(action, object))
                }
            },
        }
    }
}
