//! Processes by their pidfd, which never names another process (`pidfd_open(2)`).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::fault;

/// Opens the pidfd of a process.
pub(crate) fn open(pid: u32) -> Result<OwnedFd, Errno> {
    fault::system_call("pidfd_open")?;
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(RawFd::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the descriptor is new, so nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    let (fd, number, none) = (pidfd.as_raw_fd(), signal as i32, std::ptr::null::<u8>());
    // SAFETY: the call takes three numbers and no `siginfo_t`.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, none, 0) };
    Errno::result(sent).map(drop)
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
/// If the program ignores SIGCHLD, the kernel has thrown it away. Since 6.15 the pidfd still knows
/// it.
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
