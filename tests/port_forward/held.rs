//! Ports that belong to a process.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};

use netloom::{Leftover, Netns, Owned, PortForward, Route, Setting, Sysctl, Together, VethPair};

use crate::lab::{Lab, another, assert_lost, ports_of, seen};
use crate::support::{self, kernel::tables_besides_settings};
use crate::traffic::{PATIENCE, SHORT, Server, tcp};

#[test]
fn two_handles_of_a_namespace_do_not_switch_off_under_each_other() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let other = lab.host.run(|| Netns::current().unwrap()).unwrap();
        let first = PortForward::new(8080, "10.0.0.2").target_port(80).create(&lab.host).unwrap();
        let second = PortForward::new(8081, "10.0.0.2").target_port(80).create(&other).unwrap();
        drop(first);
        tcp(&lab.host, "127.0.0.1:8081", PATIENCE).unwrap();
        drop(second);
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
        // A kept port stays until the last handle of the namespace is dropped. The port's handle
        // does not count.
        let kept = PortForward::new(8082, "10.0.0.2").target_port(80).create(&other).unwrap();
        let kept = kept.keep();
        tcp(&lab.host, "127.0.0.1:8082", PATIENCE).unwrap();
        drop(kept);
        drop(other);
        gone_but_for_what_drops(&lab.host);
        next_leaves_nothing(&lab.host);
    });
}

/// Each handle of the namespace has its own socket, which owns the table of its ports.
#[test]
fn those_of_two_handles_of_a_namespace_go_together() {
    support::isolated(|| {
        let (host, _bridge) = crate::lab::host();
        let handles = [another(&host), another(&host)];
        let ports = [0, 1].map(|at| {
            let forward = PortForward::new(8080 + at, "10.0.0.2");
            forward.create(&handles[usize::from(at)]).unwrap()
        });
        Together::new(Vec::from(ports)).delete().unwrap();
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
    });
}

/// Waits until only the sysctl `route_localnet` and the table that drops packets to loopback
/// addresses remain of a dead process.
fn gone_but_for_what_drops(host: &Netns) {
    support::eventually("the table went with its socket", || {
        let left = tables_besides_settings(host);
        left.len() == 1 && left[0].contains("netloom-loopback")
    });
}

fn next_leaves_nothing(host: &Netns) {
    PortForward::new(8083, "10.0.0.2").create(host).unwrap().delete().unwrap();
    assert_eq!(tables_besides_settings(host), Vec::<String>::new());
    assert_eq!(host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
}

#[test]
fn held_and_persistent_ones_of_a_link_do_not_switch_off_under_each_other() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let other = another(&lab.host);
        let held = PortForward::new(8080, "10.0.0.2").target_port(80);
        let kept = PortForward::new(8081, "10.0.0.2").target_port(80).persistent("web");
        for is_held_first in [true, false] {
            let (first, second) = if is_held_first { (&held, &kept) } else { (&kept, &held) };
            let first = first.create(&lab.host).unwrap();
            let second = second.create(&other).unwrap();
            let left = format!("127.0.0.1:{}", second.host_ports().first());
            tcp(&lab.host, &left, PATIENCE).unwrap();
            first.delete().unwrap();
            tcp(&lab.host, &left, PATIENCE).unwrap();
            assert!(second.is_in_force().unwrap());
            // The port is not in force while another owner turns `route_localnet` off.
            let link = lab.host.link("br0").unwrap();
            let off = Setting::route_localnet(&link).to(false).create(&link.namespace()).unwrap();
            assert!(!second.is_in_force().unwrap());
            drop(off);
            second.delete().unwrap();
            assert_eq!(tables_besides_settings(&lab.host), Vec::<String>::new());
            assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
        }
    });
}

#[test]
fn a_conflict_names_the_holder() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let web = PortForward::new(8080, "10.0.0.2").target_port(80);
        let holder = web.create(&lab.host).unwrap();
        let conflict = |forward: PortForward| {
            let error = forward.create(&lab.host).unwrap_err();
            assert!(error.is_already_exists(), "{error}");
            error.to_string()
        };
        let error = conflict(PortForward::new(8080, "10.0.0.3"));
        assert!(error.contains("0.0.0.0:8080->10.0.0.2:80/tcp has the port"), "{error}");
        conflict(PortForward::new(8000..=8100, "10.0.0.3"));
        // Ports of another protocol, family or address do not conflict.
        let _others = [
            web.clone().udp(),
            web.clone().sctp(),
            web.clone().host_address("127.0.0.1"),
            PortForward::new(8080, "fd00::2"),
        ]
        .map(|forward| forward.create(&lab.host).unwrap());

        let all = [PortForward::new(1, "10.0.0.2"), PortForward::new(8080, "10.0.0.3")];
        assert!(PortForward::create_all(&all, &lab.host).is_err());
        let twice = [PortForward::new(1, "10.0.0.2"), PortForward::new(1, "10.0.0.3")];
        let error = PortForward::create_all(&twice, &lab.host).unwrap_err();
        assert!(error.to_string().contains("0.0.0.0:1->10.0.0.2:1/tcp has the port"), "{error}");
        let _one = PortForward::new(1, "10.0.0.2").create(&lab.host).unwrap();

        let stale = (*holder).clone();
        holder.delete().unwrap();
        let _next = PortForward::new(8080, "10.0.0.3").create(&lab.host).unwrap();
        Owned::adopt(stale).delete().unwrap();
        conflict(web);
    });
}

#[test]
fn thousands_are_made_at_once_and_go_one_by_one() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let targets = (2..=201).map(|host| format!("10.0.0.{host}")).collect::<Vec<_>>();
        let forwards: Vec<_> = (0..10_000_u16)
            .map(|at| {
                let forward =
                    PortForward::new(10_000 + at, targets[usize::from(at) % 200].as_str());
                forward.target_port(80)
            })
            .collect();
        // An ordinary user's send buffer holds some 7,000 ports at once.
        let (first, rest) = forwards.split_at(5_000);
        let mut made = PortForward::create_all(first, &lab.host).unwrap();
        made.extend(PortForward::create_all(rest, &lab.host).unwrap());
        assert_eq!(made.len(), 10_000);
        tcp(&lab.outside, "198.51.100.2:10000", PATIENCE).unwrap();
        tcp(&lab.host, "127.0.0.1:19800", PATIENCE).unwrap();
        let one_more = PortForward::new(80, "10.0.0.2").create(&lab.host).unwrap();
        tcp(&lab.outside, "198.51.100.2:80", PATIENCE).unwrap();
        one_more.delete().unwrap();
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "1");
        made.drain(1..);
        tcp(&lab.outside, "198.51.100.2:10000", PATIENCE).unwrap();
        assert!(tcp(&lab.host, "127.0.0.1:19800", SHORT).is_err());
        drop(made);
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
    });
}

/// Deletes several ports of both families, with and without a host address. Elements that only
/// these ports needed are deleted too.
#[test]
fn many_go_together_and_what_stays_is_reached() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let forward = |port: u16, target: &str| PortForward::new(port, target).target_port(80);
        let stays = [
            forward(80, "10.0.0.2"),
            forward(80, "fd00::2"),
            forward(81, "10.0.0.2").host_address("127.0.0.1"),
        ];
        let stays = PortForward::create_all(&stays, &lab.host).unwrap();
        let targets = ["10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"];
        let goes: Vec<_> = (1000..3500_u16)
            .map(|port| {
                let forward = forward(port, targets[usize::from(port) % 4]);
                let at_one = port % 8 == 0;
                if at_one { forward.host_address("198.51.100.2") } else { forward }
            })
            .collect();
        for is_twice in [false, true] {
            let made = PortForward::create_all(&goes, &lab.host).unwrap();
            tcp(&lab.outside, "198.51.100.2:1000", PATIENCE).unwrap();
            // A second owner of a port does not matter.
            let twice = is_twice.then(|| Owned::adopt((*made[7]).clone()));
            made.into_iter().chain(twice).collect::<Together<Vec<_>>>().delete().unwrap();
            assert!(tcp(&lab.outside, "198.51.100.2:1000", SHORT).is_err());
            for [from, at] in [
                ["outside", "198.51.100.2:80"],
                ["outside", "[2001:db8::2]:80"],
                ["neighbor", "10.0.0.1:80"],
                ["host", "127.0.0.1:81"],
            ] {
                let place = match from {
                    "outside" => &lab.outside,
                    "neighbor" => &lab.neighbor,
                    _ => &lab.host,
                };
                tcp(place, at, PATIENCE).unwrap_or_else(|error| panic!("{from} {at}: {error}"));
            }
        }
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "1");
        Together::new(stays).delete().unwrap();
        assert_eq!(lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
        assert_eq!(tables_besides_settings(&lab.host), Vec::<String>::new());
    });
}

const PATH: &str = "NETLOOM_TEST_PORTS_OF";

/// Publishes ports until this process, started by another test, is killed.
pub(crate) fn publish_until_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let host = Netns::from_path(path).unwrap();
    let forward = PortForward::new(8080, "10.0.0.2").target_port(80);
    let _forwards = [forward.clone().create(&host).unwrap(), forward.udp().create(&host).unwrap()];
    println!("made");
    loop {
        std::thread::park();
    }
}

/// Starts a process that publishes ports of the host.
pub(crate) fn publisher(host: &Netns, test: &str) -> Child {
    let host = format!("/proc/{}/fd/{}", std::process::id(), host.as_fd().as_raw_fd());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PATH, host)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("made")));
    child
}

#[test]
fn a_killed_process_takes_its_ports_along() {
    publish_until_killed();
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let mut child = publisher(&lab.host, "held::a_killed_process_takes_its_ports_along");
        seen(&lab.outside, "198.51.100.2:8080");
        seen(&lab.host, "127.0.0.1:8080");
        // Another program flushes the ruleset while traffic flows.
        let place = support::Place::of_fd(&*lab.host);
        if support::nft(&place, &["flush", "ruleset"]).is_some() {
            seen(&lab.outside, "198.51.100.2:8080");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with the process", || {
            !tables_besides_settings(&lab.host).iter().any(|table| table.contains("netloom-ports"))
        });
        assert_lost(&lab.outside, "198.51.100.2:8080");
    });
}

#[test]
fn a_killed_process_leaves_nobody_a_way_to_127_0_0_1() {
    publish_until_killed();
    support::isolated(|| {
        let lab = Lab::new(false);
        let _own = Server::start(&lab.host, "127.0.0.1:22");
        // Without `lo`, the neighbour has no local addresses. So it routes 127.0.0.1 like any other
        // address, replies included.
        let _on = Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.neighbor).unwrap();
        let way = Route::new("127.0.0.0/8").via("10.0.0.1");
        let _way = way.create(&lab.neighbor).unwrap();
        let link = lab.host.link("br0").unwrap();
        let setting = || lab.host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap();

        // Without the drop, the attack works.
        let on = Setting::route_localnet(&link).to(true).create(&link.namespace()).unwrap();
        seen(&lab.neighbor, "127.0.0.1:22");
        drop(on);
        let mut child =
            publisher(&lab.host, "held::a_killed_process_leaves_nobody_a_way_to_127_0_0_1");
        assert_lost(&lab.neighbor, "127.0.0.1:22");
        child.kill().unwrap();
        child.wait().unwrap();
        gone_but_for_what_drops(&lab.host);
        assert_eq!(setting(), "1");
        assert_lost(&lab.neighbor, "127.0.0.1:22");
        next_leaves_nothing(&lab.host);
        assert_lost(&lab.neighbor, "127.0.0.1:22");
    });
}

#[test]
fn what_a_killed_process_left_of_its_ports_is_found_and_reaped() {
    publish_until_killed();
    support::isolated(|| {
        let lab = Lab::new(false);
        let other = VethPair::new("veth1", "veth2").create(&lab.host).unwrap();
        let found = || {
            let left = lab.host.run(netloom::leftovers).unwrap().unwrap();
            assert_eq!(left.failures().len(), 0, "{:?}", left.failures());
            left
        };
        let setting =
            |link: &str| lab.host.sysctl(&format!("net.ipv4.conf.{link}.route_localnet")).unwrap();
        let this = "held::what_a_killed_process_left_of_its_ports_is_found_and_reaped";
        // Nothing is found while a process needs the setting: first the child, then this process.
        let mut child = publisher(&lab.host, this);
        assert_eq!(found().found().len(), 0);
        let other_port = PortForward::new(99, "10.9.0.2").link(other.near());
        let port = PortForward::new(90, "10.0.0.2").persistent("web").create(&lab.host).unwrap();
        let second = other_port.persistent("other").create(&lab.host).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with its socket", || {
            tables_besides_settings(&lab.host).len() == 2
        });
        assert_eq!(found().found().len(), 0);
        // `veth1` still needs the setting, `br0` does not.
        second.keep();
        drop(port);
        assert_eq!((setting("br0"), setting("veth1")), ("0".into(), "1".into()));

        let mut child = publisher(&lab.host, this);
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with its socket", || {
            tables_besides_settings(&lab.host).len() == 2
        });
        assert_eq!(setting("br0"), "1");
        let left = found();
        assert!(matches!(left.found(), [Leftover::RouteLocalnet(netns)] if *netns == *lab.host));
        assert!(left.found()[0].to_string().starts_with("route_localnet in "));
        let twice = found();
        let reaped = left.remove();
        assert_eq!((reaped.removed.len(), reaped.failures.len()), (1, 0));
        assert_eq!(twice.remove().removed.len(), 0, "somebody was faster");
        assert_eq!((setting("br0"), setting("veth1")), ("0".into(), "1".into()));
        assert_eq!(found().found().len(), 0);

        for port in ports_of(&lab.host, "other") {
            Owned::adopt(port).delete().unwrap();
        }
        assert_eq!(setting("veth1"), "0");
        assert_eq!(tables_besides_settings(&lab.host), Vec::<String>::new());

        // After the last program with ports was killed, `reap` restores everything.
        let mut child = publisher(&lab.host, this);
        child.kill().unwrap();
        child.wait().unwrap();
        gone_but_for_what_drops(&lab.host);
        let reaped = lab.host.run(netloom::reap).unwrap().unwrap();
        assert_eq!((reaped.removed.len(), reaped.failures.len()), (1, 0));
        assert_eq!(setting("br0"), "0");
        assert_eq!(tables_besides_settings(&lab.host), Vec::<String>::new());
    });
}
