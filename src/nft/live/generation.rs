//! The generation of a ruleset, and the retry if it changes.

use std::any::Any;
use std::fmt;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::reader::{self, Everything};
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::wire::nft::generation as wire;
use crate::wire::nft::message::MessageType;

/// A number that changes with every change to a namespace's ruleset, by any program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[doc(alias = "NFTA_GEN_ID")]
pub struct Generation(pub(crate) u32);

impl Generation {
    /// Reads the generation of the namespace that the socket is in.
    pub(crate) fn read(socket: &mut Socket) -> Result<Self, Cause> {
        let kind = MessageType::GetGeneration;
        let read: Option<wire::Generation> = reader::get(socket, kind, None, &Everything)?;
        read.map(|found| Self(found.id)).ok_or(Cause::Malformed("no generation"))
    }

    /// Returns the generation after one more change. The kernel skips 0.
    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }
}

impl Netns {
    /// Reads the generation of the ruleset, for
    /// [`Transaction::if_unchanged_since`](super::Transaction::if_unchanged_since).
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nft_generation(&self) -> Result<Generation, Error> {
        (&mut &*self)
            .generation()
            .map_err(|cause| cause.doing("read", "the ruleset's generation").in_namespace(self))
    }
}

/// The action and the object that an error names.
pub(crate) type Step<'a> = (&'static str, &'a dyn fmt::Display);

/// The time limit for retries. If several programs change the ruleset at the same time, one of them
/// succeeds at each generation.
const PATIENCE: Duration = Duration::from_secs(10);

/// A source of the ruleset's generation: a socket, or a namespace.
pub(crate) trait Ruleset {
    fn generation(&mut self) -> Result<Generation, Cause>;
}

impl Ruleset for Socket {
    fn generation(&mut self) -> Result<Generation, Cause> {
        Generation::read(self)
    }
}

impl Ruleset for &Netns {
    fn generation(&mut self) -> Result<Generation, Cause> {
        self.nf_tables(|nf_tables| Generation::read(&mut nf_tables.socket))
    }
}

/// Repeats an attempt until the ruleset does not change meanwhile. Each attempt gets the generation
/// at its start; the first attempt gets `known` if the caller knows it.
///
/// An error is returned only if the generation is unchanged. Otherwise another program may have
/// deleted the missing object, and the attempt is repeated. An attempt with an unknown outcome is
/// never repeated.
pub(crate) fn at_one_generation<R: Ruleset + ?Sized, T>(
    ruleset: &mut R,
    known: Option<Generation>,
    (action, object): Step<'_>,
    mut attempt: impl FnMut(&mut R, Generation) -> Result<T, Error>,
) -> Result<T, Error> {
    let ask = |ruleset: &mut R| ruleset.generation().map_err(|cause| cause.doing(action, object));
    let mut generation = known.map_or_else(|| ask(ruleset), Ok)?;
    let mut start = None;
    let mut attempts = 0;
    loop {
        let error = match attempt(ruleset, generation) {
            Err(error) if !error.is_outcome_unknown() && !error.is_invalid_input() => error,
            done => return done,
        };
        attempts += 1;
        let now = ask(ruleset)?;
        if now == generation && !is_outdated(&error) {
            return Err(error);
        }
        if start.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(Cause::Interrupted(attempts).doing(action, object));
        }
        generation = now;
    }
}

/// Reads from the ruleset at one generation. If the ruleset changes meanwhile, reads again.
pub(crate) fn read_at_one_generation<T>(
    mut netns: &Netns,
    (action, object): Step<'_>,
    mut read: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    at_one_generation(&mut netns, None, (action, object), |netns, generation| {
        let found = read()?;
        match netns.generation() {
            Ok(now) if now == generation => Ok(found),
            Ok(_) => Err(Cause::from(Errno::ERESTART).doing(action, object)),
            Err(cause) => Err(cause.doing(action, object)),
        }
    })
    .map_err(|error| error.in_namespace(netns))
}

/// Returns whether a transaction was refused because the ruleset has another generation.
pub(crate) fn is_outdated(error: &Error) -> bool {
    error.errno() == Some(Errno::ERESTART)
}

/// Locks the socket that owns the namespace's held tables, and passes it to `work` with a value of
/// type `K` that lives as long as the socket. No other thread changes either meanwhile.
pub(crate) fn with_socket<K: Any + Send + Default, T>(
    netns: &Netns,
    (action, object): Step<'_>,
    work: impl FnOnce(&mut Socket, &mut K) -> Result<T, Error>,
) -> Result<T, Error> {
    netns
        .nf_tables(|nf_tables| nf_tables.with().map(|(socket, kept)| work(socket, kept)))
        .map_err(|cause| cause.doing(action, object))
        .flatten()
        .map_err(|error| error.in_namespace(netns))
}
