//! Ports that belong to a process.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use netloom::{Netns, Owned, PortForward};

use crate::lab::{Lab, assert_lost, seen};
use crate::support;
use crate::traffic::{PATIENCE, SHORT, tcp};

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
        // What is kept lives as long as the handle, and no longer: it does not keep itself alive.
        let kept = PortForward::new(8082, "10.0.0.2").target_port(80).create(&other).unwrap();
        let kept = kept.keep();
        tcp(&lab.host, "127.0.0.1:8082", PATIENCE).unwrap();
        drop(kept);
        drop(other);
        support::eventually("the table went with its socket", || {
            support::kernel::tables(&lab.host).is_empty()
        });
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
        // Another protocol, another family, another address: no conflict.
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
        // An ordinary user's send buffer holds some 7,000 at once.
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

#[test]
fn a_killed_process_takes_its_ports_along() {
    const PATH: &str = "NETLOOM_TEST_PORTS_OF";
    if let Some(path) = std::env::var_os(PATH) {
        let host = Netns::from_path(path).unwrap();
        let forward = PortForward::new(8080, "10.0.0.2").target_port(80);
        let _forwards =
            [forward.clone().create(&host).unwrap(), forward.udp().create(&host).unwrap()];
        println!("made");
        loop {
            std::thread::park();
        }
    }
    support::isolated(|| {
        let lab = Lab::new(false);
        let _servers = lab.servers();
        let host = format!("/proc/{}/fd/{}", std::process::id(), lab.host.as_fd().as_raw_fd());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["held::a_killed_process_takes_its_ports_along", "--exact", "--nocapture"])
            .env(PATH, host)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("made")));
        seen(&lab.outside, "198.51.100.2:8080");
        seen(&lab.host, "127.0.0.1:8080");
        // Somebody flushes all while traffic flows.
        let place = support::Place::of_fd(&*lab.host);
        if support::nft(&place, &["flush", "ruleset"]).is_some() {
            seen(&lab.outside, "198.51.100.2:8080");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with the process", || {
            support::kernel::tables(&lab.host).is_empty()
        });
        assert_lost(&lab.outside, "198.51.100.2:8080");
    });
}
