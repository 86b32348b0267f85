//! Transactions: all or nothing, and every refusal told.

use std::net::Ipv4Addr;

use netloom::Namespace;
use netloom::nft::{Chain, Family, Rule, Set, Table, Transaction, Type};

use crate::support;

#[test]
fn every_refused_operation_is_told_and_nothing_done() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let mut change = Transaction::new(&netns);
        change.add_rule(&chain, &Rule::new().counter());
        change.add_rule(&chain, &Rule::new().jump("nowhere"));
        change.create_chain(&table, &Chain::new("d"));
        change.create_chain(&table, &Chain::new("c"));
        let error = change.commit().unwrap_err();
        let places: Vec<_> = error.refused().iter().map(|refused| refused.index).collect();
        assert_eq!(places, [1, 3], "{error}");
        assert!(error.refused()[0].error.is_not_found());
        assert!(error.refused()[1].error.is_already_exists());
        assert!(chain.rules().unwrap().is_empty());
        assert!(table.chain("d").unwrap_err().is_not_found());
    });
}

#[test]
fn thousands_of_refusals_are_told() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let mut change = Transaction::new(&netns);
        for number in 0..5000 {
            change.add_rule(&chain, &Rule::new().jump(format!("nowhere{number}")));
        }
        assert_eq!(change.commit().unwrap_err().refused().len(), 5000);
        // The socket is as good as new, and large transactions are echoed whole.
        let mut change = Transaction::new(&netns);
        let rules: Vec<_> =
            (0..5000).map(|_| change.add_rule(&chain, &Rule::new().counter())).collect();
        change.commit().unwrap();
        assert!(rules.iter().all(|rule| rule.number() != 0));
        assert_eq!(chain.rules().unwrap().len(), 5000);
    });
}

#[test]
fn a_change_by_somebody_else_is_noticed() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let generation = netns.nft_generation().unwrap();
        let mut change = Transaction::new(&netns);
        change.create_chain(&table, &Chain::new("a"));
        change.if_unchanged_since(generation);
        change.commit().unwrap();
        let mut change = Transaction::new(&netns);
        change.create_chain(&table, &Chain::new("b"));
        change.if_unchanged_since(generation);
        let error = change.commit().unwrap_err();
        assert!(error.is_stale(), "{error}");
        assert!(table.chain("b").unwrap_err().is_not_found());
    });
}

#[test]
fn more_than_one_message_holds() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let address = |number: u32| Ipv4Addr::from_bits(0x0a00_0000 + number);
        let addresses: Vec<_> = (0..20_000).map(address).collect();
        // A set written into a rule, over 64 KiB.
        let rule = Rule::new().sources(addresses.clone()).counter();
        let chain = Chain::new("c").rule(rule.clone()).create(&table).unwrap();
        assert_eq!(chain.rules().unwrap()[0].1, rule);
        let set = Set::new("s", Type::Ipv4).create(&table).unwrap();
        set.add(addresses.clone()).unwrap();
        set.remove(addresses).unwrap();
        assert!(set.elements().unwrap().is_empty());
    });
}
