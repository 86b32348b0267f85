//! Tests every field with every condition. In the family inet, `nft` reads a rule's text as the
//! same rule. In all families but ARP, `nft` loads its own listing of the rule.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use netloom::nft::{
    Chain, CtState, CtStatus, Element, Family, Field, Reject, Rule, Set, Table, Type, Verdict,
};
use netloom::{Bridge, Namespace, Netns};

use crate::support::{self, Place, nft};

const FIELDS: [Field; 39] = [
    Field::Ip4Source,
    Field::Ip4Destination,
    Field::Ip6Source,
    Field::Ip6Destination,
    Field::SourcePort,
    Field::DestinationPort,
    Field::TcpFlags,
    Field::IcmpType,
    Field::IcmpCode,
    Field::Icmpv6Type,
    Field::Icmpv6Target,
    Field::MacSource,
    Field::MacDestination,
    Field::EtherType,
    Field::ArpOperation,
    Field::ArpMacSource,
    Field::ArpIpSource,
    Field::ArpIpDestination,
    Field::Protocol,
    Field::NetfilterProtocol,
    Field::LinkProtocol,
    Field::Iif,
    Field::Oif,
    Field::Iifname,
    Field::Oifname,
    Field::Iiftype,
    Field::Mark,
    Field::PacketType,
    Field::CtState,
    Field::CtStatus,
    Field::CtMark,
    Field::CtDirection,
    Field::CtOriginalIp4Destination,
    Field::CtOriginalDestinationPort,
    Field::SourceAddressType,
    Field::DestinationAddressType,
    Field::SocketTransparent,
    Field::SocketMark,
    Field::SocketWildcard,
];

const FAMILIES: [Family; 5] =
    [Family::Inet, Family::Ip, Family::Ip6, Family::Bridge, Family::Netdev];

/// Returns single values of a type, then ranges and prefixes.
fn values(kind: Type) -> (Vec<&'static str>, Vec<&'static str>) {
    match kind {
        Type::Ipv4 => (
            vec!["10.1.2.3", "192.0.2.7"],
            vec!["10.0.0.0/8", "10.64.0.0/13", "10.0.0.1-10.0.0.9", "10.3.0.0/31"],
        ),
        Type::Ipv6 => (
            vec!["fd00::1", "2001:db8::7"],
            vec!["fe80::/10", "fd00::/64", "fd00::1-fd00::9", "fd00::/127"],
        ),
        Type::Mac => (
            vec!["02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"],
            vec!["02:00:00:00:00:01-02:00:00:00:00:09"],
        ),
        Type::Port => (vec!["0", "5000"], vec!["0-1023", "8000-65535"]),
        Type::LinkName | Type::LinkIndex => (vec!["lo", "br0"], vec![]),
        Type::EtherType => (vec!["0x0800", "0x86dd", "0x1234"], vec!["0x0700-0x0900"]),
        Type::Protocol => (vec!["6", "253", "17", "1", "58"], vec!["6-17"]),
        Type::NetfilterProtocol => (vec!["2", "10"], vec![]),
        Type::CtDirection | Type::Boolean => (vec!["0", "1"], vec![]),
        Type::CtState => (vec!["1", "2", "4", "8", "64", "6"], vec![]),
        Type::CtStatus => (vec!["1", "2", "32", "48"], vec![]),
        Type::TcpFlags => (vec!["2", "128", "18", "0"], vec!["2-18"]),
        Type::IcmpType => (vec!["0", "200", "8"], vec!["3-8"]),
        Type::IcmpCode => (vec!["0", "200", "3"], vec!["1-3"]),
        Type::Icmpv6Type => (vec!["1", "200", "135"], vec!["133-137"]),
        Type::ArpOperation => (vec!["1", "77", "2"], vec!["1-2"]),
        Type::LinkType => (vec!["1", "772"], vec![]),
        _ => (vec!["1", "2", "3"], vec![]),
    }
}

/// Returns the tests of one field with each condition.
fn tests_of(field: Field) -> Vec<Box<dyn Fn(Rule) -> Rule>> {
    let (single, intervals) = values(field.value_type());
    let mut tests: Vec<Box<dyn Fn(Rule) -> Rule>> = Vec::new();
    for value in single.iter().chain(&intervals).copied() {
        tests.push(Box::new(move |rule| rule.is(field, value)));
        tests.push(Box::new(move |rule| rule.not().is(field, value)));
    }
    let mut sets = vec![single.clone()];
    // `nft` writes a set of one element as that element, so each set has two.
    let other = single[1];
    sets.extend(intervals.iter().map(|interval| vec![*interval, other]));
    for set in sets {
        let (once, again) = (set.clone(), set.clone());
        tests.push(Box::new(move |rule| rule.any_of(field, once.clone())));
        tests.push(Box::new(move |rule| rule.not().any_of(field, again.clone())));
        tests.push(Box::new(move |rule| {
            let verdict = |key: &&str| Element::new(*key).verdict(Verdict::Accept);
            rule.verdicts([field], set.iter().map(verdict))
        }));
    }
    // `nft` 1.0.6 gives sets of these fields other types: numbers of 8 and of 128 bits.
    if matches!(field.value_type(), Type::Boolean) || field == Field::Icmpv6Target {
        tests.truncate(4);
        return tests;
    }
    let name = set_name(field.value_type());
    let other = name.clone();
    tests.push(Box::new(move |rule| rule.in_set([field], &name)));
    tests.push(Box::new(move |rule| rule.not().in_set([field], &other)));
    tests
}

fn set_name(kind: Type) -> String {
    format!("s-{kind}")
}

/// Returns the matches that must come before a field.
fn before(field: Field) -> Vec<fn(Rule) -> Rule> {
    match field {
        Field::SourcePort | Field::DestinationPort => {
            vec![Rule::tcp, Rule::udp, Rule::sctp, |rule| rule.protocols([6, 17])]
        }
        Field::CtOriginalDestinationPort => {
            vec![|rule| rule, Rule::tcp, |rule| rule.protocols([6, 17])]
        }
        _ => vec![|rule| rule],
    }
}

/// Returns the rules whose match is not a field with a value.
fn others() -> Vec<Rule> {
    let mut rules = Vec::new();
    let states = CtState::all().iter();
    for state in states.chain([CtState::ESTABLISHED | CtState::RELATED, CtState::all()]) {
        rules.push(Rule::new().ct_state(state));
        rules.push(Rule::new().not().ct_state(state));
    }
    for status in [CtStatus::SEEN_REPLY, CtStatus::SOURCE_NAT | CtStatus::DESTINATION_NAT] {
        rules.push(Rule::new().ct_status(status));
        rules.push(Rule::new().not().ct_status(status));
    }
    for (mark, mask) in [(0, 0xff), (0x10, 0xff), (0xff, 0xff), (0x10, 0x10), (0, u32::MAX)] {
        rules.push(Rule::new().mark_bits(mark, mask));
        rules.push(Rule::new().not().mark_bits(mark, mask));
    }
    for name in ["lo", "veth*", r"a\*", "a*b"] {
        rules.push(Rule::new().iifname(name));
        rules.push(Rule::new().not().oifname(name));
    }
    rules.push(Rule::new().tcp_syn());
    rules.push(Rule::new().not().tcp_syn());
    let families = [Rule::new().ipv4(), Rule::new().ipv6(), Rule::new().arp()];
    let all = [Rule::new().source("0.0.0.0/0"), Rule::new().source("::/0")];
    rules.extend(families.into_iter().chain(all).map(Rule::counter));
    for net in ["10.1.0.0/16", "fd00::/64", "10.1.2.3/32", "fd00::1/128"] {
        rules.push(Rule::new().dnat_prefix(net));
        rules.push(Rule::new().snat_prefix(net));
    }
    for to in ["10.1.2.3", "10.0.0.1-10.0.0.9", "10.0.0.0/24", "fd00::1", "fd00::/64"] {
        rules.push(Rule::new().dnat(to));
        rules.push(Rule::new().snat(to).random().persistent_address());
        rules.push(Rule::new().tcp().dnat(to).to_port(80));
        rules.push(Rule::new().tcp().dnat(to).to_ports(80..=90).fully_random());
    }
    rules.push(Rule::new().tcp().redirect(80));
    rules.push(Rule::new().masquerade());
    rules.push(Rule::new().tcp().masquerade().to_ports(1000..=2000).random());
    let rejects = [
        Reject::PortUnreachable,
        Reject::HostUnreachable,
        Reject::NoRoute,
        Reject::AdminProhibited,
        Reject::TcpReset,
    ];
    let families: [fn(Rule) -> Rule; 3] = [|rule| rule, Rule::ipv4, Rule::ipv6];
    for how in rejects {
        rules.extend(families.map(|family| family(Rule::new()).reject(how)));
    }
    rules
}

fn rules() -> Vec<Rule> {
    let of_fields = FIELDS.into_iter().flat_map(|field| {
        before(field).into_iter().flat_map(move |before| {
            tests_of(field).into_iter().map(move |test| test(before(Rule::new())))
        })
    });
    let terminal =
        |rule: Rule| if rule.to_string().contains("vmap") { rule } else { rule.counter() };
    let mut said = BTreeSet::new();
    let fields: Vec<_> = of_fields.collect();
    let fields = fields.into_iter().map(terminal);
    fields.chain(others()).filter(|rule| said.insert(format!("{rule:?}"))).collect()
}

/// Feeds a ruleset to `nft -f -`. Returns the numbers of the lines that are refused, from 1.
fn refused_lines(netns: &Netns, ruleset: &str) -> (bool, BTreeSet<usize>, String) {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(netns));
    let mut child = Command::new("nsenter")
        .arg(format!("--net=/proc/{}/fd/{fd}", std::process::id()))
        .args(["--", "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(ruleset.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = errors.lines().filter_map(|line| line.strip_prefix("/dev/stdin:"));
    let lines = lines.filter_map(|line| line.split(':').next()?.parse().ok()).collect();
    (output.status.success(), lines, errors)
}

/// Returns a listing of a chain with one line for each rule.
fn with_rules(head: &str, rules: &[(&Rule, String)]) -> String {
    let lines: Vec<_> = rules.iter().map(|(_, text)| text.as_str()).collect();
    format!("{head}\n{}\n}}\n}}\n", lines.join("\n"))
}

/// Loads the texts that `nft` accepts. Returns those that it refuses or reads as another rule.
fn differing(family: Family, head: &str, said: &[Rule], texts: Vec<String>) -> Vec<String> {
    // An ordinary user's socket sends no larger transaction of `nft`.
    const AT_ONCE: usize = 100;
    if said.len() > AT_ONCE {
        let parts = said.chunks(AT_ONCE).zip(texts.chunks(AT_ONCE));
        return parts
            .flat_map(|(said, texts)| differing(family, head, said, texts.to_vec()))
            .collect();
    }
    let theirs = Namespace::anonymous().create().unwrap();
    Bridge::new("br0").create(&theirs).unwrap().keep();
    let mut wrong = Vec::new();
    let mut rest: Vec<_> = said.iter().zip(texts).collect();
    let first = head.lines().count() + 1;
    loop {
        let (is_loaded, lines, errors) = refused_lines(&theirs, &with_rules(head, &rest));
        if is_loaded {
            break;
        }
        let refused = |at: usize| lines.contains(&(at + first));
        let before = rest.len();
        let all = rest.into_iter().enumerate();
        let (bad, good): (Vec<_>, Vec<_>) = all.partition(|(at, _)| refused(*at));
        wrong.extend(bad.into_iter().map(|(_, (_, text))| format!("{family} refused: {text}")));
        rest = good.into_iter().map(|(_, one)| one).collect();
        assert_ne!(rest.len(), before, "{errors}");
    }
    let read = theirs.nft_ruleset().unwrap();
    let read = &read[0].chains.last().unwrap().rules;
    assert_eq!(read.len(), rest.len());
    for (info, (rule, text)) in read.iter().zip(rest) {
        if info.rule != *rule {
            wrong.push(format!("{family} otherwise: {text}\n    as {}", info.rule));
        }
    }
    wrong
}

/// Returns the lines of the chain's first rules, as `nft` lists them. `None` if `nft` is not
/// installed.
fn listed(netns: &Netns, count: usize) -> Option<Vec<String>> {
    let text = nft(&Place::of_fd(netns), &["-s", "list", "ruleset"])?;
    let lines = text.lines().skip_while(|line| !line.contains("chain c {")).skip(1);
    Some(lines.take(count).map(|line| line.trim().to_owned()).collect())
}

#[test]
fn every_test_of_every_field_is_what_nft_takes_it_for() {
    support::isolated(|| {
        let mut wrong = Vec::new();
        let mut count = 0;
        for family in FAMILIES {
            let ours = Namespace::anonymous().create().unwrap();
            Bridge::new("br0").create(&ours).unwrap().keep();
            let kinds: BTreeSet<Type> = FIELDS.iter().map(|field| field.value_type()).collect();
            let head = kinds.iter().fold(format!("table {family} t {{\n"), |head, kind| {
                format!("{head}set {} {{ type {kind}; }}\n", set_name(*kind))
            });
            let head = format!("{head}chain c {{");
            let sets = kinds.iter().map(|kind| Set::new(set_name(*kind), *kind));
            let table = sets.fold(Table::new(family, "t"), Table::set).create(&ours).unwrap();
            let chain = Chain::new("c").create(&table).unwrap();
            let mut said = Vec::new();
            for rule in rules() {
                // The kernel tracks connections of bridged packets only with the module
                // `nf_conntrack_bridge`.
                let Ok(made) = rule.create(&chain) else { continue };
                made.keep();
                said.push(rule);
            }
            let read = ours.nft_ruleset().unwrap();
            let read = &read[0].chains.last().unwrap().rules;
            assert_eq!(read.len(), said.len());
            count += said.len();
            for (info, rule) in read.iter().zip(&said) {
                // In a table of one family, a rule's match on the family is left out.
                if family == Family::Inet && info.rule.to_string() != rule.to_string() {
                    wrong.push(format!("{family} read: {rule}\n    as {}", info.rule));
                }
            }
            let said: Vec<_> = read.iter().map(|info| info.rule.clone()).collect();
            let Some(lines) = listed(&ours, said.len()) else { return };
            // A rule's text is written as for a table of the family inet.
            if family == Family::Inet {
                // `nft` 1.0.6 does not know `icmpv6 taddr`.
                let texts = said.iter().map(|rule| (rule.clone(), rule.to_string()));
                let is_known = |(_, text): &(Rule, String)| !text.contains("icmpv6 taddr");
                let (said, texts): (Vec<_>, Vec<_>) = texts.filter(is_known).unzip();
                wrong.extend(differing(family, &head, &said, texts));
            }
            // `nft` 1.0.6 lists a range that equals a prefix as the prefix, and rejects a prefix
            // before a port.
            let lines = said.into_iter().zip(lines);
            let is_known =
                |(_, line): &(Rule, String)| !line.contains("/24:") && !line.contains("/64:");
            let (said, lines): (Vec<_>, Vec<_>) = lines.filter(is_known).unzip();
            let differing = differing(family, &head, &said, lines).into_iter();
            let refused = differing.filter(|one| one.contains(" refused: "));
            wrong.extend(refused.map(|one| format!("listed {one}")));
        }
        assert!(count > 3000, "{count}");
        assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    });
}
