//! The abilities in a user namespace, as an ordinary user may make one.

use std::io::{self, Write};
use std::process::Command;

use nix::errno::Errno;

use super::answer::{Answer, Verdict};
use super::privileges::use_net_admin;
use crate::error::Cause;
use crate::sandbox::limits::Obstacle;
use crate::sandbox::setup::{MAP_USERS, Setup};
use crate::sys::file;
use crate::sys::hook::{self, Failed};
use crate::sys::setup::{Pid, die_with, end_after, exit};

/// Creates a user namespace in a child, because a process with threads can't. Runs `examine` in it
/// and returns the answers; none if the child fails. The kernel kills the child after `seconds`: it
/// may hang on a lock that another thread held at the fork.
pub(super) fn try_in_child(
    seconds: u32,
    examine: impl Fn() -> Vec<Answer> + Send + Sync + 'static,
) -> (Answer, Vec<Answer>) {
    let (reader, mut writer) = match file::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return (Answer::unknown(format!("no pipe: {error}")), Vec::new()),
    };
    let setup = Setup::of_ordinary_user();
    let parent = Pid::this();
    // The exec never happens: the child ends before. std would panic about a failed exec if SIGCHLD
    // is ignored.
    let mut child = Command::new("/proc/self/no-such-program");
    hook::pre_exec(&mut child, move || -> io::Result<()> {
        let entered = enter(&setup, parent, seconds);
        let errno = entered.err().map_or(0, |errno| errno as i32);
        writer.write_all(format!("{errno}\0").as_bytes()).ok();
        if entered.is_ok() {
            // If this fails, the child has no /run of its own, creates no named namespaces, and
            // answers so.
            setup.mounts().ok();
            writer.write_all(written(&examine()).as_bytes()).ok();
        }
        exit()
    });
    match hook::spawn(&mut child) {
        // The exit status is lost if SIGCHLD is ignored, and adds nothing to the text.
        Ok(mut child) => drop(child.wait()),
        Err(error) => {
            let errno = Cause::from(error).errno().unwrap_or(Errno::UnknownErrno);
            return (explained(errno), Vec::new());
        }
    }
    // Another thread may have forked meanwhile and still hold the writing end, so don't wait for
    // the end of the file.
    let bytes = file::read_present(reader).unwrap_or_default();
    outcome(&String::from_utf8_lossy(&bytes))
}

fn enter(setup: &Setup, parent: Pid, seconds: u32) -> Result<(), Errno> {
    end_after(seconds)?;
    match setup.namespaces() {
        // Root without capabilities may not map itself (user_namespaces(7)). Everything else works.
        Ok(()) | Err(Failed { step: MAP_USERS, .. }) => {}
        Err(failed) => return Err(failed.errno),
    }
    // After the namespaces, because a change of credentials clears this signal.
    die_with(parent)?;
    // AppArmor may allow the namespaces and refuse every privilege in them.
    use_net_admin()
}

/// Parses the child's text: an errno, which is 0 inside the namespace, and the answers from there.
fn outcome(text: &str) -> (Answer, Vec<Answer>) {
    let errno = text.split_once('\0').and_then(|(errno, rest)| Some((errno.parse().ok()?, rest)));
    match errno {
        None => (Answer::unknown("the child process gave no answer"), Vec::new()),
        Some((0, answers)) => (Answer::yes(), read(answers)),
        Some((errno, _)) => (explained(Errno::from_raw(errno)), Vec::new()),
    }
}

fn explained(errno: Errno) -> Answer {
    match (errno, Obstacle::behind(errno)) {
        (_, Some(obstacle)) => Answer::no(obstacle.to_string(), obstacle.remedy()),
        (Errno::ENOSPC, None) => Answer::no(
            "a limit is reached: user.max_user_namespaces, user.max_net_namespaces, or 32 of them nested",
            "as root `sysctl -w user.max_net_namespaces=65536`",
        ),
        (Errno::EINVAL | Errno::ENOSYS | Errno::EUSERS, None) => {
            Answer::no(errno.desc(), "run it as root")
        }
        (errno, None) => Answer::unknown(format!("the check could not be tried: {}", errno.desc())),
    }
}

/// Formats answers as text: each is a number and two texts, which end with NUL.
fn written(answers: &[Answer]) -> String {
    let [reason, remedy] = [Answer::reason, Answer::remedy];
    let text = |answer| [reason(answer), remedy(answer)].map(Option::unwrap_or_default).join("\0");
    let one = |answer| [(Answer::verdict(answer) as u8).to_string(), text(answer), String::new()];
    answers.iter().map(|answer| one(answer).join("\0")).collect()
}

fn read(text: &str) -> Vec<Answer> {
    const VERDICTS: [Verdict; 4] =
        [Verdict::Yes, Verdict::No, Verdict::Unsupported, Verdict::Unknown];
    // A truncated text has no NUL at its end.
    let (whole, _) = text.rsplit_once('\0').unwrap_or_default();
    let parts: Vec<_> = whole.split('\0').collect();
    let (answers, _) = parts.as_chunks();
    let answer = |&[number, reason, remedy]: &[&str; 3]| {
        let verdict = VERDICTS.get(number.parse::<usize>().ok()?)?;
        Some(Answer::new(*verdict, reason, remedy))
    };
    answers.iter().filter_map(answer).collect()
}

#[cfg(test)]
mod tests {
    use nix::sys::prctl;
    use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
    use nix::unistd::pause;

    use super::*;

    #[test]
    fn answers_of_a_child_read_back_and_a_cut_text_has_fewer() {
        let all = [
            Answer::yes(),
            Answer::no("why", "do"),
            Answer::new(Verdict::Unsupported, "no such kind", "another kernel"),
            Answer::unknown(""),
        ];
        let text = written(&all);
        assert_eq!(read(&text), all);
        for cut in 0..text.len() {
            let read = read(&text[..cut]);
            assert!(read.len() < all.len() && all.starts_with(&read), "{cut}");
        }
    }

    #[test]
    fn a_child_without_a_text_has_no_answer_and_a_lack_of_room_is_no_refusal() {
        assert_eq!(outcome("").0.verdict(), Verdict::Unknown);
        assert_eq!(outcome("0\0"), (Answer::yes(), Vec::new()));
        for errno in [Errno::EAGAIN, Errno::ENOMEM, Errno::EMFILE] {
            let text = format!("{}\0", errno as i32);
            assert_eq!(outcome(&text).0.verdict(), Verdict::Unknown, "{errno}");
        }
        assert!(outcome(&format!("{}\0", Errno::EUSERS as i32)).0.is_no());
    }

    #[test]
    fn a_child_dies_with_its_parent() {
        crate::testing::isolated(|| {
            let dies = || prctl::get_pdeathsig() == Ok(Some(Signal::SIGKILL));
            let examine = move || if dies() { vec![Answer::yes()] } else { Vec::new() };
            assert_eq!(try_in_child(20, examine), (Answer::yes(), vec![Answer::yes()]));
        });
    }

    #[test]
    #[allow(unsafe_code)]
    fn a_child_that_hangs_is_ended_though_the_program_ignores_and_blocks_the_alarm() {
        crate::testing::isolated(|| {
            // SAFETY: no handler is installed.
            unsafe { signal(Signal::SIGALRM, SigHandler::SigIgn) }.unwrap();
            SigSet::from(Signal::SIGALRM).thread_block().unwrap();
            let hang = || loop {
                pause();
            };
            assert_eq!(try_in_child(1, hang), (Answer::yes(), Vec::new()));
        });
    }
}
