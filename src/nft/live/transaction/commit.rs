//! The commit of a transaction.

use std::fmt;

use nix::errno::Errno;

use super::undo::undo;
use super::{Operation, Refused, Transaction, TransactionError};
use crate::error::{Cause, Error, Refusal};
use crate::netlink::Socket;
use crate::nft::live::generation::{Generation, Step, at_one_generation};
use crate::nft::live::handle::TableHandle;
use crate::wire::nft::message::{Message, MessageType, append_batch_end};

/// The offset of the expected generation in the first message. 0 means any generation.
const GENERATION_AT: usize = 24;

/// The state of the last attempt to commit.
#[derive(Default)]
pub(super) struct Attempt {
    /// The generation before the attempt; `None` if no other program can change the tables.
    generation: Option<Generation>,
    /// True if the kernel echoed an operation. The kernel echoes only what it has applied.
    is_done: bool,
}

impl Transaction {
    /// Applies all operations, or none.
    ///
    /// Values that are known to be wrong are refused before any system call. A transaction larger
    /// than the socket's send buffer is refused as a whole (EMSGSIZE). An unprivileged buffer has
    /// at most twice `net.core.wmem_max`.
    ///
    /// If the kernel's answer is lost ([`is_timed_out`](Error::is_timed_out), or a buffer
    /// overflowed), netloom deletes all objects that the transaction created. It can't undo
    /// deletions, replacements, elements added to an existing set, and a changed policy.
    ///
    /// # Errors
    ///
    /// [`TransactionError::refused`] lists each refused operation.
    pub fn commit(self) -> Result<(), TransactionError> {
        let netns = self.netns.clone();
        if !self.invalid.is_empty() || self.operations.is_empty() {
            return self.check();
        }
        let step = self.operations.first().cloned();
        let done = netns.nf_tables(|nf_tables| Ok(self.commit_on(&mut nf_tables.socket)));
        done.map_err(|cause| {
            let (action, object) = step.unwrap_or_default();
            TransactionError::whole(cause.doing(action, object).in_namespace(&netns))
        })?
    }

    /// Fails if an operation has a value that is known to be wrong. Makes no system call.
    pub(crate) fn check(self) -> Result<(), TransactionError> {
        match self.invalid {
            invalid if invalid.is_empty() => Ok(()),
            refused => Err(TransactionError { refused, whole: None }),
        }
    }

    /// Commits like [`commit`](Self::commit), over the socket that owns the namespace's held
    /// tables.
    pub(crate) fn commit_on(mut self, socket: &mut Socket) -> Result<(), TransactionError> {
        if !self.invalid.is_empty() || self.operations.is_empty() {
            return self.check();
        }
        self.batch.append(|out| drop(append_batch_end(out, 0)));
        self.messages.push(self.index());
        let operations = std::mem::take(&mut self.operations);
        let (action, name) = match operations.as_slice() {
            [(action, first), rest @ ..] => (*action, Name(first, rest.len())),
            [] => ("commit", Name("a transaction", 0)),
        };
        let step: Step<'_> = (action, &name);
        let mut last = Attempt::default();
        let refused = match self.expected {
            None if self.is_shared() => {
                at_one_generation(socket, None, step, |socket, generation| {
                    self.attempt(socket, Some(generation), step, (&operations, &mut last))
                })
            }
            expected => self.attempt(socket, expected, step, (&operations, &mut last)),
        };
        match refused {
            Ok(refused) if refused.is_empty() => Ok(()),
            Ok(refused) => Err(TransactionError { refused, whole: None }),
            Err(error) => {
                let error = self.recover(socket, error, &last).in_namespace(&self.netns);
                Err(TransactionError::whole(error))
            }
        }
    }

    /// Returns whether another program can change a table of the transaction. If none can, no
    /// generation is needed, neither to trust the names nor to undo the transaction.
    fn is_shared(&self) -> bool {
        self.creates_persistent || self.named.iter().any(TableHandle::may_be_replaced)
    }

    /// Returns whether the transaction can be undone after its answer was lost. Without echoes
    /// nothing proves that this transaction made a change; then the caller looks for the created
    /// objects.
    fn can_be_undone(&self) -> bool {
        self.creates && self.batch.asks_for_echo()
    }

    /// Commits once. Returns the refused operations, or an error if the whole transaction was
    /// refused.
    fn attempt(
        &mut self,
        socket: &mut Socket,
        generation: Option<Generation>,
        (action, object): Step<'_>,
        (operations, last): (&[Operation], &mut Attempt),
    ) -> Result<Vec<Refused>, Error> {
        let failed = |cause: Cause| {
            cause
                .doing(action, object)
                .hint_on(Errno::EMSGSIZE, too_large)
                .hint_on(Errno::ERESTART, stale)
        };
        *last = Attempt { generation, is_done: false };
        let mut expected = self.expected;
        for table in self.named.iter().filter(|table| !self.is_trusted && table.may_be_replaced()) {
            table.verify(socket).map_err(|cause| cause.doing("find table", table))?;
            expected = generation;
        }
        if self.has_to_look() {
            let refused = self.check_ranges(socket, operations).map_err(failed)?;
            if !refused.is_empty() {
                // The elements were read at this generation only if it is still current.
                let now = Generation::read(socket).map_err(failed)?;
                let is_same = generation.is_none_or(|generation| generation == now);
                return if is_same { Ok(refused) } else { Err(failed(Errno::ERESTART.into())) };
            }
            expected = generation;
        }
        if !self.lookups.is_empty() {
            let refused = self.check_lookups(socket, operations).map_err(failed)?;
            if !refused.is_empty() {
                return Ok(refused);
            }
        }
        let expected = expected.map_or(0, |generation| generation.0);
        self.batch.overwrite(GENERATION_AT, &expected.to_be_bytes());
        let numbers = &self.numbers;
        let done = socket.transact(&mut self.batch, |place, answer| {
            last.is_done = true;
            let asked = numbers.binary_search_by_key(&place, |(place, _)| *place);
            let cell = asked.ok().and_then(|at| numbers.get(at));
            let message = Message::decode(answer.kind, answer.payload);
            if let (Some((_, cell)), Some(number)) = (cell, message.and_then(number_of)) {
                cell.set(number);
            }
        });
        let mut refusals = done.map_err(failed)?;
        if let Some(whole) = refusals.iter().position(|(place, _)| *place == 0) {
            return Err(failed(refusals.swap_remove(whole).1.into()));
        }
        Ok(self.explained(socket, refusals, operations))
    }

    /// Returns the refused operations in their order, with explained errors.
    fn explained(
        &self,
        socket: &mut Socket,
        refusals: Vec<(usize, Refusal)>,
        operations: &[Operation],
    ) -> Vec<Refused> {
        let refused = refusals.into_iter().map(|(place, refusal)| {
            let index = self.messages.get(place).copied().unwrap_or_default();
            let (action, object) = operations.get(index).cloned().unwrap_or_default();
            let error = self.explain(socket, place, refusal, (action, &object));
            Refused { index, error: error.in_namespace(&self.netns) }
        });
        let mut refused: Vec<_> = refused.collect();
        refused.sort_by_key(|refused| refused.index);
        refused
    }

    /// Deletes the created objects if the answer was lost.
    fn recover(&self, socket: &mut Socket, error: Error, last: &Attempt) -> Error {
        if !self.can_be_undone() || !error.is_outcome_unknown() {
            return error;
        }
        match undo(self, socket, last.generation, last.is_done) {
            Ok(true) => error,
            Ok(false) => error.hint("the kernel may have applied the transaction"),
            Err(failure) => {
                log::warn!("a transaction could not be undone: {failure}");
                error.hint("the kernel may have applied the transaction")
            }
        }
    }
}

/// The object in errors of a whole transaction: the first operation, and the number of the others.
struct Name<'a>(&'a str, usize);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => f.write_str(self.0),
            more => write!(f, "{} and {more} more", self.0),
        }
    }
}

/// Returns the number in an echo. The attribute's type depends on the type of the object.
fn number_of(message: Message<'_>) -> Option<u64> {
    let at = match message.kind {
        MessageType::NewTable => 4,
        MessageType::NewChain => 2,
        MessageType::NewRule => 3,
        MessageType::NewSet => 16,
        MessageType::NewFlowtable => 5,
        MessageType::NewObject => 6,
        _ => return None,
    };
    message.attributes.get(at)?.u64_be()
}

fn too_large() -> String {
    "the transaction exceeds the socket's send buffer: raise net.core.wmem_max, or split it".into()
}

fn stale() -> String {
    "another program has changed the ruleset since: read it again".into()
}
