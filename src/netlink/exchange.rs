//! One exchange: a batch with its acknowledgements and echoes, or a request that answers with a list.

use nix::errno::Errno;

use super::batch::Batch;
use super::deadline::{DEADLINE, Deadline};
use super::path;
use super::request::RouteRequest;
use super::room::Received;
use super::socket::Socket;
use crate::error::{Cause, Refusal};
use crate::wire::extack::Ack;
use crate::wire::message::{
    Message, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
    messages,
};

/// How often an interrupted dump is repeated. Under steady change one in a few gets through.
const REPEATS: u32 = 64;

/// What an answer takes of the receive buffer, the kernel's bookkeeping included: a refusal or an echo of
/// some expressions.
const ANSWER: usize = 2048;

/// More is not asked for: a batch of 32,768 requests that are all refused, or echoed.
const MOST_ANSWERS: usize = 64 << 20;

/// The requests of a batch that were refused, by their place in it.
pub(crate) type Refusals = Vec<(usize, Refusal)>;

/// What sees the answers that are no acknowledgements.
type OnAnswer<'a> = &'a mut dyn FnMut(usize, Message<'_>);

impl Socket {
    /// Sends a batch and reads until its last request is acknowledged. `on_answer` sees what comes
    /// back besides acknowledgements, with the place of the request it answers.
    ///
    /// An echo may come before a refusal of the same request: believe it only where none is returned.
    pub(crate) fn exchange(
        &mut self,
        batch: &mut Batch,
        mut on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Refusals, Cause> {
        self.exchange_once(batch, &mut on_answer)
    }

    /// Once for all callers: a program would have a copy for each.
    fn exchange_once(
        &mut self,
        batch: &mut Batch,
        on_answer: OnAnswer<'_>,
    ) -> Result<Refusals, Cause> {
        let Some(last) = batch.len().checked_sub(1) else { return Ok(Refusals::new()) };
        batch.acknowledge(last);
        self.expect_answers(batch)?;
        self.exchange_until(batch, &|place| place == last, None, on_answer)
    }

    /// Sends an `nf_tables` batch, whose first message begins it and whose last ends it, neither of
    /// which the kernel acknowledges before 6.10: the last operation is waited for. A refusal of the
    /// first message is one of the whole batch (no privilege, a stale generation, a failed commit).
    pub(crate) fn transact(
        &mut self,
        batch: &mut Batch,
        mut on_answer: impl FnMut(usize, Message<'_>),
    ) -> Result<Refusals, Cause> {
        self.transact_once(batch, &mut on_answer)
    }

    fn transact_once(
        &mut self,
        batch: &mut Batch,
        on_answer: OnAnswer<'_>,
    ) -> Result<Refusals, Cause> {
        let Some(last) = batch.len().checked_sub(2).filter(|&last| last > 0) else {
            return Ok(Refusals::new());
        };
        batch.acknowledge(last);
        let answers = batch.len().saturating_mul(ANSWER).min(MOST_ANSWERS);
        self.make_room(batch.bytes().len(), answers)?;
        let ends = |place| place == last || place == 0;
        let refusals = self.exchange_until(batch, &ends, Some(last), on_answer)?;
        if !refusals.is_empty() {
            self.drain();
        }
        Ok(refusals)
    }

    fn exchange_until(
        &mut self,
        batch: &mut Batch,
        ends: &dyn Fn(usize) -> bool,
        late: Option<usize>,
        on_answer: OnAnswer<'_>,
    ) -> Result<Refusals, Cause> {
        self.expect_refusals(batch.bytes().len())?;
        let first = self.take_sequences(batch.len());
        batch.number(first);
        self.send(batch.bytes())?;
        let mut refusals = Refusals::new();
        let result = self.read_acknowledgements(batch, first, ends, on_answer, &mut refusals);
        if result.is_err() {
            if let Some(last) = late.filter(|_| refusals.is_empty()) {
                self.read_late(batch, first, last, on_answer);
            }
            self.drain();
        }
        result.map(|()| refusals)
    }

    /// What is queued behind a lost answer may say that the batch was done: the rest of the echoes does, or
    /// where nothing was refused the last acknowledgement, which is then passed on as an answer.
    fn read_late(&mut self, batch: &Batch, first: u32, last: usize, on_answer: OnAnswer<'_>) {
        while let Some(length) = self.receive_queued() {
            for message in messages(self.datagram(length)) {
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

    fn read_acknowledgements(
        &mut self,
        batch: &Batch,
        first: u32,
        ends: &dyn Fn(usize) -> bool,
        on_answer: OnAnswer<'_>,
        refusals: &mut Refusals,
    ) -> Result<(), Cause> {
        let mut deadline = Deadline::default();
        loop {
            // Acknowledgements always fit; a longer answer is left to the caller's
            // own look-up, as where the kernel sends none.
            let Received::Datagram(length) = self.receive(&mut deadline)? else { continue };
            let mut ended = false;
            let mut read = messages(self.datagram(length));
            for message in read.by_ref() {
                let place = message.sequence.wrapping_sub(first) as usize;
                if place >= batch.len() {
                    continue;
                }
                match message.kind {
                    NLMSG_ERROR => {
                        let ack = Ack::read(message).ok_or(UNREADABLE)?;
                        if ack.errno != 0 {
                            refusals.push((place, refusal(ack, batch.request_bytes(place))));
                        }
                        ended |= ends(place);
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Cause::Overrun),
                    _ => on_answer(place, message),
                }
            }
            if ended {
                return Ok(());
            }
            if !read.is_at_end() {
                return Err(CUT);
            }
            if deadline.passed() {
                return Err(Cause::TimedOut(DEADLINE));
            }
        }
    }

    /// Asks for one thing and reads it. `None` where `read` finds nothing in the answer.
    ///
    /// The answer is the acknowledgement: the kernel sends one or a refusal.
    pub(crate) fn get<T>(
        &mut self,
        request: impl FnOnce(&mut Batch) -> usize,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, Cause> {
        let mut batch = std::mem::take(&mut self.question);
        batch.clear();
        request(&mut batch);
        let mut found = None;
        let result = self.get_in(&mut batch, &mut |answer| found = read(answer));
        self.question = batch;
        if result.is_err() {
            self.drain();
        }
        result.map(|()| found)
    }

    fn get_in(
        &mut self,
        batch: &mut Batch,
        read: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), Cause> {
        let mut deadline = Deadline::default();
        let mut sequence = self.ask(batch)?;
        loop {
            let Received::Datagram(length) = self.receive(&mut deadline)? else {
                // It was longer than the buffer, which has grown since.
                sequence = self.ask(batch)?;
                continue;
            };
            let mut answers = messages(self.datagram(length));
            for answer in answers.by_ref().filter(|answer| answer.sequence == sequence) {
                match answer.kind {
                    NLMSG_ERROR => {
                        let ack = Ack::read(answer).ok_or(UNREADABLE)?;
                        return match ack.errno {
                            0 => Ok(()),
                            _ => Err(refusal(ack, batch.request_bytes(0)).into()),
                        };
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Cause::Overrun),
                    _ => {
                        read(answer);
                        return Ok(());
                    }
                }
            }
            if !answers.is_at_end() {
                return Err(CUT);
            }
            if deadline.passed() {
                return Err(Cause::TimedOut(DEADLINE));
            }
        }
    }

    /// Sends a batch of one request under a new number.
    fn ask(&mut self, batch: &mut Batch) -> Result<u32, Cause> {
        let sequence = self.take_sequences(1);
        batch.number(sequence);
        self.send(batch.bytes())?;
        Ok(sequence)
    }

    /// Asks for a list and reads all of it. A list that changed while it was read is read again; it
    /// is whole, or an error.
    pub(crate) fn dump<T>(
        &mut self,
        message: &RouteRequest,
        read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Cause> {
        let mut batch = Batch::default();
        batch.push(message, NLM_F_DUMP);
        self.dump_batch(&mut batch, read)
    }

    /// As [`dump`](Self::dump), for a request that is encoded already.
    pub(crate) fn dump_batch<T>(
        &mut self,
        batch: &mut Batch,
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Cause> {
        self.fold(batch, Vec::new, |list, message| list.extend(read(message)))
    }

    /// Asks for a list and goes through it without keeping it. Where it changed while it was read, it is read
    /// again, into a new value of `start`.
    pub(crate) fn fold<A>(
        &mut self,
        batch: &mut Batch,
        mut start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, Message<'_>),
    ) -> Result<A, Cause> {
        self.expect_list()?;
        for _ in 0..REPEATS {
            let mut so_far = start();
            let sequence = self.ask(batch)?;
            let end = self.read_list(batch, sequence, &mut |message| visit(&mut so_far, message));
            match end {
                Ok(true) => return Ok(so_far),
                Ok(false) => {}
                Err(cause) => {
                    self.drain();
                    return Err(cause);
                }
            }
        }
        Err(Cause::Interrupted(REPEATS))
    }

    /// Reads one list to its end; `false` where it is not to be trusted.
    fn read_list(
        &mut self,
        batch: &Batch,
        sequence: u32,
        read: &mut dyn FnMut(Message<'_>),
    ) -> Result<bool, Cause> {
        let mut deadline = Deadline::default();
        let mut whole = true;
        loop {
            let Received::Datagram(length) = self.receive(&mut deadline)? else {
                // The end may have been in it. The buffer has grown for the next try.
                self.drain();
                return Ok(false);
            };
            let mut messages = messages(self.datagram(length));
            let mut is_ours = false;
            for message in messages.by_ref() {
                if message.sequence != sequence {
                    continue;
                }
                is_ours = true;
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        let ack = Ack::read(message).ok_or(UNREADABLE)?;
                        return match ack.errno {
                            0 => Ok(whole),
                            _ => Err(refusal(ack, batch.request_bytes(0)).into()),
                        };
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(Cause::Overrun),
                    _ => read(message),
                }
            }
            if !messages.is_at_end() {
                return Err(CUT);
            }
            if is_ours {
                // A long list may take long; it is the next part of it that is waited for.
                deadline = Deadline::default();
            } else if deadline.passed() {
                return Err(Cause::TimedOut(DEADLINE));
            }
        }
    }
}

const CUT: Cause = Cause::Malformed("a datagram ends within a message");
const UNREADABLE: Cause = Cause::Malformed("an acknowledgement is too short");

/// Puts names to what an extended acknowledgement points at.
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

    /// A request whose header is `kind` and an empty `ifinfomsg` for lo, and these attributes.
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
            // IFLA_MTU has four bytes.
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
