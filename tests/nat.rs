//! Masquerading: the address that a server sees, the lifetime of the rules, and who can delete
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::TcpStream;
use std::process::Command;

use netloom::{
    Forwarding, Namespace, NatRule, NatRuleHandle, Netns, Owned, Protocol, Veth, VethEnd, VethPair,
};

use support::{by_hand, does_not_reach, reaches, tcp, udp, unchanged};

// `inside` (10.0.1.2, fd00:1::2) is behind `host`, whose `out` has 198.51.100.2 and 2001:db8::2.
// The `server` has .1 and ::1 there, and no route back.
struct Line {
    inside: Owned<Netns>,
    host: Owned<Netns>,
    server: Owned<Netns>,
    cables: [Owned<Veth>; 2],
    _on: [Owned<netloom::ForwardingHandle>; 2],
}

const SERVER: &str = "198.51.100.1";
const SERVER6: &str = "2001:db8::1";

fn line() -> Line {
    let [inside, host, server] = [(); 3].map(|()| Namespace::anonymous().create().unwrap());
    let end = |name: &str, v4: &str, v6: &str| VethEnd::new(name).address(v4).address(v6).up();
    let lan = VethPair::new(
        end("lan", "10.0.1.1/24", "fd00:1::1/64").address("10.0.2.1/24"),
        end("eth0", "10.0.1.2/24", "fd00:1::2/64").gateway("10.0.1.1").gateway("fd00:1::1"),
    );
    let out = VethPair::new(
        end("out", "198.51.100.2/24", "2001:db8::2/64"),
        end("eth0", "198.51.100.1/24", "2001:db8::1/64"),
    );
    let cables =
        [lan.create_between(&host, &inside).unwrap(), out.create_between(&host, &server).unwrap()];
    let on = [Forwarding::ipv4().create(&host).unwrap(), Forwarding::ipv6().create(&host).unwrap()];
    Line { inside, host, server, cables, _on: on }
}

impl Line {
    fn is_translated(&self) -> bool {
        let answer = netloom::Ping::new(SERVER).timeout(std::time::Duration::from_millis(200));
        answer.send(&self.inside).is_ok()
    }

    fn create(&self, rule: &NatRule) -> Owned<NatRuleHandle> {
        rule.create(&self.host).unwrap()
    }
}

/// Returns the host's ruleset as `nft` lists it, without counters. `None` if `nft` is not
/// installed.
fn ruleset(netns: &Netns) -> Option<String> {
    support::kernel::ruleset_besides_settings(netns)
}

#[test]
fn the_server_sees_the_hosts_address_while_the_owner_is_there() {
    support::isolated(|| {
        let line = line();
        does_not_reach(&line.inside, SERVER);
        let nat = line.create(&NatRule::masquerade().source("10.0.1.0/24"));
        reaches(&line.inside, SERVER);
        let seen = tcp(&line.inside, &line.server, "198.51.100.1:80").unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.2");
        let seen = udp(&line.inside, &line.server, "198.51.100.1:53").unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.2");
        nat.delete().unwrap();
        does_not_reach(&line.inside, SERVER);
        drop(line.create(&NatRule::masquerade()));
        does_not_reach(&line.inside, SERVER);
        assert!(ruleset(&line.host).is_none_or(|rules| rules.is_empty()));
    });
}

#[test]
fn ipv6_is_masqueraded_too() {
    support::isolated(|| {
        let line = line();
        does_not_reach(&line.inside, SERVER6);
        let nat = line.create(&NatRule::masquerade().source("fd00:1::/64").oifname("out"));
        reaches(&line.inside, SERVER6);
        let seen = tcp(&line.inside, &line.server, "[2001:db8::1]:80").unwrap();
        assert_eq!(seen.ip().to_string(), "2001:db8::2");
        does_not_reach(&line.inside, SERVER);
        if let Some(rules) = ruleset(&line.host) {
            let rule = "oifname \"out\" ip6 saddr fd00:1::/64 counter masquerade";
            assert!(rules.contains(rule), "{rules}");
        }
        drop(nat);
        does_not_reach(&line.inside, SERVER6);
    });
}

#[test]
fn only_the_source_that_is_meant_is_translated() {
    support::isolated(|| {
        let line = line();
        for (source, meant) in [
            ("10.0.1.0/24", true),
            ("10.0.0.0/15", true),
            ("10.0.1.2/32", true),
            ("10.0.1.0/30", true),
            ("0.0.0.0/0", true),
            ("10.0.2.0/24", false),
            ("10.0.1.4/30", false),
            ("10.0.1.3/32", false),
            ("::/0", false),
            ("fd00:1::/64", false),
        ] {
            let _nat = line.create(&NatRule::masquerade().source(source));
            assert_eq!(line.is_translated(), meant, "{source}");
        }
    });
}

#[test]
fn only_what_leaves_by_the_link_that_is_meant_is_translated() {
    support::isolated(|| {
        let line = line();
        let by_name = line.create(&NatRule::masquerade().oifname("lan"));
        does_not_reach(&line.inside, SERVER);
        drop(by_name);
        // A rule for `lan` as output link does not match these packets, which leave by `out`.
        let by_handle = line.create(&NatRule::masquerade().oif(line.cables[1].near()));
        reaches(&line.inside, SERVER);
        drop(by_handle);
        // A rule may name a link that does not exist yet.
        let early = line.create(&NatRule::masquerade().oifname("later").source("10.0.1.0/24"));
        does_not_reach(&line.inside, SERVER);
        let out = line.cables[1].near().clone();
        // Kernels before 6.3 rename a link only while it is down.
        out.set_down().unwrap();
        out.rename("later").unwrap();
        out.set_up().unwrap();
        reaches(&line.inside, SERVER);
        drop(early);
        does_not_reach(&line.inside, SERVER);
    });
}

#[test]
fn rules_go_in_any_order_and_the_last_takes_the_table_along() {
    support::isolated(|| {
        let line = line();
        let meant = NatRule::masquerade().source("10.0.1.0/24").oifname("out");
        let other = NatRule::masquerade().source("10.0.9.0/24");
        for meant_goes_first in [true, false] {
            let first = line.create(&meant);
            let second = line.create(&other);
            assert_ne!(first.number(), second.number());
            assert_eq!(first.table(), second.table());
            reaches(&line.inside, SERVER);
            if let Some(rules) = ruleset(&line.host) {
                let at =
                    |text: &str| rules.find(text).unwrap_or_else(|| panic!("{text} in {rules}"));
                let first = at("oifname \"out\" ip saddr 10.0.1.0/24 counter masquerade");
                assert!(
                    first < at("ip saddr 10.0.9.0/24 counter masquerade"),
                    "in the order they were made"
                );
                assert!(rules.contains("flags owner"), "{rules}");
            }
            if meant_goes_first {
                first.delete().unwrap();
                does_not_reach(&line.inside, SERVER);
                drop(second);
            } else {
                drop(second);
                reaches(&line.inside, SERVER);
                first.delete().unwrap();
                does_not_reach(&line.inside, SERVER);
            }
            assert!(ruleset(&line.host).is_none_or(|rules| rules.is_empty()));
            assert!(support::kernel::tables_besides_settings(&line.host).is_empty());
        }
    });
}

#[test]
fn nobody_else_can_take_the_table_away() {
    support::isolated(|| {
        let line = line();
        let nat = line.create(&NatRule::masquerade().source("10.0.1.0/24"));
        let table = nat.table().to_owned();
        let nft = |arguments: &[&str]| {
            let mut command = line.host.command("nft");
            command.args(arguments).output().map(|output| output.status.success())
        };
        match nft(&["flush", "ruleset"]) {
            // The kernel skips tables with an owner; older kernels fail the whole flush.
            Ok(_) => {}
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
        assert!(!nft(&["delete", "table", "inet", &table]).unwrap_or(false));
        assert!(!nft(&["flush", "chain", "inet", &table, "postrouting"]).unwrap_or(false));
        reaches(&line.inside, SERVER);
        assert_eq!(support::kernel::tables_besides_settings(&line.host).len(), 1);
        // Our table still accepts changes.
        let second = line.create(&NatRule::masquerade().source("10.0.2.0/24"));
        nat.delete().unwrap();
        second.delete().unwrap();
        assert_eq!(support::kernel::tables_besides_settings(&line.host).len(), 0);
    });
}

#[test]
fn rules_of_others_are_not_touched() {
    support::isolated(|| {
        let line = line();
        if !by_hand(&line.host, "nft add table inet theirs") {
            return reaches(&line.inside, "10.0.1.1");
        }
        by_hand(
            &line.host,
            "nft add chain inet theirs forward { type filter hook forward priority 0 ; }",
        );
        by_hand(&line.host, "nft add rule inet theirs forward counter");
        let before = ruleset(&line.host).unwrap();
        unchanged(&[&line.host], || {
            let nat = line.create(&NatRule::masquerade());
            let again = line.create(&NatRule::masquerade());
            drop(nat);
            drop(again);
        });
        assert_eq!(ruleset(&line.host).unwrap(), before);
    });
}

#[test]
fn a_rule_is_deleted_once_and_never_by_its_text() {
    support::isolated(|| {
        let line = line();
        let rule = NatRule::masquerade().source("10.0.1.0/24");
        let ours = line.create(&rule);
        let again = Owned::adopt(ours.handle().clone());
        let same_text = line.create(&rule);
        ours.delete().unwrap();
        // The rule is gone, and the second rule with the same text stays.
        again.delete().unwrap();
        reaches(&line.inside, SERVER);
        let kept = same_text.keep();
        reaches(&line.inside, SERVER);
        drop(Owned::adopt(kept));
        does_not_reach(&line.inside, SERVER);
    });
}

/// A new table has the name of the deleted table, and its rules have the same numbers.
#[test]
fn the_handle_of_a_deleted_rule_reads_no_counter_of_another() {
    support::isolated(|| {
        let line = line();
        let rule = NatRule::masquerade().source("10.0.1.0/24");
        let [first, second] = [(); 2].map(|()| line.create(&rule));
        let gone = first.handle().clone();
        first.delete().unwrap();
        second.delete().unwrap();
        let next = line.create(&rule);
        assert_eq!(next.number(), gone.number());
        assert!(gone.counter().unwrap_err().is_not_found());
        next.counter().unwrap();
    });
}

#[test]
fn each_handle_of_a_namespace_has_a_table_of_its_own() {
    support::isolated(|| {
        let line = line();
        let other =
            Netns::from_fd(std::os::fd::AsFd::as_fd(&*line.host).try_clone_to_owned().unwrap())
                .unwrap();
        let rule = NatRule::masquerade().source("10.0.1.0/24");
        let here = line.create(&rule);
        let there = rule.create(&other).unwrap();
        assert_ne!(here.table(), there.table());
        drop(here);
        reaches(&line.inside, SERVER);
        // The table is deleted with its socket, even after `keep`.
        drop(there.keep());
        drop(other);
        support::eventually("the table went with its socket", || {
            support::kernel::tables_besides_settings(&line.host).is_empty()
        });
        does_not_reach(&line.inside, SERVER);
    });
}

/// The kernel's owner flag: another process creates the rule, and is killed.
#[test]
fn a_killed_process_takes_its_rules_along() {
    const PATH: &str = "NETLOOM_TEST_NAT_OF";
    if let Some(path) = std::env::var_os(PATH) {
        let host = Netns::from_path(path).unwrap();
        let _nat = NatRule::masquerade().source("10.0.1.0/24").create(&host).unwrap();
        println!("made");
        loop {
            std::thread::park();
        }
    }
    support::isolated(|| {
        use std::io::{BufRead, BufReader};
        use std::os::fd::{AsFd, AsRawFd};
        let line = line();
        let host = format!("/proc/{}/fd/{}", std::process::id(), line.host.as_fd().as_raw_fd());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_killed_process_takes_its_rules_along", "--exact", "--nocapture"])
            .env(PATH, host)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("made")));
        reaches(&line.inside, SERVER);
        child.kill().unwrap();
        child.wait().unwrap();
        support::eventually("the table went with the process", || {
            support::kernel::tables_besides_settings(&line.host).is_empty()
        });
        does_not_reach(&line.inside, SERVER);
    });
}

#[test]
fn a_rule_for_a_link_follows_its_rename() {
    support::isolated(|| {
        let line = line();
        let lan = line.host.link("lan").unwrap();
        let rule = NatRule::redirect(7000).protocol(Protocol::TCP).dport(80).iif(&lan);
        let _rule = line.create(&rule);
        let _listener = line.host.tcp_listen("10.0.1.1:7000").unwrap();
        let connect = || line.inside.run(|| TcpStream::connect("10.0.1.1:80")).unwrap();
        connect().unwrap();
        lan.rename("elsewhere").unwrap();
        connect().unwrap();
    });
}
