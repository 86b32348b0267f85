//! Rules that divert packets: copies, other links, local sockets, programs, flowtables.

use netloom::nft::{
    Chain, CtState, Family, Field, Flowtable, Hook, Map, Object, ObjectKind, Priority, Queue, Rule,
    Set, Synproxy, Table, Type,
};
use netloom::{Bridge, Namespace};

use crate::golden::is_listed_as;
use crate::support::features::supported;
use crate::support::{self, Place, nft};

fn offer() -> Synproxy {
    Synproxy::new().mss(1460).window_scale(7).timestamp().sack_permitted()
}

#[test]
fn proxies_and_sockets_are_listed_as_they_are_said() {
    support::isolated(|| {
        let chain = Chain::new("in")
            .hook(Hook::Prerouting, Priority::MANGLE)
            .rule(Rule::new().tcp().socket_transparent().set_mark(1).accept())
            .rule(Rule::new().socket_mark(7).not().is(Field::SocketWildcard, 1_u8).counter())
            .rule(Rule::new().tcp().dport(80).tproxy(50_080).set_mark(1).accept())
            .rule(Rule::new().source("10.0.0.1").tcp().tproxy_to(([127, 0, 0, 1], 1080)))
            .rule(Rule::new().source("fd00::1").udp().tproxy_to(([0, 0, 0, 0, 0, 0, 0, 1], 53)));
        let table = Table::new(Family::Inet, "t").chain(chain);
        is_listed_as(
            &table,
            &[],
            "table inet t {
                chain in {
                    type filter hook prerouting priority mangle; policy accept;
                    meta l4proto tcp socket transparent 1 meta mark set 0x00000001 accept
                    socket mark 0x00000007 socket wildcard != 1 counter
                    tcp dport 80 tproxy to :50080 meta mark set 0x00000001 accept
                    ip saddr 10.0.0.1 meta l4proto tcp tproxy ip to 127.0.0.1:1080
                    ip6 saddr fd00::1 meta l4proto udp tproxy ip6 to [::1]:53
                }
            }",
        );
    });
}

#[test]
fn what_leaves_by_another_link_is_listed_as_it_is_said() {
    support::isolated(|| {
        let chain = Chain::new("port")
            .hook(Hook::Ingress, Priority(0))
            .dev("p")
            .rule(Rule::new().source("10.0.0.1").dup_to_link("q"))
            .rule(Rule::new().source("10.0.0.2").fwd_to("10.0.0.9", "q"))
            .rule(Rule::new().arp().fwd("q"));
        is_listed_as(
            &Table::new(Family::Netdev, "t").chain(chain),
            &["p", "q"],
            "table netdev t {
                chain port {
                    type filter hook ingress device \"p\" priority filter; policy accept;
                    ip saddr 10.0.0.1 dup to \"q\"
                    ip saddr 10.0.0.2 fwd ip to 10.0.0.9 device \"q\"
                    meta protocol arp fwd to \"q\"
                }
            }",
        );
    });
}

#[test]
fn copies_are_listed_as_they_are_said() {
    support::isolated(|| {
        let chain = Chain::new("c")
            .rule(Rule::new().source("10.0.0.2").dup("10.0.0.3"))
            .rule(Rule::new().source("10.0.0.2").dup_by("10.0.0.3", "p"))
            .rule(Rule::new().tcp().dport(80).tproxy(8080));
        is_listed_as(
            &Table::new(Family::Ip, "t").chain(chain),
            &["p"],
            "table ip t {
                chain c {
                    ip saddr 10.0.0.2 dup to 10.0.0.3
                    ip saddr 10.0.0.2 dup to 10.0.0.3 device \"p\"
                    tcp dport 80 tproxy to :8080
                }
            }",
        );
        let six = Chain::new("c").rule(Rule::new().dup_by("fd00::3", "p"));
        is_listed_as(
            &Table::new(Family::Ip6, "t").chain(six),
            &["p"],
            "table ip6 t {
                chain c {
                    dup to fd00::3 device \"p\"
                }
            }",
        );
    });
}

#[test]
fn a_synproxy_is_listed_as_it_is_said() {
    support::isolated(|| {
        let new = || Rule::new().tcp().dport(80).ct_state(CtState::INVALID | CtState::UNTRACKED);
        let chain = Chain::new("in")
            .hook(Hook::Input, Priority::FILTER)
            .rule(new().synproxy(offer()))
            .rule(new().named_synproxy("web"));
        let table =
            Table::new(Family::Inet, "t").object(Object::synproxy("web", offer())).chain(chain);
        is_listed_as(
            &table,
            &[],
            "table inet t {
                synproxy web {
                    mss 1460
                    wscale 7
                    timestamp sack-perm
                }
                chain in {
                    type filter hook input priority filter; policy accept;
                    tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
                    tcp dport 80 ct state invalid,untracked synproxy name \"web\"
                }
            }",
        );
        assert_eq!(Object::synproxy("web", offer()).kind(), ObjectKind::Synproxy);
    });
}

#[test]
fn elements_that_rules_put_in_stay_as_long_as_they_say() {
    support::isolated(|| {
        use std::time::Duration;
        let timeout = Duration::from_secs(60);
        let chain = Chain::new("c")
            .rule(Rule::new().add_to_set([Field::Ip4Source], "seen").timeout(timeout / 4))
            .rule(
                Rule::new()
                    .tcp()
                    .update_map([Field::Ip4Source], "ports", [Field::SourcePort])
                    .timeout(Duration::from_millis(90_500)),
            )
            .rule(Rule::new().tcp().update_map(
                [Field::Ip4Source, Field::DestinationPort],
                "hosts",
                [Field::Ip4Destination],
            ));
        let pair = [Type::Ipv4, Type::Port];
        let table = Table::new(Family::Ip, "t")
            .set(Set::new("seen", Type::Ipv4).dynamic().size(100).timeout(timeout))
            .map(Map::new("ports", Type::Ipv4, Type::Port).dynamic().size(100).timeout(timeout))
            .map(Map::new("hosts", pair, Type::Ipv4).dynamic().size(100))
            .chain(chain);
        is_listed_as(
            &table,
            &[],
            "table ip t {
                set seen {
                    type ipv4_addr
                    size 100
                    flags dynamic,timeout
                    timeout 1m
                }
                map ports {
                    type ipv4_addr : inet_service
                    size 100
                    flags dynamic,timeout
                    timeout 1m
                }
                map hosts {
                    type ipv4_addr . inet_service : ipv4_addr
                    size 100
                    flags dynamic
                }
                chain c {
                    add @seen { ip saddr timeout 15s }
                    update @ports { ip saddr timeout 1m30s500ms : tcp sport }
                    update @hosts { ip saddr . tcp dport : ip daddr }
                }
            }",
        );
    });
}

#[test]
fn packets_go_to_programs_where_the_kernel_can() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).create(&table).unwrap();
        let rules = [
            Rule::new().udp().dport(53).queue(Queue::new(3)),
            Rule::new().tcp().queue(Queue::range(1..=4).bypass().fanout()),
        ];
        for (at, rule) in rules.iter().enumerate() {
            let made = rule.create(&input);
            if let Err(error) = &made {
                assert!(error.remedy().unwrap().contains("CONFIG_NFT_QUEUE"), "{error}");
                assert!(!error.is_not_found(), "{error}");
                assert_eq!(input.rules().unwrap(), []);
            }
            let Some(made) = supported("nft-queue", made) else { continue };
            assert_eq!(made.read().unwrap(), *rule);
            if let Some(listed) = nft(&Place::of_fd(&*netns), &["list", "ruleset"]) {
                let said = ["queue to 3", "queue flags bypass,fanout to 1-4"][at];
                assert!(listed.contains(said), "{listed}");
            }
        }
        // A jump to a missing chain is reported as "not found".
        let error = Rule::new().jump("nowhere").create(&input).unwrap_err();
        assert!(error.is_not_found() && !error.is_unsupported(), "{error}");
    });
}

#[test]
fn connections_go_past_the_rules_where_the_kernel_can() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let [lan, wan] = ["lan", "wan"].map(|name| Bridge::new(name).create(&netns).unwrap());
        let fast = Flowtable::new("fast").priority(5).dev(&lan).dev(&wan).counter();
        let through = Chain::new("through")
            .hook(Hook::Forward, Priority::FILTER)
            .rule(Rule::new().ct_state(CtState::ESTABLISHED).flow_add("fast"));
        let table = Table::new(Family::Inet, "t").flowtable(fast.clone()).chain(through.clone());
        let made = table.create(&netns);
        if let Err(error) = &made {
            assert!(error.remedy().unwrap().contains("CONFIG_NF_FLOW_TABLE"), "{error}");
            assert!(netns.nft_ruleset().unwrap().is_empty());
        }
        let Some(table) = supported("nft-flowtable", made) else { return };
        let read = table.read().unwrap();
        assert_eq!(read.flowtables, std::slice::from_ref(&fast));
        assert_eq!(read.chains[0].rules[0].rule.to_string(), "ct state established flow add @fast");
        if let Some(listed) = nft(&Place::of_fd(&*netns), &["list", "ruleset"]) {
            assert!(listed.contains("devices = { lan, wan }"), "{listed}");
            assert!(listed.contains("flow add @fast"), "{listed}");
        }
        // A flowtable cannot be deleted while rules use it.
        let handle = table.flowtable("fast").unwrap();
        assert_eq!(handle.read().unwrap(), fast);
        assert!(fast.create(&table).unwrap_err().is_already_exists());
        let busy = netloom::Owned::adopt(handle).delete().unwrap_err();
        assert_eq!(busy.error().raw_os_error(), Some(nix::libc::EBUSY));
        table.chain("through").unwrap().flush().unwrap();
        busy.into_owned().delete().unwrap();
        assert!(table.flowtable("fast").unwrap_err().is_not_found());
        let error = Flowtable::new("f").dev("nowhere").create(&table).unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let elsewhere = Namespace::anonymous().create().unwrap();
        let foreign = Bridge::new("br0").create(&elsewhere).unwrap();
        let refused = |table: Table, words: &str| {
            let error = table.create(&netns).unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(words), "{error}");
        };
        let of = |family, rule| Table::new(family, "t").chain(Chain::new("c").rule(rule));
        let rule = |rule| of(Family::Inet, rule);
        refused(rule(Rule::new().iif(&foreign).accept()), "another namespace");
        refused(rule(Rule::new().oif(&foreign).accept()), "another namespace");
        refused(of(Family::Ip, Rule::new().dup_by("10.0.0.1", &foreign)), "another namespace");
        let port = Chain::new("c").hook(Hook::Ingress, Priority(0)).dev(&foreign);
        refused(Table::new(Family::Netdev, "t").chain(port), "another namespace");
        let flowtable = |one| Table::new(Family::Inet, "t").flowtable(one);
        refused(flowtable(Flowtable::new("f").dev(&foreign)), "another namespace");
        refused(flowtable(Flowtable::new("f")), "which links");
        refused(flowtable(Flowtable::new("drop").dev("lo")), "keyword of nft");
        refused(flowtable(Flowtable::new("f").dev("a/b")), "dev");
        let bridge = Table::new(Family::Bridge, "t").flowtable(Flowtable::new("f").dev("lo"));
        refused(bridge, "no flowtables");
        refused(of(Family::Ip, Rule::new().dup("nowhere")), "not a valid address");
        refused(of(Family::Ip, Rule::new().dup("fd00::1")), "another family");
        refused(of(Family::Ip, Rule::new().dup_to_link("lo")), "is sent to an address");
        refused(rule(Rule::new().dup("10.0.0.1")), "no copies");
        refused(rule(Rule::new().fwd("lo")), "only the family netdev");
        refused(of(Family::Netdev, Rule::new().dup("10.0.0.1")), "is sent to a link");
        refused(rule(Rule::new().tproxy(80)), "which protocol");
        refused(rule(Rule::new().tcp().tproxy(0)), "no port 0");
        refused(rule(Rule::new().ipv6().tcp().tproxy_to(([127, 0, 0, 1], 1))), "another family");
        refused(rule(Rule::new().udp().synproxy(offer())), "TCP");
        refused(rule(Rule::new().tcp().synproxy(offer().window_scale(15))), "14 at most");
        #[allow(clippy::reversed_empty_ranges)]
        let none = Queue::range(4..=1);
        refused(rule(Rule::new().queue(none)), "empty");
        refused(rule(Rule::new().queue(Queue::new(1)).accept()), "after");
        refused(rule(Rule::new().flow_add("drop")), "keyword of nft");
        refused(rule(Rule::new().counter().timeout(std::time::Duration::from_secs(1))), "set");
        assert_eq!(support::kernel::tables(&netns), Vec::<String>::new());
    });
}
