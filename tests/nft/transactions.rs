//! Transactions: applied completely or not at all, with every refusal reported.

use std::net::Ipv4Addr;

use netloom::nft::{
    Chain, Element, Family, Flowtable, Hook, Object, Policy, Priority, Rule, Set, Table,
    Transaction, Type,
};
use netloom::{Namespace, Owned};

use crate::support::{self, Place, nft};

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
        // The socket still works after the failure, and the kernel echoes large transactions in
        // full.
        let mut change = Transaction::new(&netns);
        let rules: Vec<_> =
            (0..5000).map(|_| change.add_rule(&chain, &Rule::new().counter())).collect();
        change.commit().unwrap();
        assert!(rules.iter().all(|rule| rule.number() != 0));
        assert_eq!(chain.rules().unwrap().len(), 5000);
    });
}

/// A handle of a refused transaction reaches no object, even if another program's object has the
/// name.
#[test]
fn a_refused_transactions_handles_reach_nothing() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let filled = |tag: &str| {
            let chain = Chain::new("c").rule(Rule::new().accept());
            let numbers = Set::new("s", Type::Port).element(1_u16);
            let table = Table::new(Family::Inet, "t").persistent(tag).chain(chain).set(numbers);
            table.object(Object::counter("o"))
        };
        let theirs = filled("theirs").create(&netns).unwrap().keep();
        let before = netns.nft_ruleset().unwrap();

        for table in [filled("ours"), Table::new(Family::Inet, "t")] {
            let mut change = Transaction::new(&netns);
            let table = change.create_table(&table);
            assert!(change.commit().unwrap_err().refused()[0].error.is_already_exists());
            are_not_found(&netns, |change| drop(change.create_chain(&table, &Chain::new("d"))));
            are_not_found(&netns, |change| {
                change.delete_table(&table);
            });
            assert!(table.chain("c").unwrap_err().is_not_found());
            drop(Owned::adopt(table));
            assert_eq!(netns.nft_ruleset().unwrap(), before);
        }

        // Creates objects that exist already, in a table that netloom may change.
        let mut change = Transaction::new(&netns);
        let flowtable = Flowtable::new("f");
        let made = (
            change.create_chain(&theirs, &Chain::new("c")),
            change.create_set(&theirs, &Set::new("s", Type::Port)),
            change.create_object(&theirs, &Object::counter("o")),
            change.create_flowtable(&theirs, &flowtable),
        );
        let (chain, set, object, flowtable) = made;
        let rule = change.add_rule(&chain, &Rule::new().drop());
        assert!(change.commit().is_err());
        are_not_found(&netns, |change| drop(change.add_rule(&chain, &Rule::new().drop())));
        are_not_found(&netns, |change| drop(change.add_rule_after(&rule, &Rule::new().drop())));
        are_not_found(&netns, |change| _ = change.replace_rule(&rule, &Rule::new().drop()));
        are_not_found(&netns, |change| _ = change.delete_rule(&rule));
        are_not_found(&netns, |change| _ = change.flush_chain(&chain));
        are_not_found(&netns, |change| _ = change.delete_chain(&chain));
        are_not_found(&netns, |change| _ = change.add_elements(&set, [2_u16]));
        are_not_found(&netns, |change| _ = change.delete_elements(&set, [1_u16]));
        are_not_found(&netns, |change| _ = change.flush_set(&set));
        are_not_found(&netns, |change| _ = change.delete_set(&set));
        are_not_found(&netns, |change| _ = change.delete_object(&object));
        are_not_found(&netns, |change| _ = change.delete_flowtable(&flowtable));
        assert!(Element::new(2_u16).create(&set).unwrap_err().is_not_found());
        drop((Owned::adopt(rule), Owned::adopt(chain), Owned::adopt(set), Owned::adopt(object)));
        drop(Owned::adopt(flowtable));
        assert_eq!(netns.nft_ruleset().unwrap(), before);
    });
}

#[track_caller]
fn are_not_found(netns: &netloom::Netns, operation: impl FnOnce(&mut Transaction)) {
    let mut change = Transaction::new(netns);
    operation(&mut change);
    let error = change.commit().unwrap_err();
    assert!(!error.refused().is_empty(), "{error}");
    assert!(error.refused().iter().all(|refused| refused.error.is_not_found()), "{error}");
}

/// A transaction can delete objects that it creates.
#[test]
fn a_transaction_deletes_what_it_makes() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let mut change = Transaction::new(&netns);
        let table = change.create_table(&Table::new(Family::Inet, "t"));
        let chain = change.create_chain(&table, &Chain::new("c"));
        change.add_rule(&chain, &Rule::new().accept());
        let set = change.create_set(&table, &Set::new("s", Type::Port));
        change.add_elements(&set, [1_u16]).flush_set(&set).delete_set(&set);
        change.flush_chain(&chain).delete_chain(&chain);
        change.commit().unwrap();
        let table = Owned::adopt(table);
        assert!(table.chain("c").unwrap_err().is_not_found());
        assert!(table.set("s").unwrap_err().is_not_found());
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
        // A set of more than 64 KiB in a rule.
        let rule = Rule::new().sources(addresses.clone()).counter();
        let chain = Chain::new("c").rule(rule.clone()).create(&table).unwrap();
        assert_eq!(chain.rules().unwrap()[0].1, rule);
        let set = Set::new("s", Type::Ipv4).create(&table).unwrap();
        set.add(addresses.clone()).unwrap();
        set.remove(addresses).unwrap();
        assert!(set.elements().unwrap().is_empty());
    });
}

/// The policy is changed by the chain's handle, and then in a transaction with other changes, which
/// is applied completely or not at all.
#[test]
fn a_chains_policy_changes_while_it_stands() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let base = Chain::new("in").hook(Hook::Input, Priority(7)).comment("door");
        let made = base.clone().rule(Rule::new().iifname("lo").accept());
        let table = Table::new(Family::Inet, "t").chain(made).create(&netns).unwrap();
        let chain = table.chain("in").unwrap();
        let before = table.read().unwrap();
        chain.set_policy(Policy::Drop).unwrap();
        assert_eq!(chain.read().unwrap(), base.clone().policy(Policy::Drop));
        if let Some(listed) = nft(&Place::of_fd(&*netns), &["list", "ruleset"]) {
            assert!(listed.contains("hook input priority filter + 7; policy drop;"), "{listed}");
        }
        chain.set_policy(Policy::Accept).unwrap();
        assert_eq!(table.read().unwrap(), before);

        let plain = Chain::new("plain").create(&table).unwrap();
        let mut change = Transaction::new(&netns);
        change.set_policy(&chain, Policy::Drop).set_policy(&plain, Policy::Drop);
        let error = change.commit().unwrap_err();
        assert_eq!(error.refused().len(), 1);
        assert_eq!(error.refused()[0].index, 1);
        assert!(error.refused()[0].error.is_unsupported(), "{error}");
        assert_eq!(chain.read().unwrap(), base);

        let mut change = Transaction::new(&netns);
        let new = change.create_chain(&table, &Chain::new("out").hook(Hook::Output, Priority(0)));
        change.set_policy(&new, Policy::Drop).set_policy(&chain, Policy::Drop);
        change.commit().unwrap();
        assert_eq!(new.read().unwrap().policy_of(), Policy::Drop);
        assert_eq!(chain.read().unwrap().policy_of(), Policy::Drop);

        drop(Owned::adopt(chain.clone()));
        let chain_again = Chain::new("in").hook(Hook::Input, Priority(7)).create(&table).unwrap();
        assert!(chain.set_policy(Policy::Drop).unwrap_err().is_not_found());
        assert!(chain.read().unwrap_err().is_not_found());
        assert_eq!(chain_again.read().unwrap().policy_of(), Policy::Accept);
    });
}
