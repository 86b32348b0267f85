//! Generated rulesets: ours read back by us are ours; what `nft` makes of its own listing of them reads
//! back the same.

use std::net::Ipv4Addr;
use std::time::Duration;

use netloom::Namespace;
use netloom::nft::{
    Chain, CtState, Datum, Element, Family, Field, Limit, Log, Map, Numgen, Object, ObjectKind,
    Reject, Rule, Set, Synproxy, Table, Type, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::golden::{essence, load};
use crate::support::{self, Place, nft};

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..255_u8).prop_map(|last| format!("10.1.2.{last}")),
        (8..=30_u8).prop_map(|bits| {
            ipnet::Ipv4Net::new([10, 3, 7, 21].into(), bits).unwrap().trunc().to_string()
        }),
        (1..99_u8, 100..200_u8).prop_map(|(a, b)| format!("10.1.2.{a}-10.1.2.{b}")),
    ]
}

fn address6() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..9999_u16).prop_map(|last| format!("fd00::{last:x}")),
        (8..=126_u8).prop_map(|bits| {
            let address = "fd12:3456:789a:bcde:f012:3456:789a:bcde".parse().unwrap();
            ipnet::Ipv6Net::new(address, bits).unwrap().trunc().to_string()
        }),
    ]
}

/// What a rule says before its protocol.
fn first() -> impl Strategy<Value = Rule> {
    let not = |not: bool, rule: Rule| if not { rule.not() } else { rule };
    prop_oneof![
        Just(Rule::new()),
        (any::<bool>(), address()).prop_map(move |(no, a)| not(no, Rule::new()).source(a)),
        (any::<bool>(), address()).prop_map(move |(no, a)| not(no, Rule::new()).destination(a)),
        (any::<bool>(), address6()).prop_map(move |(no, a)| not(no, Rule::new()).source(a)),
        (address(), address()).prop_map(|(a, b)| Rule::new().source(a).destination(b)),
        prop::collection::btree_set(1..250_u8, 2..9).prop_map(|lasts| {
            Rule::new().sources(lasts.into_iter().map(|last| format!("192.0.2.{last}")))
        }),
        "[a-z]{1,8}".prop_map(|name| Rule::new().in_link(name)),
        "[a-z]{1,8}".prop_map(|name| Rule::new().out_link(format!("{name}*"))),
        any::<u32>().prop_map(|mark| Rule::new().mark(mark)),
        (1..8_u32).prop_map(|bits| {
            let states = CtState::INVALID | CtState::ESTABLISHED | CtState::RELATED;
            Rule::new().ct_state(CtState::from_bits_retain(bits) & states)
        }),
        Just(Rule::new().to_this_machine()),
        Just(Rule::new().ipv6()),
    ]
}

fn second() -> impl Strategy<Value = fn(Rule, u16, u16) -> Rule> {
    let all: Vec<fn(Rule, u16, u16) -> Rule> = vec![
        |rule, _, _| rule,
        |rule, a, _| rule.tcp().dport(a),
        |rule, a, b| rule.udp().dport(a.min(b)..=a.max(b)),
        |rule, a, b| rule.tcp().not().sport(a).dport(b),
        |rule, a, b| if a == b { rule.tcp() } else { rule.tcp().dports([a, b]) },
        |rule, _, _| rule.tcp().tcp_syn(),
        |rule, a, _| rule.sctp().dport(a),
        |rule, a, _| {
            let accept = Element::new(a).verdict(Verdict::Accept);
            rule.udp().verdicts([Field::DestinationPort], [accept])
        },
    ];
    prop::sample::select(all)
}

fn third() -> impl Strategy<Value = fn(Rule, u32) -> Rule> {
    let all: Vec<fn(Rule, u32) -> Rule> = vec![
        |rule, _| rule.accept(),
        |rule, _| rule.counter().drop(),
        |rule, n| rule.limit(Limit::packets(u64::from(n % 1000) + 1).per_minute()).accept(),
        |rule, n| rule.set_mark(n).save_mark(),
        |rule, n| rule.set_ct_mark(n).jump("other"),
        |rule, n| rule.log(Log::new().prefix(format!("p{n}")).level(6)).goto("other"),
        |rule, _| rule.reject(Reject::PortUnreachable),
        |rule, n| rule.counter().back().comment(format!("number {n}")),
        |rule, n| rule.named_counter("web").quota(u64::from(n) + 1).accept(),
        |rule, n| rule.named_quota("month").quota_over(u64::from(n) + 1).drop(),
        |rule, n| rule.named_limit("slow").set_mark_from(spread(n)).accept(),
        |rule, n| rule.connections(n % 99 + 1).accept(),
        |rule, n| rule.connections_over(n % 99 + 1).drop(),
        |rule, n| rule.is(spread(n).into(), n % 7).counter(),
        |rule, n| {
            let jump = Verdict::Jump("other".into());
            let other = |number: u32| Element::new(number).verdict(jump.clone());
            rule.verdicts([spread(n).into()], [other(n % 5), other(n % 5 + 1)])
        },
        |rule, n| rule.add_to_set([Field::Mark], "marks").timeout(Duration::from_millis(time(n))),
        |rule, _| rule.update_map([Field::InLink], "links", [Field::Mark]),
    ];
    prop::sample::select(all)
}

/// In milliseconds; what is whole in every kernel's ticks.
fn time(n: u32) -> u64 {
    100 * (u64::from(n % 9_000_000) + 1)
}

/// `nft` refuses to compare with what the number can't be: it can be all that is asked for here.
fn spread(n: u32) -> Numgen {
    let modulus = n % 100 + 10;
    let number = match n % 4 {
        0 => Numgen::incremental(modulus),
        1 => Numgen::random(modulus),
        2 => Numgen::symhash(modulus),
        _ => Numgen::jhash([Field::Mark], modulus).seed(n),
    };
    number.offset(n / 3 % 50)
}

/// What needs to know which protocol it is about, or which family.
fn of_a_protocol() -> impl Strategy<Value = fn(Rule, u16, u32) -> Rule> {
    let all: Vec<fn(Rule, u16, u32) -> Rule> = vec![
        |rule, _, n| {
            let limit = Limit::packets(u64::from(n % 1000) + 1).per_minute().over();
            rule.limit_each([Field::Ip4Source], "slow-ones", limit).drop()
        },
        |rule, _, _| rule.counter_each([Field::Ip4Source, Field::DestinationPort], "counted"),
        |rule, _, n| rule.connections_over_each([Field::Ip4Source], "busy", n % 99 + 1).drop(),
        |rule, _, n| {
            let timeout = Duration::from_millis(time(n));
            rule.update_set([Field::Ip4Source], "seen").timeout(timeout).accept()
        },
        |rule, _, _| rule.delete_from_set([Field::Ip4Destination], "seen").accept(),
        |rule, _, _| rule.update_map([Field::Ip4Source], "ports", [Field::SourcePort]),
        |rule, _, _| rule.dnat_map([Field::DestinationPort], "hosts"),
        |rule, _, _| rule.dnat_map_to_ports([Field::DestinationPort], "services"),
        |rule, a, n| {
            let to = |port: u16, n: u32| Element::new(port).value(Ipv4Addr::from_bits(n));
            let elements = [to(a, n), to(a ^ 1 | 2, n / 2)];
            rule.dnat_by([Field::DestinationPort], elements)
        },
        |rule, a, n| {
            let to = [Datum::from(Ipv4Addr::from_bits(n)), Datum::from(a)];
            rule.dnat_by([spread(n).into()], [Element::new(0).values(to)])
        },
        |rule, _, n| {
            let hash = Numgen::jhash([Field::Ip4Source, Field::SourcePort], n % 9 + 1).seed(n);
            rule.set_ct_mark_from(hash)
        },
        |rule, _, _| rule.object_map(ObjectKind::Counter, [Field::DestinationPort], "counters"),
        |rule, a, _| {
            let web = Element::new(a).object("web");
            rule.objects(ObjectKind::Counter, [Field::SourcePort], [web])
        },
        |rule, a, n| {
            let offer = Synproxy::new().mss(a).window_scale((n % 15) as u8);
            rule.synproxy(if n % 2 == 0 { offer.timestamp() } else { offer.sack_permitted() })
        },
        |rule, _, _| rule.named_synproxy("offer"),
        |rule, a, _| rule.tproxy(a).accept(),
        |rule, a, n| rule.tproxy_to((Ipv4Addr::from_bits(n), a)).accept(),
        |rule, _, n| rule.socket_transparent().set_mark(n),
        |rule, _, n| rule.socket_mark(n).is(Field::SocketWildcard, 0).counter(),
    ];
    prop::sample::select(all)
}

fn rule() -> impl Strategy<Value = Rule> {
    let anywhere = (first(), second(), 1..=u16::MAX, 1..=u16::MAX, third(), any::<u32>())
        .prop_map(|(rule, second, a, b, third, n)| third(second(rule, a, b), n));
    let of_a_protocol = (address(), 1..=u16::MAX, of_a_protocol(), any::<u32>())
        .prop_map(|(from, a, rest, n)| rest(Rule::new().source(from).tcp().dport(a), a, n));
    prop_oneof![anywhere, of_a_protocol]
}

/// What the rules name.
fn table() -> Table {
    let minute = Duration::from_secs(60);
    let dynamic = |name, key: Type| Set::new(name, key).dynamic().size(100);
    let service = [Datum::from("10.0.0.3"), Datum::from(5353_u16)];
    Table::new(Family::Inet, "t")
        .object(Object::counter("web"))
        .object(Object::quota("month", 100 << 20).over())
        .object(Object::limit("slow", Limit::packets(10).per_minute()))
        .object(Object::synproxy("offer", Synproxy::new().mss(1460).window_scale(7)))
        .set(dynamic("marks", Type::Mark).timeout(minute))
        .set(dynamic("seen", Type::Ipv4).timeout(minute))
        .set(dynamic("slow-ones", Type::Ipv4))
        .set(dynamic("busy", Type::Ipv4))
        .set(Set::new("counted", [Type::Ipv4, Type::Port]).dynamic().size(100))
        .map(Map::new("links", Type::LinkName, Type::Mark).dynamic().size(100))
        .map(Map::new("ports", Type::Ipv4, Type::Port).dynamic().size(100))
        .map(
            Map::new("hosts", Type::Port, Type::Ipv4)
                .element(Element::new(80_u16).value("10.0.0.2")),
        )
        .map(
            Map::new("services", Type::Port, [Type::Ipv4, Type::Port])
                .element(Element::new(53_u16).values(service)),
        )
        .map(
            Map::objects("counters", Type::Port, ObjectKind::Counter)
                .element(Element::new(80_u16).object("web")),
        )
}

#[test]
fn what_is_said_is_what_is_read() {
    support::isolated(|| {
        let mut runner =
            TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
        let rulesets = prop::collection::vec(rule(), 1..12);
        runner
            .run(&rulesets, |rules| {
                let ours = Namespace::anonymous().create().unwrap();
                let theirs = Namespace::anonymous().create().unwrap();
                let chain = rules.iter().cloned().fold(Chain::new("generated"), Chain::rule);
                let _table = table().chain(Chain::new("other")).chain(chain).create(&ours).unwrap();
                let read = ours.nft_ruleset().unwrap();
                let back: Vec<_> =
                    read[0].chains[1].rules.iter().map(|info| info.rule.clone()).collect();
                prop_assert_eq!(&back, &rules);
                let Some(listed) = nft(&Place::of_fd(&*ours), &["-s", "list", "ruleset"]) else {
                    return Ok(());
                };
                let ruleset: Vec<_> =
                    listed.lines().filter(|line| !line.contains("flags owner")).collect();
                let ruleset = ruleset.join("\n");
                assert!(load(&theirs, &ruleset));
                let theirs = essence(theirs.nft_ruleset().unwrap());
                prop_assert_eq!(theirs, essence(read), "{}", ruleset);
                Ok(())
            })
            .unwrap();
    });
}
