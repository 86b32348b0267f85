//! The one place with `unsafe`: what std, nix and netlink-sys leave no safe way to.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs `hook` in the child between fork and exec.
///
/// `hook` must only make system calls: other threads may have held any lock, the allocator's included,
/// when the process was forked. Whoever adds a hook answers for that.
pub(crate) fn pre_exec(
    command: &mut Command,
    hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: every hook in this crate works on values prepared before the fork and makes nothing but
    // system calls, which is what `pre_exec` asks for.
    unsafe { command.pre_exec(hook) };
}
