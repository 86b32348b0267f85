//! Ownership of tables: held and persistent tables, and tables of other programs.

use std::process::Command;

use netloom::nft::{
    Chain, Element, Family, Hook, Interval, Object, ObjectKind, Policy, Priority, Rule, Set, Table,
    Transaction, Type,
};
use netloom::{Error, Namespace, NatRule, Netns, Owned};

use crate::golden::load;
use crate::support::kernel::by_hand;
use crate::support::{self, Place, nft};

fn base() -> Chain {
    Chain::new("c").hook(Hook::Input, Priority::FILTER)
}

#[test]
fn everything_goes_with_its_owner() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let set = Set::new("s", Type::Ipv4).create(&table).unwrap();
        let chain = base().create(&table).unwrap();
        let rule = Rule::new().tcp().dport(80).accept().create(&chain).unwrap();
        let element = Element::new("10.0.0.1").create(&set).unwrap();
        assert!(set.contains("10.0.0.1").unwrap());
        assert_eq!(rule.read().unwrap(), Rule::new().tcp().dport(80).accept());
        drop(element);
        assert_eq!(set.elements().unwrap(), []);
        drop(rule);
        assert!(chain.rules().unwrap().is_empty());
        drop(chain);
        assert!(table.chain("c").unwrap_err().is_not_found());
        drop(set);
        assert!(table.set("s").unwrap_err().is_not_found());
        drop(table);
        assert!(netns.nft_ruleset().unwrap().is_empty());
    });
}

/// A rule is deleted by its chain's name, which another program may have changed.
#[test]
fn what_is_in_a_chain_that_was_renamed_is_deleted() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").persistent("tag").create(&netns).unwrap();
        let chain = base().create(&table).unwrap();
        let [one, other, _left] = [80, 81, 82]
            .map(|port: u16| Rule::new().tcp().dport(port).accept().create(&chain).unwrap());
        let masquerade = NatRule::masquerade().persistent("tag").create(&netns).unwrap();
        let renamed = ["inet t c d", "inet netloom postrouting elsewhere"];
        if !renamed.iter().all(|names| by_hand(&netns, &format!("nft rename chain {names}"))) {
            return;
        }
        one.delete().unwrap();
        drop(other);
        assert_eq!(table.chain("d").unwrap().rules().unwrap().len(), 1);
        chain.delete().unwrap();
        assert!(table.chain("d").unwrap_err().is_not_found());
        masquerade.delete().unwrap();
        let left = netns.nft_ruleset().unwrap();
        assert!(left.iter().flat_map(|table| &table.chains).all(|chain| chain.rules.is_empty()));
    });
}

/// Owners delete no object that replaced theirs, and leave nothing of their own.
#[test]
fn what_others_deleted_is_gone_and_what_took_its_name_stays() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").persistent("tag").create(&netns).unwrap();
        let set = Set::new("s", Type::Port).interval().create(&table).unwrap();
        let element = Element::new(Interval::from(10..=20)).create(&set).unwrap();
        let counter = Object::counter("n").create(&table).unwrap();
        let chain = base().create(&table).unwrap();
        let rule = Rule::new().accept().create(&chain).unwrap();
        let commands = [
            "nft delete element inet t s { 10-20 }",
            "nft add element inet t s { 5-30 }",
            "nft flush chain inet t c",
            "nft delete chain inet t c",
            "nft add chain inet t c",
            "nft add rule inet t c accept",
            "nft delete counter inet t n",
            "nft add counter inet t n",
        ];
        if !commands.iter().all(|command| by_hand(&netns, command)) {
            return;
        }
        let before = netns.nft_ruleset().unwrap();
        element.delete().unwrap();
        rule.delete().unwrap();
        chain.delete().unwrap();
        counter.delete().unwrap();
        assert_eq!(netns.nft_ruleset().unwrap(), before);
        if by_hand(&netns, "nft delete set inet t s") && by_hand(&netns, "nft add table inet u") {
            assert!(by_hand(&netns, "nft add set inet t s { type inet_service; }"));
            set.delete().unwrap();
            assert_eq!(netns.nft_ruleset().unwrap()[0].sets.len(), 1);
        }
    });
}

#[test]
fn rules_go_where_they_are_put() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = base().create(&table).unwrap();
        let port = |port: u16| Rule::new().tcp().dport(port).counter();
        let second = port(2).create(&chain).unwrap();
        let fifth = port(5).create(&chain).unwrap();
        let _first = port(1).insert(&chain).unwrap();
        let _third = port(3).create_after(&second).unwrap();
        let fourth = port(9).insert_before(&fifth).unwrap();
        fourth.replace(&port(4)).unwrap();
        let rules = chain.rules().unwrap();
        assert_eq!(
            rules.iter().map(|(_, rule)| rule).collect::<Vec<_>>(),
            [&port(1), &port(2), &port(3), &port(4), &port(5)]
        );
        assert_eq!(rules[3].0, *fourth, "the handle stands for the new rule");
        drop(fourth);
        assert_eq!(chain.rules().unwrap().len(), 4);
        chain.flush().unwrap();
        assert!(chain.rules().unwrap().is_empty());
        assert!(second.delete().is_ok(), "gone already is no failure");
    });
}

#[test]
fn a_held_table_is_nobody_elses() {
    support::isolated(|| {
        let netns = Namespace::named("red").create().unwrap();
        let table = Table::new(Family::Inet, "t").chain(base()).create(&netns).unwrap();
        let other = Netns::open("red").unwrap();
        let taken = Table::new(Family::Inet, "t").create(&other).unwrap_err();
        assert!(taken.raw_os_error().is_some(), "{taken}");
        if nft(&Place::of_fd(&*netns), &["flush", "ruleset"]).is_some() {
            assert_eq!(netns.nft_ruleset().unwrap().len(), 1);
        }
        assert!(table.is_held() && table.read().unwrap().owner.is_some());
        let table = table.keep();
        drop((table, netns.keep()));
        assert!(other.nft_ruleset().unwrap().is_empty(), "it went with the socket");
        drop(Owned::adopt(other));
    });
}

#[test]
fn a_persistent_table_is_found_again_by_its_tag() {
    support::isolated(|| {
        let netns = Namespace::named("red").create().unwrap();
        let table = Table::new(Family::Ip, "t").persistent("plugin").chain(base());
        table.create(&netns).unwrap().keep();
        Table::new(Family::Ip, "u").persistent("plugin-2").create(&netns).unwrap().keep();
        let other = Netns::open("red").unwrap();
        let found = other.nft_tables_with_tag("plugin").unwrap();
        assert_eq!(found.iter().map(netloom::nft::TableHandle::name).collect::<Vec<_>>(), ["t"]);
        let chain = found[0].chain("c").unwrap();
        let rule = Rule::new().tcp().dport(1).drop().create(&chain).unwrap().keep();
        // Another program replaces the table, with a chain and a rule of the same handle numbers.
        if load(&netns, "delete table ip t\ntable ip t { chain c {\n drop\n }\n}") {
            assert!(Rule::new().accept().create(&chain).unwrap_err().is_not_found());
            assert!(Owned::adopt(rule).delete().is_ok());
            drop(Owned::adopt(chain));
            drop(Owned::adopt(found[0].clone()));
            let left = netns.nft_ruleset().unwrap();
            let theirs = left.iter().find(|table| table.name == "t").unwrap();
            assert_eq!(theirs.chains[0].rules.len(), 1, "the other table is as it was");
        }
    });
}

#[test]
fn a_table_of_others_is_never_touched() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        if !load(&netns, "table inet t { comment \"mine\"; chain c {\n accept\n }\n}") {
            return;
        }
        let before = netns.nft_ruleset().unwrap();
        let table = Table::new(Family::Inet, "t").chain(base());
        assert!(table.create(&netns).unwrap_err().is_already_exists());
        assert!(netns.nft_tables_with_tag("mine").unwrap().is_empty());
        assert_eq!(netns.nft_ruleset().unwrap(), before);
    });
}

#[test]
fn a_kill_leaves_no_held_table() {
    support::isolated(|| {
        const STAGE: &str = "NETLOOM_TEST_HELD";
        if std::env::var_os(STAGE).is_some() {
            let netns = Netns::current().unwrap();
            let _table = Table::new(Family::Inet, "held").chain(base()).create(&netns).unwrap();
            nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
        }
        let netns = Netns::current().unwrap();
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(&arguments)
            .env(STAGE, "1")
            .env("NETLOOM_SANDBOX", "off")
            .status()
            .unwrap();
        assert!(!status.success());
        assert!(netns.nft_ruleset().unwrap().is_empty());
    });
}

#[test]
fn one_transaction_for_all_and_owners_afterwards() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let mut change = Transaction::new(&netns);
        let table = change.create_table(&Table::new(Family::Inet, "t"));
        let chain = change.create_chain(&table, &base());
        let rule = change.add_rule(&chain, &Rule::new().tcp().dport(80).accept());
        assert_eq!(rule.number(), 0);
        change.commit().unwrap();
        assert_ne!(rule.number(), 0);
        assert_ne!(table.number(), 0);
        drop(Owned::adopt(rule));
        assert!(chain.rules().unwrap().is_empty());
        drop(Owned::adopt(table));
        assert!(netns.nft_ruleset().unwrap().is_empty());
    });
}

/// The program deleted its table. Another program reuses the name, with objects of the same names
/// and handle numbers.
#[test]
fn handles_of_a_deleted_table_reach_nothing_of_its_names_next_bearer() {
    support::isolated(|| {
        for tag in [None, Some("ours")] {
            let netns = Namespace::named("red").create().unwrap();
            let filled = || {
                Table::new(Family::Inet, "t")
                    .object(Object::counter("o"))
                    .set(Set::new("s", Type::Port).element(1_u16))
                    .chain(Chain::new("c").rule(Rule::new().counter().named_counter("o")))
            };
            let ours = tag.map_or_else(filled, |tag| filled().persistent(tag));
            let table = ours.create(&netns).unwrap().keep();
            let (chain, set) = (table.chain("c").unwrap(), table.set("s").unwrap());
            let object = table.object(ObjectKind::Counter, "o").unwrap();
            let rule = chain.rules().unwrap().remove(0).0;
            // The transaction is built before the deletion, and committed after it.
            let mut late = Transaction::new(&netns);
            late.add_rule(&chain, &Rule::new().drop());
            Owned::adopt(table.clone()).delete().unwrap();
            let stranger = Netns::open("red").unwrap();
            let theirs = filled().persistent("theirs").create(&stranger).unwrap();
            let before = stranger.nft_ruleset().unwrap();

            let is_gone = |error: Error| assert!(error.is_not_found(), "{error}");
            is_gone(late.commit().unwrap_err().into());
            is_gone(Rule::new().drop().create(&chain).unwrap_err());
            is_gone(Chain::new("d").create(&table).unwrap_err());
            is_gone(Set::new("d", Type::Port).create(&table).unwrap_err());
            is_gone(Object::counter("d").create(&table).unwrap_err());
            is_gone(chain.flush().unwrap_err());
            is_gone(chain.rules().unwrap_err());
            is_gone(chain.read().unwrap_err());
            is_gone(chain.set_policy(Policy::Drop).unwrap_err());
            is_gone(rule.replace(&Rule::new().drop()).unwrap_err());
            is_gone(rule.read().unwrap_err());
            is_gone(rule.counter().unwrap_err());
            is_gone(rule.reset_counter().unwrap_err());
            is_gone(object.read().unwrap_err());
            is_gone(object.reset().unwrap_err());
            is_gone(set.add([2_u16]).unwrap_err());
            is_gone(set.remove([1_u16]).unwrap_err());
            is_gone(set.flush().unwrap_err());
            is_gone(set.contains(1_u16).unwrap_err());
            is_gone(set.elements().unwrap_err());
            is_gone(table.chain("c").unwrap_err());
            is_gone(table.read().unwrap_err());
            drop((Owned::adopt(rule), Owned::adopt(chain), Owned::adopt(set)));
            drop((Owned::adopt(object), Owned::adopt(table)));
            assert_eq!(stranger.nft_ruleset().unwrap(), before);
            theirs.delete().unwrap();
        }
    });
}
