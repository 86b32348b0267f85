//! Generated rulesets, each built by netloom and written in the syntax of `nft`. Both forms must
//! read back as the generated rules, and `nft` must list the built form as it is written.

use std::net::Ipv4Addr;
use std::time::Duration;

use netloom::Namespace;
use netloom::nft::{
    Chain, Constant, CtState, Element, Family, Field, Limit, Log, Map, Numgen, Object, ObjectKind,
    Reject, Rule, Set, Synproxy, Table, Type, Verdict,
};
use proptest::prelude::*;

use crate::said::{Known, Said, bytes, hex, is_the_same, runner, spread, time};
use crate::support;

pub(crate) fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..255_u8).prop_map(|last| format!("10.1.2.{last}")),
        (8..=30_u8).prop_map(|bits| {
            ipnet::Ipv4Net::new([10, 3, 7, 21].into(), bits).unwrap().trunc().to_string()
        }),
        // Starts at an odd address: `nft` lists an aligned range that equals a prefix as the
        // prefix.
        (0..49_u8, 100..200_u8).prop_map(|(a, b)| format!("10.1.2.{}-10.1.2.{b}", 2 * a + 1)),
    ]
}

pub(crate) fn address6() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..9999_u16).prop_map(|last| format!("fd00::{last:x}")),
        (8..=126_u8).prop_map(|bits| {
            let address = "fd12:3456:789a:bcde:f012:3456:789a:bcde".parse().unwrap();
            ipnet::Ipv6Net::new(address, bits).unwrap().trunc().to_string()
        }),
    ]
}

/// Generates the matches before the protocol.
fn first() -> impl Strategy<Value = Said> {
    let from = |not: bool, a: String, field: &str| {
        let words = format!("{field} {}{a}", if not { "!= " } else { "" });
        let build = move |rule: Rule| if not { rule.not() } else { rule };
        (words, build)
    };
    prop_oneof![
        Just(Said::nothing()),
        (any::<bool>(), address()).prop_map(move |(not, a)| {
            let (words, build) = from(not, a.clone(), "ip saddr");
            Said::nothing().and(|rule| build(rule).source(a), words).ip4()
        }),
        (any::<bool>(), address()).prop_map(move |(not, a)| {
            let (words, build) = from(not, a.clone(), "ip daddr");
            Said::nothing().and(|rule| build(rule).destination(a), words).ip4()
        }),
        (any::<bool>(), address6()).prop_map(move |(not, a)| {
            let (words, build) = from(not, a.clone(), "ip6 saddr");
            Said::nothing().and(|rule| build(rule).source(a), words).ip6()
        }),
        (address(), address()).prop_map(|(a, b)| {
            let words = format!("ip saddr {a} ip daddr {b}");
            Said::nothing().and(|rule| rule.source(a).destination(b), words).ip4()
        }),
        prop::collection::btree_set(1..250_u8, 2..9).prop_map(|lasts| {
            let all: Vec<_> = lasts.into_iter().map(|last| format!("192.0.2.{last}")).collect();
            let words = format!("ip saddr {{ {} }}", all.join(", "));
            Said::nothing().and(|rule| rule.sources(all), words).ip4()
        }),
        "[a-z]{1,8}".prop_map(|name| {
            let words = format!("iifname \"{name}\"");
            Said::nothing().and(|rule| rule.iifname(name), words)
        }),
        "[a-z]{1,8}".prop_map(|name| {
            let words = format!("oifname \"{name}*\"");
            Said::nothing().and(|rule| rule.oifname(format!("{name}*")), words)
        }),
        any::<u32>().prop_map(|mark| {
            Said::nothing().and(|rule| rule.mark(mark), format!("meta mark {}", hex(mark)))
        }),
        (1..8_u32).prop_map(|bits| {
            let named = [
                (1, CtState::INVALID, "invalid"),
                (2, CtState::ESTABLISHED, "established"),
                (4, CtState::RELATED, "related"),
            ];
            let named = named.into_iter().filter(|(bit, ..)| bits & bit != 0);
            let (states, words): (Vec<_>, Vec<_>) = named.map(|(_, one, word)| (one, word)).unzip();
            let states = states.into_iter().fold(CtState::empty(), |all, one| all | one);
            let words = format!("ct state {}", words.join(","));
            Said::nothing().and(|rule| rule.ct_state(states), words)
        }),
        Just(Said::nothing().and(Rule::to_this_machine, "fib daddr type local")),
        Just(Said::nothing().and(Rule::ipv6, "meta nfproto ipv6").ip6()),
    ]
}

fn second() -> impl Strategy<Value = fn(Said, u16, u16) -> Said> {
    let all: Vec<fn(Said, u16, u16) -> Said> = vec![
        |said, _, _| said,
        |said, a, _| said.and(|rule| rule.tcp().dport(a), format!("tcp dport {a}")),
        |said, a, b| {
            let (a, b) = (a.min(b), a.max(b).max(a.min(b) + 1));
            said.and(|rule| rule.udp().dport(a..=b), format!("udp dport {a}-{b}"))
        },
        |said, a, b| {
            let words = format!("tcp sport != {a} tcp dport {b}");
            said.and(|rule| rule.tcp().not().sport(a).dport(b), words)
        },
        |said, a, b| {
            if a == b {
                return said.and(Rule::tcp, "meta l4proto tcp");
            }
            let words = format!("tcp dport {{ {}, {} }}", a.min(b), a.max(b));
            said.and(|rule| rule.tcp().dports([a, b]), words)
        },
        |said, _, _| said.and(|rule| rule.tcp().tcp_syn(), "tcp flags syn / syn,rst"),
        |said, a, _| said.and(|rule| rule.sctp().dport(a), format!("sctp dport {a}")),
        |said, a, _| {
            // Most ICMP codes from 64 have no name in `nft`.
            let code = 64 + a % 192;
            let build = |rule: Rule| rule.is(Field::IcmpCode, u32::from(code));
            if said.known == Known::Ip6 {
                return said;
            }
            said.and(build, format!("icmp code {code}")).ip4()
        },
        |said, a, _| {
            let accept = Element::new(a).verdict(Verdict::Accept);
            let build = |rule: Rule| rule.udp().verdicts([Field::DestinationPort], [accept]);
            said.and(build, format!("udp dport vmap {{ {a} : accept }}"))
        },
    ];
    prop::sample::select(all)
}

fn refused(said: Said, n: u32) -> Said {
    let (how, both, ip4, ip6) = match n % 4 {
        0 => (Reject::PortUnreachable, "", "icmp port-unreachable", "icmpv6 port-unreachable"),
        1 => (
            Reject::HostUnreachable,
            "icmpx host-unreachable",
            "icmp host-unreachable",
            "icmpv6 addr-unreachable",
        ),
        2 => (Reject::NoRoute, "icmpx no-route", "icmp net-unreachable", "icmpv6 no-route"),
        _ => (
            Reject::AdminProhibited,
            "icmpx admin-prohibited",
            "icmp admin-prohibited",
            "icmpv6 admin-prohibited",
        ),
    };
    let words = match said.known {
        Known::Neither => both,
        Known::Ip4 => ip4,
        Known::Ip6 => ip6,
    };
    let with = if words.is_empty() { "" } else { " with " };
    said.and(|rule| rule.reject(how), format!("reject{with}{words}"))
}

fn third() -> impl Strategy<Value = fn(Said, u32) -> Said> {
    let all: Vec<fn(Said, u32) -> Said> = vec![
        |said, _| said.and(Rule::accept, "accept"),
        |said, _| said.and(|rule| rule.counter().drop(), "counter drop"),
        |said, n| {
            let rate = u64::from(n % 1000) + 1;
            let limit = Limit::packets(rate).per_minute();
            said.and(|rule| rule.limit(limit).accept(), format!("limit rate {rate}/minute accept"))
        },
        |said, n| {
            let words = format!("meta mark set {} ct mark set meta mark", hex(n));
            said.and(|rule| rule.set_mark(n).save_mark(), words)
        },
        |said, n| {
            let (mark, mask) = (n & 0xff | 1, 0x1ff);
            let kept = hex(!mask | mark);
            let words = format!("meta mark set meta mark & {kept} | {}", hex(mark));
            said.and(|rule| rule.set_mark_bits(mark, mask), words)
        },
        |said, n| {
            let words = format!("ct mark set {} jump other", hex(n));
            said.and(|rule| rule.set_ct_mark(n).jump("other"), words)
        },
        |said, n| {
            let log = Log::new().prefix(format!("p{n}")).level(6);
            let words = format!("log prefix \"p{n}\" level info goto other");
            said.and(|rule| rule.log(log).goto("other"), words)
        },
        refused,
        |said, n| {
            let words = format!("counter return comment \"number {n}\"");
            said.and(|rule| rule.counter().back().comment(format!("number {n}")), words)
        },
        |said, n| {
            let count = u64::from(n) + 1;
            let words = format!("counter name \"web\" quota {} accept", bytes(count));
            said.and(|rule| rule.named_counter("web").quota(count).accept(), words)
        },
        |said, n| {
            let count = u64::from(n) + 1;
            let words = format!("quota name \"month\" quota over {} drop", bytes(count));
            said.and(|rule| rule.named_quota("month").quota_over(count).drop(), words)
        },
        |said, n| {
            let (number, words) = spread(n);
            let words = format!("limit name \"slow\" meta mark set {words} accept");
            said.and(|rule| rule.named_limit("slow").set_mark_from(number).accept(), words)
        },
        |said, n| {
            let count = n % 99 + 1;
            said.and(|rule| rule.connections(count).accept(), format!("ct count {count} accept"))
        },
        |said, n| {
            let count = n % 99 + 1;
            let words = format!("ct count over {count} drop");
            said.and(|rule| rule.connections_over(count).drop(), words)
        },
        |said, n| {
            let (number, words) = spread(n);
            let words = format!("{words} {} counter", n % 7);
            said.and(|rule| rule.is(number.into(), n % 7).counter(), words)
        },
        |said, n| {
            let jump = Verdict::Jump("other".into());
            let other = |number: u32| Element::new(number).verdict(jump.clone());
            let (number, words) = spread(n);
            let (a, b) = (n % 5, n % 5 + 1);
            let words = format!("{words} vmap {{ {a} : jump other, {b} : jump other }}");
            said.and(|rule| rule.verdicts([number.into()], [other(a), other(b)]), words)
        },
        |said, n| {
            let timeout = timeout(n);
            let words = format!("add @marks {{ meta mark timeout {} }}", time(timeout));
            said.and(|rule| rule.add_to_set([Field::Mark], "marks").timeout(timeout), words)
        },
        |said, _| {
            let build = |rule: Rule| rule.update_map([Field::Iifname], "links", [Field::Mark]);
            said.and(build, "update @links { iifname : meta mark }")
        },
    ];
    prop::sample::select(all)
}

/// Returns a timeout that is a multiple of every kernel's tick.
fn timeout(n: u32) -> Duration {
    Duration::from_millis(100 * (u64::from(n % 9_000_000) + 1))
}

/// Generates the statements that need a known protocol or family: TCP over IPv4.
fn of_a_protocol() -> impl Strategy<Value = fn(Said, u16, u32) -> Said> {
    let mut all: Vec<fn(Said, u16, u32) -> Said> = vec![
        |said, _, n| {
            let rate = u64::from(n % 1000) + 1;
            let limit = Limit::packets(rate).per_minute().over();
            let words =
                format!("update @slow-ones {{ ip saddr limit rate over {rate}/minute }} drop");
            said.and(|rule| rule.limit_each([Field::Ip4Source], "slow-ones", limit).drop(), words)
        },
        |said, _, _| {
            let key = [Field::Ip4Source, Field::DestinationPort];
            let words = "add @counted { ip saddr . tcp dport counter }";
            said.and(|rule| rule.counter_each(key, "counted"), words)
        },
        |said, _, n| {
            let count = n % 99 + 1;
            let words = format!("add @busy {{ ip saddr ct count over {count} }} drop");
            let key = [Field::Ip4Source];
            said.and(|rule| rule.connections_over_each(key, "busy", count).drop(), words)
        },
        |said, _, n| {
            let timeout = timeout(n);
            let words = format!("update @seen {{ ip saddr timeout {} }} accept", time(timeout));
            let build = |rule: Rule| rule.update_set([Field::Ip4Source], "seen").timeout(timeout);
            said.and(|rule| build(rule).accept(), words)
        },
        |said, _, _| {
            let words = "delete @seen { ip daddr } accept";
            said.and(|rule| rule.delete_from_set([Field::Ip4Destination], "seen").accept(), words)
        },
        |said, _, _| {
            let (key, data) = ([Field::Ip4Source], [Field::SourcePort]);
            let words = "update @ports { ip saddr : tcp sport }";
            said.and(|rule| rule.update_map(key, "ports", data), words)
        },
        |said, _, _| {
            let words = "dnat ip to tcp dport map @hosts";
            said.and(|rule| rule.dnat_map([Field::DestinationPort], "hosts"), words)
        },
        |said, _, _| {
            let words = "dnat ip to tcp dport map @services";
            said.and(|rule| rule.dnat_map_to_ports([Field::DestinationPort], "services"), words)
        },
        |said, a, n| {
            let to = |port: u16, n: u32| Element::new(port).value(Ipv4Addr::from_bits(n));
            let mut pairs = [(a, n), (a ^ 1 | 2, n / 2)];
            pairs.sort_unstable();
            let words = pairs.map(|(port, n)| format!("{port} : {}", Ipv4Addr::from_bits(n)));
            let words = format!("dnat ip to tcp dport map {{ {} }}", words.join(", "));
            let elements = [to(a, n), to(a ^ 1 | 2, n / 2)];
            said.and(|rule| rule.dnat_by([Field::DestinationPort], elements), words)
        },
        |said, a, n| {
            let address = Ipv4Addr::from_bits(n);
            let to = [Constant::from(address), Constant::from(a)];
            let (number, words) = spread(n);
            let words = format!("dnat ip to {words} map {{ 0 : {address} . {a} }}");
            said.and(|rule| rule.dnat_by([number.into()], [Element::new(0).values(to)]), words)
        },
        |said, _, n| {
            let modulus = n % 9 + 1;
            let key = [Field::Ip4Source, Field::SourcePort];
            let words =
                format!("ct mark set jhash ip saddr . tcp sport mod {modulus} seed 0x{n:x}");
            said.and(|rule| rule.set_ct_mark_from(Numgen::jhash(key, modulus).seed(n)), words)
        },
        |said, _, _| {
            let key = [Field::DestinationPort];
            let words = "counter name tcp dport map @counters";
            said.and(|rule| rule.object_map(ObjectKind::Counter, key, "counters"), words)
        },
        |said, a, _| {
            let web = Element::new(a).object("web");
            let words = format!("counter name tcp sport map {{ {a} : \"web\" }}");
            said.and(|rule| rule.objects(ObjectKind::Counter, [Field::SourcePort], [web]), words)
        },
    ];
    all.extend(proxies());
    prop::sample::select(all)
}

/// Returns the statements that reply for a server, or redirect to local sockets.
fn proxies() -> Vec<fn(Said, u16, u32) -> Said> {
    vec![
        |said, a, n| {
            let scale = (n % 15) as u8;
            let offer = Synproxy::new().mss(a).window_scale(scale);
            let (offer, more) = match n % 2 {
                0 => (offer.timestamp(), "timestamp"),
                _ => (offer.sack_permitted(), "sack-perm"),
            };
            let words = format!("synproxy mss {a} wscale {scale} {more}");
            said.and(|rule| rule.synproxy(offer), words)
        },
        |said, _, _| said.and(|rule| rule.named_synproxy("offer"), "synproxy name \"offer\""),
        |said, a, _| said.and(|rule| rule.tproxy(a).accept(), format!("tproxy ip to :{a} accept")),
        |said, a, n| {
            let address = Ipv4Addr::from_bits(n);
            let words = format!("tproxy ip to {address}:{a} accept");
            said.and(|rule| rule.tproxy_to((address, a)).accept(), words)
        },
        |said, _, n| {
            let words = format!("socket transparent 1 meta mark set {}", hex(n));
            said.and(|rule| rule.socket_transparent().set_mark(n), words)
        },
        |said, _, n| {
            let words = format!("socket mark {} socket wildcard 0 counter", hex(n));
            said.and(|rule| rule.socket_mark(n).is(Field::SocketWildcard, 0).counter(), words)
        },
    ]
}

fn rule() -> impl Strategy<Value = Said> {
    let anywhere = (first(), second(), 1..u16::MAX, 1..u16::MAX, third(), any::<u32>())
        .prop_map(|(said, second, a, b, third, n)| third(second(said, a, b), n));
    let of_a_protocol =
        (address(), 1..u16::MAX, of_a_protocol(), any::<u32>()).prop_map(|(from, a, rest, n)| {
            let words = format!("ip saddr {from} tcp dport {a}");
            rest(Said::nothing().and(|rule| rule.source(from).tcp().dport(a), words).ip4(), a, n)
        });
    prop_oneof![anywhere, of_a_protocol]
}

/// Returns the table with the sets, maps and objects that the rules name.
fn table() -> Table {
    let minute = Duration::from_secs(60);
    let dynamic = |name, key: Type| Set::new(name, key).dynamic().size(100);
    let service = [Constant::from("10.0.0.3"), Constant::from(5353_u16)];
    Table::new(Family::Inet, "t")
        .object(Object::counter("web"))
        .object(Object::quota("month", 100 << 20).over())
        .object(Object::limit("slow", Limit::packets(10).per_minute()))
        .object(Object::synproxy("offer", Synproxy::new().mss(1460).window_scale(7)))
        .set(dynamic("marks", Type::Mark).timeout(minute))
        .set(dynamic("seen", Type::Ipv4).timeout(minute))
        .set(dynamic("slow-ones", Type::Ipv4))
        .set(dynamic("busy", Type::Ipv4))
        .set(Set::new("counted", [Type::Ipv4, Type::Port]).dynamic().size(100))
        .map(Map::new("links", Type::LinkName, Type::Mark).dynamic().size(100))
        .map(Map::new("ports", Type::Ipv4, Type::Port).dynamic().size(100))
        .map(
            Map::new("hosts", Type::Port, Type::Ipv4)
                .element(Element::new(80_u16).value("10.0.0.2")),
        )
        .map(
            Map::new("services", Type::Port, [Type::Ipv4, Type::Port])
                .element(Element::new(53_u16).values(service)),
        )
        .map(
            Map::objects("counters", Type::Port, ObjectKind::Counter)
                .element(Element::new(80_u16).object("web")),
        )
}

#[test]
fn what_is_said_is_what_is_read() {
    support::isolated(|| {
        let rulesets = prop::collection::vec(rule(), 1..12);
        let written = include_str!("generated.nft");
        let checked = runner(40).run(&rulesets, |said| {
            let ours = Namespace::anonymous().create().unwrap();
            let chain = said
                .iter()
                .fold(Chain::new("generated"), |chain, said| chain.rule(said.rule.clone()));
            let table = table().chain(Chain::new("other")).chain(chain);
            let _made = table.create(&ours).unwrap();
            is_the_same(&ours, &[], written, &said)
        });
        checked.unwrap();
    });
}
