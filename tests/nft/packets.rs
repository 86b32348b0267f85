//! Rules tested with packets: accept, drop and limit; and concurrent changes by other programs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use netloom::nft::{
    Chain, CtState, Element, Family, Field, Hook, Limit, Map, Numgen, Object, ObjectKind, Policy,
    Priority, Reject, Rule, Set, Table, Type, Verdict,
};
use netloom::{Namespace, Netns, Owned, Ping, Veth, VethEnd, VethPair};

use crate::golden::load;
use crate::support::features::supported;
use crate::support::{self, Place, nft};

fn pair() -> (Owned<Netns>, Owned<Netns>, Owned<Veth>) {
    let [near, far] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
    let cable = VethPair::new(
        VethEnd::new("eth0").address("10.0.0.1/24").up(),
        VethEnd::new("eth0").address("10.0.0.2/24").up(),
    )
    .create_between(&near, &far)
    .unwrap();
    (near, far, cable)
}

/// Returns whether a ping is answered, with a long timeout for a busy machine.
fn reaches(from: &Netns) -> bool {
    Ping::new("10.0.0.1").timeout(Duration::from_secs(10)).send(from).is_ok()
}

fn is_lost(from: &Netns) -> bool {
    Ping::new("10.0.0.1").timeout(Duration::from_millis(200)).send(from).is_err()
}

/// The time limit for a connection. A refusal arrives at once; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn new_connections() -> Rule {
    Rule::new().tcp().dport(7000).ct_state(CtState::NEW)
}

fn input() -> Chain {
    Chain::new("in").hook(Hook::Input, Priority::FILTER)
}

#[test]
fn a_match_by_index_follows_a_rename() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let link = near.link("eth0").unwrap();
        let chain = input()
            .rule(Rule::new().iif(&link).icmp_echo().counter().drop())
            .rule(Rule::new().not().iif("lo").iifname("eth*").icmp_echo().counter());
        let table = Table::new(Family::Inet, "t").chain(chain).create(&near).unwrap();
        assert!(is_lost(&far));
        link.rename("elsewhere").unwrap();
        assert!(is_lost(&far));
        let rules = &table.read().unwrap().chains[0].rules;
        let said = rules[0].rule.to_string();
        assert_eq!(said, "iif \"elsewhere\" icmp type 8 counter drop");
        assert_eq!(rules[1].rule.to_string(), "iif != \"lo\" iifname \"eth*\" icmp type 8 counter");
        let refused = Rule::new().iif("nobody").drop().create(&table.chain("in").unwrap());
        assert!(refused.unwrap_err().is_not_found());
    });
}

#[test]
fn rules_accept_and_drop_and_count() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        assert!(reaches(&far));
        let table = Table::new(Family::Inet, "t").chain(input().policy(Policy::Drop));
        let table = table.create(&near).unwrap();
        let chain = table.chain("in").unwrap();
        let arrived = Rule::new().icmp_echo().counter().create(&chain).unwrap();
        assert!(is_lost(&far));
        // On a busy machine the dropped packet may be late, and the next rule would count it too.
        support::eventually("what is dropped has arrived", || {
            arrived.counter().unwrap().packets == 1
        });
        let accept = Rule::new().source("10.0.0.2").icmp_echo().counter().accept();
        let accept = accept.create(&chain).unwrap();
        assert!(reaches(&far));
        let counted = accept.counter().unwrap();
        assert_eq!(counted.packets, 1);
        if let Some(before) = supported("nft-rule-reset", accept.reset_counter()) {
            assert_eq!(before, counted);
            assert_eq!(accept.counter().unwrap().packets, 0);
        } else {
            assert_eq!(accept.counter().unwrap(), counted);
        }
        accept.replace(&Rule::new().not().source("10.0.0.2").icmp_echo().accept()).unwrap();
        assert!(is_lost(&far));
    });
}

#[test]
fn a_policy_decides_as_it_is_now() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let table = Table::new(Family::Inet, "t").chain(input()).create(&near).unwrap();
        let chain = table.chain("in").unwrap();
        assert!(reaches(&far));
        chain.set_policy(Policy::Drop).unwrap();
        assert!(is_lost(&far));
        chain.set_policy(Policy::Accept).unwrap();
        assert!(reaches(&far));
    });
}

#[test]
fn a_set_decides_as_it_is_now() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let blocked = Set::new("blocked", Type::Ipv4).interval();
        let drop = Rule::new().in_set([Field::Ip4Source], "blocked").drop();
        let table = Table::new(Family::Inet, "t").set(blocked).chain(input().rule(drop));
        let table = table.create(&near).unwrap();
        assert!(reaches(&far));
        let set = table.set("blocked").unwrap();
        set.add(["10.0.0.0/30"]).unwrap();
        assert!(is_lost(&far));
        set.flush().unwrap();
        assert!(reaches(&far));
    });
}

#[test]
fn a_limit_lets_its_burst_through() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let limit = Limit::packets(1).per_hour().burst(3);
        let chain = input()
            .rule(Rule::new().icmp_echo().counter())
            .rule(Rule::new().icmp_echo().limit(limit).counter().accept())
            .rule(Rule::new().icmp_echo().drop());
        assert!(reaches(&far));
        let table = Table::new(Family::Ip, "t").chain(chain).create(&near).unwrap();
        for _ in 0..6 {
            is_lost(&far);
        }
        // Counts the packets that passed: replies may be late on a busy machine.
        let rules = table.chain("in").unwrap().rules().unwrap();
        let counted = |at: usize| rules[at].0.counter().unwrap().packets;
        assert_eq!((counted(0), counted(1)), (6, 3));
    });
}

#[test]
fn so_many_connections_and_no_more() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let _server = near.tcp_listen("10.0.0.1:7000").unwrap();
        let two_and_no_more = |chain: Chain| {
            let table = Table::new(Family::Inet, "t").chain(chain).create(&near).unwrap();
            let connect = || far.tcp_connect("10.0.0.1:7000", PATIENCE);
            let _there = [connect().unwrap(), connect().unwrap()];
            let refused = connect().unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(nix::libc::ECONNREFUSED), "{refused}");
            table.delete().unwrap();
        };
        let over = new_connections().connections_over(2).reject(Reject::TcpReset);
        two_and_no_more(input().rule(over));
        let within = new_connections().connections(2).accept();
        two_and_no_more(input().rule(within).rule(new_connections().reject(Reject::TcpReset)));
    });
}

#[test]
fn so_many_connections_of_each_and_no_more() {
    support::isolated(|| {
        let (near, far, cable) = pair();
        let other = netloom::Address::new("10.0.0.5/24").create(cable.near()).unwrap();
        let _server = near.tcp_listen("0.0.0.0:7000").unwrap();
        let connect = |to: &str| far.tcp_connect(to, PATIENCE);
        let over = new_connections()
            .connections_over_each([Field::Ip4Destination], "busy", 1)
            .counter()
            .reject(Reject::TcpReset);
        let busy = Set::new("busy", Type::Ipv4).dynamic().size(100);
        let table = Table::new(Family::Inet, "t").set(busy).chain(input().rule(over));
        let table = table.create(&near).unwrap();
        let _one = connect("10.0.0.1:7000").unwrap();
        let refused = connect("10.0.0.1:7000").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ECONNREFUSED), "{refused}");
        let _another = connect("10.0.0.5:7000").unwrap();
        assert!(connect("10.0.0.5:7000").is_err());
        let set = table.set("busy").unwrap();
        assert!(set.contains("10.0.0.1").unwrap() && set.contains("10.0.0.5").unwrap());
        let rules = table.chain("in").unwrap().rules().unwrap();
        assert_eq!(rules[0].0.counter().unwrap().packets, 2);
        drop(other);
    });
}

#[test]
fn packets_are_spread_and_counted_by_what_they_are() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let jump = |number: u8, to: &str| Element::new(number).verdict(Verdict::Jump(to.into()));
        let spread = Rule::new()
            .icmp_echo()
            .counter_each([Field::Ip4Source], "clients")
            .object_map(ObjectKind::Counter, [Field::Ip4Source], "counters")
            .verdicts([Numgen::incremental(2).into()], [jump(0, "even"), jump(1, "odd")]);
        let table = Table::new(Family::Ip, "t")
            .object(Object::counter("far"))
            .set(Set::new("clients", Type::Ipv4).dynamic().size(100))
            .map(
                Map::objects("counters", Type::Ipv4, ObjectKind::Counter)
                    .element(Element::new("10.0.0.2").object("far")),
            )
            .chain(Chain::new("even").rule(Rule::new().counter()))
            .chain(Chain::new("odd").rule(Rule::new().counter()))
            .chain(input().rule(spread));
        let table = table.create(&near).unwrap();
        for _ in 0..4 {
            assert!(reaches(&far));
        }
        let counted = |chain: &str| {
            let rules = table.chain(chain).unwrap().rules().unwrap();
            rules[0].0.counter().unwrap().packets
        };
        assert_eq!((counted("even"), counted("odd")), (2, 2));
        let far_object = table.object(ObjectKind::Counter, "far").unwrap();
        assert_eq!(far_object.read().unwrap().counted().packets, 4);
        let clients = table.set("clients").unwrap().elements().unwrap();
        assert_eq!(clients, ["10.0.0.2".into()]);
        assert_eq!(clients[0].counter().unwrap().packets, 4);
    });
}

#[test]
fn held_rules_live_through_what_others_do() {
    support::isolated(|| {
        let (near, far, _cable) = pair();
        let chain = input()
            .rule(Rule::new().source("10.0.0.2").icmp_echo().counter().accept())
            .rule(Rule::new().tcp().dport(7).drop());
        let table = Table::new(Family::Inet, "held").chain(chain).create(&near).unwrap();
        let before = table.read().unwrap();
        let (stop, sent) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // The ping's default timeout suffices while the other program reloads its
                    // ruleset.
                    far.ping("10.0.0.1").expect("traffic goes on");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
            for _ in 0..10 {
                if nft(&Place::of_fd(&*near), &["flush", "ruleset"]).is_none() {
                    break;
                }
                assert!(load(
                    &near,
                    "flush ruleset\ntable inet foreign { chain c {\n accept\n }\n}"
                ));
                thread::sleep(Duration::from_millis(10));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let after = table.read().unwrap();
        let counted = after.chains[0].rules[0].counter.unwrap().packets;
        assert_eq!(counted, u64::from(sent.load(Ordering::Relaxed)));
        assert_eq!(after.number, before.number);
        assert_eq!(after.chains[0].rules.len(), 2);
        // Deletes the other program's tables.
        drop(nft(&Place::of_fd(&*near), &["flush", "ruleset"]));
    });
}
