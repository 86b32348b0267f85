//! The identity of a process, and the values that belong to one process.
//!
//! A fork copies the memory of all threads but runs only one of them. A lock that another thread
//! held stays locked forever, sockets are shared with the parent, and thread handles refer to no
//! thread. So each value that belongs to a process first checks in which process it is used. A fork
//! leaks the copy and starts with a new value.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc;

pub(crate) use std::process::exit;

/// The process in which a value was made. A fork counts as another process even if it has the same
/// process id: ids are reused, and each PID namespace has a process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

/// The last number that a process took. A fork copies the counter, and takes a higher number.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Process {
    #[cfg(test)]
    pub(crate) const ANOTHER: Self = Self(0);

    /// Returns this process. Only the first call makes a system call.
    pub(crate) fn current() -> Self {
        let Some(mark) = zeroed_by_fork() else { return Self(std::process::id()) };
        match mark.load(Ordering::Relaxed) {
            0 => Self::mark(mark),
            known => Self(known),
        }
    }

    pub(crate) fn is_current(self) -> bool {
        self.0 == Self::current().0
    }

    fn mark(mark: &AtomicU32) -> Self {
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        match mark.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Self(number),
            // Another thread set the number first.
            Err(known) => Self(known),
        }
    }
}

/// A value that belongs to the process that made it, such as a thread handle. In a fork, the value
/// is absent, and is not dropped.
#[derive(Debug)]
pub(crate) struct OfProcess<T> {
    process: Process,
    value: ManuallyDrop<Option<T>>,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: Process::current(), value: ManuallyDrop::new(Some(value)) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process.is_current())
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        if self.process.is_current() { self.value.take() } else { None }
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A value with a lock, for each process. A fork starts with the default value.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    /// The value of the last process that used it.
    slot: AtomicPtr<Slot<T>>,
    /// Sends and shares as the lock does, which a pointer would not hold it to.
    _value: PhantomData<Mutex<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    process: Process,
    value: Mutex<T>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { slot: AtomicPtr::new(Slot::boxed(value)), _value: PhantomData }
    }

    /// Locks this process's value. A panic while it was locked poisons nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.current().value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> &Slot<T> {
        let slot = self.slot.load(Ordering::Acquire);
        // SAFETY: `slot` always comes from `Slot::boxed`. It is freed in `drop` alone, which has
        // `self` for itself, or below before anybody else has seen it.
        let current = unsafe { &*slot };
        if current.process.is_current() {
            return current;
        }
        // Leak the copy: its lock may be held forever, and its value half changed.
        let new = Slot::boxed(T::default());
        match self.slot.compare_exchange(slot, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: another thread was quicker, so `new` has been seen by nobody. `other` is
                // as above.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }
}

impl<T> Slot<T> {
    fn boxed(value: T) -> *mut Self {
        Box::into_raw(Box::new(Self { process: Process::current(), value: Mutex::new(value) }))
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = *self.slot.get_mut();
        // SAFETY: as in `current`; and nobody else has `self` any more.
        unsafe {
            if (*slot).process.is_current() {
                drop(Box::from_raw(slot));
            }
        }
    }
}

/// Returns a number that starts at 0, and is 0 again in every forked process (`MADV_WIPEONFORK`,
/// madvise(2)). Returns `None` if the kernel, an emulator or a filter does not support that.
///
/// A process that shares this one's memory (`CLONE_VM`, vfork(2)) shares the number.
fn zeroed_by_fork() -> Option<&'static AtomicU32> {
    // A lock would not do: if a fork happens while another thread holds it, it stays held.
    static MEMORY: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
    static NONE: AtomicU32 = AtomicU32::new(0);
    let none = (&raw const NONE).cast_mut();
    let mut memory = MEMORY.load(Ordering::Acquire);
    if memory.is_null() {
        let new = map_zeroed_by_fork().unwrap_or(none);
        let first = ptr::null_mut();
        // If another thread was first, its page is used and this one is left over.
        memory = match MEMORY.compare_exchange(first, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(theirs) => theirs,
        };
    }
    // SAFETY: not null by now, so either `NONE` or the result of `map_zeroed_by_fork`. That is
    // mapped for good, zeroed, aligned to a page, and used as this atomic alone.
    (memory != none).then(|| unsafe { &*memory })
}

fn map_zeroed_by_fork() -> Option<*mut AtomicU32> {
    const NO_ADVICE: libc::c_int = -1;
    const SIZE: usize = size_of::<AtomicU32>(); // rounded up to a page
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory at an address of the kernel's choice is nobody else's.
    let memory = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: advice on memory of our own, which holds nothing yet. A kernel that
    // accepts an unknown advice follows none (qemu's user mode, before it learned this one).
    let is_wiped = unsafe {
        libc::madvise(memory, SIZE, NO_ADVICE) != 0
            && libc::madvise(memory, SIZE, libc::MADV_WIPEONFORK) == 0
    };
    if !is_wiped {
        // SAFETY: mapped above, and shown to nobody.
        unsafe { libc::munmap(memory, SIZE) };
        return None;
    }
    Some(memory.cast())
}
