//! Shared code of the fuzz targets: netloom's requests, answered by input bytes instead of the
//! kernel, and the limit on memory allocated while reading an answer.

use std::alloc::System;
use std::sync::OnceLock;

use cap::Cap;
use netloom::Netns;

#[path = "../../src/fuzzing/questions.rs"]
mod questions;

pub use questions::{
    ACKNOWLEDGEMENTS, CONNTRACK, NF_TABLES, Question, RTNETLINK, SOCK_DIAG, forget,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The limit of memory allocated at any time while an input is read: a constant part, and a part
/// for each byte of the input. An element of a set of four bytes takes 400 in memory.
const BOUND: usize = 256 << 10;
const PER_BYTE: usize = 512;

/// Sends the request that the first byte selects. The other bytes are the answer.
fn answer(questions: &[Question], data: &[u8]) {
    let [which, script @ ..] = data else { return };
    let question = &questions[usize::from(*which) % questions.len()];
    let netns = namespace();
    // Sockets and buffers that outlive a request don't count for the input.
    static OPENED: OnceLock<()> = OnceLock::new();
    OPENED.get_or_init(|| {
        for question in questions {
            question.answered_by(&[0, 0], netns);
        }
    });
    within_bounds(script, || {
        question.answered_by(script, netns);
    });
}

/// Runs the target of this name on an input.
pub fn read(target: &str, data: &[u8]) {
    match target {
        "rtnetlink" => answer(RTNETLINK, data),
        "nf_tables" => answer(NF_TABLES, data),
        "acknowledgements" => answer(ACKNOWLEDGEMENTS, data),
        "conntrack" => answer(CONNTRACK, data),
        "sock_diag" => answer(SOCK_DIAG, data),
        "nf_tables_codec" => codec(data),
        "planted" => planted(data),
        _ => panic!("no target is called {target}"),
    }
}

/// Decodes a list of expressions or messages, selected by the first byte.
fn codec(data: &[u8]) {
    let [which, bytes @ ..] = data else { return };
    within_bounds(bytes, || match which {
        0 => netloom::fuzzing::nf_tables_expressions(bytes),
        _ => netloom::fuzzing::nf_tables_objects(bytes),
    });
}

/// Allocates the allowed memory, and one byte more if the input begins with `!`. `tools/fuzz` uses
/// this to test that the limit works.
fn planted(data: &[u8]) {
    let excess = usize::from(data.starts_with(b"!"));
    let allowed = BOUND + PER_BYTE * data.len() + excess;
    within_bounds(data, || drop(std::hint::black_box(Vec::<u8>::with_capacity(allowed))));
}

/// Runs `work`, and aborts if it allocates more than the limit for an input of this length.
fn within_bounds<T>(input: &[u8], work: impl FnOnce() -> T) -> T {
    let allowed = BOUND + PER_BYTE * input.len();
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + allowed).expect("below what is allocated");
    let result = work();
    ALLOCATOR.set_limit(usize::MAX).expect("no limit");
    result
}

/// Returns the namespace of the requests, in which the program was started. The kernel never gets
/// these requests.
pub fn namespace() -> &'static Netns {
    static NETNS: OnceLock<Netns> = OnceLock::new();
    NETNS.get_or_init(|| Netns::current().expect("a namespace to ask"))
}
