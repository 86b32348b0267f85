//! Policy rules: each selector as netloom and `ip` list it, what packets they lead where, and that
//! no rule of another program is touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::ops::RangeInclusive;

use netloom::{
    Address, Namespace, Netns, Owned, PolicyRule, PolicyRuleAction, PolicyRuleInfo, Protocol,
    Route, RouteQuery, VethEnd, VethPair,
};
use serde_json::{Value, json};

use support::{by_hand, does_not_reach, json, reaches, refused, unchanged};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

fn ours(netns: &Netns) -> Vec<PolicyRuleInfo> {
    let mut list = netns.rules().unwrap();
    list.retain(|rule| rule.protocol == 78);
    list
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn each_selector_is_listed() {
    support::isolated(|| {
        let netns = netns();
        let v4 = || PolicyRule::ipv4().table(77).priority(100);
        let v6 = || PolicyRule::ipv6().table(77).priority(100);
        let act = |action| PolicyRule::ipv4().action(action).priority(100);
        let cases: Vec<(PolicyRule, &str, Value)> = vec![
            (v4(), "from all lookup 77", json!({"priority": 100, "src": "all", "table": "77"})),
            (
                v4().source("10.7.0.0/16"),
                "from 10.7.0.0/16 lookup 77",
                json!({"src": "10.7.0.0", "srclen": 16}),
            ),
            (v4().source("10.7.0.1"), "from 10.7.0.1/32 lookup 77", json!({"src": "10.7.0.1"})),
            (
                v4().destination("10.8.0.0/16"),
                "from all to 10.8.0.0/16 lookup 77",
                json!({"dst": "10.8.0.0", "dstlen": 16}),
            ),
            (v4().iif("lo"), "from all iif lo lookup 77", json!({"iif": "lo"})),
            (
                v4().oif("eth9"),
                "from all oif eth9 lookup 77",
                json!({"oif": "eth9", "oif_detached": null}),
            ),
            (v4().mark(5), "from all fwmark 0x5 lookup 77", json!({"fwmark": "0x5"})),
            (
                v4().mark_bits(0, 0xff),
                "from all fwmark 0x0/0xff lookup 77",
                json!({"fwmark": "0", "fwmask": "0xff"}),
            ),
            (
                v4().mark_bits(0x10, 0xf0),
                "from all fwmark 0x10/0xf0 lookup 77",
                json!({"fwmark": "0x10", "fwmask": "0xf0"}),
            ),
            (v4().tos(0x10), "from all tos 0x10 lookup 77", json!({"tos": "0x10"})),
            (
                // The user namespace of an ordinary user has no user but 0.
                v4().uids(0..=0),
                "from all uidrange 0-0 lookup 77",
                json!({"uid_start": 0, "uid_end": 0}),
            ),
            (
                v4().ip_protocol(Protocol::TCP),
                "from all ipproto tcp lookup 77",
                json!({"ipproto": "tcp"}),
            ),
            (
                v4().sport(10..=20),
                "from all sport 10-20 lookup 77",
                json!({"sport_start": 10, "sport_end": 20}),
            ),
            (v4().dport(80), "from all dport 80 lookup 77", json!({"dport": 80})),
            (v4().tunnel_id(9), "from all tun_id 9 lookup 77", json!({"tun_id": 9})),
            (
                v4().suppress_prefix_length(0),
                "from all lookup 77 suppress_prefixlength 0",
                json!({"suppress_prefixlen": 0}),
            ),
            (
                v4().suppress_group(3),
                "from all lookup 77 suppress_ifgroup 3",
                json!({"suppress_ifgroup": "3"}),
            ),
            (v4().mark(5).invert(), "not from all fwmark 0x5 lookup 77", json!({"not": null})),
            (v4().mark(0), "from all fwmark 0x0 lookup 77", json!({"fwmark": "0"})),
            (
                v4().table(4_000_000_000),
                "from all lookup 4000000000",
                json!({"table": "4000000000"}),
            ),
            (
                PolicyRule::ipv4().goto(32766).priority(100),
                "from all goto 32766",
                json!({"goto": 32766}),
            ),
            (act(PolicyRuleAction::Nop), "from all nop", json!({"nop": null})),
            (
                act(PolicyRuleAction::Blackhole),
                "from all blackhole",
                json!({"action": "blackhole"}),
            ),
            (
                act(PolicyRuleAction::Unreachable),
                "from all unreachable",
                json!({"action": "unreachable"}),
            ),
            (act(PolicyRuleAction::Prohibit), "from all prohibit", json!({"action": "prohibit"})),
            (
                v6().source("fd00::/64").destination("fd01::1"),
                "from fd00::/64 to fd01::1/128 lookup 77",
                json!({"src": "fd00::", "srclen": 64, "dst": "fd01::1"}),
            ),
            (
                v6().mark(5).iif("lo").uids(0..=0),
                "from all fwmark 0x5 iif lo uidrange 0-0 lookup 77",
                json!({"fwmark": "0x5", "iif": "lo"}),
            ),
        ];
        for (rule, line, theirs) in cases {
            let owned = rule.create(&netns).unwrap();
            let listed = ours(&netns);
            let [info] = listed.as_slice() else { panic!("{listed:?}") };
            assert_eq!(info.to_string(), format!("100: {line} proto 78"));
            assert_eq!(rule.to_string(), format!("100: {line}"));
            assert!(!info.is_partial(), "{info:?}");
            assert_eq!(owned.info().unwrap(), *info);
            let family = if info.ipv6 { "-6" } else { "-4" };
            if let Some(list) =
                json(&netns, "ip", &format!("-details {family} rule show priority 100"))
            {
                assert_eq!(list.len(), 1);
                for (key, value) in theirs.as_object().unwrap() {
                    assert_eq!(list[0].get(key), Some(value), "{key} of {rule}");
                }
            }
            assert!(
                refused(rule.create(&netns), &["add rule", "the same rule"]).is_already_exists()
            );
            owned.delete().unwrap();
            assert_eq!(ours(&netns), [], "{rule}");
        }
    });
}

#[test]
fn the_tables_of_vrfs_are_listed_or_unsupported() {
    support::isolated(|| {
        let netns = netns();
        let rule = PolicyRule::ipv4().l3mdev().priority(1000).create(&netns);
        if let Some(rule) = support::features::supported("rule-l3mdev", rule) {
            let line = "1000: from all l3mdev lookup [l3mdev-table] proto 78";
            assert_eq!(rule.info().unwrap().to_string(), line);
        }
    });
}

/// The source of a packet decides which of two gateways it leaves by. Only the second has the target.
#[test]
fn packets_are_routed_by_their_source_and_mark() {
    support::isolated(|| {
        let (client, routers) = (netns(), [netns(), netns()]);
        let cable = |n: usize| {
            let near = VethEnd::new(format!("eth{n}")).address(format!("10.0.{n}.2/24")).up();
            let far = VethEnd::new("eth0").address(format!("10.0.{n}.1/24")).up().loopback_up();
            VethPair::new(near, far).create_between(&client, &routers[n]).unwrap()
        };
        let _cables = [cable(0), cable(1)];
        let lo = routers[1].link("lo").unwrap();
        let _target = Address::new("10.9.0.1/32").create(&lo).unwrap();
        let _back = Route::new("10.0.0.0/24").via("10.0.1.2").create(&routers[1]).unwrap();
        let _usual = Route::default_via("10.0.0.1").create(&client).unwrap();
        let _aside = Route::default_via("10.0.1.1").table(77).create(&client).unwrap();
        does_not_reach(&client, "10.9.0.1");
        let rule = PolicyRule::ipv4().destination("10.9.0.0/16").table(77).create(&client).unwrap();
        assert_eq!(rule.priority(), 32765);
        reaches(&client, "10.9.0.1");
        drop(rule);
        does_not_reach(&client, "10.9.0.1");
        let _marked = PolicyRule::ipv4().mark(5).table(77).create(&client).unwrap();
        let by = |query: RouteQuery| query.send(&client).unwrap().gateway.unwrap().to_string();
        let query = || RouteQuery::new("10.9.0.1");
        assert_eq!((by(query()), by(query().mark(5))), ("10.0.0.1".into(), "10.0.1.1".into()));
        let _source = PolicyRule::ipv4().source("10.0.1.2").table(77).create(&client).unwrap();
        assert_eq!(by(query().source("10.0.1.2")), "10.0.1.1");
        let no = PolicyRule::ipv4().uids(0..=0).action(PolicyRuleAction::Prohibit);
        let _no = no.create(&client).unwrap();
        let error = query().uid(0).send(&client).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EACCES));
    });
}

/// For the kernel a request to delete matches rules that have more selectors.
#[test]
fn a_deleted_rule_takes_no_other_along() {
    support::isolated(|| {
        let netns = netns();
        let plain = PolicyRule::ipv4().table(77).priority(100);
        let more = plain.clone().mark(5).create(&netns).unwrap();
        let ours_plain = plain.create(&netns).unwrap();
        // The rule with the mark is the first with this priority.
        let failure = ours_plain.delete().unwrap_err();
        assert!(failure.to_string().contains("would delete another rule"), "{failure}");
        assert_eq!(ours(&netns).len(), 2);
        drop(more);
        failure.into_owned().delete().unwrap();
        assert_eq!(ours(&netns), []);

        let rule = plain.create(&netns).unwrap();
        let again = Owned::adopt(rule.handle().clone());
        rule.delete().unwrap();
        if by_hand(&netns, "ip rule add table 77 priority 100") {
            let theirs = netns.rules().unwrap();
            again.delete().unwrap();
            assert_eq!(netns.rules().unwrap(), theirs);
            let found = netns.rule(&plain).unwrap();
            assert_eq!(found.info().unwrap().protocol, 0);
            Owned::adopt(found).delete().unwrap();
        }
        let error = refused(netns.rule(&plain), &["find rule 100: from all lookup 77"]);
        assert!(error.is_not_found());
    });
}

/// A request to delete an inverted rule also matches a rule that is not inverted.
#[test]
fn a_deleted_inverted_rule_takes_no_plain_one_along() {
    support::isolated(|| {
        let netns = netns();
        let from = PolicyRule::ipv4().source("10.0.0.0/8").table(77).priority(100);
        let plain = from.clone().mark(5).create(&netns).unwrap();
        let inverted = from.invert().create(&netns).unwrap();
        let failure = inverted.delete().unwrap_err();
        assert!(failure.to_string().contains("would delete another rule"), "{failure}");
        assert_eq!(ours(&netns).len(), 2);
        drop(plain);
        failure.into_owned().delete().unwrap();
        assert_eq!(ours(&netns), []);
    });
}

#[test]
fn replace_leaves_one_rule_of_ours_at_the_priority() {
    support::isolated(|| {
        let netns = netns();
        let at = |mark| PolicyRule::ipv4().mark(mark).table(77).priority(100);
        // What a killed program left.
        at(1).create(&netns).unwrap().keep();
        at(2).create(&netns).unwrap().keep();
        let beside = at(3).priority(101).create(&netns).unwrap();
        let is_there = by_hand(&netns, "ip rule add fwmark 9 table 77 priority 100");
        let rule = at(4).replace(&netns).unwrap();
        let same = at(4).replace(&netns).unwrap();
        assert_eq!(ours(&netns).len(), 2);
        assert_eq!(netns.rules().unwrap().len(), 7 + usize::from(is_there));
        rule.delete().unwrap();
        same.delete().unwrap();
        drop(beside);
        assert_eq!(ours(&netns), []);
        let error = refused(PolicyRule::ipv4().table(5).replace(&netns), &["priority()"]);
        assert!(error.is_invalid_input());
    });
}

#[test]
fn wrong_rules_are_refused() {
    support::isolated(|| {
        let netns = netns();
        let v4 = || PolicyRule::ipv4().table(77).priority(100);
        unchanged(&[&netns], || {
            for (rule, words) in [
                (PolicyRule::ipv4(), "the rule does nothing"),
                (v4().table(0), "table(0)"),
                (v4().source("fd00::/64"), "another family"),
                (v4().source("10.0.0.1/8"), "host bits"),
                (v4().iif("much-too-long-name"), "iif(\"much-too-long-name\")"),
                (v4().oif(""), "oif(\"\")"),
                (v4().mark_bits(1, 0), "the mask is empty"),
                (v4().mark_bits(2, 1), "outside of the mask"),
                (v4().tos(1), "tos(1)"),
                (v4().uids(RangeInclusive::new(5, 4)), "range of users"),
                (v4().uids(0..=u32::MAX), "range of users"),
                (v4().sport(0), "sport(0)"),
                (v4().dport(RangeInclusive::new(9, 8)), "range of ports"),
                (v4().dport(9..=65535), "range of ports"),
                (v4().ip_protocol(Protocol::new(0)), "any protocol"),
                (v4().tunnel_id(0), "any tunnel"),
                (v4().suppress_prefix_length(33), "no prefix is so long"),
                (v4().suppress_group(u32::MAX), "no group"),
                (v4().l3mdev(), "leave out table()"),
                (v4().goto(200), "other actions have no table"),
                (PolicyRule::ipv4().action(PolicyRuleAction::Goto), "goto()"),
                (PolicyRule::ipv4().action(PolicyRuleAction::Lookup), "needs table()"),
                (PolicyRule::ipv4().goto(100).priority(100), "behind this one"),
                (PolicyRule::ipv4().goto(99).priority(100), "behind this one"),
                (PolicyRule::ipv4().goto(7777).priority(100), "no rule with this priority"),
            ] {
                assert!(refused(rule.create(&netns), &["add rule", words]).is_invalid_input());
            }
        });
    });
}
