//! The abilities in a user namespace, as an ordinary user may make one.

use std::io::{self, Read, Write};
use std::process::Command;

use nix::errno::Errno;

use super::answer::{Answer, Verdict};
use super::privileges::use_net_admin;
use crate::sandbox::limits::Obstacle;
use crate::sandbox::setup::{MAP_USERS, Setup};
use crate::sys::file;
use crate::sys::hook::{self, Failed};
use crate::sys::setup::alarm;

/// The seconds after which the kernel ends the child. A fork of a process with threads may hang, if
/// one of them held a lock.
const LIMIT: u32 = 20;

/// Makes a user namespace in a child, because a process with threads can't. `examine` runs inside,
/// and its answers come back; none if the child fails.
pub(super) fn try_in_child(
    examine: impl Fn() -> Vec<Answer> + Send + Sync + 'static,
) -> (Answer, Vec<Answer>) {
    let (mut reader, mut writer) = match file::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return (Answer::unknown(format!("no pipe: {error}")), Vec::new()),
    };
    let setup = Setup::of_ordinary_user();
    // No such program: the child gets to it only with a user namespace.
    let mut child = Command::new("/proc/self/no-such-program");
    hook::pre_exec(&mut child, move || -> io::Result<()> {
        alarm::set(LIMIT);
        match setup.namespaces() {
            // Root without capabilities may not map itself (user_namespaces(7)). All else works.
            Ok(()) | Err(Failed { step: MAP_USERS, .. }) => {}
            Err(failed) => return Err(failed.errno.into()),
        }
        // AppArmor may allow the namespaces and refuse every privilege in them.
        use_net_admin()?;
        // Without its own /run, the child makes no named namespaces, and answers so.
        setup.mounts().ok();
        writer.write_all(written(&examine()).as_bytes())
    });
    let outcome = hook::spawn(&mut child).and_then(|mut child| child.wait());
    drop(child);
    let mut text = String::new();
    let whole = reader.read_to_string(&mut text).is_ok();
    let errno = outcome.err().and_then(|error| error.raw_os_error()).map(Errno::from_raw);
    (explained(errno), if whole { read(&text) } else { Vec::new() })
}

fn explained(errno: Option<Errno>) -> Answer {
    let Some(errno) = errno.filter(|errno| *errno != Errno::ENOENT) else { return Answer::yes() };
    match (errno, Obstacle::behind(errno)) {
        (_, Some(obstacle)) => Answer::no(obstacle.to_string(), obstacle.remedy()),
        (Errno::ENOSPC, None) => Answer::no(
            "a limit is reached: user.max_user_namespaces, user.max_net_namespaces, or 32 of them nested",
            "as root `sysctl -w user.max_net_namespaces=65536`",
        ),
        (errno, None) => Answer::no(errno.desc(), "run it as root"),
    }
}

/// Writes answers as text: each a number and two texts, which end with NUL.
fn written(answers: &[Answer]) -> String {
    let [reason, remedy] = [Answer::reason, Answer::remedy];
    let text = |answer| [reason(answer), remedy(answer)].map(Option::unwrap_or_default).join("\0");
    let one = |answer| [(Answer::verdict(answer) as u8).to_string(), text(answer), String::new()];
    answers.iter().map(|answer| one(answer).join("\0")).collect()
}

fn read(text: &str) -> Vec<Answer> {
    const VERDICTS: [Verdict; 4] =
        [Verdict::Yes, Verdict::No, Verdict::Unsupported, Verdict::Unknown];
    // A text that was cut has no NUL at its end.
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
}
