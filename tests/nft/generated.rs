//! Generated rulesets: ours read back by us are ours; what `nft` makes of its own listing of them reads
//! back the same.

use netloom::Namespace;
use netloom::nft::{
    Chain, CtState, Element, Family, Field, Limit, Log, Reject, Rule, Table, Verdict,
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
    ];
    prop::sample::select(all)
}

fn rule() -> impl Strategy<Value = Rule> {
    (first(), second(), 1..=u16::MAX, 1..=u16::MAX, third(), any::<u32>())
        .prop_map(|(rule, second, a, b, third, n)| third(second(rule, a, b), n))
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
                let _table = Table::new(Family::Inet, "t")
                    .chain(Chain::new("other"))
                    .chain(chain)
                    .create(&ours)
                    .unwrap();
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
