//! Hints and error kinds for failures whose bare errno would mislead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use netloom::nft::{
    Chain, ChainKind, Element, Family, Field, Hook, Map, Priority, Rule, Set, Table, Type, Verdict,
};
use netloom::{Bridge, ErrorKind, Firewall, Namespace, NatRule, Netns, Sysctl, VethPair};
use support::refused;

#[test]
fn a_program_given_by_a_path_is_not_looked_up_on_the_path() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        for (program, words, others) in [
            ("no-such-program", "on the PATH", "at this path"),
            ("/no/such-program", "at this path", "on the PATH"),
            ("./no-such-program", "at this path", "on the PATH"),
        ] {
            let error = host.command(program).status().unwrap_err();
            assert!(error.is_not_found(), "{error}");
            let hint = error.remedy().unwrap();
            assert!(hint.contains(words) && !hint.contains(others), "{program}: {error}");
        }
    });
}

/// The kernel hides a table that another process holds, and answers EPERM.
#[test]
fn a_table_that_another_process_holds_is_already_there() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        // A second handle has its own socket, like another process.
        let other = host.run(Netns::current).unwrap().unwrap();
        let held = Table::new(Family::Inet, "web").create(&other).unwrap();
        for error in [
            Table::new(Family::Inet, "web").create(&host).unwrap_err(),
            Table::new(Family::Inet, "web").persistent("tag").create(&host).unwrap_err(),
            Firewall::new().name("web").create(&host).unwrap_err(),
        ] {
            assert!(error.is_already_exists() && !error.is_permission_denied(), "{error}");
            let text = error.to_string();
            assert!(text.contains("another process holds a table of this name"), "{text}");
            assert!(!text.contains("CAP_NET_ADMIN"), "{text}");
        }
        held.delete().unwrap();
    });
}

#[test]
fn a_link_that_a_killed_program_left_is_left_to_reap() {
    support::isolated(|| {
        // Uses the program's own namespace: an anonymous namespace would be gone after a kill.
        let host = Netns::current().unwrap();
        let left = Bridge::new("br0").create(&host).unwrap();
        let error = Bridge::new("br0").create(&host).unwrap_err();
        let hint = error.remedy().unwrap();
        assert!(error.is_already_exists() && hint.contains("a link named `br0`"), "{error}");
        assert!(hint.contains("`reap`"), "{error}");
        // The kernel made `lo`, so the hint does not name `reap`.
        let lo = Bridge::new("lo").create(&host).unwrap_err();
        assert!(lo.is_already_exists() && !lo.to_string().contains("reap"), "{lo}");
        drop(left);
    });
}

#[test]
fn an_alternative_name_is_told_as_one() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let other = Bridge::new("br1").create(&host).unwrap();
        let mut ip = host.command("ip");
        let ip = ip.args(["link", "property", "add", "dev", "br0", "altname", "uplink"]);
        if !support::tools::is_there("ip") || !ip.status().unwrap().success() {
            return;
        }
        let elsewhere = Namespace::anonymous().create().unwrap();
        let cable = VethPair::new("uplink", "b").create(&elsewhere).unwrap();
        for error in [
            Bridge::new("uplink").create(&host).unwrap_err(),
            VethPair::new("a", "uplink").create(&host).unwrap_err(),
            other.rename("uplink").unwrap_err(),
            cable.near().move_to(&host).unwrap_err(),
        ] {
            let hint = error.remedy().unwrap_or_default();
            assert!(error.is_already_exists(), "{error}");
            assert!(
                hint.contains("`br0`") && hint.contains("alternative name `uplink`"),
                "{error}"
            );
        }
        drop(bridge);
    });
}

/// The kernel has one `nf_conntrack_max` for all namespaces: other namespaces can only read the
/// value.
#[test]
fn a_setting_of_the_whole_machine_asks_for_no_privilege() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let _nat = NatRule::masquerade().create(&host).unwrap();
        let name = "net.netfilter.nf_conntrack_max";
        if host.sysctl(name).is_err() {
            return;
        }
        let error = Sysctl::new(name, 4096).create(&host).unwrap_err();
        let text = error.to_string();
        assert!(error.is_permission_denied(), "{text}");
        assert!(text.contains("one value for the machine") && !text.contains("CAP_"), "{text}");
    });
}

#[test]
fn an_address_that_no_link_has_is_not_a_missing_object() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        host.link("lo").unwrap().set_up().unwrap();
        for error in [
            host.tcp_listen("192.0.2.1:80").map(drop).unwrap_err(),
            host.udp_bind("192.0.2.1:80").map(drop).unwrap_err(),
        ] {
            assert_eq!(error.raw_os_error(), Some(nix::libc::EADDRNOTAVAIL), "{error}");
            assert!(!error.is_not_found() && error.kind() == ErrorKind::Other, "{error}");
        }
    });
}

#[test]
fn a_rule_whose_reference_is_missing_names_rule_chain_and_object() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&host).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        for (rule, noun) in [
            (Rule::new().tcp().dport(80).jump("nowhere"), "chain"),
            (Rule::new().tcp().dport(80).goto("nowhere"), "chain"),
            (Rule::new().in_set([Field::Ip4Source], "nowhere").accept(), "set"),
            (Rule::new().tcp().verdict_map([Field::DestinationPort], "nowhere"), "set"),
            (Rule::new().named_counter("nowhere").accept(), "counter"),
        ] {
            let text = rule.create(&chain).unwrap_err().to_string();
            for words in ["table `t` has no", noun, "`nowhere`", "rule `", "chain `c`"] {
                assert!(text.contains(words), "{words}: {text}");
            }
        }
    });
}

#[test]
fn a_translation_outside_a_nat_chain_names_the_chains_that_can() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let filter = Chain::new("c").hook(Hook::Forward, Priority::FILTER);
        for rule in [
            Rule::new().masquerade(),
            Rule::new().ipv4().snat("192.0.2.1"),
            Rule::new().ipv4().dnat("192.0.2.1"),
        ] {
            let table = Table::new(Family::Ip, "t").chain(filter.clone().rule(rule.clone()));
            let text = table.create(&host).unwrap_err().to_string();
            assert!(text.contains("base chain of the kind nat"), "{text}");
            assert!(!text.contains("needs a kernel"), "{text}");
        }
        let nat = Chain::new("c").hook(Hook::Postrouting, Priority::SOURCE_NAT);
        let nat = nat.kind(ChainKind::Nat).rule(Rule::new().masquerade());
        drop(Table::new(Family::Ip, "t").chain(nat).create(&host).unwrap());
    });
}

/// ENOENT for an element or for a rule of built-in expressions does not mean that the kernel lacks
/// an option.
#[test]
fn a_hint_never_asks_for_a_kernel_with_nothing() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&host).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let set = Set::new("s", Type::Ipv4).create(&table).unwrap();
        let map = Map::verdicts("m", Type::Port).create(&table).unwrap();
        let gone = chain.handle().clone();
        chain.delete().unwrap();
        for error in [
            Rule::new().source("192.0.2.1").accept().create(&gone).unwrap_err(),
            set.remove(["192.0.2.1"]).unwrap_err(),
            Element::new(80_u16).verdict(Verdict::Jump("nowhere".into())).create(&map).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(error.is_not_found(), "{text}");
            assert!(!text.contains("kernel with"), "{text}");
        }
    });
}

#[test]
fn the_object_of_an_error_has_no_backticks() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let error = refused(host.link("nobody"), &["find link `nobody`"]);
        assert_eq!((error.action(), error.object()), ("find link", "nobody"));
        let error = Bridge::new("a b").create(&host).unwrap_err();
        assert_eq!((error.action(), error.object()), ("create bridge", "a b"));
    });
}

/// A link name with a quote is valid, but `nft` could not list a rule with that name.
#[test]
fn a_quote_in_a_links_name_is_refused_in_rules_only() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("a\"b").create(&host).unwrap();
        assert_eq!(host.link("a\"b").unwrap(), *bridge);
        refused(Firewall::new().network(&bridge).create(&host), &["network", "quote"]);
        refused(NatRule::masquerade().oifname("a\"b").create(&host), &["oifname", "quote"]);
    });
}
