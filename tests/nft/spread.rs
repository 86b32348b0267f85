//! Number generators that spread packets, and maps to objects and addresses, either in the table or
//! in the rule.

use std::net::Ipv4Addr;
use std::time::Duration;

use netloom::Namespace;
use netloom::nft::{
    Chain, Constant, Element, Family, Field, Map, Numgen, Object, ObjectKind, Rule, Set, Table,
    Type, Verdict,
};

use crate::golden::is_listed_as;
use crate::support::{self, Place, nft};

fn host(number: u8) -> Constant {
    Constant::Address(Ipv4Addr::new(10, 0, 0, number).into())
}

#[test]
fn numbers_are_listed_as_they_are_said() {
    support::isolated(|| {
        let hash = Numgen::jhash([Field::Ip4Source, Field::DestinationPort], 7);
        let to = |number: u8, verdict| Element::new(number).verdict(verdict);
        let server = |number: u8, last| Element::new(number).value(host(last));
        let chain = Chain::new("c")
            .rule(Rule::new().is(Numgen::incremental(2).into(), 1).counter())
            .rule(Rule::new().not().is(Numgen::symhash(3).offset(5).into(), 6).counter())
            .rule(Rule::new().any_of(Numgen::random(10).into(), [0, 1, 2]).accept())
            .rule(Rule::new().verdicts(
                [Numgen::incremental(2).into()],
                [to(0, Verdict::Accept), to(1, Verdict::Jump("other".into()))],
            ))
            .rule(Rule::new().set_mark_from(Numgen::random(10).offset(100)))
            .rule(Rule::new().ipv4().tcp().set_ct_mark_from(hash.seed(0xdead_beef).offset(3)))
            .rule(Rule::new().tcp().dport(80).dnat_by(
                [Numgen::jhash([Field::Ip4Source], 2).seed(1).into()],
                [server(0, 2), server(1, 3)],
            ))
            .rule(
                Rule::new()
                    .source("10.0.0.0/24")
                    .dnat_by([Numgen::incremental(2).into()], [server(0, 2), server(1, 3)]),
            );
        let table = Table::new(Family::Inet, "t").chain(Chain::new("other")).chain(chain);
        is_listed_as(
            &table,
            &[],
            "table inet t {
                chain other {
                }
                chain c {
                    numgen inc mod 2 1 counter
                    symhash mod 3 offset 5 != 6 counter
                    numgen random mod 10 { 0, 1, 2 } accept
                    numgen inc mod 2 vmap { 0 : accept, 1 : jump other }
                    meta mark set numgen random mod 10 offset 100
                    ct mark set jhash ip saddr . tcp dport mod 7 seed 0xdeadbeef offset 3
                    tcp dport 80 dnat ip to jhash ip saddr mod 2 seed 0x1 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
                    ip saddr 10.0.0.0/24 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
                }
            }",
        );
    });
}

#[test]
fn objects_from_maps_are_listed_as_they_are_said() {
    support::isolated(|| {
        let chain = Chain::new("c")
            .rule(Rule::new().tcp().object_map(
                ObjectKind::Counter,
                [Field::DestinationPort],
                "ports",
            ))
            .rule(Rule::new().object_map(ObjectKind::Quota, [Field::Ip4Source], "months"))
            .rule(Rule::new().udp().objects(
                ObjectKind::Counter,
                [Field::DestinationPort],
                [Element::new(53).object("dns"), Element::new(443).object("web")],
            ))
            .rule(Rule::new().tcp().dnat_by(
                [Field::DestinationPort],
                [Element::new(80).value(host(2)), Element::new(443).value(host(3))],
            ))
            .rule(Rule::new().udp().dnat_by(
                [Field::DestinationPort],
                [Element::new(53).values([host(4), Constant::from(5353_u16)])],
            ))
            .rule(
                Rule::new()
                    .snat_by([Field::Ip4Source], [Element::new("10.0.0.0/30").value(host(9))]),
            );
        let table = Table::new(Family::Ip, "t")
            .object(Object::counter("web"))
            .object(Object::counter("dns"))
            .object(Object::quota("big", 1 << 20))
            .map(
                Map::objects("ports", Type::Port, ObjectKind::Counter)
                    .element(Element::new(80).object("web")),
            )
            .map(
                Map::objects("months", Type::Ipv4, ObjectKind::Quota)
                    .interval()
                    .element(Element::new("10.0.0.0/24").object("big")),
            )
            .chain(chain);
        is_listed_as(
            &table,
            &[],
            "table ip t {
                counter web {
                }
                counter dns {
                }
                quota big {
                    1 mbytes
                }
                map ports {
                    type inet_service : counter
                    elements = { 80 : \"web\" }
                }
                map months {
                    type ipv4_addr : quota
                    flags interval
                    elements = { 10.0.0.0/24 : \"big\" }
                }
                chain c {
                    counter name tcp dport map @ports
                    quota name ip saddr map @months
                    counter name udp dport map { 53 : \"dns\", 443 : \"web\" }
                    dnat to tcp dport map { 80 : 10.0.0.2, 443 : 10.0.0.3 }
                    dnat ip to udp dport map { 53 : 10.0.0.4 . 5353 }
                    snat to ip saddr map { 10.0.0.0/30 : 10.0.0.9 }
                }
            }",
        );
    });
}

#[test]
fn an_element_tells_how_long_it_stays() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let [hour, minute] = [3600, 60].map(Duration::from_secs);
        let soon = Element::new("10.0.0.1").expires(minute);
        let late = Element::new("10.0.0.2").timeout(2 * hour).expires(hour);
        let table = Table::new(Family::Ip, "t").set(
            Set::new("s", Type::Ipv4).timeout(hour).element(soon.clone()).element(late.clone()),
        );
        let table = table.create(&netns).unwrap();
        let set = table.set("s").unwrap();
        let of = |element: &Element| {
            let found = set.get(element.clone()).unwrap().unwrap();
            assert_eq!(found, *element);
            found.expires_in().unwrap()
        };
        assert!((Duration::from_secs(1)..=minute).contains(&of(&soon)));
        assert!((minute..=hour).contains(&of(&late)));
        if let Some(listed) = nft(&Place::of_fd(&*netns), &["list", "ruleset"]) {
            assert!(listed.contains("10.0.0.1 expires "), "{listed}");
            assert!(listed.contains("10.0.0.2 timeout 2h expires "), "{listed}");
        }
        let error = set.add([Element::new("10.0.0.3").timeout(minute).expires(hour)]).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("after its timeout"));
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let refused = |rule: Rule, words: &str| {
            let table = Table::new(Family::Inet, "t").chain(Chain::new("c").rule(rule));
            let error = table.create(&netns).unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(words), "{error}");
        };
        let mark = |number| Rule::new().set_mark_from(number);
        refused(mark(Numgen::random(0)), "modulus");
        refused(mark(Numgen::random(2).offset(u32::MAX)), "32 bits");
        refused(mark(Numgen::jhash([], 2)), "no fields");
        refused(mark(Numgen::jhash([Field::Mark; 6], 2)), "more than 5");
        refused(mark(Numgen::jhash([Numgen::random(2).into()], 2)), "a computed number");
        refused(mark(Numgen::jhash([Field::SourcePort], 2)), "which protocol");
        let pair = [Numgen::random(2).into(), Field::Mark];
        refused(Rule::new().in_set(pair, "s").accept(), "can't be combined");
        refused(Rule::new().dnat_by([Field::Mark], []), "the list of elements is empty");
        let no_address = Element::new(1).value(2_u32);
        refused(Rule::new().dnat_by([Field::Mark], [no_address]), "no element has an address");
        let six = Element::new(1).value("fd00::1");
        let mixed = [Element::new(0).value(host(1)), six.clone()];
        refused(Rule::new().dnat_by([Field::Mark], mixed), "not a valid ipv4_addr");
        refused(Rule::new().ipv4().dnat_by([Field::Mark], [six]), "another family");
        let counter = |element| Rule::new().objects(ObjectKind::Counter, [Field::Mark], [element]);
        refused(counter(Element::new(1)), "has no data");
        refused(counter(Element::new(1).value(2)), "another type");
        refused(counter(Element::new(1).object("drop")), "keyword of nft");
        refused(Rule::new().object_map(ObjectKind::Counter, [], "m"), "no fields");
        assert_eq!(support::kernel::tables(&netns), Vec::<String>::new());
    });
}
