//! `tools/sandbox`, the runner with which cargo starts programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use support::user::Copied;

/// Returns a copy of the runner, or `None` in a packaged crate, which has no runner.
fn runner() -> Option<Copied> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/sandbox");
    if !path.exists() {
        assert!(!support::tools::is_required("runner"), "no {}", path.display());
        return None;
    }
    Some(Copied::of(&path))
}

fn shell(command: &mut Command, script: &str) -> Output {
    command.args(["sh", "-c", script]).output().unwrap()
}

fn text(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn here() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string()
}

#[test]
fn the_world_inside_is_fresh() {
    let Some(runner) = runner() else { return };
    for mut command in [runner.as_this_user(), runner.as_ordinary_user()] {
        let output = shell(
            &mut command,
            "readlink /proc/self/ns/net; ls /run | wc -l; for d in /sys/class/net/*/; do basename $d; done; \
             grep -c : /proc/net/dev; cut -d' ' -f1,2 /proc/self/uid_map >/dev/null; id -u; \
             cat /sys/class/net/lo/flags; grep -c shared: /proc/self/mountinfo",
        );
        let text = text(&output);
        let lines: Vec<_> = text.lines().collect();
        assert_ne!(lines[0], here(), "{text}");
        // /run is empty, `lo` is the only link and is down, and no mount is shared with the
        // machine.
        assert_eq!(&lines[1..], ["0", "lo", "1", "0", "0x8", "0"], "{text}");
    }
}

#[test]
fn status_and_signals_are_the_programs_own() {
    let Some(runner) = runner() else { return };
    for start in [Copied::as_this_user, Copied::as_ordinary_user] {
        assert_eq!(shell(&mut start(&runner), "exit 7").status.code(), Some(7));
        assert_eq!(shell(&mut start(&runner), "kill -TERM $$").status.signal(), Some(15));
        let mut missing = start(&runner);
        assert_eq!(missing.arg("/nowhere/program").output().unwrap().status.code(), Some(127));
        let words = start(&runner).args(["printf", "%s|", "a b", "", "*"]).output().unwrap();
        assert_eq!(text(&words), "a b||*|");

        let mut waits = start(&runner).args(["sleep", "60"]).stdout(Stdio::null()).spawn().unwrap();
        let program = PathBuf::from(format!("/proc/{}/comm", waits.id()));
        while fs::read_to_string(&program).unwrap().trim() != "sleep" {
            thread::sleep(Duration::from_millis(5));
        }
        waits.kill().unwrap();
        assert_eq!(waits.wait().unwrap().signal(), Some(9));
    }
}

#[test]
fn it_nests_only_where_asked_for() {
    let Some(runner) = runner() else { return };
    let twice = |command: &mut Command| {
        let script = r#"readlink /proc/self/ns/net; "$0" readlink /proc/self/ns/net"#;
        let output = command.args(["sh", "-c", script]).arg(runner.path()).output().unwrap();
        text(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let networks = twice(&mut runner.as_this_user());
    assert!(networks.len() == 2 && networks[0] == networks[1], "{networks:?}");
    assert_ne!(networks[0], here());

    let mut off = runner.as_this_user();
    assert_eq!(twice(off.env("NETLOOM_SANDBOX", "off")), [here(), here()]);

    // The variable names the current network, so the program is not in a sandbox.
    let mut stale = runner.as_this_user();
    assert_ne!(twice(stale.env("NETLOOM_SANDBOX", here()))[0], here());
}

#[test]
fn a_refusal_says_why_and_never_runs_outside() {
    let Some(runner) = runner() else { return };
    let output = shell(&mut runner.where_namespaces_are_off(), "echo it ran");
    let text = text(&output);
    assert!(!output.status.success() && !text.contains("it ran"), "{text}");
    assert!(text.contains("user.max_user_namespaces is 0"), "{text}");
    assert!(text.contains("sysctl -w user.max_user_namespaces="), "{text}");
}

/// A project's directory under /run/media and a command's directory under /run/system stay visible.
#[test]
fn what_the_program_needs_of_run_stays() {
    support::isolated(|| {
        let Some(runner) = runner() else { return };
        fs::create_dir_all("/run/media/disk").unwrap();
        fs::create_dir_all("/run/system/bin").unwrap();
        fs::create_dir_all("/run/else").unwrap();
        let path = format!("/run/system/bin:{}", env::var("PATH").unwrap());
        let mut command = runner.as_this_user();
        let output = shell(
            command.env("PATH", path).current_dir("/run/media/disk"),
            "ls /run; pwd; touch made; for d in /sys/class/net/*/; do basename $d; done",
        );
        assert_eq!(text(&output), "media\nsystem\n/run/media/disk\nlo");
        assert!(fs::exists("/run/media/disk/made").unwrap());
        for directory in ["/run/media", "/run/system", "/run/else"] {
            fs::remove_dir_all(directory).unwrap();
        }
    });
}
