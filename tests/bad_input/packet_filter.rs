//! Values that the packet filter, NAT, published ports and firewalls refuse without asking the
//! kernel.

use std::process::Stdio;

use netloom::nft::{
    Chain, ChainHandle, ChainKind, CtState, Element, Family, Field, Flowtable, Hook, Limit, Map,
    Object, ObjectKind, Policy, Priority, Queue, Reject, Rule, Set, SetHandle, Synproxy, Table,
    TableHandle, Type, Verdict,
};
use netloom::{
    Bridge, Firewall, FirewallHandle, Link, Namespace, NatRule, Netns, Owned, PortForward,
    PortGuard, Protocol,
};

use super::is_invalid;
use super::support::features::unsupported;

const FAMILIES: [Family; 6] =
    [Family::Ip, Family::Ip6, Family::Inet, Family::Arp, Family::Bridge, Family::Netdev];
const HOOKS: [Hook; 7] = [
    Hook::Prerouting,
    Hook::Input,
    Hook::Forward,
    Hook::Output,
    Hook::Postrouting,
    Hook::Ingress,
    Hook::Egress,
];
const KINDS: [ChainKind; 3] = [ChainKind::Filter, ChainKind::Nat, ChainKind::Route];

/// Returns whether the kernel supports a base chain of this family, hook and type
/// (`net/netfilter/nft_chain_*.c`, `hook_mask`).
fn is_there(family: Family, hook: Hook, kind: ChainKind) -> bool {
    let is_of_ip = matches!(
        hook,
        Hook::Prerouting | Hook::Input | Hook::Forward | Hook::Output | Hook::Postrouting
    );
    match (kind, family) {
        (ChainKind::Filter, Family::Ip | Family::Ip6 | Family::Bridge) => is_of_ip,
        (ChainKind::Filter, Family::Inet) => is_of_ip || hook == Hook::Ingress,
        (ChainKind::Filter, Family::Arp) => matches!(hook, Hook::Input | Hook::Output),
        (ChainKind::Filter, Family::Netdev) => matches!(hook, Hook::Ingress | Hook::Egress),
        (ChainKind::Nat, Family::Ip | Family::Ip6 | Family::Inet) => {
            is_of_ip && hook != Hook::Forward
        }
        (ChainKind::Route, Family::Ip | Family::Ip6 | Family::Inet) => hook == Hook::Output,
        _ => false,
    }
}

fn base(hook: Hook, kind: ChainKind) -> Chain {
    let chain = Chain::new("c").hook(hook, Priority::FILTER).kind(kind);
    if matches!(hook, Hook::Ingress | Hook::Egress) { chain.dev("lo") } else { chain }
}

fn combinations() -> impl Iterator<Item = (Family, Hook, ChainKind)> {
    let of =
        |family| HOOKS.into_iter().flat_map(move |hook| KINDS.map(|kind| (family, hook, kind)));
    FAMILIES.into_iter().flat_map(of)
}

/// netloom, the kernel and `nft` accept the same combinations of family, hook and chain type.
#[test]
fn base_chains_are_those_that_the_kernel_has() {
    super::support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        netns.link("lo").unwrap().set_up().unwrap();
        for (family, hook, kind) in combinations() {
            let chain = base(hook, kind);
            let device =
                if matches!(hook, Hook::Ingress | Hook::Egress) { "device lo" } else { "" };
            let text = format!(
                "table {family} t {{ chain c {{ type {kind} hook {hook} {device} priority 0; }}; }}"
            );
            let by_another = || {
                netns
                    .command("nft")
                    .arg(&text)
                    .stderr(Stdio::null())
                    .status()
                    .map(|it| it.success())
            };
            let made = Table::new(family, "t").chain(chain).create(&netns);
            if is_there(family, hook, kind) {
                let made = made.map(|table| table.read().unwrap().chains.len());
                match made {
                    Err(error) if error.is_unsupported() || error.is_not_found() => {
                        assert!(!by_another().unwrap_or(false), "{text}: {error}");
                        let what = format!("{kind} chains at {family} {hook}: {error}");
                        unsupported("base-chains", what);
                    }
                    made => assert_eq!(made.unwrap(), 1),
                }
                continue;
            }
            is_invalid(made, &["create chain", "`c`"]);
            // The kernel refuses `nft` as well.
            if let Ok(done) = by_another() {
                assert!(!done, "{text}");
            }
        }
    });
}

/// The existing objects that the tested calls use.
pub(super) struct Ground {
    pub(super) host: Owned<Netns>,
    table: Owned<TableHandle>,
    chain: Owned<ChainHandle>,
    ip: Owned<ChainHandle>,
    addresses: Owned<SetHandle>,
    ranges: Owned<SetHandle>,
    verdicts: Owned<SetHandle>,
    ports: Owned<SetHandle>,
    firewall: Owned<FirewallHandle>,
    elsewhere: (Owned<Netns>, Owned<Link>),
}

impl Ground {
    pub(super) fn new() -> Self {
        let host = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&host).unwrap();
        let v4 = Table::new(Family::Ip, "t").create(&host).unwrap();
        let other = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").create(&other).unwrap();
        let new = Self {
            chain: Chain::new("c").create(&table).unwrap(),
            ip: Chain::new("c").create(&v4).unwrap(),
            addresses: Set::new("addresses", Type::Ipv4).create(&table).unwrap(),
            ranges: Set::new("ranges", Type::Ipv4).interval().create(&table).unwrap(),
            verdicts: Map::verdicts("verdicts", Type::Port).create(&table).unwrap(),
            ports: Map::new("ports", Type::Port, Type::Ipv4).create(&table).unwrap(),
            firewall: Firewall::new().network("br0").create(&host).unwrap(),
            elsewhere: (other, bridge),
            table,
            host,
        };
        v4.keep();
        new
    }

    pub(super) fn known_wrong(&self) {
        self.names();
        self.chains();
        self.rules();
        self.elements();
        self.flowtables();
        self.elsewhere();
        nat_rules(&self.host);
        published_ports(&self.host, &self.elsewhere.1);
        self.firewalls();
    }

    /// Tries bad names for every named kind of object.
    fn names(&self) {
        let long = "x".repeat(256);
        for (name, reason) in [
            ("", "empty"),
            ("drop", "a keyword of nft"),
            (".", "a keyword of nft"),
            ("counter", "a keyword of nft"),
            ("table", "a keyword of nft"),
            (&long, "255 bytes"),
            ("a b", "letters"),
            ("1st", "starts with"),
            ("a\0b", "letters"),
            ("ä", "starts with"),
        ] {
            is_invalid(
                Table::new(Family::Inet, name).create(&self.host),
                &["create table", reason],
            );
            is_invalid(Chain::new(name).create(&self.table), &["create chain", reason]);
            is_invalid(Set::new(name, Type::Ipv4).create(&self.table), &["create set", reason]);
            let map = Map::new(name, Type::Ipv4, Type::Mark);
            is_invalid(map.create(&self.table), &[reason]);
            for object in [
                Object::counter(name),
                Object::quota(name, 1),
                Object::limit(name, Limit::packets(1)),
                Object::synproxy(name, Synproxy::new().mss(1460)),
            ] {
                is_invalid(object.create(&self.table), &["create object", reason]);
            }
            for rule in [
                Rule::new().jump(name),
                Rule::new().goto(name),
                Rule::new().named_counter(name).accept(),
                Rule::new().in_set([Field::Ip4Source], name).accept(),
                Rule::new().verdict_map([Field::DestinationPort], name),
                Rule::new().named_quota(name).accept(),
                Rule::new().named_limit(name).accept(),
                Rule::new().tcp().named_synproxy(name),
                Rule::new().object_map(ObjectKind::Counter, [Field::Iifname], name),
                Rule::new().tcp().dnat_map([Field::DestinationPort], name),
                Rule::new().add_to_set([Field::Mark], name),
                Rule::new().update_map([Field::Iifname], name, [Field::Mark]),
                Rule::new().flow_add(name),
            ] {
                is_invalid(rule.create(&self.chain), &[reason]);
            }
            let flowtable = Flowtable::new(name).dev("lo");
            is_invalid(flowtable.create(&self.table), &["create flowtable", reason]);
            let within = Table::new(Family::Inet, "n").flowtable(flowtable);
            is_invalid(within.create(&self.host), &["create flowtable", reason]);
            let element = Element::new(80_u16).verdict(Verdict::Jump(name.into()));
            is_invalid(element.create(&self.verdicts), &[reason]);
            is_invalid(Firewall::new().name(name).create(&self.host), &[reason]);
        }
        for comment in ["", "a\"b", "a\nb", &"x".repeat(128)] {
            is_invalid(Chain::new("n").comment(comment).create(&self.table), &["comment"]);
            is_invalid(
                Set::new("n", Type::Ipv4).comment(comment).create(&self.table),
                &["comment"],
            );
            is_invalid(Object::counter("n").comment(comment).create(&self.table), &["comment"]);
            let rule = Rule::new().accept().comment(comment);
            is_invalid(rule.create(&self.chain), &["comment"]);
            let element = Element::new("10.0.0.1").comment(comment);
            is_invalid(element.create(&self.addresses), &["comment"]);
        }
        for tag in ["", "a\"b", &"x".repeat(128)] {
            let table = Table::new(Family::Inet, "n").persistent(tag);
            is_invalid(table.create(&self.host), &["create table"]);
            is_invalid(Firewall::new().persistent(tag).create(&self.host), &["create table"]);
        }
    }

    fn chains(&self) {
        for (family, hook, kind) in combinations() {
            if !is_there(family, hook, kind) {
                let table = Table::new(family, "n").chain(base(hook, kind));
                is_invalid(table.create(&self.host), &["create chain `c`"]);
            }
        }
        for chain in [
            Chain::new("n").policy(Policy::Drop),
            Chain::new("n").kind(ChainKind::Nat),
            Chain::new("n").dev("lo"),
            Chain::new("n").hook(Hook::Input, 0).dev("lo"),
            Chain::new("n").hook(Hook::Ingress, 0),
            Chain::new("n").hook(Hook::Ingress, 0).dev("a/b"),
            Chain::new("n").hook(Hook::Prerouting, -200).kind(ChainKind::Nat),
        ] {
            is_invalid(chain.create(&self.table), &["create chain `n`"]);
        }
    }

    fn rules(&self) {
        let wrong = |rule: Rule, reason| is_invalid(rule.create(&self.chain), &["rule", reason]);
        wrong(Rule::new().iifname("a\"b").accept(), "quote");
        wrong(Rule::new().oifname("\"*").accept(), "quote");
        wrong(Rule::new().any_of(Field::Iifname, ["a\"b"]).accept(), "quote");
        let tcp = || Rule::new().tcp();
        wrong(tcp().dport("90-80").accept(), "empty");
        wrong(tcp().dport("10.0.0.1").accept(), "not a valid inet_service");
        wrong(Rule::new().dport(80).accept(), "which protocol");
        wrong(Rule::new().source("10.0.0.9-10.0.0.1").accept(), "empty");
        wrong(Rule::new().source("10.0.0.1/24").accept(), "host bits");
        wrong(Rule::new().source("10.0.0.0/24").destination("fd00::1").accept(), "mixed");
        wrong(Rule::new().sources(["10.0.0.1", "fd00::1"]).accept(), "mixed");
        wrong(Rule::new().ipv4().source("fd00::1").accept(), "mixed");
        wrong(Rule::new().source("10.0.0.1").icmpv6_type(1).accept(), "mixed");
        wrong(Rule::new().source("fd00::1").dnat("10.0.0.1"), "another family");
        wrong(Rule::new().source("10.0.0.1").snat("fd00::1-fd00::9"), "another family");
        wrong(tcp().dnat("10.0.0.1").to_port(0), "no port 0");
        wrong(tcp().redirect(0), "no port 0");
        wrong(Rule::new().ct_state(CtState::empty()).accept(), "no state");
        wrong(Rule::new().limit(Limit::packets(0)).accept(), "the rate is 0");
        wrong(Rule::new().accept().counter(), "after `accept`");
        let of_ip = |rule: Rule, reason| is_invalid(rule.create(&self.ip), &["rule", reason]);
        of_ip(Rule::new().source("fd00::1").accept(), "mixed");
        of_ip(Rule::new().ipv6().accept(), "mixed");
        of_ip(Rule::new().dnat("fd00::1"), "another family");
        of_ip(Rule::new().icmpv6_type(1).reject(Reject::TcpReset), "mixed");
    }

    fn flowtables(&self) {
        let (_, link) = &self.elsewhere;
        let new = || Flowtable::new("f").priority(i32::MIN);
        for (flowtable, reason) in [
            (new(), "between which links"),
            (new().dev("a/b"), "dev"),
            (new().dev(""), "dev"),
            (new().dev("lo").dev("sixteen-bytes-xx"), "15 bytes"),
            (new().dev("lo").dev(link), "another namespace"),
        ] {
            is_invalid(flowtable.create(&self.table), &["create flowtable `f`", reason]);
        }
        for family in [Family::Arp, Family::Bridge, Family::Netdev] {
            let table = Table::new(family, "n").flowtable(new().dev("lo"));
            is_invalid(table.create(&self.host), &["create flowtable `f`", "no flowtables"]);
        }
    }

    /// Tries invalid rules that divert packets.
    fn elsewhere(&self) {
        let (_, link) = &self.elsewhere;
        let wrong = |rule: Rule, reason| is_invalid(rule.create(&self.chain), &["rule", reason]);
        let tcp = || Rule::new().tcp();
        wrong(tcp().tproxy(0), "no port 0");
        wrong(tcp().tproxy_to(([127, 0, 0, 1], 0)), "no port 0");
        wrong(Rule::new().tproxy(80), "which protocol");
        wrong(Rule::new().ipv6().tcp().tproxy_to(([127, 0, 0, 1], 1)), "another family");
        wrong(Rule::new().udp().synproxy(Synproxy::new()), "TCP");
        wrong(tcp().synproxy(Synproxy::new().window_scale(15)), "14 at most");
        wrong(Rule::new().queue(Queue::range(empty())), "empty");
        wrong(Rule::new().queue(Queue::range(0..=u16::MAX)), "65,535");
        wrong(Rule::new().queue(Queue::new(1)).accept(), "after");
        wrong(Rule::new().dup("10.0.0.1"), "no copies");
        wrong(Rule::new().fwd("lo"), "only the family netdev");
        wrong(Rule::new().iif(link).accept(), "another namespace");
        let of_ip = |rule: Rule, reason| is_invalid(rule.create(&self.ip), &["rule", reason]);
        of_ip(Rule::new().dup("web"), "not a valid address");
        of_ip(Rule::new().dup("fd00::1"), "another family");
        of_ip(Rule::new().dup_by("10.0.0.1", link), "another namespace");
        of_ip(Rule::new().dup_by("10.0.0.1", "a/b"), "dup_by");
        of_ip(Rule::new().dup_to_link("lo"), "is sent to an address");
    }

    fn elements(&self) {
        let wrong = |set: &SetHandle, element: Element, reason| {
            is_invalid(element.clone().create(set), &["element", reason]);
            is_invalid(set.add([element.clone()]), &["elements", reason]);
            is_invalid(set.remove([element]), &["elements", reason]);
        };
        for (key, reason) in [
            (Element::new("fd00::1"), "not a valid ipv4_addr"),
            (Element::new(80_u16), "not a valid ipv4_addr"),
            (Element::new("eth0"), "not a valid ipv4_addr"),
            (Element::new("10.0.0.0/24"), "without intervals"),
            (Element::new(("10.0.0.1", 80_u16)), "parts"),
        ] {
            is_invalid(self.addresses.contains(key.clone()), &[reason]);
            wrong(&self.addresses, key, reason);
        }
        is_invalid(
            self.addresses.add([Element::new("10.0.0.1").value(1_u32)]),
            &["only maps have data"],
        );
        wrong(&self.ranges, Element::new("10.0.0.9-10.0.0.1"), "empty");
        is_invalid(self.ranges.add(["10.0.0.0/24", "10.0.0.7"]), &["overlap"]);
        let map = |element, reason| is_invalid(self.ports.add([element]), &[reason]);
        map(Element::new(80_u16), "has no data");
        map(Element::new(80_u16).value("fd00::1"), "not a valid ipv4_addr");
        map(Element::new(80_u16).verdict(Verdict::Drop), "another type");
        map(Element::new("10.0.0.1").value("10.0.0.1"), "not a valid inet_service");
        is_invalid(self.verdicts.add([Element::new(80_u16).value(1_u32)]), &["another type"]);
        // Rules without a key: lookups in named sets and maps, and in maps written into the rule.
        for nothing in [
            Rule::new().in_set([], "addresses").accept(),
            Rule::new().verdict_map([], "verdicts"),
            Rule::new().verdicts([], [Element::new(80_u16).verdict(Verdict::Drop)]),
            Rule::new().ipv4().dnat_map([], "ports"),
            Rule::new().dnat_by([], [Element::new(80_u16).value("10.0.0.1")]),
            Rule::new().object_map(ObjectKind::Counter, [], "counters"),
            Rule::new().add_to_set([], "addresses"),
        ] {
            is_invalid(nothing.create(&self.chain), &["rule", "the key has no fields"]);
        }
        let none = Rule::new().tcp().verdicts([Field::DestinationPort], []);
        is_invalid(none.create(&self.chain), &["rule", "the list of elements is empty"]);
        let rule = |rule: Rule, reason| is_invalid(rule.create(&self.chain), &["rule", reason]);
        let drop = |key: Element| Rule::new().tcp().verdicts([Field::DestinationPort], [key]);
        rule(drop(Element::new("10.0.0.1").verdict(Verdict::Drop)), "not a valid inet_service");
        rule(drop(Element::new(80_u16).value(1_u32)), "another type");
        rule(drop(Element::new("90-80").verdict(Verdict::Drop)), "empty");
        let to =
            |elements: [Element; 2]| Rule::new().tcp().dnat_by([Field::DestinationPort], elements);
        let one = |port: &str, to: &str| Element::new(port).value(to);
        rule(to([one("80", "10.0.0.1"), one("81", "fd00::1")]), "not a valid ipv4_addr");
        rule(to([one("80-90", "10.0.0.1"), one("85", "10.0.0.2")]), "overlap");
        rule(Rule::new().is(Field::Mark, "10.0.0.1").accept(), "not a valid mark");
        let set = |set: Set, reason| is_invalid(set.create(&self.table), &["set", reason]);
        set(Set::new("n", Type::Port).interval().elements(["80-90", "85"]), "overlap");
        set(Set::new("n", Type::Port).elements(["10.0.0.1"]), "not a valid inet_service");
        set(Set::new("n", Type::Ipv6).elements(["10.0.0.1"]), "not a valid ipv6_addr");
    }

    fn firewalls(&self) {
        for name in ["", "a/b", "sixteen-bytes-xx", "a b", "a\"b"] {
            let new = Firewall::new;
            is_invalid(new().network(name).create(&self.host), &["network"]);
            is_invalid(new().connect("br0", name).create(&self.host), &["connect"]);
            let guard = || PortGuard::new(name).address("10.0.0.2");
            is_invalid(new().port(guard()).create(&self.host), &["guard port"]);
            is_invalid(guard().create(&self.firewall), &["guard port"]);
            is_invalid(self.firewall.add_network(name), &["change networks"]);
            is_invalid(self.firewall.remove_network(name), &["change networks"]);
            is_invalid(self.firewall.connect("br0", name), &["change networks"]);
            is_invalid(self.firewall.disconnect(name, "br0"), &["change networks"]);
            is_invalid(self.firewall.guard(name), &["find guard"]);
        }
        for guard in [
            PortGuard::new("veth1"),
            PortGuard::new("veth1").mac("zz"),
            PortGuard::new("veth1").mac("ff:ff:ff:ff:ff:ff"),
            PortGuard::new("veth1").mac("00:00:00:00:00:00"),
            PortGuard::new("veth1").address("web"),
            PortGuard::new("veth1").address("0.0.0.0"),
            PortGuard::new("veth1").address("224.0.0.1"),
            PortGuard::new("veth1").address("255.255.255.255"),
        ] {
            is_invalid(guard.create(&self.firewall), &["guard port `veth1`"]);
            is_invalid(Firewall::new().port(guard).create(&self.host), &["guard port `veth1`"]);
        }
        let twice = PortGuard::new("veth1").address("10.0.0.2");
        let firewall = Firewall::new().port(twice.clone()).port(twice);
        is_invalid(firewall.create(&self.host), &["create firewall", "`veth1`", "twice"]);
        let (_, link) = &self.elsewhere;
        is_invalid(Firewall::new().network(link).create(&self.host), &["in another namespace"]);
    }
}

fn empty() -> std::ops::RangeInclusive<u16> {
    std::ops::RangeInclusive::new(9, 8)
}

fn nat_rules(host: &Netns) {
    let to = || NatRule::dnat("10.0.0.2");
    for (rule, reason) in [
        (to().tcp().sport(empty()), "ends before"),
        (to().tcp().dport(80).to_ports(empty()), "ends before"),
        (to().tcp().to_ports(0), "no service has port 0"),
        (NatRule::redirect(0).tcp(), "no service has port 0"),
        (NatRule::redirect(80), "protocol"),
        (to().dport(80), "protocol"),
        (to().protocol(Protocol::ICMP).to_ports(80), "protocol"),
        (to().source("fd00::/64"), "mixed"),
        (NatRule::snat("203.0.113.7").destination("fd00::/64"), "mixed"),
        (NatRule::masquerade().source("10.0.0.0/8").destination("fd00::/8"), "mixed"),
        (NatRule::snat("203.0.113.9-203.0.113.7"), "ends before"),
        (NatRule::snat("203.0.113.9-fd00::1"), "different families"),
        (NatRule::dnat("web"), "web"),
        (NatRule::dnat("0.0.0.0"), "no machine"),
        (NatRule::snat("224.0.0.1"), "no machine"),
        (NatRule::snat("::-::9"), "no machine"),
        (NatRule::dnat("255.255.255.255"), "no machine"),
        (NatRule::snat("255.255.255.0-255.255.255.255"), "no machine"),
        (to().oifname("eth0"), "oifname"),
        (NatRule::masquerade().locally_generated(), "locally generated"),
        (NatRule::masquerade().persistent(""), "tag"),
        (NatRule::masquerade().persistent("a\"b"), "quotes"),
        (NatRule::masquerade().oifname("a\"b"), "quote"),
        (NatRule::masquerade().persistent("x".repeat(128)), "tag"),
    ] {
        is_invalid(rule.create(host), &["add NAT rule", reason]);
    }
}

fn published_ports(host: &Netns, elsewhere: &Link) {
    let port = |number: u16| PortForward::new(number, "10.0.0.2");
    for (forward, reason) in [
        (port(0), "no service has port 0"),
        (PortForward::new(0..=9, "10.0.0.2"), "no service has port 0"),
        (PortForward::new(empty(), "10.0.0.2"), "ends before"),
        (PortForward::new(80, "web"), "web"),
        (PortForward::new(80, "0.0.0.0"), "not the address of a container"),
        (PortForward::new(80, "127.0.0.1"), "not the address of a container"),
        (PortForward::new(80, "ff02::1"), "not the address of a container"),
        (PortForward::new(80, "255.255.255.255"), "not the address of a container"),
        (port(80).host_address("255.255.255.255"), "no machine has the broadcast address"),
        (port(80).target_port(0), "no service has port 0"),
        (port(80).target_port(80..=81), "different lengths"),
        (port(80).protocol(Protocol::ICMP), "no ports"),
        (port(80).host_address("fd00::1"), "different families"),
        (port(80).host_address("0.0.0.0"), "all local addresses"),
        (PortForward::new(80, "fd00::2").host_address("::1"), "::1"),
        (port(80).link("a/b"), "link"),
        (port(80).link(elsewhere), "in another namespace"),
        (port(80).persistent(""), "tag"),
        (port(80).persistent("a\"b"), "tag"),
        (port(80).persistent("x".repeat(128)), "127 bytes"),
    ] {
        is_invalid(forward.create(host), &["publish port", reason]);
        // The bad port is the second of several.
        let tagged = |one: PortForward| if reason == "tag" { one.persistent("web") } else { one };
        let many = [tagged(port(7)), forward];
        if reason != "127 bytes" {
            is_invalid(PortForward::create_all(&many, host), &["publish port", reason]);
        }
    }
    let mixed = [port(80), port(81).persistent("web")];
    is_invalid(PortForward::create_all(&mixed, host), &["held and persistent"]);
    // Overlapping ports in one call are found without the kernel, and reported as a conflict.
    for other in [port(85), PortForward::new(90..=99, "10.0.0.3")] {
        for tag in [false, true] {
            let both = [PortForward::new(80..=90, "10.0.0.2"), other.clone()];
            let both = both.map(|one| if tag { one.persistent("web") } else { one });
            let error = PortForward::create_all(&both, host).unwrap_err();
            assert!(error.is_already_exists(), "{error}");
            assert!(error.to_string().contains("0.0.0.0:80-90->10.0.0.2:80-90/tcp has the port"));
        }
    }
}
