//! Persistent ports: they outlive their process, are found by tag, and are deleted completely.

use std::process::Command;

use netloom::{Netns, Owned, PortForward, PortForwardHandle, Setting, Together};

use crate::lab::{Lab, address, another, assert_lost, host, ports_of, seen};
use crate::support::{self, kernel::tables_besides_settings};

fn assert_nothing_left(host: &Netns) {
    assert_eq!(tables_besides_settings(host), Vec::<String>::new());
    assert_eq!(host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
}

fn delete_all(ports: Vec<PortForwardHandle>) {
    ports.into_iter().map(Owned::adopt).collect::<Together<Vec<_>>>().delete().unwrap();
}

#[test]
fn they_outlive_their_maker_and_are_adopted_by_the_next() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let made = {
            let maker = another(&lab.host);
            let forwards = ["10.0.0.2", "fd00::2"].map(|target| {
                PortForward::new(8080, target).target_port(80).persistent("net1/web")
            });
            let made = PortForward::create_all(&forwards, &maker).unwrap();
            made.into_iter().map(Owned::keep).collect::<Vec<_>>()
        };
        assert_eq!(made[0].tag(), Some("net1/web"));
        let at = "198.51.100.2:8080";
        crate::traffic::tcp(&lab.outside, at, crate::traffic::PATIENCE).unwrap();

        assert_eq!(ports_of(&lab.host, "net1"), []);
        let found = ports_of(&lab.host, "net1/web");
        assert_eq!(found, made);
        let place = support::Place::of_fd(&*lab.host);
        if let Some(listed) = support::nft(&place, &["list", "table", "ip", "netloom-ports"]) {
            let line = "tcp . 8080 comment \"net1/web\" : 10.0.0.2 . 80";
            assert!(listed.contains(line), "{listed}");
            assert!(listed.contains("\"0.0.0.0:8080->10.0.0.2:80/tcp%"), "{listed}");
            assert!(!listed.contains("flags owner"), "{listed}");
        }
        // Several ports may have the same tag.
        let udp = PortForward::new(8080, "10.0.0.2").target_port(80).udp().persistent("net1/web");
        udp.create(&lab.host).unwrap().keep();
        assert_eq!(seen(&lab.host, "127.0.0.1:8080"), address("10.0.0.1"));
        let found = ports_of(&lab.host, "net1/web");
        assert_eq!(found.len(), 3);
        let stale = found[0].clone();
        delete_all(found);
        assert_lost(&lab.outside, at);
        assert_nothing_left(&lab.host);

        // A stale handle does not match a new port with the same values.
        let next = PortForward::new(8080, "10.0.0.2").target_port(80).persistent("net1/web");
        let next = next.create(&lab.host).unwrap();
        Owned::adopt(stale).delete().unwrap();
        crate::traffic::tcp(&lab.outside, at, crate::traffic::PATIENCE).unwrap();
        drop(next);
        assert_nothing_left(&lab.host);
    });
}

#[test]
fn a_conflict_names_the_tag_of_the_holder() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let web = |port| PortForward::new(port, "10.0.0.2").target_port(80);
        let holder = web(8080).persistent("net1/web").create(&host).unwrap();
        let other = another(&host);
        for wanted in [web(8080), PortForward::new(8000..=8100, "10.0.0.3")] {
            let error = wanted.persistent("net1/other").create(&other).unwrap_err();
            assert!(error.is_already_exists(), "{error}");
            assert!(error.to_string().contains("`net1/web` has the port"), "{error}");
        }
        // The call publishes all ports or none.
        let several = [web(1), web(8080)].map(|forward| forward.persistent("net1/other"));
        assert!(PortForward::create_all(&several, &host).unwrap_err().is_already_exists());
        assert_eq!(ports_of(&host, "net1/other"), []);
        let twice = [web(1), web(1)].map(|forward| forward.persistent("net1/other"));
        let error = PortForward::create_all(&twice, &host).unwrap_err();
        assert!(error.to_string().contains("0.0.0.0:1->10.0.0.2:80/tcp has the port"), "{error}");
        // Ports of another protocol, address or family do not conflict.
        let others = [
            web(8080).udp(),
            web(8080).sctp(),
            web(8080).host_address("127.0.0.1"),
            PortForward::new(8080, "fd00::2"),
        ];
        for other in others {
            other.persistent("net1/other").create(&host).unwrap().keep();
        }
        holder.delete().unwrap();
        let next = web(8080).persistent("net1/other").create(&host).unwrap().keep();
        assert_eq!(ports_of(&host, "net1/other").len(), 5);
        Owned::adopt(next).delete().unwrap();
        delete_all(ports_of(&host, "net1/other"));
        assert_nothing_left(&host);
    });
}

/// The owner does not know that another handle deleted its port. On drop, the owner looks it up.
#[test]
fn an_owner_whose_port_is_gone_leaves_the_next_one_alone() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let web = |target| PortForward::new(8080, target).persistent("web").create(&host).unwrap();
        let late = web("10.0.0.2");
        delete_all(ports_of(&host, "web"));
        let next = web("10.0.0.3");
        drop(late);
        assert_eq!(ports_of(&host, "web"), [(*next).clone()]);
        assert!(next.is_in_force().unwrap());
        next.delete().unwrap();
        assert_nothing_left(&host);
    });
}

#[test]
fn those_of_a_tag_go_in_any_order() {
    support::isolated(|| {
        let (host, _bridge) = host();
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 0, 4, 2]] {
            let forwards: Vec<_> =
                (1..=5).map(|port| PortForward::new(port, "10.0.0.2").persistent("web")).collect();
            let mut made: Vec<_> =
                PortForward::create_all(&forwards, &host).unwrap().into_iter().map(Some).collect();
            for (gone, at) in order.into_iter().enumerate() {
                made[at].take().unwrap().delete().unwrap();
                let mut left: Vec<_> = ports_of(&host, "web");
                left.sort_by_key(|handle| handle.host_ports().first());
                let expected: Vec<_> = made.iter().flatten().map(|one| (**one).clone()).collect();
                assert_eq!(left, expected, "{order:?} after {gone}");
            }
            assert_nothing_left(&host);
        }
    });
}

#[test]
fn a_flushed_ruleset_takes_them_and_they_may_come_again() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let place = support::Place::of_fd(&*host);
        let forward = PortForward::new(8080, "10.0.0.2").persistent("web");
        let gone = forward.create(&host).unwrap();
        if support::nft(&place, &["flush", "ruleset"]).is_none() {
            return;
        }
        assert_eq!(ports_of(&host, "web"), []);
        let next = forward.create(&host).unwrap();
        gone.delete().unwrap();
        assert_eq!(ports_of(&host, "web"), [(*next).clone()]);
        // `route_localnet` was on when the second port was created, and its earlier value is lost.
        next.delete().unwrap();
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
    });
}

#[test]
fn rules_that_somebody_took_away_are_missed_and_made_again() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let place = support::Place::of_fd(&*lab.host);
        let web = |port| PortForward::new(port, "10.0.0.2").target_port(80).persistent("web");
        let first = web(8080).create(&lab.host).unwrap();
        assert!(first.is_in_force().unwrap());
        if support::nft(&place, &["flush", "table", "ip", "netloom-ports"]).is_none() {
            return;
        }
        support::nft(&place, &["flush", "table", "ip", "netloom-loopback"]).unwrap();
        assert!(!first.is_in_force().unwrap());
        let second = web(8081).create(&another(&lab.host)).unwrap();
        for handle in [&first, &second] {
            assert!(handle.is_in_force().unwrap());
            for (from, at) in [(&lab.outside, "198.51.100.2"), (&lab.host, "127.0.0.1")] {
                let at = format!("{at}:{}", handle.host_ports().first());
                crate::traffic::tcp(from, &at, crate::traffic::PATIENCE).unwrap();
            }
        }
        let rules = support::nft(&place, &["list", "ruleset"]).unwrap();
        assert_eq!(rules.matches("ip daddr 127.0.0.0/8 drop").count(), 2, "{rules}");
        first.delete().unwrap();
        second.delete().unwrap();
        assert_nothing_left(&lab.host);
    });
}

#[test]
fn a_port_by_a_link_that_was_made_anew_is_not_in_force() {
    support::isolated(|| {
        let (host, bridge) = host();
        let ports = [None, Some("web")].map(|tag| {
            let port = if tag.is_some() { 81 } else { 80 };
            let forward = crate::lab::of_kind(tag, PortForward::new(port, "10.0.0.2"));
            forward.host_address("10.0.0.1").create(&host).unwrap()
        });
        assert!(ports.iter().all(|port| port.is_in_force().unwrap()));
        drop(bridge);
        let _bridge =
            netloom::Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
        assert!(ports.iter().all(|port| !port.is_in_force().unwrap()));
    });
}

#[test]
fn a_ruleset_that_nft_saved_and_loaded_is_understood() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let place = support::Place::of_fd(&*host);
        let made = ["10.0.0.2", "fd00::2"]
            .map(|target| PortForward::new(80..=82, target).udp().persistent("web").create(&host))
            .map(|made| made.unwrap().keep());
        let Some(saved) = support::nft(&place, &["list", "ruleset"]) else { return };
        support::nft(&place, &["flush", "ruleset"]).unwrap();
        support::nft(&place, &[&saved]).unwrap();
        assert_eq!(support::nft(&place, &["list", "ruleset"]).unwrap(), saved);
        let found = ports_of(&host, "web");
        assert_eq!(found, made);
        delete_all(found);
        assert_nothing_left(&host);
    });
}

#[test]
fn a_table_of_somebody_else_is_never_touched() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let place = support::Place::of_fd(&*host);
        let foreign = "table ip netloom-ports {\n\tchain c {\n\t\tcounter\n\t}\n}";
        if support::nft(&place, &[foreign]).is_none() {
            return;
        }
        let before = support::nft(&place, &["-a", "list", "ruleset"]);
        let error = PortForward::new(80, "10.0.0.2").persistent("web").create(&host).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert!(error.to_string().contains("that netloom did not make"), "{error}");
        assert_eq!(ports_of(&host, "web"), []);
        assert_eq!(support::nft(&place, &["-a", "list", "ruleset"]), before);
    });
}

#[test]
fn a_link_is_left_as_it_was_found() {
    support::isolated(|| {
        let (host, bridge) = host();
        let setting = || host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap();
        let on = Setting::route_localnet(&bridge).to(true).create(&bridge.namespace()).unwrap();
        let made = PortForward::new(80, "10.0.0.2").persistent("web").create(&host).unwrap();
        made.delete().unwrap();
        assert_eq!(setting(), "1", "it was somebody else's");
        drop(on);
        let [first, second] =
            [80, 81].map(|port| PortForward::new(port, "10.0.0.2").persistent("web"));
        let first = first.create(&host).unwrap();
        let second = second.create(&another(&host)).unwrap();
        assert_eq!(setting(), "1");
        first.delete().unwrap();
        assert_eq!(setting(), "1");
        second.delete().unwrap();
        assert_nothing_left(&host);
        // The link's setting is gone with the link.
        let made = PortForward::new(80, "10.0.0.2").persistent("web").create(&host).unwrap();
        bridge.delete().unwrap();
        made.delete().unwrap();
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
    });
}

/// Adds and deletes ports, each time in another process, as plugins of a container engine do.
#[test]
fn twenty_processes_at_a_time_leave_exactly_what_they_keep() {
    const PATH: &str = "NETLOOM_TEST_PORTS_OF";
    const WHO: &str = "NETLOOM_TEST_PORTS_WHO";
    let maker = std::env::var(WHO).ok().and_then(|who| who.parse::<u16>().ok());
    if let (Some(path), Some(who)) = (std::env::var_os(PATH), maker) {
        let host = Netns::from_path(path).unwrap();
        let tag = format!("web {who}");
        let target = format!("10.0.{}.2", who % 3);
        for round in 0..5 {
            let port = |at| 1000 + who * 100 + round * 10 + at;
            let forwards = [port(0), port(1)]
                .map(|port| PortForward::new(port, target.as_str()).persistent(&tag));
            PortForward::create_all(&forwards, &host)
                .unwrap()
                .into_iter()
                .for_each(|port| drop(port.keep()));
            // All processes compete for this port.
            match PortForward::new(80, target.as_str()).persistent(&tag).create(&host) {
                Ok(port) => port.delete().unwrap(),
                Err(error) => assert!(error.to_string().contains("has the port"), "{error}"),
            }
            let found = ports_of(&host, &tag);
            assert_eq!(found.len(), 2);
            if round < 4 {
                for port in found {
                    Owned::adopt(port).delete().unwrap();
                }
            }
        }
        return;
    }
    support::isolated(|| {
        use std::os::fd::{AsFd, AsRawFd};
        let (host, _bridge) = host();
        let path = format!("/proc/{}/fd/{}", std::process::id(), host.as_fd().as_raw_fd());
        let this = "tagged::twenty_processes_at_a_time_leave_exactly_what_they_keep";
        let children: Vec<_> = (0..20)
            .map(|who| {
                Command::new(std::env::current_exe().unwrap())
                    .args([this, "--exact", "--nocapture"])
                    .env(PATH, &path)
                    .env(WHO, who.to_string())
                    .output_later()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        for who in 0..20 {
            let found = ports_of(&host, &format!("web {who}"));
            assert_eq!(found.len(), 2);
            delete_all(found);
        }
        assert_nothing_left(&host);
    });
}

trait OutputLater {
    fn output_later(&mut self) -> std::process::Child;
}

impl OutputLater for Command {
    fn output_later(&mut self) -> std::process::Child {
        use std::process::Stdio;
        self.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// A port is not in force without its rules, or if `route_localnet` is off and the kernel drops
/// replies for 127.0.0.1.
#[test]
fn one_whose_rules_or_switch_are_gone_says_so() {
    support::isolated(|| {
        let (host, bridge) = host();
        let port = PortForward::new(8080, "10.0.0.2").persistent("net1/web").create(&host).unwrap();
        let off = Setting::route_localnet(&bridge).to(false).create(&bridge.namespace()).unwrap();
        assert!(!port.is_in_force().unwrap());
        drop(off);
        assert!(port.is_in_force().unwrap());
        if support::by_hand(&host, "nft flush chain ip netloom-ports output") {
            assert!(!port.is_in_force().unwrap());
        }
        port.delete().unwrap();
        assert_nothing_left(&host);
    });
}

/// Any program can delete elements of a persistent port. The port then reports that it is not in
/// force, and its deletion leaves nothing.
#[test]
fn one_whose_element_was_taken_away_says_so_and_leaves_nothing() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let forwards = [(8080, "10.0.0.2"), (8081, "10.0.0.2"), (8080, "fd00::2")]
            .map(|(port, target)| PortForward::new(port, target).persistent("net1/web"));
        let ports = PortForward::create_all(&forwards, &host).unwrap();
        let in_force = |ports: &[Owned<PortForwardHandle>]| {
            ports.iter().map(|port| port.is_in_force().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(in_force(&ports), [true; 3]);
        let line = "nft delete element ip netloom-ports any { 6 . 8080 }";
        if !support::by_hand(&host, line) {
            return;
        }
        assert_eq!(in_force(&ports), [false, true, true]);
        let held = PortForward::new(9090, "10.0.0.3").create(&host).unwrap();
        assert!(held.is_in_force().unwrap());
        drop(held);
        // Another program may publish the port meanwhile. That port stays.
        let other =
            PortForward::new(8080, "10.0.0.3").persistent("net1/other").create(&host).unwrap();
        Together::new(ports).delete().unwrap();
        assert!(ports_of(&host, "net1/web").is_empty());
        assert!(other.is_in_force().unwrap());
        other.delete().unwrap();
        assert_nothing_left(&host);
    });
}
