//! Starts programs again as an ordinary user, or as a user who may not create namespaces.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A copy of a program that every user can start. It is deleted with this value.
#[derive(Debug)]
pub(crate) struct Copied {
    directory: PathBuf,
    program: PathBuf,
}

impl Copied {
    /// Copies the program under the same file name, by which a test program is recognized.
    pub(crate) fn of(program: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netloom-{}-{number}", process::id());
        let directory = env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let copy = directory.join(program.file_name().unwrap());
        // Not `fs::copy`: if another thread forks at that moment, its child holds the file open for
        // writing until its exec. Starting the copy would then fail (ETXTBSY).
        assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
        for path in [&directory, &copy] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        Self { directory, program: copy }
    }

    /// Returns the copy of this test program.
    pub(crate) fn of_this() -> Self {
        Self::of(&env::current_exe().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.program
    }

    /// Starts the program as the user who runs the tests.
    pub(crate) fn as_this_user(&self) -> Command {
        start(&[], &self.program)
    }

    /// Starts the program without privileges: as another user if one exists. Else, as in a user
    /// namespace with one user, as root without capabilities except the one to be mapped.
    pub(crate) fn as_ordinary_user(&self) -> Command {
        start(&ordinary(), &self.program)
    }

    /// Starts the program without privileges, in a user namespace that allows no further ones.
    pub(crate) fn where_namespaces_are_off(&self) -> Command {
        let off = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
        let mut words = ordinary();
        words.extend(["unshare", "-r", "sh", "-c", off]);
        words.extend(WITHOUT_CAPABILITIES);
        start(&words, &self.program)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

const WITHOUT_CAPABILITIES: [&str; 4] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"];
/// Since Linux 5.12, mapping root into a new user namespace takes `CAP_SETFCAP`.
const MAPPABLE_ROOT: [&str; 4] =
    ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--"];
const AS_NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

fn ordinary() -> Vec<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let has_nobody = map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        (numbers[0]..numbers[0] + numbers[2]).contains(&65534)
    });
    if has_nobody { AS_NOBODY.to_vec() } else { MAPPABLE_ROOT.to_vec() }
}

fn start(words: &[&str], program: &Path) -> Command {
    let mut command = match words.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    // A directory that every user may be in.
    command.current_dir("/").env_remove("NETLOOM_SANDBOX").env_remove("RUST_TEST_THREADS");
    command
}
