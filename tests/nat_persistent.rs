//! Persistent NAT rules: they outlive their owner, are found by tag, and are deleted completely.
#![allow(clippy::unwrap_used, let_underscore_drop)] // tests fail by them

mod support;
mod traffic;

use std::thread;

use netloom::{Forwarding, Namespace, NatRule, Netns, Owned};
use traffic::{Net, PATIENCE, SHORT, Server, tcp};

fn tagged(tag: &str) -> NatRule {
    NatRule::masquerade().source("10.0.0.0/24").persistent(tag)
}

#[test]
fn a_tagged_rule_outlives_its_maker_and_is_adopted_by_the_next() {
    support::isolated(|| {
        let net = Net::new();
        let _on = Forwarding::ipv4().create(&net.host).unwrap();
        let _server = Server::start(&net.server, "198.51.100.1:80");
        {
            // A second handle of the same namespace, which is dropped with its sockets.
            let maker = net.host.run(|| Netns::current().unwrap()).unwrap();
            let rule = tagged("net1/web").create(&maker).unwrap().keep();
            assert_eq!(rule.tag(), Some("net1/web"));
            assert_eq!(rule.table(), "netloom");
        }
        assert!(tcp(&net.client, "198.51.100.1:80", PATIENCE).is_ok());

        assert_eq!(net.host.nat_rules_with_tag("net1").unwrap(), []);
        let found = net.host.nat_rules_with_tag("net1/web").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].handle().counter().unwrap().packets, 1);
        assert_eq!(found[0].counter().packets, 1);
        let listed = || support::kernel::ruleset_besides_settings(&net.host);
        if let Some(listed) = listed() {
            assert!(listed.contains("comment \"net1/web\""), "{listed}");
            assert!(!listed.contains("flags owner"), "{listed}");
        }
        let stale = found[0].handle().clone();
        for rule in found {
            Owned::adopt(rule.handle().clone()).delete().unwrap();
        }
        assert!(tcp(&net.client, "198.51.100.1:80", SHORT).is_err());
        if let Some(listed) = listed() {
            assert_eq!(listed, "", "the last rule takes the table along");
        }
        assert!(stale.counter().unwrap_err().is_not_found());

        // A stale handle does not reach a new table of the same name.
        let next = tagged("net2").create(&net.host).unwrap();
        assert_eq!((next.table(), next.number()), (stale.table(), stale.number()));
        drop(Owned::adopt(stale));
        assert_eq!(next.counter().unwrap().packets, 0, "still there");
        let stale = found_of(&net.host, "net2");
        next.delete().unwrap();
        let _theirs = tagged("net3").create(&net.host).unwrap();
        assert!(stale.counter().unwrap_err().is_not_found(), "that is another's rule");
    });
}

fn found_of(host: &Netns, tag: &str) -> netloom::NatRuleHandle {
    host.nat_rules_with_tag(tag).unwrap().remove(0).into()
}

#[test]
fn several_rules_have_one_tag_in_several_chains() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let web = tagged("web").create(&host).unwrap();
        let redirect =
            NatRule::redirect(53).udp().dport(5353).persistent("web").create(&host).unwrap();
        let other = tagged("other").create(&host).unwrap();
        let numbers = |tag| -> Vec<_> {
            let rules = host.nat_rules_with_tag(tag).unwrap();
            rules
                .iter()
                .map(netloom::NatRuleInfo::handle)
                .map(|rule| (rule.chain().to_owned(), rule.number()))
                .collect()
        };
        let mut web_rules = numbers("web");
        web_rules.sort();
        let expected = [
            ("postrouting".to_owned(), web.number()),
            ("prerouting".to_owned(), redirect.number()),
        ];
        assert_eq!(web_rules, expected);
        web.delete().unwrap();
        assert_eq!(numbers("web").len(), 1);
        assert_eq!(numbers("other"), [("postrouting".to_owned(), other.number())]);
    });
}

#[test]
fn a_table_of_somebody_else_is_never_touched() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let place = support::Place::of_fd(&*host);
        let foreign = "table inet netloom {\n\tchain c {\n\t\tcounter comment \"web\"\n\t}\n}";
        if support::nft(&place, &[foreign]).is_none() {
            return;
        }
        let before = support::nft(&place, &["-a", "list", "ruleset"]);
        let error = tagged("web").create(&host).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert!(error.to_string().contains("that netloom did not make"), "{error}");
        assert_eq!(host.nat_rules_with_tag("web").unwrap(), []);
        // Held rules are in a separate table.
        let held = NatRule::masquerade().create(&host).unwrap();
        drop(held);
        assert_eq!(support::nft(&place, &["-a", "list", "ruleset"]), before);
    });
}

#[test]
fn makers_at_the_same_time_leave_exactly_what_they_keep() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        thread::scope(|scope| {
            for maker in 0..4 {
                let host = host.run(|| Netns::current().unwrap()).unwrap();
                scope.spawn(move || {
                    for _ in 0..10 {
                        let rule = tagged(&format!("maker {maker}")).create(&host).unwrap();
                        rule.delete().unwrap();
                    }
                });
            }
        });
        let place = support::Place::of_fd(&*host);
        if let Some(listed) = support::nft(&place, &["list", "ruleset"]) {
            assert_eq!(listed, "");
        }
    });
}

#[test]
fn a_flushed_ruleset_takes_tagged_rules_and_leaves_held_ones() {
    support::isolated(|| {
        let net = Net::new();
        let _on = Forwarding::ipv4().create(&net.host).unwrap();
        let _server = Server::start(&net.server, "198.51.100.1:80");
        let held = NatRule::masquerade().create(&net.host).unwrap();
        let kept = tagged("web").create(&net.host).unwrap();
        let place = support::Place::of_fd(&*net.host);
        if support::nft(&place, &["flush", "ruleset"]).is_none() {
            return;
        }
        assert!(kept.counter().unwrap_err().is_not_found());
        assert!(kept.delete().is_ok(), "gone already is no failure");
        assert!(tcp(&net.client, "198.51.100.1:80", PATIENCE).is_ok());
        assert_eq!(held.counter().unwrap().packets, 1);
    });
}
