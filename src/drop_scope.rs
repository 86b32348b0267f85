//! Drop scopes, in which dropped owners are deleted together, and the hook for failures on drop.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::error::Error;
use crate::sys::process::Process;

/// A collection of objects of one type that one request deletes.
pub(crate) trait Collected: Any + fmt::Debug {
    /// Deletes all objects of the collection and returns the failures.
    fn remove(self: Box<Self>) -> Vec<Error>;
}

/// The deletions that dropped owners left to the scope: one collection for each type.
#[derive(Debug, Default)]
pub struct Deferred(Vec<Box<dyn Collected>>);

impl Deferred {
    /// Calls `add` with the collection of this type, which starts empty.
    pub(crate) fn add<C: Collected + Default>(&mut self, add: impl FnOnce(&mut C)) {
        for collected in &mut self.0 {
            let collected: &mut dyn Any = &mut **collected;
            if let Some(collected) = collected.downcast_mut::<C>() {
                return add(collected);
            }
        }
        let mut collected = C::default();
        add(&mut collected);
        self.0.push(Box::new(collected));
    }
}

/// A drop scope: it is open on one thread while a `Together` or a struct is dropped.
struct Scope {
    /// The number of nested values that share this scope.
    depth: usize,
    /// The process that opened the scope. A fork that drops the same values must not delete what
    /// its parent's scope collected.
    process: Process,
    deferred: Deferred,
    /// The failures, if the caller of a `delete` waits for them.
    failures: Option<Vec<Error>>,
}

thread_local! {
    /// The open scopes, the innermost last. `Drop` has no arguments, so a dropped owner finds its
    /// scope here.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

/// Calls `look` with the innermost scope. `None` if there is no scope, or the thread is ending.
fn in_scope<T>(look: impl FnOnce(&mut Scope) -> Option<T>) -> Option<T> {
    SCOPES.try_with(|scopes| look(scopes.borrow_mut().last_mut()?)).ok()?
}

fn open(failures: Option<Vec<Error>>) {
    let process = Process::current();
    let scope = Scope { depth: 1, process, deferred: Deferred::default(), failures };
    // If the thread's list of scopes is gone, owners are deleted one by one.
    let _ = SCOPES.try_with(|scopes| scopes.borrow_mut().push(scope));
}

/// Closes the innermost scope: deletes what was deferred and returns the failures.
fn close() -> Vec<Error> {
    let pop = || SCOPES.try_with(|scopes| scopes.borrow_mut().pop()).ok()?;
    let Some(Scope { process, deferred, failures, .. }) = pop() else { return Vec::new() };
    let mut failures = failures.unwrap_or_default();
    if process == Process::current() {
        failures.extend(deferred.0.into_iter().flat_map(Collected::remove));
    }
    failures
}

/// Offers a deletion to the innermost scope. Returns `false` if there is no scope, or `defer`
/// declines.
pub(crate) fn defer(defer: impl FnOnce(&mut Deferred) -> bool) -> bool {
    in_scope(|scope| Some(defer(&mut scope.deferred))).unwrap_or(false)
}

/// Hands a failure to the innermost scope if that scope returns failures. Otherwise gives the error
/// back.
pub(crate) fn collect_failure(error: Error) -> Result<(), Error> {
    let mut error = Some(error);
    in_scope(|scope| {
        scope.failures.as_mut()?.extend(error.take());
        Some(())
    });
    error.map_or(Ok(()), Err)
}

/// A guard that opens a scope when it is dropped, or joins the open scope. It is the first field of
/// a value, because fields are dropped in order.
#[derive(Debug, Default)]
pub(crate) struct Opens;

impl Drop for Opens {
    fn drop(&mut self) {
        let joined = in_scope(|scope| {
            scope.depth += 1;
            Some(())
        });
        if joined.is_none() {
            open(None);
        }
    }
}

/// A guard that closes the scope of [`Opens`] when it is dropped. It is the last field of a value.
#[derive(Debug, Default)]
pub(crate) struct Closes;

impl Drop for Closes {
    fn drop(&mut self) {
        let left = in_scope(|scope| {
            scope.depth -= 1;
            Some(scope.depth)
        });
        if left == Some(0) {
            close().iter().for_each(report);
        }
    }
}

/// Drops a value in a scope of its own and returns the failures.
pub(crate) fn drop_collecting(value: impl Sized) -> Vec<Error> {
    open(Some(Vec::new()));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    let failures = close();
    if let Err(panic) = dropped {
        failures.iter().for_each(report);
        resume_unwind(panic);
    }
    failures
}

static HOOK: OnceLock<fn(&Error)> = OnceLock::new();

/// Installs a hook that is called with every failure to delete on drop, in the whole process.
///
/// Returns `false` if a hook is installed already: the first one stays. A panic of the hook is
/// caught.
pub fn on_drop_failure(hook: fn(&Error)) -> bool {
    HOOK.set(hook).is_ok()
}

/// Reports a failure that nobody receives as a result: to the log and to the hook.
pub(crate) fn report(error: &Error) {
    // A second panic during unwinding would abort the process.
    let reported = catch_unwind(AssertUnwindSafe(|| {
        log::warn!("left behind: {error}");
        if let Some(hook) = HOOK.get() {
            hook(error);
        }
    }));
    drop(reported);
}
