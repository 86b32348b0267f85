//! A batch of operations that the kernel applies atomically.

use std::fmt::Display;

use crate::error::{Cause, Error};
use crate::netlink::{Batch, Socket};
use crate::wire::message::Message as Answer;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::element::{ElementsOf, ListElement, encode_list};
use crate::wire::nft::message::{
    Family, Message, MessageType, append, append_batch_begin, append_batch_end,
};

/// The initial capacity: enough for the batch's begin and end messages and two short operations.
pub(crate) const FEW: usize = 4;
pub(crate) const FEW_BYTES: usize = 256;

/// A batch that the kernel applies as a whole or not at all, with the action and object of each
/// operation.
pub(crate) struct Operations<'a> {
    batch: Batch,
    steps: Vec<(&'static str, &'a dyn Display)>,
    too_long: bool,
}

impl<'a> Operations<'a> {
    pub(crate) fn new() -> Self {
        Self::beginning(None)
    }

    /// Creates a batch that fails with `is_outdated` if another program has changed the ruleset
    /// since `generation`.
    pub(crate) fn at_generation(generation: u32) -> Self {
        Self::beginning(Some(generation))
    }

    fn beginning(generation: Option<u32>) -> Self {
        let mut transaction = Self {
            batch: Batch::with_room(FEW, FEW_BYTES),
            steps: Vec::with_capacity(FEW),
            too_long: false,
        };
        transaction.append("begin", &"a transaction", |out| {
            append_batch_begin(out, 0, generation).is_ok()
        });
        transaction
    }

    /// Makes room for so many bytes more, where many are to come.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.batch.reserve(bytes);
    }

    /// Adds an operation on an object of this family.
    pub(crate) fn push(
        &mut self,
        (action, object): (&'static str, &'a dyn Display),
        kind: MessageType,
        flags: u16,
        family: Family,
        value: &impl Codec,
    ) -> &mut Self {
        self.append(action, object, |out| {
            append(out, kind, flags, 0, family, |attributes| value.encode(attributes)).is_ok()
        });
        self
    }

    /// Adds operations on elements of a set: as many messages as they need.
    pub(crate) fn push_elements(
        &mut self,
        (action, object): (&'static str, &'a dyn Display),
        kind: MessageType,
        flags: u16,
        family: Family,
        (of, elements): (&ElementsOf<'_>, impl IntoIterator<Item = impl ListElement>),
    ) -> &mut Self {
        let mut rest = elements.into_iter().peekable();
        while rest.peek().is_some() {
            self.append(action, object, |out| {
                append(out, kind, flags, 0, family, |attributes| {
                    encode_list(of, &mut rest, attributes);
                })
                .is_ok()
            });
        }
        self
    }

    fn append(
        &mut self,
        action: &'static str,
        object: &'a dyn Display,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let mut fits = true;
        self.batch.append(|out| fits = write(out));
        self.too_long |= !fits;
        self.steps.push((action, object));
    }

    /// Sends the batch. Passes each echoed message to `on_answer`.
    pub(crate) fn commit(
        self,
        socket: &mut Socket,
        on_answer: impl FnMut(Message<'_>),
    ) -> Result<(), Error> {
        self.commit_noting(socket, &mut false, on_answer)
    }

    /// Sends the batch like [`commit`](Self::commit), and sets `is_done` once the kernel has echoed
    /// an operation. If an answer is lost, a later echo thus proves that the batch was applied.
    pub(crate) fn commit_noting(
        mut self,
        socket: &mut Socket,
        is_done: &mut bool,
        mut on_answer: impl FnMut(Message<'_>),
    ) -> Result<(), Error> {
        self.append("end", &"a transaction", |out| append_batch_end(out, 0).is_ok());
        let failed = |place: usize, cause: Cause| {
            // A refusal of the first or the last message concerns the whole batch.
            let is_frame = place == 0 || place + 1 == self.steps.len();
            let (action, object) = match self.steps.get(if is_frame { 1 } else { place }) {
                Some(&step) => step,
                None => ("commit", &"a transaction" as &dyn Display),
            };
            cause.doing(action, object)
        };
        if self.too_long {
            return Err(failed(
                0,
                Cause::Invalid("a list in it is longer than 65,535 bytes".into()),
            ));
        }
        // The kernel echoes only operations that it has applied.
        let answers = |_, answer: Answer<'_>| {
            *is_done = true;
            if let Some(message) = Message::decode(answer.kind, answer.payload) {
                on_answer(message);
            }
        };
        match socket.transact(&mut self.batch, answers) {
            Err(cause) => Err(failed(0, cause)),
            Ok(refusals) => match refusals.into_iter().min_by_key(|(place, _)| *place) {
                None => Ok(()),
                Some((place, refusal)) => Err(failed(place, refusal.into())),
            },
        }
    }
}

impl std::fmt::Debug for Operations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps = self.steps.iter().map(|(action, object)| format!("{action} {object}"));
        f.debug_list().entries(steps).finish()
    }
}
