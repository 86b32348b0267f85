//! An exchange with the kernel: a batch with its acknowledgements and echoes, or a request answered
//! by one message or a list.

use std::ops::ControlFlow;

use nix::errno::Errno;

use super::batch::Batch;
use super::path;
use super::room::Received;
use super::socket::{DEADLINE, Deadline, Socket};
use crate::error::{Cause, Refusal};
use crate::wire::extack::Ack;
use crate::wire::message::{
    Message, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, messages,
};

/// The maximum number of attempts to read a list. If the list changes all the time, about one
/// attempt in a few succeeds.
const ATTEMPTS: u32 = 64;

/// The bytes to reserve in the receive buffer for an answer (a refusal, or an echo of some
/// expressions), the kernel's bookkeeping included.
const ANSWER: usize = 2048;

/// The maximum receive buffer to ask for: enough if 32,768 requests are all refused or echoed.
const MOST_ANSWERS: usize = 64 << 20;

/// The refused requests of a batch, by their position in it.
pub(crate) type Refusals = Vec<(usize, Refusal)>;

/// Callback for answers that are not acknowledgements, with the position of their request in the
/// batch. A trait object, so that the code of an exchange is compiled once and not for each closure
/// type.
pub(crate) type OnAnswer<'a> = &'a mut dyn FnMut(usize, Message<'_>);

/// Callback for the messages of an exchange: the position of the request in the batch, the message,
/// and the message parsed as an acknowledgement.
type OnMessage<'a, T> = &'a mut dyn FnMut(usize, Message<'_>, Option<Ack>) -> ControlFlow<T>;

impl Socket {
    /// Sends a batch and reads until its last request is acknowledged.
    ///
    /// An echo may arrive before a refusal of the same request. So an echo counts only if this
    /// request is not among the returned refusals.
    pub(crate) fn exchange(
        &mut self,
        batch: &mut Batch,
        mut on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Refusals, Cause> {
        let Some(last) = batch.len().checked_sub(1) else { return Ok(Refusals::new()) };
        self.expect_answers(batch)?;
        self.run(batch, last, None, &mut on_answer)
    }

    /// Sends an `nf_tables` batch, framed by its first and last message. Linux before 6.10 does not
    /// acknowledge these two, so this waits for the last operation. A refusal of the first message
    /// refuses the whole batch (no privilege, a stale generation, a failed commit).
    pub(crate) fn transact(
        &mut self,
        batch: &mut Batch,
        mut on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Refusals, Cause> {
        let Some(last) = batch.len().checked_sub(2).filter(|&last| last > 0) else {
            return Ok(Refusals::new());
        };
        let answers = batch.len().saturating_mul(ANSWER).min(MOST_ANSWERS);
        self.make_room(batch.bytes().len(), answers)?;
        self.run(batch, last, Some(0), &mut on_answer)
    }

    /// Sends a batch and reads until the request at position `last`, or at position `begin`, is
    /// acknowledged.
    fn run(
        &mut self,
        batch: &mut Batch,
        last: usize,
        begin: Option<usize>,
        on_answer: OnAnswer<'_>,
    ) -> Result<Refusals, Cause> {
        batch.acknowledge(last);
        self.expect_refusals(batch.bytes().len())?;
        let first = self.take_sequences(batch.len());
        batch.number(first);
        self.send(batch.bytes())?;
        let mut refusals = Refusals::new();
        let result = loop {
            let end = self.read(first, batch.len(), &mut |place, message, ack| {
                let Some(ack) = ack else {
                    on_answer(place, message);
                    return ControlFlow::Continue(());
                };
                if ack.errno != 0 {
                    refusals.push((place, refusal(ack, batch.request_bytes(place))));
                }
                let is_end = place == last || Some(place) == begin;
                if is_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            // A datagram that was too long for the buffer is skipped: it holds an echo, never an
            // acknowledgement. The caller looks the object up instead, as if the kernel had sent no
            // echo.
            match end {
                Ok(None) => {}
                end => break end,
            }
        };
        if result.is_err() && begin.is_some() && refusals.is_empty() {
            self.read_late(batch, first, last, on_answer);
        }
        if result.is_err() || begin.is_some() && !refusals.is_empty() {
            self.drain();
        }
        result.map(|_| refusals)
    }

    /// Reads the messages that are queued after an answer was lost. A later echo, or the last
    /// acknowledgement, proves that the kernel applied the batch. Passes that acknowledgement to
    /// `on_answer`, like an echo.
    fn read_late(&mut self, batch: &Batch, first: u32, last: usize, on_answer: OnAnswer<'_>) {
        while let Some(length) = self.receive_queued() {
            for message in messages(self.buffer.datagram(length)) {
                let place = message.sequence.wrapping_sub(first) as usize;
                let errno = match message.kind {
                    NLMSG_ERROR => Ack::read(message).map(|ack| ack.errno),
                    _ => Some(0),
                };
                match (message.kind, errno) {
                    _ if place >= batch.len() => {}
                    (NLMSG_NOOP | NLMSG_OVERRUN, _) => {}
                    (_, None | Some(1..)) => return,
                    (NLMSG_ERROR, _) if place != last => {}
                    _ => on_answer(place, message),
                }
            }
        }
    }

    /// Passes to `visit` the messages that answer the `count` requests numbered from `first`, until
    /// `visit` breaks. Returns `None` if a datagram was longer than the buffer: the datagram is
    /// lost, and the buffer has grown.
    fn read<T>(
        &mut self,
        first: u32,
        count: usize,
        visit: OnMessage<'_, T>,
    ) -> Result<Option<T>, Cause> {
        let mut deadline = Deadline::default();
        loop {
            let Received::Datagram(length) = self.receive(&mut deadline)? else { return Ok(None) };
            let mut messages = messages(self.buffer.datagram(length));
            let mut is_ours = false;
            for message in messages.by_ref() {
                let place = message.sequence.wrapping_sub(first) as usize;
                if place >= count {
                    continue;
                }
                is_ours = true;
                let ack = match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => Some(Ack::read(message).ok_or(UNREADABLE)?),
                    NLMSG_NOOP => continue,
                    NLMSG_OVERRUN => return Err(Cause::Overrun),
                    _ => None,
                };
                if let ControlFlow::Break(end) = visit(place, message, ack) {
                    return Ok(Some(end));
                }
            }
            if !messages.is_at_end() {
                return Err(CUT);
            }
            if is_ours {
                // Each part of a long list gets a new deadline.
                deadline = Deadline::default();
            } else if deadline.passed() {
                return Err(Cause::TimedOut(DEADLINE));
            }
        }
    }

    /// Requests one object. Returns what `read` finds in the answer.
    ///
    /// The kernel sends the answer or a refusal, and no acknowledgement.
    pub(crate) fn get<T>(
        &mut self,
        request: impl FnOnce(&mut Batch) -> usize,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, Cause> {
        let mut batch = std::mem::take(&mut self.reused);
        batch.clear();
        request(&mut batch);
        let mut found = None;
        let result = self.ask_one(&mut batch, &mut |answer| found = read(answer));
        self.reused = batch;
        if result.is_err() {
            self.drain();
        }
        result.map(|()| found)
    }

    fn ask_one(
        &mut self,
        batch: &mut Batch,
        on_answer: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), Cause> {
        loop {
            let sequence = self.ask(batch)?;
            let end = self.read(sequence, 1, &mut |_, message, ack| {
                if ack.is_none() {
                    on_answer(message);
                }
                ControlFlow::Break(ack)
            })?;
            match end {
                // The answer was longer than the buffer.
                None => {}
                Some(Some(ack)) if ack.errno != 0 => {
                    return Err(refusal(ack, batch.request_bytes(0)).into());
                }
                Some(_) => return Ok(()),
            }
        }
    }

    /// Sends a batch of one request with a new sequence number.
    fn ask(&mut self, batch: &mut Batch) -> Result<u32, Cause> {
        let sequence = self.take_sequences(1);
        batch.number(sequence);
        self.send(batch.bytes())?;
        Ok(sequence)
    }

    /// Requests a list and reads all of it. If the list changes meanwhile, reads it again: a
    /// partial list is never returned.
    pub(crate) fn dump<T>(
        &mut self,
        batch: &mut Batch,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Cause> {
        self.fold(batch, Vec::new, |list, message| list.extend(read(message)))
    }

    /// Requests a list and folds its messages into a value. If the list changes meanwhile, reads it
    /// again, into a new value of `start`.
    pub(crate) fn fold<A>(
        &mut self,
        batch: &mut Batch,
        mut start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, Message<'_>),
    ) -> Result<A, Cause> {
        self.expect_list()?;
        for _ in 0..ATTEMPTS {
            let mut so_far = start();
            let mut visit = |message: Message<'_>| {
                visit(&mut so_far, message);
                true
            };
            match self.read_list(batch, &mut visit) {
                Ok(true) => return Ok(so_far),
                // The end of the list may have been in a datagram that did not fit the buffer.
                Ok(false) => self.drain(),
                Err(cause) => {
                    self.drain();
                    return Err(cause);
                }
            }
        }
        Err(Cause::Interrupted(ATTEMPTS))
    }

    /// Asks once for a list. Returns `None` if there are more than `most`, or if the list changed
    /// meanwhile. After more than `most` the socket is of no use: the kernel sends the rest.
    pub(crate) fn dump_most<T>(
        &mut self,
        batch: &mut Batch,
        most: usize,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Cause> {
        self.expect_list()?;
        let mut list = Vec::new();
        let is_whole = self.read_list(batch, &mut |message| {
            list.extend(read(message));
            list.len() <= most
        })?;
        Ok(is_whole.then_some(list))
    }

    /// Reads one list until `read` returns false. Returns whether the list is whole and consistent.
    fn read_list(
        &mut self,
        batch: &mut Batch,
        read: &mut dyn FnMut(Message<'_>) -> bool,
    ) -> Result<bool, Cause> {
        let sequence = self.ask(batch)?;
        let mut whole = true;
        let end = self.read(sequence, 1, &mut |_, message, ack| {
            whole &= message.flags & NLM_F_DUMP_INTR == 0;
            match ack {
                None if read(message) => ControlFlow::Continue(()),
                end => ControlFlow::Break(end),
            }
        })?;
        match end.flatten() {
            None => Ok(false),
            Some(ack) if ack.errno == 0 => Ok(whole),
            Some(ack) => Err(refusal(ack, batch.request_bytes(0)).into()),
        }
    }
}

const CUT: Cause = Cause::Malformed("a datagram ends within a message");
const UNREADABLE: Cause = Cause::Malformed("an acknowledgement is too short");

/// Returns the refusal, with the attribute that the extended acknowledgement points at.
fn refusal(ack: Ack, request: &[u8]) -> Refusal {
    Refusal {
        errno: Errno::from_raw(ack.errno),
        attribute: ack.offset.and_then(|offset| path::at(request, offset)),
        missing: ack.missing.map(|kind| path::missing(request, ack.missing_from, kind)),
        message: ack.message,
        policy: ack.policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Protocol;
    use crate::sandbox;
    use crate::wire::attribute::Writer;

    /// Builds a request of type `kind` with an empty `ifinfomsg` for lo and these attributes.
    fn link_request(kind: u16, flags: u16, attributes: impl FnOnce(&mut Writer<'_>)) -> Batch {
        const NLM_F_REQUEST: u16 = 1;
        let mut batch = Batch::default();
        batch.append(|out| {
            let start = out.len();
            out.resize(start + 32, 0);
            out[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
            out[start + 6..start + 8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
            attributes(&mut Writer::new(out));
        });
        batch
    }

    #[test]
    fn a_refused_attribute_is_named_by_its_path_with_what_would_be_accepted() {
        sandbox::run(|| {
            const RTM_NEWLINK: u16 = 16;
            const NLM_F_CREATE: u16 = 0x400;
            let refusal = |mut batch: Batch| {
                let mut socket = Socket::open(Protocol::Route).unwrap();
                let refusals = socket.exchange(&mut batch, |_, _| ()).unwrap();
                let (place, refusal) = refusals.into_iter().next().unwrap();
                assert_eq!(place, 0);
                refusal
            };
            // IFLA_MTU takes four bytes.
            let short = |writer: &mut Writer<'_>| {
                writer.bytes(4, &[1]);
            };
            let top = refusal(link_request(RTM_NEWLINK, 0, short));
            assert_eq!(top.attribute.as_deref(), Some("IFLA_MTU"));
            assert!(top.message.is_some_and(|message| message.contains("policy")));
            assert!(top.policy.is_some());

            let nested = refusal(link_request(RTM_NEWLINK, NLM_F_CREATE, |writer| {
                writer.nested(18, |info| {
                    info.string(1, "veth");
                    info.nested(2, |data| {
                        data.nested(1, |peer| {
                            // The peer starts with a header of its own: 16 bytes.
                            peer.u32(0, 0);
                            peer.u32(0, 0);
                            short(peer);
                        });
                    });
                });
            }));
            let path = "IFLA_LINKINFO.IFLA_INFO_DATA.VETH_INFO_PEER.IFLA_MTU";
            assert_eq!(nested.attribute.as_deref(), Some(path), "{nested}");
        })
        .unwrap();
    }
}
