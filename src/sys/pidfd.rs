//! Processes by pidfd. Unlike a process id, a pidfd never refers to another process
//! (`pidfd_open(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
pub(crate) use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::{hook, new_fd};
use crate::fault;

/// Starts a command and opens its pidfd.
pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, OwnedFd)> {
    let mut child = hook::spawn(command)?;
    match open(child.id()) {
        Ok(pidfd) => Ok((child, pidfd)),
        // The child has ended, and the kernel keeps no zombie if SIGCHLD is ignored. Another
        // process may have the process id by now.
        Err(Errno::ESRCH) => Err(Errno::ECHILD.into()),
        Err(errno) => {
            // No other thread waits for the child yet, so its process id cannot have been reused.
            child.kill().and_then(|()| child.wait()).ok();
            Err(errno.into())
        }
    }
}

fn open(pid: u32) -> Result<OwnedFd, Errno> {
    fault::system_call("pidfd_open")?;
    // SAFETY: the call takes two numbers, and returns a new descriptor.
    unsafe { new_fd(libc::syscall(libc::SYS_pidfd_open, pid, 0)) }
}

/// Kills the process, unless it has ended.
pub(crate) fn kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let (fd, none) = (pidfd.as_raw_fd(), std::ptr::null::<u8>());
    // SAFETY: the call takes three numbers and no `siginfo_t`.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0) };
    match Errno::result(sent) {
        Err(Errno::ESRCH) => Ok(()),
        sent => sent.map(drop),
    }
}

/// Waits until the process has ended.
pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    while !ended(pidfd, PollTimeout::NONE)? {}
    Ok(())
}

/// Returns whether the process has ended.
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>) -> Result<bool, Errno> {
    ended(pidfd, PollTimeout::ZERO)
}

fn ended(pidfd: BorrowedFd<'_>, timeout: PollTimeout) -> Result<bool, Errno> {
    match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout) {
        Err(Errno::EINTR) => Ok(false),
        ended => Ok(ended? > 0),
    }
}

/// Collects the exit status of a child that has ended.
///
/// If the program ignores SIGCHLD, the kernel discards the exit status. Since Linux 6.15, the pidfd
/// keeps it.
pub(crate) fn collect(pidfd: BorrowedFd<'_>) -> Result<ExitStatus, Errno> {
    match waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, code)) => Ok(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, dumped)) => {
            Ok(ExitStatus::from_raw(signal as i32 | i32::from(dumped) << 7))
        }
        Ok(_) => Err(Errno::ECHILD),
        Err(errno) => kept_status(pidfd).ok_or(errno),
    }
}

/// `struct pidfd_info` of its first version (`include/uapi/linux/pidfd.h`).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

nix::ioctl_readwrite!(pidfd_get_info, 0xff, 11, PidfdInfo);

fn kept_status(pidfd: BorrowedFd<'_>) -> Option<ExitStatus> {
    const PIDFD_INFO_EXIT: u64 = 8;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel writes at most as many bytes as the request's number says: those of
    // `info`.
    unsafe { pidfd_get_info(pidfd.as_raw_fd(), &raw mut info) }.ok()?;
    (info.mask & PIDFD_INFO_EXIT != 0).then(|| ExitStatus::from_raw(info.exit_code))
}
