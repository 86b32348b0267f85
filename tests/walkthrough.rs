//! The walkthrough example runs to its end, and its claims hold. After a kill, only objects with a
//! name remain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use netloom::{Address, Netns};

use support::{eventually, reaches};

/// Returns the path of the example that cargo built beside this test, and builds it if missing.
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here.parent().unwrap().parent().unwrap().join("examples/walkthrough");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built =
            Command::new(cargo).args(["build", "--offline", "--example", "walkthrough"]).status();
        assert!(built.is_ok_and(|status| status.success()), "{} is not there", path.display());
    }
    path
}

#[test]
fn it_runs_to_its_end_and_every_claim_holds() {
    support::isolated(|| {
        let output = Command::new(program()).output().unwrap();
        let (said, errors) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{said}\n{errors}");
        assert_eq!(errors, "");
        // The file `bonding_masters` of the bonding driver is not a link.
        let said = said.replace("    bonding_masters\nlo", "    lo");
        let mut rest = said.as_str();
        // The lines must appear in this order.
        for line in [
            "$ ip netns add lab",
            "$ ip netns exec lab ls /sys/class/net\n    lo\n",
            "✓ its name is gone",
            "(a) Two namespaces, one cable",
            "$ ip netns exec ns1 ping -c 1 10.0.0.3\n    answered in",
            "$ ip netns exec ns2 ping -c 1 10.0.0.2\n    answered in",
            "$ ip netns exec ns1 ping -c 1 fd00::3\n    answered in",
            "10.0.0.3 dev if",
            "✓ ns1 knows ns2 as its neighbour",
            "✓ where the program runs nobody does",
            "$ ip -n ns1 link del veth1",
            "✓ the other end went with it",
            "(b) The cable gone, both on a bridge",
            "state forwarding",
            "$ ip netns exec ns1 ping -c 1 10.0.0.3\n    answered in",
            "$ ip netns exec host ping -c 1 10.0.0.2\n    answered in",
            "$ ip netns exec ns1 ping -c 1 10.0.0.1\n    answered in",
            "(c) The way out",
            "default via 10.0.0.1",
            "✓ without NAT no answer finds its way back",
            "MASQUERADE",
            "ping -c 1 198.51.100.1\n    answered in",
            "the server says: hello 198.51.100.2:",
            "✓ the server sees the host's address, not 10.0.0.2",
            "Nothing is left",
            "✓ links, addresses, routes and names are what they were",
        ] {
            let at = rest.find(line).unwrap_or_else(|| panic!("no {line:?} in {rest}\nin {said}"));
            rest = &rest[at + line.len()..];
        }
    });
}

struct Paused {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The namespaces with the names that the example prints, opened by the paths of its commands.
    places: Vec<(String, Netns)>,
}

/// Starts the example with `--pause`, and reads its output until it waits.
fn paused() -> Paused {
    let mut command = Command::new(program());
    command.arg("--pause").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut places = Vec::new();
    let mut name = String::new();
    for line in &mut lines {
        let line = line.unwrap();
        if let Some(place) = line.trim().strip_suffix(':') {
            place.clone_into(&mut name);
        }
        if let Some(path) = line.trim().strip_prefix("nsenter --net=")
            && let Some(path) = path.strip_suffix(" ip address")
        {
            places.push((name.clone(), Netns::from_path(path).unwrap()));
        }
        if line.contains("nsenter -U") {
            break;
        }
    }
    Paused { child, lines, places }
}

impl Paused {
    fn place(&self, name: &str) -> &Netns {
        &self.places.iter().find(|(place, _)| place == name).unwrap().1
    }
}

#[test]
fn paused_it_shows_the_network_and_goes_on_by_enter() {
    support::isolated(|| {
        let mut paused = paused();
        reaches(paused.place("ns1"), "198.51.100.1");
        reaches(paused.place("ns2"), "10.0.0.2");
        let tables = support::kernel::tables_besides_settings(paused.place("host"));
        assert_eq!(tables.len(), 1);
        assert!(tables[0].contains("netloom-"), "{tables:?}");
        let place = support::Place::of_fd(paused.place("host"));
        if let Some(rules) = support::nft(&place, &["--stateless", "list", "ruleset"]) {
            assert!(
                rules.contains("oifname \"uplink\" ip saddr 10.0.0.0/24 counter masquerade"),
                "{rules}"
            );
        }
        paused.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let rest: Vec<_> = (&mut paused.lines).map(Result::unwrap).collect();
        assert!(paused.child.wait().unwrap().success());
        assert!(rest.iter().any(|line| line.contains("are what they were")), "{rest:?}");
    });
}

/// After a kill, only the kernel cleans up. It deletes the anonymous namespaces with their cables.
/// It deletes the NAT table with its socket, even if another process holds the namespace.
#[test]
fn killed_it_leaves_no_namespace_no_cable_and_no_table() {
    support::isolated(|| {
        let mut paused = paused();
        let host = paused.place("host").clone();
        let names = || host.links().unwrap().into_iter().map(|link| link.name).collect::<Vec<_>>();
        assert_eq!(names().len(), 5, "{:?}", names());
        assert_eq!(support::kernel::tables_besides_settings(&host).len(), 1);
        // The test keeps only its handle of the host, to list objects.
        paused.places.clear();
        paused.child.kill().unwrap();
        paused.child.wait().unwrap();
        eventually("the NAT table is gone", || support::kernel::tables(&host).is_empty());
        // The kernel deleted the ports with their peers' namespaces. Objects in the host remain.
        host.wait_for(|| Ok(names() == ["lo", "br0"]), Duration::from_secs(10)).unwrap();
        assert!(Netns::list().unwrap().is_empty());
        assert!(!fs::exists("/run/netns/lab").unwrap());
        let bridge = host.link("br0").unwrap();
        Address::new("10.0.5.1/24").create(&bridge).unwrap().delete().unwrap();
    });
}
