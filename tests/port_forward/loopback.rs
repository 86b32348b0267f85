//! Loopback addresses: packets from links to 127.0.0.0/8 are dropped, or no link routes them.

use std::process::{Child, Command, Stdio};

use netloom::{Bridge, Link, Netns, Owned, PortForward, Setting, VethPair};

use crate::held::publisher;
use crate::lab::{Lab, another, assert_lost, host, ports_of, seen};
use crate::support::{self, kernel::tables_besides_settings};
use crate::traffic::Server;

fn setting(host: &Netns, link: &str) -> String {
    host.sysctl(&format!("net.ipv4.conf.{link}.route_localnet")).unwrap()
}

/// Returns the alternative names of all links, in which netloom notes that it
/// turned `route_localnet` on.
fn notes(host: &Netns) -> Vec<String> {
    host.links().unwrap().into_iter().flat_map(|link| link.alternative_names).collect()
}

#[track_caller]
fn assert_restored(host: &Netns, link: &str) {
    assert_eq!(setting(host, link), "0");
    assert_eq!(notes(host), [""; 0]);
    assert_eq!(tables_besides_settings(host), Vec::<String>::new());
}

fn flush(host: &Netns) -> bool {
    let place = support::Place::of_fd(host);
    support::nft(&place, &["flush", "ruleset"]).is_some()
}

fn web() -> PortForward {
    PortForward::new(8080, "10.0.0.2").target_port(80)
}

#[test]
fn after_a_flush_the_deletion_of_a_port_restores_the_setting() {
    support::isolated(|| {
        for tag in [None, Some("web")] {
            let (host, _bridge) = host();
            let port = tag.iter().fold(web(), |port, tag| port.persistent(*tag));
            let port = port.create(&host).unwrap();
            assert_eq!(setting(&host, "br0"), "1");
            if !flush(&host) {
                return;
            }
            port.delete().unwrap();
            assert_restored(&host, "br0");
        }
    });
}

#[test]
fn after_a_flush_the_next_call_of_any_program_closes_the_way_to_127_0_0_1() {
    type Call<'a> = (&'a str, &'a dyn Fn(&Netns));
    support::isolated(|| {
        let calls: [Call<'_>; 4] = [
            ("create", &|other| {
                let elsewhere = PortForward::new(53, "10.9.0.2").link("veth1");
                elsewhere.create(other).unwrap().delete().unwrap();
            }),
            ("list", &|other| assert_eq!(other.port_forwards().unwrap(), [])),
            ("with a tag", &|other| assert_eq!(ports_of(other, "web"), [])),
            ("reap", &|other| {
                let reaped = other.run(netloom::reap).unwrap().unwrap();
                assert_eq!((reaped.removed.len(), reaped.failures.len()), (1, 0));
            }),
        ];
        for (name, call) in calls {
            let lab = Lab::new(false);
            let _other = VethPair::new("veth1", "veth2").create(&lab.host).unwrap();
            let _own = Server::start(&lab.host, "127.0.0.1:22");
            let _on =
                netloom::Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.neighbor);
            let way = netloom::Route::new("127.0.0.0/8").via("10.0.0.1");
            let _way = way.create(&lab.neighbor).unwrap();
            web().persistent("web").create(&lab.host).unwrap().keep();
            assert_lost(&lab.neighbor, "127.0.0.1:22");
            if !flush(&lab.host) {
                return;
            }
            // The documentation states this gap between a flush and the next call.
            seen(&lab.neighbor, "127.0.0.1:22");
            call(&another(&lab.host));
            assert_eq!(setting(&lab.host, "br0"), "0", "{name}");
            assert_lost(&lab.neighbor, "127.0.0.1:22");
            assert_restored(&lab.host, "br0");
        }
    });
}

#[test]
fn a_held_port_keeps_the_drop_through_a_flush() {
    support::isolated(|| {
        let lab = Lab::new(false);
        let _own = Server::start(&lab.host, "127.0.0.1:22");
        let _on = netloom::Sysctl::new("net.ipv4.conf.all.route_localnet", 1).create(&lab.neighbor);
        let _way =
            netloom::Route::new("127.0.0.0/8").via("10.0.0.1").create(&lab.neighbor).unwrap();
        let port = web().create(&lab.host).unwrap();
        if !flush(&lab.host) {
            return;
        }
        assert_lost(&lab.neighbor, "127.0.0.1:22");
        // Any call creates the table that outlives the process.
        assert_eq!(lab.host.port_forwards().unwrap(), []);
        let tables = tables_besides_settings(&lab.host);
        assert!(tables.iter().any(|table| table.contains("netloom-loopback")), "{tables:?}");
        drop(port);
        assert_restored(&lab.host, "br0");
    });
}

const PATH: &str = "NETLOOM_TEST_LOOPBACK_OF";
const WHO: &str = "NETLOOM_TEST_LOOPBACK_WHO";

/// Returns the number of rounds: a few, or the number that `tools/deep` sets.
fn rounds(few: u32) -> u32 {
    std::env::var("NETLOOM_TEST_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// Publishes and deletes ports on one link until it is killed or has done its rounds.
fn churn() -> bool {
    let (Ok(path), Ok(who)) = (std::env::var(PATH), std::env::var(WHO)) else { return false };
    let host = Netns::from_path(path).unwrap();
    let port = 1000 + who.parse::<u16>().unwrap();
    for round in 0..rounds(20) {
        let forward = PortForward::new(port, "10.0.0.2");
        let forward = if round % 2 == 0 { forward } else { forward.persistent("churn") };
        let made = forward.create(&host).unwrap();
        assert_eq!(setting(&host, "br0"), "1", "{who}: round {round}");
        made.delete().unwrap();
    }
    true
}

fn churner(host: &Netns, who: u16, test: &str) -> Child {
    use std::os::fd::{AsFd, AsRawFd};
    let path = format!("/proc/{}/fd/{}", std::process::id(), host.as_fd().as_raw_fd());
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PATH, path)
        .env(WHO, who.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn programs_that_publish_on_one_link_at_once_leave_the_setting_as_it_was() {
    if churn() {
        return;
    }
    support::isolated(|| {
        let (host, _bridge) = host();
        let test =
            "loopback::programs_that_publish_on_one_link_at_once_leave_the_setting_as_it_was";
        let children = [0, 1, 2].map(|who| churner(&host, who, test));
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_restored(&host, "br0");
    });
}

#[test]
fn what_killed_programs_left_on_one_link_is_reaped() {
    if churn() {
        return;
    }
    support::isolated(|| {
        let (host, _bridge) = host();
        let test = "loopback::what_killed_programs_left_on_one_link_is_reaped";
        for round in 0..rounds(3) {
            let children = [0, 1].map(|who| churner(&host, who, test));
            std::thread::sleep(std::time::Duration::from_millis(60 + u64::from(round % 7) * 5));
            for mut child in children {
                child.kill().ok();
                child.wait().unwrap();
            }
            support::eventually("the kernel deleted the held tables", || {
                let tables = tables_besides_settings(&host);
                !tables.iter().any(|table| table.contains("netloom-ports-"))
            });
            let reaped = host.run(netloom::reap).unwrap().unwrap();
            assert!(reaped.failures.is_empty(), "{:?}", reaped.failures);
            for port in ports_of(&host, "churn") {
                Owned::adopt(port).delete().unwrap();
            }
            assert_restored(&host, "br0");
        }
    });
}

#[test]
fn the_setting_of_a_stranger_with_the_index_of_a_dead_link_stays() {
    crate::held::publish_until_killed();
    support::isolated(|| {
        let (host, bridge) = host();
        let this = "loopback::the_setting_of_a_stranger_with_the_index_of_a_dead_link_stays";
        let mut child = publisher(&host, this);
        child.kill().unwrap();
        child.wait().unwrap();
        let index = bridge.index();
        bridge.delete().unwrap();
        if !support::by_hand(&host, &format!("ip link add other index {index} type bridge")) {
            return;
        }
        let other: Link = host.link("other").unwrap();
        Setting::route_localnet(&other).to(true).create(&host).unwrap().keep();
        drop(host.run(netloom::reap).unwrap().unwrap());
        assert_eq!(setting(&host, "other"), "1");
        assert_eq!(notes(&host), [""; 0]);
    });
}

#[test]
fn the_next_port_of_a_handle_turns_on_again_what_somebody_turned_off() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let first = web().create(&host).unwrap();
        let link = host.link("br0").unwrap();
        Setting::route_localnet(&link).to(false).create(&host).unwrap().keep();
        assert_eq!(setting(&host, "br0"), "0");
        let second = PortForward::new(81, "10.0.0.2").create(&host).unwrap();
        assert_eq!(setting(&host, "br0"), "1");
        drop((first, second));
        assert_restored(&host, "br0");
    });
}

/// Counts the elements of all sets and maps, which grow with the published ports.
fn elements(host: &Netns) -> usize {
    host.nft_ruleset()
        .unwrap()
        .iter()
        .flat_map(|table| &table.sets)
        .map(|set| set.elements.len())
        .sum()
}

#[test]
fn rounds_with_new_addresses_and_links_leave_nothing_beside_a_port_that_stays() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let idle = Bridge::new("idle").address("10.8.0.1/24").up().create(&host).unwrap();
        PortForward::new(99, "10.8.0.2").create(&host).unwrap().delete().unwrap();
        for tag in [None, Some("stays")] {
            let kind = |port: PortForward| tag.iter().fold(port, |port, tag| port.persistent(*tag));
            let stays = kind(PortForward::new(80, "10.0.0.2")).create(&host).unwrap();
            let live = elements(&host);
            for round in 0..200 * rounds(1) {
                let [_, top, high, low] = round.to_be_bytes();
                let cable = VethPair::new("a", "b").create(&host).unwrap();
                let ports = [
                    format!("10.{}.{high}.{low}", 32 + top),
                    format!("fd07::{top:x}:{high:x}:{low:x}"),
                ]
                .map(|target| kind(PortForward::new(81, &*target)).link(cable.near()));
                let ports = PortForward::create_all(&ports, &host).unwrap();
                // In every other round, the link is deleted before its ports.
                if round % 2 == 0 {
                    drop(cable);
                }
                netloom::Together::new(ports).delete().unwrap();
                if round % 50 == 0 {
                    assert!(elements(&host) <= live + 64, "{} beside {live}", elements(&host));
                    assert_eq!(notes(&host).len(), 2, "of lo and of br0");
                }
            }
            assert_eq!(elements(&host), live);
            assert_eq!((setting(&host, "idle"), setting(&host, "br0")), ("0".into(), "1".into()));
            drop(stays);
            assert_restored(&host, "br0");
        }
        drop(idle);
    });
}
