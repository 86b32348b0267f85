//! A thread that cannot return to its namespace: netloom retries the return, and then aborts the
//! process.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::errno::Errno;

use super::{Fault, arm, disarm, refuse_returns, support};
use netloom::{Namespace, Netns};

const HELPER: &str = "NETLOOM_TEST_NO_RETURN";

#[test]
fn a_return_that_is_refused_once_is_tried_again() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let home = Netns::current().unwrap().id();
        let mut returns = 0;
        for step in 0.. {
            arm(Fault::Refused(Errno::ENOMEM), step);
            let opened = red.udp_bind("0.0.0.0:0");
            let made = Namespace::anonymous().create();
            let ran = red.run_here(|| ());
            let failed = disarm();
            assert_eq!(Netns::current().unwrap().id(), home);
            match failed.as_deref() {
                None => break,
                Some("return") => {
                    returns += 1;
                    assert!(opened.is_ok() && made.is_ok() && ran.is_ok());
                }
                Some(_) => assert!(opened.is_err() || made.is_err() || ran.is_err()),
            }
        }
        assert_eq!(returns, 3);
    });
}

#[test]
fn a_process_whose_thread_is_away_for_good_aborts() {
    if env::var_os(HELPER).is_some() {
        let red = Namespace::anonymous().create().unwrap();
        refuse_returns();
        red.udp_bind("0.0.0.0:0").ok();
        unreachable!("the thread is away");
    }
    support::isolated(|| {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", "fault::no_return::a_process_whose_thread_is_away_for_good_aborts"]);
        let ended = again.arg("--nocapture").env(HELPER, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(nix::libc::SIGABRT), "{said}");
        let line = "netloom: a thread can't return to its network namespace; aborting";
        assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{said}");
    });
}
