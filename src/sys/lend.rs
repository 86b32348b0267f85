//! Closures that borrow, run by another thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use super::spin;

/// A closure that borrows, and that another thread runs or drops.
///
/// The fields are dropped in this order, which [`lend`] relies on.
pub(crate) struct Lent {
    closure: Box<dyn FnOnce() + Send>,
    returned: mpsc::Sender<()>,
}

impl Lent {
    pub(crate) fn run(self) {
        let Self { closure, returned } = self;
        closure();
        drop(returned);
    }
}

/// Passes a closure to another thread through `submit`. Waits until that thread has run or dropped
/// the closure. Returns its value or its panic, or `None` if it was dropped.
pub(crate) fn lend<T: Send>(
    closure: impl FnOnce() -> T + Send,
    submit: impl FnOnce(Lent),
) -> Option<Result<T, Box<dyn Any + Send>>> {
    let mut outcome = None;
    wait_for(|| outcome = Some(catch_unwind(AssertUnwindSafe(closure))), submit);
    outcome
}

fn wait_for<'a>(closure: impl FnOnce() + Send + 'a, submit: impl FnOnce(Lent)) {
    /// A guard that waits for the other thread when it is dropped. So no path skips the wait, not
    /// even a panic.
    struct Wait(mpsc::Receiver<()>);

    impl Drop for Wait {
        fn drop(&mut self) {
            // Nothing is ever sent: the loop ends when the sender is dropped.
            while spin::receive(&self.0).is_ok() {}
        }
    }

    let (returned, wait) = mpsc::channel();
    let _wait = Wait(wait);
    let closure: Box<dyn FnOnce() + Send + 'a> = Box::new(closure);
    // SAFETY: only the lifetime changes. What the closure borrows outlives this call, which does
    // not end, be it by a panic, before `_wait` has seen the `returned` in `Lent` dropped. That is
    // private to `Lent` and dropped after the closure: by `run`, whose call consumes the closure,
    // also when it panics, and otherwise by the order of the fields. A `Lent` that is leaked waits
    // for ever.
    let closure: Box<dyn FnOnce() + Send> = unsafe { std::mem::transmute(closure) };
    submit(Lent { closure, returned });
}
