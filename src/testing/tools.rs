//! Checks with other tools: the output of `ip` and `nft`, if they are installed.
//!
//! `NETLOOM_TEST=require` makes any missing tool a failure, `NETLOOM_TEST=require:ip,nft` only
//! these.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{self, Command};

use super::features;

/// The network namespace that a tool inspects.
#[derive(Debug, Clone)]
pub(crate) struct Place(Option<OsString>);

impl Place {
    /// Names the namespace of this thread.
    pub(crate) fn here() -> Self {
        Self(None)
    }

    /// Names the namespace that a descriptor of this process refers to.
    pub(crate) fn of_fd(fd: impl AsFd) -> Self {
        let number = fd.as_fd().as_raw_fd();
        Self(Some(format!("/proc/{}/fd/{number}", process::id()).into()))
    }

    /// Names the namespace at a path, such as `/run/netns/red`.
    pub(crate) fn at(path: impl AsRef<Path>) -> Self {
        Self(Some(path.as_ref().into()))
    }
}

/// Returns the output of `ip -json`, or none if `ip` is not installed.
#[track_caller]
pub(crate) fn ip(place: &Place, arguments: &[&str]) -> Option<String> {
    run(place, "ip", &[&["-json"], arguments].concat())
}

/// Returns the output of `nft`, or none if `nft` is not installed.
#[track_caller]
pub(crate) fn nft(place: &Place, arguments: &[&str]) -> Option<String> {
    run(place, "nft", arguments)
}

/// Returns the output of a tool that succeeds, or none if it is not installed.
#[track_caller]
pub(crate) fn run(place: &Place, tool: &str, arguments: &[&str]) -> Option<String> {
    if !is_there(tool) {
        return None;
    }
    let mut command = match &place.0 {
        None => Command::new(tool),
        Some(path) => {
            let mut nsenter = Command::new("nsenter");
            let mut option = OsString::from("--net=");
            option.push(path);
            nsenter.arg(option).arg("--").arg(tool);
            nsenter
        }
    };
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {}: {said}", arguments.join(" "));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns whether a tool is installed, and prints if it is not.
#[track_caller]
pub(crate) fn is_there(tool: &str) -> bool {
    let is_installed = is_installed(tool);
    if !is_installed {
        assert!(!is_required(tool), "{tool} is not installed, and NETLOOM_TEST requires it");
        features::note(tool, "it is not installed");
    }
    is_installed
}

fn is_installed(tool: &str) -> bool {
    match Command::new(tool).arg("--version").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // `ip` knows only `-V` and fails here, but it is installed.
        _ => true,
    }
}

/// Returns whether `NETLOOM_TEST` requires the tool.
pub(crate) fn is_required(tool: &str) -> bool {
    let wanted = env::var("NETLOOM_TEST").unwrap_or_default();
    match wanted.split_once(':') {
        Some(("require", tools)) => tools.split(',').any(|one| one.trim() == tool),
        _ => wanted == "require",
    }
}
