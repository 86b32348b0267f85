//! A transaction on its way to the kernel, and what became of it.

use nix::errno::Errno;

use super::{Refused, Transaction, TransactionError};
use crate::error::{Cause, Error};
use crate::nft::live::find;
use crate::nft::live::generation::Generation;
use crate::nft::live::number::Number;
use crate::nft::live::table::TableHandle;
use crate::nft::live::undo::undo;
use crate::wire::nft::chain as wire_chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::flowtable as wire_flowtable;
use crate::wire::nft::message::{Message, MessageType, append_batch_end};
use crate::wire::nft::object as wire_object;
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::set as wire_set;
use crate::wire::nft::table as wire_table;

/// Where in the first message the generation stands that is expected; 0 is any.
const GENERATION_AT: usize = 24;
/// How often a transaction is tried whose tables had to be looked at first.
const ATTEMPTS: u32 = 64;

impl Transaction {
    /// Does all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`TransactionError::refused`] names each operation that was refused. What can be known wrong is
    /// refused before any system call. A transaction larger than the socket's send buffer may be without
    /// privilege (twice `net.core.wmem_max`) is refused as a whole (EMSGSIZE).
    ///
    /// Where the kernel's answer is lost ([`is_timed_out`](Error::is_timed_out), a buffer that overflowed),
    /// what is made is taken away again. What was deleted, replaced or added to a set stays so, and a policy
    /// that was set.
    pub fn commit(mut self) -> Result<(), TransactionError> {
        self.check()?;
        if self.operations.is_empty() {
            return Ok(());
        }
        self.batch.append(|out| drop(append_batch_end(out, 0)));
        self.messages.push(self.index());
        let mut attempts = if self.expected.is_none() { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let generation = match self.generation() {
                Ok(generation) => generation,
                Err(error) => return Err(TransactionError::whole(error)),
            };
            match self.attempt(generation) {
                Err(error) if error.is_stale() && attempts > 0 => {}
                result => return result,
            }
        }
    }

    /// Refuses what is known wrong without a system call.
    pub(crate) fn check(&mut self) -> Result<(), TransactionError> {
        match std::mem::take(&mut self.invalid) {
            invalid if invalid.is_empty() => Ok(()),
            refused => Err(TransactionError { refused, whole: None }),
        }
    }

    fn attempt(&mut self, before: Option<Generation>) -> Result<(), TransactionError> {
        let generation = self.check_tables(before).map_err(TransactionError::whole)?;
        let refused = self.check_ranges().map_err(TransactionError::whole)?;
        if !refused.is_empty() {
            return Err(TransactionError { refused, whole: None });
        }
        self.batch.overwrite(GENERATION_AT, &generation.to_be_bytes());
        let Self { netns, batch, numbers, named, deletes, .. } = self;
        // The kernel echoes what it has done: what it refuses it does not.
        let mut is_done = false;
        let result = netns.nf_tables(|nf_tables| {
            // Another thread may have deleted one while we waited for the socket.
            if generation == 0 && named.iter().any(TableHandle::may_be_anothers) {
                return Err(Errno::ERESTART.into());
            }
            deletes.iter().for_each(Number::doubt);
            nf_tables.socket.transact(batch, |place, answer| {
                is_done = true;
                let asked = numbers.binary_search_by_key(&place, |(place, _)| *place);
                let message = Message::decode(answer.kind, answer.payload);
                let cell = asked.ok().and_then(|at| numbers.get(at));
                if let (Some((_, cell)), Some(number)) = (cell, message.and_then(number_of)) {
                    cell.set(number);
                }
            })
        });
        let refusals = result.map_err(|cause| {
            let error = self.failed(cause).hint_on(Errno::EMSGSIZE, too_large);
            TransactionError::whole(self.undone(error, before, is_done))
        })?;
        if refusals.is_empty() {
            return Ok(());
        }
        let mut refused = Vec::with_capacity(refusals.len());
        for (place, refusal) in refusals {
            let cause = Cause::from(refusal);
            if place == 0 {
                let error = self.failed(cause).hint_on(Errno::ERESTART, stale);
                return Err(TransactionError::whole(error));
            }
            let index = self.messages.get(place).copied().unwrap_or_default();
            let (action, object) = self.operations.get(index).cloned().unwrap_or_default();
            let lack = self.lacks.iter().find(|(of, _)| *of == place);
            let error = match lack.and_then(|(_, lack)| lack.explain(&self.netns, &cause)) {
                Some(remedy) => cause.lacking().doing(action, object).hint(remedy),
                None => explain(cause.doing(action, object)),
            };
            refused.push(Refused { index, error: error.in_namespace(&self.netns) });
        }
        refused.sort_by_key(|refused| refused.index);
        Err(TransactionError { refused, whole: None })
    }

    /// The generation before, where it has to be known.
    fn generation(&self) -> Result<Option<Generation>, Error> {
        match self.expected {
            None if self.made.is_empty()
                && self.guarded().next().is_none()
                && !self.has_to_look() =>
            {
                Ok(None)
            }
            None => {
                let generation = self.netns.nft_generation().map(Some);
                let (action, object) = self.name();
                generation.map_err(|error| error.while_doing(action, object))
            }
            expected => Ok(expected),
        }
    }

    /// Nothing is left of what may have been done.
    fn undone(&self, error: Error, before: Option<Generation>, is_done: bool) -> Error {
        let Some(before) = before.filter(|_| error.is_outcome_unknown() && !self.made.is_empty())
        else {
            return error;
        };
        match undo(&self.netns, before, is_done, &self.made) {
            Ok(true) => error,
            Ok(false) => error.hint("others changed the ruleset just then: it may have been done"),
            Err(failure) => {
                log::warn!("left behind: {failure}");
                error.hint("it may have been done")
            }
        }
    }

    fn failed(&self, cause: Cause) -> Error {
        let (action, object) = self.name();
        cause.doing(action, object).in_namespace(&self.netns)
    }

    /// All of it by its first operation.
    fn name(&self) -> (&'static str, String) {
        match self.operations.as_slice() {
            [] => ("commit", "a transaction".into()),
            [one] => one.clone(),
            [(action, first), rest @ ..] => (action, format!("{first} and {} more", rest.len())),
        }
    }

    /// The tables whose names others may have by now.
    fn guarded(&self) -> impl Iterator<Item = &TableHandle> {
        self.named.iter().filter(|table| table.may_be_anothers())
    }

    /// Looks whether those tables are the ones that are meant, and returns the generation in which they
    /// are; 0 where it makes no difference.
    fn check_tables(&self, now: Option<Generation>) -> Result<u32, Error> {
        let mut matters = self.expected.is_some() || self.has_to_look();
        for table in self.guarded() {
            find::check_table(table)?;
            matters = true;
        }
        Ok(now.filter(|_| matters).map_or(0, |generation| generation.0))
    }
}

fn number_of(message: Message<'_>) -> Option<u64> {
    match message.kind {
        MessageType::NewTable => wire_table::Table::decode(message.attributes)?.handle,
        MessageType::NewChain => wire_chain::Chain::decode(message.attributes)?.handle,
        MessageType::NewRule => wire_rule::Rule::decode(message.attributes)?.handle,
        MessageType::NewSet => wire_set::Set::decode(message.attributes)?.handle,
        MessageType::NewFlowtable => wire_flowtable::Flowtable::decode(message.attributes)?.handle,
        MessageType::NewObject => wire_object::Object::decode(message.attributes)?.handle,
        _ => None,
    }
}

fn too_large() -> String {
    "it does not fit the socket's send buffer: raise net.core.wmem_max, or make it several".into()
}

fn stale() -> String {
    "somebody has changed the ruleset since: read it again".into()
}

/// What bare errnos mean here.
fn explain(error: Error) -> Error {
    error
        .hint_on(Errno::EEXIST, || "something of that name or key is there already".into())
        .hint_on(Errno::EBUSY, || "it is in use: a rule or an element refers to it".into())
        .hint_on(Errno::ENFILE, || "the set's declared size is reached".into())
        .hint_on(Errno::EOPNOTSUPP, || {
            "this kernel, or this kind of chain, does not have what it needs".into()
        })
        .hint_on(Errno::ENOENT, || {
            "what it names is not there, or this kernel was built without an expression of it"
                .into()
        })
}
