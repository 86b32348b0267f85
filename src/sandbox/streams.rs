//! Forwards a child's output as the parent's own, and reads its report.

use std::io::{self, PipeReader, Read};
use std::mem;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};

use nix::errno::Errno;

use crate::sys::file::{PollFd, PollFlags, PollTimeout, poll};

/// The poll interval for the child's end, in milliseconds. It matters only if a process left behind
/// keeps the pipes open.
const GLANCE: u16 = 200;

/// The number of bytes kept of the child's output before its closure.
const TAIL: usize = 4096;

/// The reading ends of a child's pipes.
#[derive(Debug)]
pub(super) struct Streams {
    channels: [Channel; 4],
}

#[derive(Debug)]
struct Channel {
    carries: Carries,
    reader: PipeReader,
    open: bool,
    bytes: Vec<u8>,
}

/// The content of a channel. The channels are in this order, so output is forwarded before the
/// verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// Standard output and error before the closure starts. They repeat the parent's output, and
    /// are printed only to explain a failure.
    Prelude,
    Stdout,
    Stderr,
    Report,
}

impl Streams {
    pub(super) fn new(readers: [PipeReader; 4]) -> Self {
        let [prelude, stdout, stderr, report] = readers;
        let channel = |carries, reader| Channel { carries, reader, open: true, bytes: Vec::new() };
        let channels = [
            channel(Carries::Prelude, prelude),
            channel(Carries::Stdout, stdout),
            channel(Carries::Stderr, stderr),
            channel(Carries::Report, report),
        ];
        Self { channels }
    }

    /// Forwards the child's output until the child has ended.
    pub(super) fn follow(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        while self.channels[3].open {
            // The report's pipe closes when the child ends.
            if !self.take(GLANCE.into())? && child.try_wait()?.is_some() {
                break;
            }
        }
        let status = child.wait()?;
        while self.take(PollTimeout::ZERO)? {}
        self.channels.iter_mut().for_each(|channel| channel.pass_on(true));
        Ok(status)
    }

    /// Returns the child's report, and its output before the closure.
    pub(super) fn into_report(self) -> (Vec<u8>, String) {
        let [prelude, _, _, report] = self.channels;
        (report.bytes, String::from_utf8_lossy(&prelude.bytes).into_owned())
    }

    /// Reads all available bytes. Returns whether there were any.
    fn take(&mut self, timeout: PollTimeout) -> io::Result<bool> {
        let open = || (0..self.channels.len()).filter(|at| self.channels[*at].open);
        let fd = |at: usize| PollFd::new(self.channels[at].reader.as_fd(), PollFlags::POLLIN);
        let (at, mut fds): (Vec<_>, Vec<_>) = open().map(|at| (at, fd(at))).unzip();
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<_> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        for (at, _) in at.iter().zip(&ready).filter(|(_, ready)| **ready) {
            self.channels[*at].read()?;
            self.channels[*at].pass_on(false);
        }
        Ok(ready.contains(&true))
    }
}

impl Channel {
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        match self.reader.read(&mut buffer) {
            Ok(0) => self.open = false,
            Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Prints the text with `print!`, not with a write: libtest captures only the former.
    #[allow(clippy::print_stdout, clippy::print_stderr)]
    fn pass_on(&mut self, is_last: bool) {
        match self.carries {
            Carries::Prelude => drop(self.bytes.drain(..self.bytes.len().saturating_sub(TAIL))),
            Carries::Stdout => print!("{}", take_text(&mut self.bytes, is_last)),
            Carries::Stderr => eprint!("{}", take_text(&mut self.bytes, is_last)),
            Carries::Report => {}
        }
    }
}

/// Removes the text from the buffer and returns it. An incomplete UTF-8 character at the end stays
/// in the buffer until its rest is read.
fn take_text(bytes: &mut Vec<u8>, is_last: bool) -> String {
    let whole = match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && !is_last => error.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(whole);
    String::from_utf8_lossy(&mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_is_printed_whole() {
        let mut bytes = "é".as_bytes()[..1].to_vec();
        assert_eq!(take_text(&mut bytes, false), "");
        bytes.push("é".as_bytes()[1]);
        assert_eq!(take_text(&mut bytes, false), "é");
        assert!(bytes.is_empty());
        bytes.extend_from_slice(b"a\xff");
        assert_eq!(take_text(&mut bytes, true), "a\u{fffd}");
    }
}
