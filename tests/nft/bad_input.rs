//! Values that are known to be wrong are refused before the first system call.

use netloom::nft::{
    Chain, ChainKind, CtState, Element, Family, Field, Hook, Limit, Map, Policy, Priority, Reject,
    Rule, Set, Table, Transaction, Type,
};
use netloom::{Error, Namespace, Owned};

use crate::support;

#[track_caller]
fn is_refused<H: netloom::Handle>(result: Result<Owned<H>, Error>, words: &str) {
    let error = result.expect_err(words);
    assert!(error.is_invalid_input(), "{error}");
    assert!(error.to_string().contains(words), "no `{words}` in: {error}");
}

#[test]
fn names() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = |name: &str| Table::new(Family::Inet, name).create(&netns);
        is_refused(table(""), "empty");
        is_refused(table("drop"), "a keyword of nft");
        is_refused(table(&"x".repeat(256)), "255 bytes");
        is_refused(table("a b"), "letters");
        assert!(table(&"x".repeat(255)).is_ok());
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        is_refused(Chain::new("counter").create(&table), "a keyword of nft");
        is_refused(Set::new("set", Type::Ipv4).create(&table), "a keyword of nft");
        let comment = Rule::new().accept().comment("x".repeat(128));
        let chain = Chain::new("c").create(&table).unwrap();
        is_refused(comment.create(&chain), "127 bytes");
    });
}

#[test]
fn chains_that_no_kernel_has() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let create = |family, chain: Chain| {
            let table = Table::new(family, "t").create(&netns).unwrap();
            chain.create(&table).map(Owned::keep).map(Owned::adopt)
        };
        let chain = |hook| Chain::new("c").hook(hook, Priority::FILTER);
        let nat = |hook| chain(hook).kind(ChainKind::Nat);
        is_refused(create(Family::Arp, nat(Hook::Input)), "no nat chains");
        is_refused(create(Family::Bridge, nat(Hook::Prerouting)), "no nat chains");
        is_refused(create(Family::Ip, nat(Hook::Forward)), "no nat chains at the hook forward");
        is_refused(create(Family::Arp, chain(Hook::Forward)), "no hook forward");
        is_refused(create(Family::Netdev, chain(Hook::Ingress)), "name it with dev()");
        is_refused(create(Family::Inet, chain(Hook::Input).dev("lo")), "no links of its own");
        is_refused(create(Family::Inet, Chain::new("c").policy(Policy::Drop)), "only a base chain");
    });
}

#[test]
fn rules_that_mean_nothing() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let ip = Table::new(Family::Ip, "t").create(&netns).unwrap();
        let ip = Chain::new("c").create(&ip).unwrap();
        let refused = |rule: Rule, words| is_refused(rule.create(&chain), words);
        refused(Rule::new(), "no match and no statement");
        refused(Rule::new().source("10.0.0.1/24").accept(), "host bits");
        refused(Rule::new().source("nowhere").accept(), "not a valid address");
        refused(Rule::new().source("10.0.0.9-10.0.0.1").accept(), "empty");
        refused(Rule::new().source("10.0.0.0/24").destination("fd00::1").accept(), "mixed");
        refused(Rule::new().sources(["10.0.0.1", "fd00::1"]).accept(), "mixed");
        refused(Rule::new().ipv6().icmp_echo().accept(), "mixed");
        refused(Rule::new().tcp().dport("90-80").accept(), "empty");
        refused(Rule::new().tcp().dport("x").accept(), "not a valid inet_service");
        refused(Rule::new().dport(80).accept(), "which protocol");
        refused(Rule::new().tcp().udp().accept(), "two protocols");
        refused(Rule::new().masquerade().to_ports(1..=2), "which protocol");
        refused(Rule::new().accept().counter(), "after `accept`");
        refused(Rule::new().accept().not(), "no match comes after");
        refused(Rule::new().not().accept(), "only a match can be negated");
        refused(Rule::new().limit(Limit::packets(0)).accept(), "the rate is 0");
        refused(Rule::new().ct_state(CtState::empty()).accept(), "no state");
        refused(Rule::new().jump("jump"), "a keyword of nft");
        refused(Rule::new().iifname("sixteen-bytes-ab").accept(), "15 bytes");
        refused(Rule::new().arp().accept(), "no ARP");
        refused(Rule::new().counter().random(), "no address translation");
        is_refused(Rule::new().source("fd00::1").accept().create(&ip), "mixed");
        is_refused(Rule::new().icmpv6_type(1).reject(Reject::TcpReset).create(&ip), "mixed");
    });
}

#[test]
fn elements_that_do_not_fit() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Ipv4).create(&table).unwrap();
        let ranges = Set::new("r", Type::Ipv4).interval().create(&table).unwrap();
        for (set, bad, words) in [
            (&set, Element::new("fd00::1"), "not a valid ipv4_addr"),
            (&set, Element::new(80_u16), "not a valid ipv4_addr"),
            (&set, Element::new("10.0.0.0/24"), "without intervals"),
            (&set, Element::new(("10.0.0.1", 80_u16)), "parts"),
            (&set, Element::new("10.0.0.1").value(1_u32), "only maps have data"),
            (&ranges, Element::new("10.0.0.9-10.0.0.1"), "empty"),
        ] {
            is_refused(bad.create(set), words);
        }
        let error = ranges.add(["10.0.0.0/24", "10.0.0.7"]).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("overlap"), "{error}");
        let error = set.contains("x").unwrap_err();
        assert!(error.is_invalid_input());
    });
}

#[test]
fn all_that_is_known_wrong_is_told_at_once() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let elsewhere = Namespace::anonymous().create().unwrap();
        let foreign = Table::new(Family::Inet, "t").create(&elsewhere).unwrap();
        let mut change = Transaction::new(&netns);
        let table = change.create_table(&Table::new(Family::Inet, "t"));
        change.create_chain(&table, &Chain::new("ok"));
        change.create_chain(&table, &Chain::new("1"));
        change.create_chain(&foreign, &Chain::new("c"));
        let error = change.commit().unwrap_err();
        let places: Vec<_> = error.refused().iter().map(|refused| refused.index).collect();
        assert_eq!(places, [2, 3]);
        assert!(netns.nft_ruleset().unwrap().is_empty());
    });
}

#[test]
fn a_rule_and_the_sets_it_names_have_the_same_types() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let by_port = |set: &str| Rule::new().tcp().in_set([Field::DestinationPort], set).drop();
        let verdict = Rule::new().tcp().verdict_map([Field::DestinationPort], "m");
        let pair = [Field::Ip4Source, Field::DestinationPort];
        let table = || {
            Table::new(Family::Inet, "t")
                .set(Set::new("a", Type::Ipv4))
                .set(Set::new("p", Type::Port).interval())
                .set(Set::new("d", Type::Ipv4).dynamic())
                .map(Map::new("m", Type::Port, Type::Ipv4))
        };
        let wrong = [
            (by_port("a"), "the set `a` has keys of ipv4_addr, the rule needs inet_service"),
            (by_port("m"), "the set `m` has data of another kind"),
            (verdict, "the set `m` has data of another kind"),
            (Rule::new().tcp().in_set(pair, "p").drop(), "needs ipv4_addr . inet_service"),
            (Rule::new().tcp().add_to_set(pair, "d"), "the set `d` has keys of ipv4_addr"),
            (Rule::new().tcp().ipv4().dnat_map([Field::Ip4Source], "m"), "the set `m` has keys of"),
        ];
        // In a table's builder, the error comes before any call to the kernel.
        for (rule, words) in &wrong {
            let chain = Chain::new("c").rule(rule.clone());
            let error = table().chain(chain).create(&netns).unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(words), "{error}");
        }
        // For an existing chain, the rule is checked against the kernel's set.
        let table = table().chain(Chain::new("c")).create(&netns).unwrap();
        let chain = table.chain("c").unwrap();
        for (rule, words) in wrong {
            is_refused(rule.create(&chain), words);
        }
        by_port("p").create(&chain).unwrap().keep();
        assert!(by_port("nowhere").create(&chain).unwrap_err().is_not_found());
    });
}

#[test]
fn ports_of_a_protocol_without_ports_and_patterns_in_sets() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").chain(Chain::new("c")).create(&netns).unwrap();
        let chain = table.chain("c").unwrap();
        is_refused(Rule::new().protocol(51).dport(80).drop().create(&chain), "which protocol");
        let names = |name| Rule::new().any_of(Field::Iifname, [name, "lo"]).counter();
        is_refused(names("eth*").create(&chain), "is a pattern");
        names(r"eth\*").create(&chain).unwrap().keep();
        let read = &chain.rules().unwrap()[0].1;
        assert_eq!(read, &names(r"eth\*"));
    });
}
