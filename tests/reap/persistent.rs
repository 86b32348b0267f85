//! Persistent objects outlive their process, and are found without knowing their tags.

use std::collections::BTreeSet;

use netloom::nft::{Family, Table};
use netloom::{
    Bridge, Firewall, Namespace, NatRule, Netns, Owned, Persistent, PortForward, PortGuard,
    Together, VethEnd, VethPair,
};

use super::support;
use super::support::snapshot::Snapshot;
use super::{helper, is_helper, kill, ready, wait_to_be_killed};

fn shown(netns: &Netns) -> Vec<String> {
    netloom::persistent(netns).unwrap().iter().map(ToString::to_string).collect()
}

/// Creates one object of each kind, and more of some, with tags that the finder does not know.
#[test]
#[ignore = "started by another test, to be killed"]
fn maker() {
    if !is_helper("persistent::maker") {
        return;
    }
    let host = Netns::current().unwrap();
    let guard = PortGuard::new("veth7").address("10.0.0.2");
    let firewall = Firewall::new().name("cni").network("br7").port(guard).persistent("fw");
    firewall.create(&host).unwrap().keep();
    let table = |family, name: &str, tag: &str| Table::new(family, name).persistent(tag);
    table(Family::Inet, "plain", "plugin").create(&host).unwrap().keep();
    // These tables belong to no firewall, because the name or the tag differs.
    table(Family::Bridge, "plain2", "plugin").create(&host).unwrap().keep();
    table(Family::Bridge, "plain", "other").create(&host).unwrap().keep();
    for tag in ["net1/web", "net1/db"] {
        NatRule::masquerade().source("10.0.0.0/24").persistent(tag).create(&host).unwrap().keep();
        let web = PortForward::new(8000..=8009, "10.0.0.2").persistent(tag);
        let web = if tag == "net1/db" { web.udp() } else { web };
        web.create(&host).unwrap().keep();
    }
    PortForward::new(80, "fd00::2").persistent("net1/web").create(&host).unwrap().keep();
    PortForward::new(8080, "10.0.0.2")
        .host_address("127.0.0.1")
        .persistent("of two words")
        .create(&host)
        .unwrap()
        .keep();
    // The tag makes the rule persistent, whether it is kept or not.
    std::mem::forget(NatRule::redirect(53).udp().dport(5353).persistent("net1/db").create(&host));
    wait_to_be_killed();
}

#[test]
fn all_that_a_killed_process_made_is_listed_adopted_and_deleted() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        // This call opens the sockets that the handle keeps.
        assert_eq!(shown(&host), [""; 0]);
        drop(Bridge::new("first").create(&host).unwrap());
        // Opens the socket with which published ports delete connections.
        host.conntrack().unwrap();
        let before = Snapshot::take();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").address("fd00::1/64").up();
        let cable = VethPair::new(near, "veth2").create(&host).unwrap();
        kill(ready(helper("persistent::maker", 0).spawn().unwrap()));
        assert!(netloom::reap().unwrap().removed.is_empty());
        let expected = [
            "firewall `cni` with the tag `fw`",
            "table `bridge plain2` with the tag `plugin`",
            "table `bridge plain` with the tag `other`",
            "table `inet plain` with the tag `plugin`",
            "NAT rule 2 of table `netloom` with the tag `net1/web`",
            "NAT rule 3 of table `netloom` with the tag `net1/db`",
            "NAT rule 5 of table `netloom` with the tag `net1/db`",
            "published port 0.0.0.0:8000-8009->10.0.0.2:8000-8009/udp with the tag `net1/db`",
            "published port 0.0.0.0:8000-8009->10.0.0.2:8000-8009/tcp with the tag `net1/web`",
            "published port 127.0.0.1:8080->10.0.0.2:8080/tcp with the tag `of two words`",
            "published port [::]:80->[fd00::2]:80/tcp with the tag `net1/web`",
        ];
        let has_ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
        let expected = if has_ipv6 { &expected[..] } else { &expected[..10] };
        let without_numbers = |lines: Vec<String>| -> BTreeSet<String> {
            let digits = |line: String| match line.strip_prefix("NAT rule ") {
                Some(rest) => format!("NAT rule N{}", rest.trim_start_matches(char::is_numeric)),
                None => line,
            };
            lines.into_iter().map(digits).collect()
        };
        let listed = shown(&host);
        assert_eq!(listed.len(), expected.len(), "{listed:#?}");
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(without_numbers(listed), without_numbers(expected));

        // Listing by tag gives the same values.
        for one in netloom::persistent(&host).unwrap() {
            let tag = one.tag().to_owned();
            let is_found = match &one {
                Persistent::Firewall(firewall) => {
                    host.firewalls_with_tag(&tag).unwrap().contains(firewall)
                }
                Persistent::Table(table) => host.nft_tables_with_tag(&tag).unwrap().contains(table),
                Persistent::NatRule(rule) => host
                    .nat_rules_with_tag(&tag)
                    .unwrap()
                    .iter()
                    .any(|listed| listed.handle() == rule),
                Persistent::PortForward(port) => {
                    assert!(port.is_in_force().unwrap(), "{one}");
                    host.port_forwards_with_tag(&tag).unwrap().contains(port)
                }
                other => panic!("{other:?}"),
            };
            assert!(is_found, "{one}");
        }

        // The example of the README: some objects one by one, by tag, then the rest together.
        for left in netloom::persistent(&host).unwrap() {
            if left.tag() == "net1/db" || left.tag() == "fw" {
                Owned::adopt(left).delete().unwrap();
            }
        }
        let rest = netloom::persistent(&host).unwrap();
        assert!(rest.iter().all(|one| one.tag() != "net1/db" && one.tag() != "fw"), "{rest:?}");
        assert!(rest.iter().any(|one| matches!(one, Persistent::PortForward(_))));
        let stale = rest.clone();
        rest.into_iter().map(Owned::adopt).collect::<Together<Vec<_>>>().delete().unwrap();
        assert_eq!(shown(&host), [""; 0]);
        // Deleting an object that is gone is no failure, and a new object with the same values
        // stays.
        let theirs = NatRule::masquerade().persistent("net1/web").create(&host).unwrap();
        stale.into_iter().map(Owned::adopt).collect::<Together<Vec<_>>>().delete().unwrap();
        assert_eq!(shown(&host).len(), 1);
        theirs.delete().unwrap();
        cable.delete().unwrap();
        let left = before.left_after();
        assert!(left.is_empty(), "{}", left.join("\n"));
    });
}

/// A handle caches the state of the tables, which other programs delete meanwhile.
#[test]
fn a_handle_sees_that_another_program_deleted_the_last_of_each_kind() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let other = host.run(|| Netns::current().unwrap()).unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").up();
        let _cable = VethPair::new(near, "veth2").create(&host).unwrap();
        for _ in 0..2 {
            for kind in 0..4 {
                for maker in [&host, &other] {
                    match kind {
                        0 => drop(port().create(maker).unwrap().keep()),
                        1 => drop(rule().create(maker).unwrap().keep()),
                        2 => drop(Firewall::new().persistent("a").create(maker).unwrap().keep()),
                        _ => {
                            let table = Table::new(Family::Inet, "t").persistent("a");
                            drop(table.create(maker).unwrap().keep());
                        }
                    }
                    assert_eq!(shown(&host), shown(&other));
                    let [left] = &netloom::persistent(&host).unwrap()[..] else {
                        panic!("{kind}: {:?}", shown(&host));
                    };
                    let by_other = netloom::persistent(&other).unwrap().remove(0);
                    Owned::adopt(by_other).delete().unwrap();
                    assert_eq!(shown(&host), [""; 0]);
                    assert_eq!(host.port_forwards().unwrap(), []);
                    assert_eq!(host.nat_rules().unwrap(), []);
                    assert_eq!(host.firewalls_with_tag("a").unwrap(), []);
                    Owned::adopt(left.clone()).delete().unwrap();
                }
            }
        }
    });
}

fn port() -> PortForward {
    PortForward::new(80, "10.0.0.2").persistent("a")
}

fn rule() -> NatRule {
    NatRule::masquerade().persistent("a")
}

#[test]
fn what_is_held_and_what_is_foreign_is_not_listed() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").up();
        let _cable = VethPair::new(near, "veth2").create(&host).unwrap();
        assert_eq!(shown(&host), [""; 0], "of nothing");
        let _rule = NatRule::masquerade().create(&host).unwrap();
        let local = PortForward::new(80, "10.0.0.2").host_address("127.0.0.1");
        let _port = local.create(&host).unwrap();
        let table = Table::new(Family::Inet, "own").create(&host).unwrap();
        assert_eq!((table.tag(), table.is_held()), (None, true));
        let firewall = Firewall::new().network("br0").create(&host).unwrap();
        assert_eq!(firewall.tag(), None);
        assert_eq!(shown(&host), [""; 0], "of what is held");

        // Tables of other programs with the names of netloom's tables.
        let foreign = "table inet netloom { chain prerouting { counter comment \"web\"; }; }
            table ip netloom-ports { }
            table ip6 netloom-ports { comment \"published ports\"; }
            table inet netloom-firewall-tagged-0 { }
            table bridge netloom-firewall-tagged-0 { }";
        let place = support::Place::of_fd(&host);
        if support::nft(&place, &[foreign]).is_none() {
            return;
        }
        assert_eq!(shown(&host), [""; 0], "of what is foreign");
        let gone = foreign.lines().filter_map(|line| line.trim().split(" {").next());
        let gone: Vec<_> = gone.map(|table| format!("delete {table}")).collect();
        support::nft(&place, &[&gone.join("\n")]).unwrap();
    });
}

/// The cached state of one namespace is not used for another.
#[test]
fn each_namespace_has_its_own() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let blue = Namespace::anonymous().create().unwrap();
        let _red = NatRule::masquerade().persistent("red").create(&red).unwrap();
        let table = Table::new(Family::Ip, "t").persistent("blue").create(&blue).unwrap();
        assert_eq!((table.tag(), table.is_held()), (Some("blue"), false));
        assert_eq!(shown(&red), ["NAT rule 2 of table `netloom` with the tag `red`"]);
        assert_eq!(shown(&blue), ["table `ip t` with the tag `blue`"]);
    });
}

/// Lists more ports than a datagram holds or one request asks for, in the order of their tags and
/// of each tag's list.
#[test]
fn hundreds_of_ports_are_listed_as_by_their_tags() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").up();
        let _cable = VethPair::new(near, "veth2").create(&host).unwrap();
        let tag = |port: u16| format!("tag {}", port % 2);
        let all = (1000..1700).map(|port| PortForward::new(port, "10.0.0.2").persistent(tag(port)));
        let mut made = PortForward::create_all(&all.collect::<Vec<_>>(), &host).unwrap();
        // The last element of a tag moves to the place of a deleted one.
        drop(made.drain(100..103).collect::<Vec<_>>());
        let by_tag =
            (0..2).flat_map(|tag| host.port_forwards_with_tag(&format!("tag {tag}")).unwrap());
        let by_tag: Vec<_> = by_tag.map(Persistent::PortForward).collect();
        assert_eq!(netloom::persistent(&host).unwrap(), by_tag);
        assert_eq!(by_tag.len(), 697);
        by_tag.into_iter().map(Owned::adopt).collect::<Together<Vec<_>>>().delete().unwrap();
        assert_eq!(shown(&host), [""; 0]);
        Together::new(made).delete().unwrap();
    });
}
