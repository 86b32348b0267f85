//! The objects of `nf_tables`, and the firewalls built from them.

use super::{every_step, here, support};
use netloom::nft::{
    Chain, Constant, Element, Family, Flowtable, Hook, Limit, Map, Object, ObjectKind, Policy,
    Priority, Rule, Set, Table, Transaction, Type,
};
use netloom::{Error, Firewall, Netns, Owned, PortGuard};

#[test]
fn tables() {
    support::isolated(|| {
        every_step(&["open the current namespace", "create table `inet filter`"], || {
            let host = Netns::current()?;
            let input = Chain::new("input").hook(Hook::Input, Priority::FILTER);
            let input = input.rule(Rule::new().tcp().dport(22).accept());
            Table::new(Family::Inet, "filter").chain(input).create(&host).map(drop)
        });
        // This handle keeps its socket after a fault, and the tables outlive each run.
        let host = here();
        every_step(&["create table `ip a`"], || {
            Table::new(Family::Ip, "a").create(&host).map(drop)
        });
        every_step(&["create table `ip a`"], || {
            Table::new(Family::Ip, "a").persistent("lab").create(&host).map(drop)
        });
    });
}

#[test]
fn what_is_in_a_table() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        every_step(&["create chain `c`"], || Chain::new("c").create(&table).map(drop));
        let chain = Chain::new("input").hook(Hook::Input, Priority::FILTER).create(&table).unwrap();
        every_step(
            &[
                "add rule meta l4proto tcp th dport 80 accept",
                "add rule meta l4proto tcp th dport 81 accept",
            ],
            || {
                let first = Rule::new().tcp().dport(80).accept().create(&chain)?;
                Rule::new().tcp().dport(81).accept().create_after(&first).map(drop)
            },
        );
        every_step(
            &[
                "create set `ports`",
                "add elements to set `ip filter ports`",
                "add element to set `ip filter ports`: 22",
            ],
            || {
                let ports = Set::new("ports", Type::Port).create(&table)?;
                ports.add([80_u16, 443])?;
                Element::new(22_u16).create(&ports).map(drop)
            },
        );
        every_step(&["create object counter `hits`", "read counter `ip filter hits`"], || {
            Object::counter("hits").create(&table)?.read().map(drop)
        });
        every_step(&["create set `leads`"], || {
            Map::verdicts("leads", Type::Port).create(&table).map(drop)
        });
    });
}

#[test]
fn rules_before_and_after_others() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        let chain = Chain::new("input").hook(Hook::Input, Priority::FILTER).create(&table).unwrap();
        let other = Rule::new().udp().accept().create(&chain).unwrap();
        every_step(&["insert rule drop", "insert rule accept", "read the ruleset"], || {
            let first = Rule::new().drop().insert(&chain)?;
            let _second = Rule::new().accept().insert_before(&other)?;
            first.read().map(drop)
        });
        every_step(&["create chain `c`", "read the ruleset", "flush chain `ip filter c`"], || {
            let full = Chain::new("c").rule(Rule::new().accept()).create(&table)?;
            full.rules()?;
            full.flush()
        });
    });
}

#[test]
fn maps() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "nat").create(&host).unwrap();
        every_step(&["create set `hosts`", "add elements to set `ip nat hosts`"], || {
            let web = |port: u16| {
                let target = Constant::Address(std::net::Ipv4Addr::new(10, 0, 0, 2).into());
                Element::new(port).value(target)
            };
            let hosts =
                Map::new("hosts", Type::Port, Type::Ipv4).element(web(80)).create(&table)?;
            hosts.add([web(81)])
        });
    });
}

/// Needs a kernel with flowtables.
#[test]
fn flowtables() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Inet, "t").create(&host).unwrap();
        let fast = Flowtable::new("fast").dev("lo");
        if support::features::supported("nft-flowtable", fast.create(&table)).is_none() {
            return;
        }
        every_step(
            &["create flowtable `fast`", "create chain `through`", "read flowtable `inet t fast`"],
            || {
                let fast = fast.create(&table)?;
                let _through = Chain::new("through")
                    .hook(Hook::Forward, Priority::FILTER)
                    .rule(Rule::new().flow_add("fast"))
                    .create(&table)?;
                fast.read().map(drop)
            },
        );
    });
}

#[test]
fn named_sets() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        every_step(
            &[
                "create set `ports`",
                "add elements to set `ip filter ports`",
                "get element of set `ip filter ports`",
                "delete elements of set `ip filter ports`",
                "list elements of set `ip filter ports`",
                "flush set `ip filter ports`",
            ],
            || {
                let ports = Set::new("ports", Type::Port).create(&table)?;
                ports.add([80_u16, 443])?;
                ports.contains(80_u16)?;
                ports.remove([80_u16])?;
                ports.elements()?;
                ports.flush()
            },
        );
    });
}

/// If the answer is lost, the handle already knows the number of its rule.
#[test]
fn rules_in_the_place_of_others() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        let chain = Chain::new("input").hook(Hook::Input, Priority::FILTER).create(&table).unwrap();
        let other = Rule::new().udp().counter().accept().create(&chain).unwrap();
        let can_reset =
            support::features::supported("nft-rule-reset", other.reset_counter()).is_some();
        every_step(
            &[
                "add rule meta l4proto tcp th dport 80 counter accept",
                "replace rule meta l4proto tcp th dport 81 counter accept",
                "read counter of rule N of `ip filter input`",
            ],
            || {
                let rule = Rule::new().tcp().dport(80).counter().accept().create(&chain)?;
                rule.replace(&Rule::new().tcp().dport(81).counter().accept())?;
                rule.counter()?;
                if can_reset { rule.reset_counter().map(drop) } else { Ok(()) }
            },
        );
    });
}

/// Finds a table by name and by tag, and reads the whole ruleset.
#[test]
fn what_is_found_again() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter")
            .persistent("lab")
            .object(Object::counter("hits"))
            .set(Set::new("ports", Type::Port).element(22_u16))
            .chain(
                Chain::new("input")
                    .hook(Hook::Input, Priority::FILTER)
                    .rule(Rule::new().counter().accept()),
            );
        let table = table.create(&host).unwrap();
        every_step(
            &[
                "read the ruleset",
                "find chain input",
                "read chain `ip filter input`",
                "find set ports",
                "get element of set `ip filter ports`",
                "find object hits",
                "read counter `ip filter hits`",
            ],
            || {
                assert_eq!(host.nft_tables_with_tag("lab")?, [(*table).clone()]);
                assert_eq!(table.read()?.chains.len(), 1);
                let chain = table.chain("input")?;
                assert_eq!((chain.read()?, chain.rules()?.len()).1, 1);
                let ports = table.set("ports")?;
                assert!(ports.get(22_u16)?.is_some() && !ports.contains(23_u16)?);
                table.object(ObjectKind::Counter, "hits")?.read().map(drop)
            },
        );
    });
}

/// Changes the policy of an existing chain.
#[test]
fn policies() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        every_step(
            &[
                "create chain `input`",
                "set policy of chain `ip filter input` to drop",
                "read chain `ip filter input`",
            ],
            || {
                let input = Chain::new("input").hook(Hook::Input, Priority::FILTER);
                let input = input.create(&table)?;
                input.set_policy(Policy::Drop)?;
                input.read().map(drop)
            },
        );
    });
}

#[test]
fn quotas_and_limits() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        every_step(
            &[
                "create object quota `month` of 1024 mbytes",
                "create object limit `slow`",
                "read quota `ip filter month`",
            ],
            || {
                let month = Object::quota("month", 1 << 30).create(&table)?;
                let _slow = Object::limit("slow", Limit::packets(10)).create(&table)?;
                drop(month.read()?);
                month.reset().map(drop)
            },
        );
    });
}

#[test]
fn transactions() {
    support::isolated(|| {
        let host = here();
        let table = Table::new(Family::Ip, "filter").create(&host).unwrap();
        every_step(
            &[
                "read the ruleset's generation",
                "create chain `c` and 1 more",
                "create chain `c`",
                "add rule accept",
                "read the ruleset",
            ],
            || {
                let generation = host.nft_generation()?;
                let mut change = Transaction::new(&host);
                change.if_unchanged_since(generation);
                let chain = change.create_chain(&table, &Chain::new("c"));
                change.add_rule(&chain, &Rule::new().accept());
                change.commit()?;
                let _chain = netloom::Owned::adopt(chain);
                host.nft_ruleset().map(drop)
            },
        );
    });
}

#[test]
fn firewalls() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "open nf_tables for a firewall",
                "read the ruleset",
                "create table `inet netloom-firewall-N` and 1 more",
                "create table `inet netloom-firewall-N`",
                "create table `bridge netloom-firewall-N`",
                "find set ports",
                "create chain `from.port1` and 1 more",
                "create chain `from.port1`",
                "add elements to map `bridge netloom-firewall-N ports`",
                "find set networks",
                "find set paths",
                "add elements to set `inet netloom-firewall-N networks` and 1 more",
                "add elements to set `inet netloom-firewall-N networks`",
                "add elements to set `inet netloom-firewall-N paths`",
                "create firewall of br0",
                "guard port `port1`",
                "change networks of firewall `inet netloom-firewall-N`",
                "read the ruleset's generation",
                "read the ruleset",
                "delete elements of set `inet netloom-firewall-N networks` and 1 more",
                "delete elements of set `inet netloom-firewall-N networks`",
                "delete elements of set `inet netloom-firewall-N paths`",
            ],
            || {
                let host = Netns::current()?;
                let firewall = Firewall::new().network("br0").clamp_mss().create(&host)?;
                let _guard = PortGuard::new("port1").address("10.0.0.2").create(&firewall)?;
                firewall.add_network("br1")?;
                firewall.remove_network("br1")?;
                firewall.delete().map_err(Error::from)
            },
        );
    });
}

/// Persistent firewalls, changed through handles found by tag.
#[test]
fn persistent_firewalls() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "read the ruleset",
                "create table `inet netloom-firewall-tagged-N` and 3 more",
                "create table `inet netloom-firewall-tagged-N`",
                "create table `bridge netloom-firewall-tagged-N`",
                "create chain `from.port1`",
                "add elements to map `bridge netloom-firewall-tagged-N ports`",
                "create firewall of br0, br1",
                "find set paths",
                "change networks of firewall `inet netloom-firewall-tagged-N`",
                "add elements to set `inet netloom-firewall-tagged-N paths` and 1 more",
                "add elements to set `inet netloom-firewall-tagged-N paths`",
                "read the ruleset's generation",
                "find guard of port `port1`",
                "find table `inet netloom-firewall-tagged-N`",
                "delete elements of set `inet netloom-firewall-tagged-N paths`",
                "read rules of chain through",
                "find set ports",
                "find chain from.port1",
            ],
            || {
                let guard = PortGuard::new("port1").address("10.0.0.2");
                let firewall = Firewall::new().network("br0").network("br1").port(guard);
                let made = firewall.persistent("lab").create(&host)?;
                let found = host.firewalls_with_tag("lab")?;
                assert_eq!(found, [(*made).clone()]);
                found[0].connect("br0", "br1")?;
                found[0].disconnect("br0", "br1")?;
                assert!(Firewall::obstacles(&host)?.is_empty());
                assert!(found[0].obstacles()?.is_empty());
                Owned::adopt(found[0].guard("port1")?).delete()?;
                made.delete().map_err(Error::from)
            },
        );
    });
}
