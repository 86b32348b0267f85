//! Answers from a script instead of the kernel, and a recorder of the kernel's answers, for fuzzing
//! and tests.
//!
//! A script is a sequence of datagrams, each preceded by its length in two bytes. Its sequence
//! numbers are relative to the first number of the last request, so that a script answers any
//! request.

use std::cell::RefCell;

use nix::errno::Errno;

use crate::wire::attribute::aligned;
use crate::wire::message::HEADER;

/// The source of answers for the sockets that this thread uses.
enum Source {
    Kernel,
    /// The kernel, with a record of its answers.
    Recorded(Vec<u8>),
    Script {
        bytes: Vec<u8>,
        at: usize,
    },
}

thread_local! {
    static SOURCE: RefCell<Source> = const { RefCell::new(Source::Kernel) };
    /// The first sequence number of the last request.
    static FIRST: RefCell<u32> = const { RefCell::new(0) };
}

/// Runs `ask`, whose requests are answered from this script instead of by the kernel.
pub(crate) fn play<T>(bytes: &[u8], ask: impl FnOnce() -> T) -> T {
    SOURCE.replace(Source::Script { bytes: bytes.to_vec(), at: 0 });
    let answer = ask();
    SOURCE.replace(Source::Kernel);
    answer
}

/// Runs `ask` and returns the kernel's answers as a script.
pub(crate) fn record<T>(ask: impl FnOnce() -> T) -> (T, Vec<u8>) {
    SOURCE.replace(Source::Recorded(Vec::new()));
    let answer = ask();
    match SOURCE.replace(Source::Kernel) {
        Source::Recorded(script) => (answer, script),
        _ => (answer, Vec::new()),
    }
}

/// Returns whether a script answers the request instead of the kernel.
pub(super) fn intercepts(request: &[u8]) -> bool {
    let sequence = request.get(8..12).and_then(|bytes| bytes.try_into().ok());
    FIRST.replace(sequence.map(u32::from_ne_bytes).unwrap_or_default());
    SOURCE.with_borrow(|source| matches!(source, Source::Script { .. }))
}

/// Receives the next datagram of the script, like recv(2) with `MSG_TRUNC`. Returns `None` if the
/// kernel answers, and `ETIMEDOUT` after the script's end.
pub(super) fn receive(buffer: &mut [u8]) -> Option<Result<usize, Errno>> {
    SOURCE.with_borrow_mut(|source| {
        let Source::Script { bytes, at } = source else { return None };
        let Some(length) = bytes.get(*at..*at + 2) else { return Some(Err(Errno::ETIMEDOUT)) };
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let start = *at + 2;
        let end = (start + length).min(bytes.len());
        *at = end;
        renumber(&mut bytes[start..end], u32::wrapping_add);
        let copied = (end - start).min(buffer.len());
        buffer[..copied].copy_from_slice(&bytes[start..start + copied]);
        Some(Ok(end - start))
    })
}

/// Records an answer of the kernel inside [`record`].
pub(super) fn record_answer(datagram: &[u8]) {
    SOURCE.with_borrow_mut(|source| {
        let Source::Recorded(script) = source else { return };
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        let mut datagram = datagram.to_vec();
        renumber(&mut datagram, u32::wrapping_sub);
        script.extend_from_slice(&length.to_le_bytes());
        script.extend_from_slice(&datagram);
    });
}

/// Changes the sequence number of each message in a datagram. `change` gets that number and the
/// first sequence number of the last request.
fn renumber(datagram: &mut [u8], change: impl Fn(u32, u32) -> u32) {
    let mut at = 0;
    while let Some(header) = datagram.get_mut(at..at + HEADER) {
        let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let length = u32::from_ne_bytes(word(0)) as usize;
        let sequence = change(u32::from_ne_bytes(word(8)), FIRST.with_borrow(|first| *first));
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        at = at.saturating_add(aligned(length.clamp(HEADER, 1 << 20)));
    }
}
