//! The output of `nft list` equals the ruleset as a person would write it. `nft -f` of that text
//! reads back as the installed ruleset.

use std::io::Write;
use std::process::{Command, Stdio};

use netloom::nft::{
    Chain, ChainKind, CtState, CtStatus, Element, Family, Field, Hook, Limit, Log, Map, Policy,
    Priority, Reject, Rule, Set, Table, TableInfo, Type, Verdict,
};
use netloom::{MacAddr, Namespace, Netns};

use crate::support::{self, Place, nft};

/// Loads a ruleset by `nft -f -` in the namespace. Returns false if `nft` is not installed.
pub(crate) fn load(netns: &Netns, ruleset: &str) -> bool {
    if nft(&Place::of_fd(netns), &["--version"]).is_none() {
        return false;
    }
    let path = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(netns),)
    );
    let mut child = Command::new("nsenter")
        .arg(format!("--net={path}"))
        .args(["--", "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft -f refused:\n{ruleset}");
    true
}

/// Removes the parts that always differ: the owner, the handle numbers and the order of elements.
pub(crate) fn essence(tables: Vec<TableInfo>) -> Vec<TableInfo> {
    let mut tables = tables;
    for table in &mut tables {
        table.owner = None;
        table.number = 0;
        for chain in &mut table.chains {
            chain.number = 0;
            chain.rules.iter_mut().for_each(|rule| rule.number = 0);
        }
        for set in &mut table.sets {
            set.number = 0;
            // The kernel lists elements by a hash that differs between sets.
            set.elements.sort_by_key(|element| format!("{element:?}"));
        }
    }
    tables
}

/// Installs a table, and compares the output of `nft list` with `expected`. Loads that text in
/// another namespace, and reads back the same table.
#[track_caller]
pub(crate) fn is_listed_as(table: &Table, links: &[&str], expected: &str) {
    let ours = Namespace::anonymous().create().unwrap();
    let theirs = Namespace::anonymous().create().unwrap();
    for name in links {
        for netns in [&ours, &theirs] {
            netloom::Bridge::new(*name).create(netns).unwrap().keep();
        }
    }
    let made = table.create(&ours).unwrap();
    let read = ours.nft_ruleset().unwrap();
    let Some(listed) = nft(&Place::of_fd(&*ours), &["-s", "list", "ruleset"]) else { return };
    // nft 1.0.6 prints the owner flag as a comment with the program's name.
    let listed: Vec<_> = listed
        .lines()
        .filter(|line| !line.contains("flags owner"))
        .map(|line| line.split(" # progname").next().unwrap().trim())
        .filter(|line| !line.is_empty())
        .collect();
    let wanted: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(listed, wanted, "\n{}", listed.join("\n"));
    assert!(load(&theirs, expected));
    assert_eq!(essence(theirs.nft_ruleset().unwrap()), essence(read));
    drop(made);
}

#[test]
fn a_filter_for_both_families() {
    support::isolated(|| {
        let input = Chain::new("in")
            .hook(Hook::Input, Priority::FILTER)
            .policy(Policy::Drop)
            .comment("what comes in")
            .rule(Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept())
            .rule(Rule::new().ct_state(CtState::INVALID).drop())
            .rule(Rule::new().iifname("lo").accept())
            .rule(Rule::new().iifname("veth*").jump("web"))
            .rule(Rule::new().not().any_of(Field::Iifname, ["eth0", "eth1"]).goto("web"))
            .rule(Rule::new().source("10.0.0.0/24").counter().accept())
            .rule(Rule::new().not().source("10.0.0.0/20").destination("10.1.2.3").drop())
            .rule(Rule::new().source("10.0.0.1-10.0.0.9").drop())
            .rule(Rule::new().sources(["10.0.0.1", "10.0.2.0/24"]).drop())
            .rule(Rule::new().source("fd00::/64").drop())
            .rule(Rule::new().ipv6().drop())
            .rule(Rule::new().icmp_echo().limit(Limit::packets(10).burst(7)).accept())
            .rule(Rule::new().icmpv6_type(135).limit(Limit::bytes(2048).over()).drop())
            .rule(Rule::new().to_this_machine().udp().dport(53).accept())
            .rule(Rule::new().mark(0x10).set_ct_mark(7).save_mark().restore_mark())
            .rule(Rule::new().mark_bits(0x10, 0xff).set_mark(3))
            .rule(Rule::new().ct_status(CtStatus::DESTINATION_NAT).ct_mark(1).accept())
            .rule(Rule::new().log(Log::new().prefix("gone: ").level(6)))
            .rule(Rule::new().log(Log::new().group(5)))
            .rule(Rule::new().tcp().reject(Reject::TcpReset))
            .rule(Rule::new().reject(Reject::AdminProhibited).comment("the rest"));
        let web = Chain::new("web")
            .rule(Rule::new().tcp().dport(80).accept())
            .rule(Rule::new().tcp().dport("8000-8010").sport(1024_u16..=65535).accept())
            .rule(Rule::new().tcp().not().dport("1-1023").accept())
            .rule(Rule::new().tcp().dports([80, 443]).accept())
            .rule(Rule::new().udp().dports(["53", "100-200"]).back());
        let forward = Chain::new("through")
            .hook(Hook::Forward, Priority::MANGLE)
            .rule(Rule::new().tcp().tcp_syn().clamp_mss())
            .rule(Rule::new().tcp().tcp_syn().set_mss(1300));
        let raw = Chain::new("raw")
            .hook(Hook::Prerouting, Priority::RAW)
            .rule(Rule::new().udp().dport(53).notrack());
        let table = Table::new(Family::Inet, "t").chain(input).chain(web).chain(forward).chain(raw);
        is_listed_as(&table, &[], include_str!("filter.nft"));
    });
}

#[test]
fn sets_and_maps() {
    support::isolated(|| {
        let table = Table::new(Family::Inet, "t")
            .set(
                Set::new("blocked", Type::Ipv4)
                    .interval()
                    .size(100)
                    .comment("no friends")
                    .elements(["10.0.0.0/24", "10.0.1.1", "10.0.2.1-10.0.2.5"]),
            )
            .set(Set::new("pairs", [Type::Ipv4, Type::Port]).element(("10.0.0.1", 80_u16)))
            .set(Set::new("timed", Type::LinkName).timeout(std::time::Duration::from_secs(3600)))
            .set(Set::new("six", Type::Ipv6).element(Element::new("fd00::1").comment("x")))
            .map(
                Map::verdicts("ports", Type::Port)
                    .element(Element::new(80_u16).verdict(Verdict::Accept))
                    .element(Element::new(22_u16).verdict(Verdict::Jump("c".into()))),
            )
            .map(
                Map::new("marks", Type::Ipv4, Type::Mark)
                    .element(Element::new("10.0.0.1").value(7_u32)),
            )
            .chain(Chain::new("c"))
            .chain(
                Chain::new("d")
                    .rule(Rule::new().in_set([Field::Ip4Source], "blocked").drop())
                    .rule(Rule::new().not().in_set([Field::Iifname], "timed").accept())
                    .rule(
                        Rule::new()
                            .ipv4()
                            .tcp()
                            .in_set([Field::Ip4Source, Field::DestinationPort], "pairs")
                            .accept(),
                    )
                    .rule(Rule::new().tcp().verdict_map([Field::DestinationPort], "ports"))
                    .rule(Rule::new().verdicts(
                        [Field::Iifname],
                        [
                            Element::new("eth0").verdict(Verdict::Accept),
                            Element::new("eth1").verdict(Verdict::Goto("c".into())),
                        ],
                    )),
            );
        is_listed_as(&table, &[], include_str!("sets.nft"));
    });
}

#[test]
fn address_translation() {
    support::isolated(|| {
        let nat = |name, hook, priority| Chain::new(name).kind(ChainKind::Nat).hook(hook, priority);
        let table = Table::new(Family::Ip, "t")
            .chain(
                nat("post", Hook::Postrouting, Priority::SOURCE_NAT)
                    .rule(Rule::new().source("10.0.0.0/24").not().oifname("br0").masquerade())
                    .rule(Rule::new().tcp().masquerade().to_ports(1024..=2048).random())
                    .rule(Rule::new().oifname("a").snat("192.0.2.1"))
                    .rule(
                        Rule::new().oifname("b").snat("192.0.2.1-192.0.2.9").persistent_address(),
                    ),
            )
            .chain(
                nat("pre", Hook::Prerouting, Priority::DESTINATION_NAT)
                    .rule(Rule::new().tcp().dport(8080).dnat_to(([10, 0, 0, 2], 80)))
                    .rule(Rule::new().iifname("c").dnat("10.0.0.3"))
                    .rule(Rule::new().udp().dport(5353).redirect(53)),
            );
        is_listed_as(&table, &[], include_str!("nat.nft"));
    });
}

#[test]
fn what_comes_in_on_a_link() {
    support::isolated(|| {
        let mac: MacAddr = "02:00:00:00:00:01".parse().unwrap();
        let table = Table::new(Family::Netdev, "t").chain(
            Chain::new("port")
                .hook(Hook::Ingress, Priority(0))
                .dev("p")
                .rule(Rule::new().not().source_mac(mac).drop())
                .rule(Rule::new().not().source("10.0.0.2").drop())
                .rule(Rule::new().not().is(Field::ArpIpSource, "10.0.0.2").drop())
                .rule(Rule::new().is(Field::ArpOperation, 1_u16).counter())
                .rule(Rule::new().source("fe80::/10").tcp().dport(80).accept()),
        );
        is_listed_as(&table, &["p"], include_str!("netdev.nft"));
    });
}

#[test]
fn frames_that_cross_a_bridge() {
    support::isolated(|| {
        let table = Table::new(Family::Bridge, "t").chain(
            Chain::new("through")
                .hook(Hook::Forward, Priority::BRIDGE_FILTER)
                .rule(Rule::new().iifname("p").not().source_mac("02:00:00:00:00:01").drop())
                .rule(Rule::new().iifname("p").not().source("10.0.0.2").drop())
                .rule(Rule::new().not().is(Field::ArpIpSource, "10.0.0.2").drop())
                .rule(Rule::new().tcp().dport(80).drop()),
        );
        is_listed_as(&table, &[], include_str!("bridge.nft"));
    });
}

/// A rejection for both families (`icmpx`) is allowed even if the packet's family is known.
#[test]
fn refusals_in_the_words_of_both_families() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let rules = [
            "meta nfproto ipv6 reject with icmpx admin-prohibited",
            "ip saddr 10.0.0.1 reject with icmpx port-unreachable",
            "ip6 saddr fd00::1 reject with icmpx no-route",
        ];
        if !load(&netns, &format!("table inet t {{\n chain c {{\n {}\n }}\n}}", rules.join("\n"))) {
            return;
        }
        let read = netns.nft_ruleset().unwrap().remove(0).chains.remove(0).rules;
        let said: Vec<_> = read.iter().map(|info| info.rule.to_string()).collect();
        assert_eq!(said, rules);
        // The rules that were read are created again.
        let chain = read.into_iter().fold(Chain::new("c"), |chain, info| chain.rule(info.rule));
        let again = Namespace::anonymous().create().unwrap();
        let _table = Table::new(Family::Inet, "t").chain(chain).create(&again).unwrap();
        assert_eq!(essence(again.nft_ruleset().unwrap()), essence(netns.nft_ruleset().unwrap()));
    });
}
