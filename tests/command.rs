//! Commands in a namespace: the files they see, their user, their exit, and the descriptors they
//! inherit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, Owned, VethPair};

fn namespace() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Returns the output of a shell script run inside.
fn shell(netns: &Netns, script: &str) -> String {
    let output = netns.command("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < patience, "never came: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns whether a process exists and is no zombie.
fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_command_sees_its_namespace_and_has_mounts_of_its_own() {
    support::isolated(|| {
        let red = namespace();
        let _cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        assert_eq!(
            shell(&red, "ls /sys/class/net | grep -v bonding_masters"),
            "lo\nveth1\nveth2\n"
        );
        assert_eq!(shell(&red, "readlink /proc/self/ns/net").trim(), red.id().to_string());
        let own = fs::read_link("/proc/self/ns/mnt").unwrap();
        assert_ne!(shell(&red, "readlink /proc/self/ns/mnt").trim(), own.to_str().unwrap());
    });
}

#[test]
fn everything_of_std_is_there() {
    support::isolated(|| {
        let red = namespace();
        let mut command = red.command("sh");
        command.args(["-c", "echo $0 $A $B $HOME; pwd; cat; echo $$ >&2"]);
        command.arg0("renamed").env("A", "1").envs([("B", "2")]).env_remove("HOME");
        command.current_dir("/proc").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        assert_eq!(command.as_std().get_program(), "sh");
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid.cast_signed())));
        assert_eq!(group.unwrap().as_raw().cast_unsigned(), pid);
        child.stdin.take().unwrap().write_all(b"fed").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "renamed 1 2\n/proc\nfed");
        assert_eq!(String::from_utf8(output.stderr).unwrap().trim(), pid.to_string());

        // A command can be started again after a change.
        let again = command.env_clear().stdin(Stdio::null()).spawn().unwrap();
        let output = again.wait_with_output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("renamed\n"));
        assert_eq!(red.command("false").status().unwrap().code(), Some(1));
    });
}

#[test]
fn hosts_and_resolv_conf_are_values() {
    support::isolated(|| {
        let red = namespace();
        let own = fs::read_to_string("/etc/hosts").unwrap();
        let script = "cat /etc/hosts; stat -c %a /etc/hosts; cat /etc/resolv.conf; ls /sys/class/net | grep -v bonding_masters";
        let mut command = red.command("sh");
        command.args(["-c", script]);
        command
            .hosts("10.0.0.9 first\n")
            .hosts("10.0.0.2 web\n")
            .resolv_conf("nameserver 10.0.0.1\n");
        for _ in 0..2 {
            let output = command.output().unwrap();
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                "10.0.0.2 web\n644\nnameserver 10.0.0.1\nlo\n"
            );
        }
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), own);
        // This file is longer than a pipe buffer or a page.
        let long = "x".repeat(1 << 20);
        let output = red.command("cat").arg("/etc/hosts").hosts(long.clone()).output().unwrap();
        assert_eq!(output.stdout.len(), long.len());
        // The resolver of the C library reads the file.
        let mut getent = red.command("getent");
        if let Ok(found) = getent.args(["hosts", "web"]).hosts("10.0.0.2 web\n").output() {
            assert!(found.stdout.starts_with(b"10.0.0.2"), "{found:?}");
        }
    });
}

#[test]
fn a_file_that_is_not_there_is_refused_before_the_fork() {
    support::isolated(|| {
        let red = namespace();
        for path in ["/etc/nothing", "etc/hosts", "/etc"] {
            let refused = red.command("true").file(path, "").status().unwrap_err();
            assert!(refused.is_invalid_input(), "{refused}");
            assert_eq!(refused.object(), path);
        }
    });
}

#[test]
fn files_of_etc_netns_go_over_those_of_etc() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    support::isolated(|| {
        // The sandbox gets its own /etc: an ordinary user cannot write the machine's.
        mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::write("/etc/hosts", "127.0.0.1 localhost\n").unwrap();
        fs::create_dir_all("/etc/netns/red").unwrap();
        fs::write("/etc/netns/red/hosts", "10.0.0.2 overlay\n").unwrap();
        fs::write("/etc/netns/red/has-no-counterpart", "").unwrap();
        let red = Namespace::named("red").create().unwrap();
        assert_eq!(shell(&red, "cat /etc/hosts"), "10.0.0.2 overlay\n");
        let own = red.command("cat").arg("/etc/hosts").hosts("mine\n").output().unwrap();
        assert_eq!(own.stdout, b"mine\n", "a value wins");
        let blue = Namespace::named("blue").create().unwrap();
        assert_eq!(shell(&blue, "cat /etc/hosts"), "127.0.0.1 localhost\n");
        umount2("/etc", MntFlags::MNT_DETACH).unwrap();
    });
}

/// Returns whether this user namespace maps more than one user.
fn has_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2).is_some_and(|count| count.len() > 5)
}

#[test]
fn it_becomes_another_user_after_it_has_entered() {
    support::isolated(|| {
        let red = namespace();
        let mut command = red.command("sh");
        command.args([
            "-c",
            "id -u; id -g; id -G; readlink /proc/self/ns/net; grep CapEff /proc/self/status",
        ]);
        command.uid(65534).gid(65533).groups([7, 8]);
        if !has_users() {
            let refused = command.output().unwrap_err();
            assert_eq!(refused.object(), "user 65534, group 65533", "{refused}");
            let because = "this user namespace has one user";
            support::features::unsupported("other-users", because);
            return;
        }
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let lines: Vec<_> = output.lines().collect();
        let place = red.id().to_string();
        assert_eq!(lines[..4], ["65534", "65533", "65533 7 8", &place]);
        assert_eq!(lines[4].split_whitespace().last(), Some("0000000000000000"));
        let alone = red.command("id").arg("-G").uid(65534).gid(65534).output().unwrap();
        assert_eq!(alone.stdout, b"65534\n", "root's groups are given up");
    });
}

#[test]
fn what_can_not_start_is_told() {
    support::isolated(|| {
        let red = namespace();
        for error in [
            red.command("/no/such/program").spawn().unwrap_err(),
            red.command("/no/such/program").status().unwrap_err(),
            red.command("/no/such/program").spawn_detached().unwrap_err(),
            red.command("/no/such/program").exec(),
        ] {
            assert!(error.is_not_found(), "{error}");
            assert_eq!(error.object(), "/no/such/program");
            assert!(error.to_string().contains("no such program"), "{error}");
            assert!(error.namespace().unwrap().contains(&red.id().to_string()));
        }
        assert!(red.command("/dev/null").status().unwrap_err().is_permission_denied());
        let nowhere = red.command("true").current_dir("/nowhere").status().unwrap_err();
        assert!(nowhere.is_not_found() && nowhere.to_string().contains("/nowhere"), "{nowhere}");
        assert_eq!(Netns::current().unwrap().links().unwrap().len(), 1);
    });
}

#[test]
fn it_works_in_a_directory_of_its_namespace() {
    support::isolated(|| {
        let red = namespace();
        let _cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        let printed = |directory: &str, program: &str| {
            let output = red.command(program).current_dir(directory).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            // The bonding driver puts the file `bonding_masters` among the links.
            String::from_utf8(output.stdout).unwrap().replace("bonding_masters\n", "")
        };
        assert_eq!(printed("/sys/class/net", "ls"), "lo\nveth1\nveth2\n");
        // The link is missing outside the namespace.
        assert!(!fs::exists("/sys/class/net/veth1").unwrap());
        assert!(printed("/sys/class/net/veth1", "ls").contains("ifindex"));
        assert_eq!(printed("/", "pwd"), "/\n");
        // A relative path starts at the caller's current directory.
        env::set_current_dir("/sys").unwrap();
        assert_eq!(printed("class/net", "ls"), "lo\nveth1\nveth2\n");
        env::set_current_dir("/").unwrap();
        let refused = red.command("ls").current_dir("/sys/class/net/veth3").output().unwrap_err();
        assert!(refused.is_not_found() && refused.object().contains("veth3"), "{refused}");
        assert!(red.command("ls").current_dir("a\0b").output().unwrap_err().is_invalid_input());
        // Each way of starting a command uses the current directory.
        let mut in_veth1 = red.command("ls");
        in_veth1.current_dir("/sys/class/net/veth1").stdout(std::process::Stdio::null());
        assert!(in_veth1.status().unwrap().success());
        assert!(in_veth1.spawn().unwrap().wait().unwrap().success());
        assert!(in_veth1.spawn_detached().unwrap().wait().unwrap().success());
    });
}

#[test]
fn without_privileges_it_is_entering_that_is_refused() {
    support::isolated(|| {
        let _red = Namespace::named("red").create().unwrap();
        // Runs as the user `nobody` if possible, otherwise without capabilities.
        let copy = support::user::Copied::of_this();
        let arguments = ["--exact", "tries_to_run_in_red", "--ignored", "--nocapture"];
        let output = copy.as_ordinary_user().args(arguments).output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success() && said[0].contains("1 passed"), "{said:?}");
    });
}

#[test]
#[ignore = "a helper: another test starts it without a privilege"]
fn tries_to_run_in_red() {
    let refused = Netns::open("red").unwrap_err();
    assert!(refused.is_permission_denied(), "{refused}");
    assert!(refused.to_string().contains("CAP_SYS_ADMIN"), "{refused}");
}

#[test]
fn it_ends_with_its_owner() {
    support::isolated(|| {
        let red = namespace();
        let child = red.command("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        assert!(is_alive(pid));
        drop(child);
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap());

        // The thread that started the child has ended.
        let start = || red.command("sleep").arg("60").spawn().unwrap();
        let mut child = thread::scope(|scope| scope.spawn(start).join().unwrap());
        thread::sleep(Duration::from_millis(50));
        assert!(is_alive(child.id()), "a thread's end is not its parent's death");
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        child.kill().unwrap();
    });
}

/// Once another part of the program has collected the exit status, the kernel may give the process
/// id to another process.
#[test]
fn a_stranger_with_the_commands_number_is_not_killed() {
    const NEXT: &str = "/proc/sys/kernel/ns_last_pid";
    support::isolated(|| {
        let red = namespace();
        for _ in 0..100 {
            let mut child = red.command("true").spawn().unwrap();
            let pid = child.id();
            let collected = nix::unistd::Pid::from_raw(pid.cast_signed());
            nix::sys::wait::waitpid(collected, None).unwrap();
            if let Err(error) = fs::write(NEXT, (pid - 1).to_string()) {
                support::features::unsupported("process-numbers", format_args!("{NEXT}: {error}"));
                return;
            }
            let mut stranger = std::process::Command::new("cat");
            stranger.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut stranger = stranger.spawn().unwrap();
            let is_it = stranger.id() == pid;
            child.kill().unwrap();
            // Since Linux 6.15 the pidfd still reports the exit status.
            assert!(child.wait().is_ok_and(|status| status.success()) || child.try_wait().is_err());
            drop(child);
            let mut answer = [0; 5];
            stranger.stdin.take().unwrap().write_all(b"alive").unwrap();
            stranger.stdout.take().unwrap().read_exact(&mut answer).unwrap();
            assert!(stranger.wait().unwrap().success());
            if is_it {
                return;
            }
        }
        panic!("the number is never given anew");
    });
}

#[test]
#[ignore = "a helper: another test starts it and kills it"]
fn starts_two_and_hangs() {
    let red = namespace();
    let dies = red.command("sleep").arg("61").spawn().unwrap();
    #[allow(clippy::zombie_processes)] // the test kills this process
    let stays = red.command("sleep").arg("62").stdout(Stdio::null()).spawn_detached().unwrap();
    println!("pids: {} {}.", dies.id(), stays.id());
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn it_dies_with_the_process_unless_it_was_started_for_good() {
    support::isolated(|| {
        let mut helper = std::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", "starts_two_and_hangs", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = helper.stdout.take().unwrap();
        let mut said = String::new();
        // On a machine with one processor, libtest has already printed "test … ... " on this line.
        while !said.split("pids: ").nth(1).is_some_and(|pids| pids.ends_with('.')) {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            said.push(byte[0] as char);
        }
        let pids = said.split("pids: ").nth(1).unwrap().trim_end_matches('.');
        let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        helper.kill().unwrap();
        helper.wait().unwrap();
        eventually("the death of the first", || !is_alive(pids[0]));
        assert!(is_alive(pids[1]));
        let second = nix::unistd::Pid::from_raw(pids[1].cast_signed());
        nix::sys::signal::kill(second, nix::sys::signal::Signal::SIGKILL).unwrap();
        eventually("the death of the second", || !is_alive(pids[1]));
    });
}

#[test]
fn it_can_take_this_programs_place() {
    support::isolated(|| {
        let mut helper = std::process::Command::new(env::current_exe().unwrap());
        helper.args(["--exact", "becomes_another_program", "--ignored", "--nocapture"]);
        let output = helper.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("in its place: lo\n"), "{said}");
        assert_eq!(output.status.code(), Some(7));
    });
}

#[test]
#[ignore = "a helper: another test starts it in a process of its own"]
fn becomes_another_program() {
    let red = namespace();
    let mut command = red.command("sh");
    panic!(
        "{}",
        command
            .args([
                "-c",
                "echo in its place: $(ls /sys/class/net | grep -v bonding_masters); exit 7"
            ])
            .exec()
    );
}

/// An inherited descriptor would keep the namespace and its links until the command exits.
#[test]
fn no_inherited_descriptor_keeps_a_namespace() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let [red, blue] = [(); 2].map(|()| namespace());
        drop(VethPair::new("veth1", "veth2").create_between(&here, &red).unwrap().keep());
        let worker = red.worker().unwrap();
        worker.run(|| ()).unwrap();
        let listed = shell(&blue, "ls -l /proc/self/fd | sed 's/.* //'");
        assert!(!listed.contains("net:[") && !listed.contains("socket:["), "{listed}");
        let other = std::process::Command::new("sleep").arg("60").spawn();
        let inside = blue.command("sleep").arg("60").spawn().unwrap();
        drop((worker, red));
        eventually("the end of the cable, with its far end's namespace", || {
            here.link("veth1").is_err()
        });
        let mut other = other.unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        drop(inside);
    });
}

/// If SIGCHLD is ignored, the kernel discards exit statuses and reuses process ids.
#[test]
#[allow(unsafe_code)]
fn exit_statuses_are_known_where_sigchld_is_ignored() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    support::isolated(|| {
        let red = namespace();
        // SAFETY: no handler is installed.
        let before = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
        let results = ["exit 0", "exit 7", "kill -9 $$"].map(|script| {
            let output = red.command("sh").args(["-c", script]).output();
            let status = red.command("sh").args(["-c", script]).status();
            (output.map(|output| output.status), status)
        });
        let mut child = red.command("sleep").arg("60").spawn().unwrap();
        child.kill().unwrap();
        drop(child);
        // A command that cannot be started reports an error, and the same value can be started
        // again.
        let mut nonsuch = red.command("nonsuch");
        let errors = [nonsuch.spawn().unwrap_err(), nonsuch.spawn_detached().unwrap_err()];
        // SAFETY: as above.
        unsafe { signal(Signal::SIGCHLD, before) }.unwrap();
        for ((output, status), wanted) in results.into_iter().zip([0, 7 << 8, 9]) {
            for status in [output, status] {
                match status {
                    Ok(status) => assert_eq!(status.into_raw(), wanted),
                    // Before Linux 6.15 the exit status is lost.
                    Err(error) => {
                        assert!(error.to_string().contains("SIGCHLD is ignored"), "{error}");
                    }
                }
            }
        }
        for error in errors {
            assert_eq!(error.raw_os_error(), Some(nix::libc::ECHILD), "{error}");
            assert!(error.to_string().contains("SIGCHLD is ignored"), "{error}");
        }
        assert_eq!(nonsuch.as_std().get_program(), "nonsuch");
        assert!(nonsuch.spawn().unwrap_err().is_not_found());
    });
}

#[test]
fn a_working_directory_is_entered_as_the_user() {
    support::isolated(|| {
        if !has_users() {
            return;
        }
        let red = namespace();
        fs::create_dir("/run/closed").unwrap();
        fs::set_permissions("/run/closed", fs::Permissions::from_mode(0o700)).unwrap();
        let error = red.command("true").uid(65534).current_dir("/run/closed").status().unwrap_err();
        assert!(
            error.is_permission_denied() && error.to_string().contains("/run/closed"),
            "{error}"
        );
        assert!(red.command("true").current_dir("/run/closed").status().unwrap().success());
        fs::remove_dir("/run/closed").unwrap();
    });
}

#[test]
fn a_thousand_commands_leave_nothing() {
    support::isolated(|| {
        let red = namespace();
        let start = Instant::now();
        let mut command = red.command("true");
        for round in 0..1000 {
            if round % 2 == 0 {
                assert!(command.status().unwrap().success());
            } else {
                let mut child = command.hosts("127.0.0.1 here\n").spawn().unwrap();
                assert!(child.wait().unwrap().success());
            }
        }
        println!("1,000 commands in {:?}", start.elapsed());
    });
}
