//! Stateful objects: named counters and limits, quotas, dynamic sets. Also NAT to addresses from
//! maps.

use std::net::Ipv4Addr;
use std::time::Duration;

use netloom::Namespace;
use netloom::nft::{
    Chain, ChainKind, Constant, Element, Family, Field, Hook, Limit, Map, Object, ObjectKind,
    Priority, Rule, Set, Table, Type,
};

use crate::golden::is_listed_as;
use crate::support;

#[test]
fn objects_are_listed_as_they_are_said() {
    support::isolated(|| {
        let chain = Chain::new("in")
            .hook(Hook::Input, Priority::FILTER)
            .rule(Rule::new().tcp().dport(80).named_counter("web").named_quota("month"))
            .rule(Rule::new().udp().named_limit("slow").accept())
            .rule(Rule::new().quota(25 << 20).accept())
            .rule(Rule::new().source("10.0.0.1").quota_over(1500).drop());
        let table = Table::new(Family::Inet, "t")
            .object(Object::counter("web").comment("of the web"))
            .object(Object::quota("month", 100 << 20).over())
            .object(Object::limit("slow", Limit::packets(10).per_minute()))
            .chain(chain);
        is_listed_as(
            &table,
            &[],
            "table inet t {
                counter web {
                    comment \"of the web\"
                }
                quota month {
                    over 100 mbytes
                }
                limit slow {
                    rate 10/minute
                }
                chain in {
                    type filter hook input priority filter; policy accept;
                    tcp dport 80 counter name \"web\" quota name \"month\"
                    meta l4proto udp limit name \"slow\" accept
                    quota 25 mbytes accept
                    ip saddr 10.0.0.1 quota over 1500 bytes drop
                }
            }",
        );
    });
}

#[test]
fn dynamic_sets_are_listed_as_they_are_said() {
    support::isolated(|| {
        let slowly = Limit::packets(3).per_minute().over();
        let chain = Chain::new("in")
            .hook(Hook::Input, Priority::FILTER)
            .rule(Rule::new().add_to_set([Field::Ip4Source], "seen"))
            .rule(Rule::new().udp().dport(53).update_set([Field::Ip4Source], "seen").accept())
            .rule(Rule::new().tcp().dport(22).limit_each([Field::Ip4Source], "slow", slowly).drop())
            .rule(
                Rule::new()
                    .source("10.0.0.0/8")
                    .tcp()
                    .counter_each([Field::Ip4Source, Field::DestinationPort], "counted")
                    .delete_from_set([Field::Ip4Source], "seen"),
            );
        let timeout = Duration::from_secs(60);
        let pair = [Type::Ipv4, Type::Port];
        let table = Table::new(Family::Inet, "t")
            .set(Set::new("seen", Type::Ipv4).dynamic().size(100).timeout(timeout))
            .set(Set::new("slow", Type::Ipv4).dynamic().size(100))
            .set(Set::new("counted", pair).dynamic().size(100))
            .chain(chain);
        is_listed_as(
            &table,
            &[],
            "table inet t {
                set seen {
                    type ipv4_addr
                    size 100
                    flags dynamic,timeout
                    timeout 1m
                }
                set slow {
                    type ipv4_addr
                    size 100
                    flags dynamic
                }
                set counted {
                    type ipv4_addr . inet_service
                    size 100
                    flags dynamic
                }
                chain in {
                    type filter hook input priority filter; policy accept;
                    add @seen { ip saddr }
                    udp dport 53 update @seen { ip saddr } accept
                    tcp dport 22 update @slow { ip saddr limit rate over 3/minute } drop
                    ip saddr 10.0.0.0/8 add @counted { ip saddr . tcp dport counter } delete @seen { ip saddr }
                }
            }",
        );
    });
}

#[test]
fn addresses_from_maps_are_listed_as_they_are_said() {
    support::isolated(|| {
        let both = [Field::Protocol, Field::DestinationPort];
        let chain = Chain::new("to")
            .hook(Hook::Prerouting, Priority::DESTINATION_NAT)
            .kind(ChainKind::Nat)
            .rule(Rule::new().tcp().dnat_map([Field::DestinationPort], "hosts"))
            .rule(Rule::new().udp().dnat_map_to_ports([Field::DestinationPort], "services"))
            // A port beside its protocol needs no match on a protocol.
            .rule(Rule::new().dnat_map_to_ports(both, "both"));
        let target = |host| Constant::Address(Ipv4Addr::new(10, 0, 0, host).into());
        let web = Element::new(80_u16).value(target(2));
        let dns = Element::new(53_u16).values([target(3), Constant::from(5353_u16)]);
        let table = Table::new(Family::Ip, "t")
            .map(Map::new("hosts", Type::Port, Type::Ipv4).element(web))
            .map(Map::new("services", Type::Port, [Type::Ipv4, Type::Port]).element(dns))
            .map(Map::new("both", [Type::Protocol, Type::Port], [Type::Ipv4, Type::Port]))
            .chain(chain);
        is_listed_as(
            &table,
            &[],
            "table ip t {
                map hosts {
                    type inet_service : ipv4_addr
                    elements = { 80 : 10.0.0.2 }
                }
                map services {
                    type inet_service : ipv4_addr . inet_service
                    elements = { 53 : 10.0.0.3 . 5353 }
                }
                map both {
                    type inet_proto . inet_service : ipv4_addr . inet_service
                }
                chain to {
                    type nat hook prerouting priority dstnat; policy accept;
                    dnat to tcp dport map @hosts
                    dnat ip to udp dport map @services
                    dnat ip to meta l4proto . th dport map @both
                }
            }",
        );
    });
}

#[test]
fn they_count_packets_and_begin_anew() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        netns.link("lo").unwrap().set_up().unwrap();
        let icmp = |rule: Rule| rule.icmp_echo();
        let table = Table::new(Family::Inet, "t")
            .object(Object::counter("pings"))
            .object(Object::quota("few", 200).over())
            .set(Set::new("seen", Type::Ipv4).dynamic().size(100))
            .chain(
                Chain::new("in")
                    .hook(Hook::Input, Priority::FILTER)
                    .rule(icmp(Rule::new()).named_counter("pings"))
                    .rule(icmp(Rule::new()).add_to_set([Field::Ip4Source], "seen"))
                    .rule(icmp(Rule::new()).named_quota("few").drop()),
            )
            .create(&netns)
            .unwrap();
        netns.ping("127.0.0.1").unwrap();
        assert!(table.set("seen").unwrap().contains("127.0.0.1").unwrap());
        let counter = table.object(ObjectKind::Counter, "pings").unwrap();
        assert_eq!(counter.read().unwrap().counted().packets, 1);
        let ping =
            || netloom::Ping::new("127.0.0.1").timeout(Duration::from_millis(100)).send(&netns);
        let lost = (0..5).filter(|_| ping().is_err()).count();
        assert!(lost >= 3, "the quota of 200 bytes is used up: {lost} of 5 were lost");
        let quota = table.object(ObjectKind::Quota, "few").unwrap();
        assert!(quota.reset().unwrap().counted().bytes >= 200);
        netns.ping("127.0.0.1").unwrap();
        let before = counter.reset().unwrap().counted().packets;
        assert_eq!((before, counter.read().unwrap().counted().packets), (7, 0));
        // An object that a rule uses cannot be deleted.
        let busy = netloom::Owned::adopt(counter).delete().unwrap_err();
        assert_eq!(busy.error().raw_os_error(), Some(nix::libc::EBUSY));
        busy.into_owned().keep();
        let own = Object::counter("own").create(&table).unwrap();
        assert!(Object::counter("own").create(&table).unwrap_err().is_already_exists());
        let handle = (*own).clone();
        own.delete().unwrap();
        assert!(handle.read().unwrap_err().is_not_found());
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let refused = |table: Table| {
            let error = table.create(&netns).unwrap_err();
            assert!(error.is_invalid_input(), "{error}");
        };
        let table = || Table::new(Family::Inet, "t");
        let rule = |rule| table().chain(Chain::new("c").rule(rule));
        refused(table().object(Object::counter("counter")));
        refused(table().object(Object::quota("q", 0)));
        refused(table().object(Object::limit("l", Limit::packets(0))));
        refused(rule(Rule::new().named_counter("drop")));
        refused(rule(Rule::new().quota(0)));
        refused(rule(Rule::new().add_to_set([], "s")));
        refused(rule(Rule::new().tcp().dnat_map([Field::DestinationPort], "m")));
        refused(rule(Rule::new().dnat_map([Field::DestinationPort], "m")));
        refused(rule(Rule::new().ipv4().ipv6().add_to_set([Field::Ip4Source], "s")));
        assert_eq!(support::kernel::tables(&netns), Vec::<String>::new());
    });
}
