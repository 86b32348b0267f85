//! Requests with names, so that an error names the refused one.

use std::fmt::Display;

use nix::errno::Errno;

use super::batch::Batch;
use super::socket::Socket;
use crate::error::{Cause, Error, Refusal};
use crate::wire::message::Message;

/// Rtnetlink requests for one datagram, each with the action and object that its error names.
///
/// Rtnetlink continues after a refusal. So a request must never rely on a name or index that an
/// earlier request of the same datagram creates.
///
/// More than [`AT_ONCE`](Self::AT_ONCE) requests are split over several datagrams.
#[derive(Debug, Default)]
pub(crate) struct Requests<'a> {
    batches: Vec<Batch>,
    names: Vec<Named<'a>>,
}

struct Named<'a> {
    action: &'static str,
    object: &'a dyn Display,
    /// An errno that counts as success.
    tolerated: Option<Errno>,
    explain: Option<&'a dyn Fn(Error) -> Error>,
}

impl std::fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.action, self.object)
    }
}

impl<'a> Requests<'a> {
    /// The most requests in one datagram. If each is refused, all refusals fit the receive buffer.
    pub(crate) const AT_ONCE: usize = 100;

    /// Adds a request, which `write` appends to the batch.
    pub(crate) fn push(
        &mut self,
        action: &'static str,
        object: &'a dyn Display,
        write: impl FnOnce(&mut Batch) -> usize,
    ) {
        if self.names.len().is_multiple_of(Self::AT_ONCE) {
            self.batches.push(Batch::default());
        }
        if let Some(batch) = self.batches.last_mut() {
            write(batch);
        }
        self.names.push(Named { action, object, tolerated: None, explain: None });
    }

    /// Counts this errno as success for the request pushed last.
    pub(crate) fn tolerate(&mut self, errno: Errno) {
        if let Some(named) = self.names.last_mut() {
            named.tolerated = Some(errno);
        }
    }

    /// Passes the error of the request pushed last through `explain`.
    pub(crate) fn explain(&mut self, explain: &'a dyn Fn(Error) -> Error) {
        if let Some(named) = self.names.last_mut() {
            named.explain = Some(explain);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Sends the datagrams one by one, and stops after a datagram with a refused request. Returns
    /// the first refusal as the error, otherwise what `read` finds in the last echo.
    pub(crate) fn send<T>(
        self,
        socket: &mut Socket,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut echo = None;
        for (mut batch, names) in self.batches.into_iter().zip(self.names.chunks(Self::AT_ONCE)) {
            let failed = |place: usize, cause: Cause| match names.get(place) {
                Some(named) => {
                    let error = cause.doing(named.action, named.object);
                    match named.explain {
                        Some(explain) => explain(error),
                        None => error,
                    }
                }
                None => cause.doing("send", "a request"),
            };
            let refusals = socket
                .exchange(&mut batch, |_, answer| echo = read(answer))
                .map_err(|cause| failed(0, cause))?;
            let counts = |(place, refusal): &(usize, Refusal)| {
                names.get(*place).is_none_or(|named| named.tolerated != Some(refusal.errno))
            };
            let first = refusals.into_iter().filter(counts).min_by_key(|(place, _)| *place);
            if let Some((place, refusal)) = first {
                return Err(failed(place, refusal.into()));
            }
        }
        Ok(echo)
    }
}
