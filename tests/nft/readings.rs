//! Rules of other programs that resemble other rules, and rules of netloom that `nft` loads again.

use netloom::nft::{Chain, Family, Field, Rule, RuleInfo, Table};
use netloom::{Bridge, Firewall, Namespace, Netns, PortGuard};

use crate::golden::load;
use crate::support::{self, Place, nft};

/// Returns the rules of the last chain of the first table.
fn rules(netns: &Netns) -> Vec<RuleInfo> {
    netns.nft_ruleset().unwrap().remove(0).chains.pop().unwrap().rules
}

#[test]
fn a_field_at_the_place_of_ports_is_no_port() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let no_ports = [
            "meta l4proto icmp @th,0,16 0x0801",
            "icmp checksum 5",
            "icmp type 8 icmp code 1",
            "ah reserved 5",
            "meta l4proto { icmp, ipv6-icmp } @th,0,16 0x0801",
            "meta l4proto { icmp, tcp } @th,16,16 5",
            "meta l4proto { 6-17 } @th,16,16 5",
            "meta l4proto { ah, esp } @th,16,16 5",
        ];
        let ports = ["meta l4proto { tcp, udp } th dport 5", "udp sport 5"];
        let all = [no_ports.as_slice(), &ports].concat().join("\n");
        if !load(&netns, &format!("table inet t {{ chain c {{\n{all}\n}}\n}}\n")) {
            return;
        }
        let shown: Vec<_> = rules(&netns).iter().map(|info| info.rule.to_string()).collect();
        let is_port = |text: &String| text.contains("th dport") || text.contains("th sport");
        let (others, of_ports) = shown.split_at(no_ports.len());
        assert!(!others.iter().any(is_port), "{others:#?}");
        assert!(of_ports.iter().all(is_port), "{of_ports:#?}");
        // Nor does netloom build a rule that matches ports of an ICMP packet.
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let of_icmp = Rule::new().protocols([1, 6]).dport(5).create(&chain).unwrap_err();
        assert!(of_icmp.is_invalid_input(), "{of_icmp}");
    });
}

#[test]
fn a_link_name_of_iptables_is_no_prefix() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let place = Place::of_fd(&*netns);
        let add = ["-A", "INPUT", "-i", "eth0", "-j", "ACCEPT"];
        if support::tools::run(&place, "iptables-nft", &add).is_none() {
            return;
        }
        let read = rules(&netns);
        let shown = read[0].rule.to_string();
        assert!(!shown.contains('*') && !shown.contains('\0'), "{shown:?}");
    });
}

#[test]
fn ports_before_translation_need_a_protocol_as_nft_does() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let table = Table::new(Family::Inet, "t").create(&netns).unwrap();
        let chain = Chain::new("c").create(&table).unwrap();
        let field = Field::CtOriginalDestinationPort;
        let refused = Rule::new().is(field, 80_u16).create(&chain).unwrap_err();
        assert!(refused.to_string().contains("ports of which protocol?"), "{refused}");
        Rule::new().tcp().is(field, 80_u16).create(&chain).unwrap().keep();
        let of_two = Rule::new().protocols([6, 17]).is(field, 80_u16).create(&chain).unwrap_err();
        assert!(of_two.to_string().contains("ports of which one of the protocols?"), "{of_two}");
        loads_again(&netns);
    });
}

/// Asserts that `nft` loads its own listing.
fn loads_again(netns: &Netns) {
    let Some(listed) = nft(&Place::of_fd(netns), &["-s", "list", "ruleset"]) else { return };
    let theirs = Namespace::anonymous().create().unwrap();
    // A table with an owner would be deleted at the end of `nft`.
    let lines = listed.lines().filter(|line| !line.contains("flags owner"));
    assert!(load(&theirs, &lines.collect::<Vec<_>>().join("\n")));
    let again = nft(&Place::of_fd(&*theirs), &["-s", "list", "ruleset"]).unwrap();
    let rules = |text: &str| {
        let is_shown = |line: &&str| !line.is_empty() && !line.contains("flags owner");
        // `nft` writes a set of one element as that element.
        let lines = text.replace("{ 10.0.0.2 }", "10.0.0.2").replace("{ 0.0.0.0 }", "0.0.0.0");
        lines
            .lines()
            .filter(is_shown)
            .map(|line| line.split(" # progname").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(&listed), rules(&again));
}

#[test]
fn nft_loads_the_listing_of_a_guarded_port() {
    support::isolated(|| {
        for addresses in [
            vec!["10.0.0.2", "fd00::2"],
            vec!["fd00::2", "fe80::2", "fd00::3"],
            vec!["10.0.0.2"],
            vec!["10.0.0.2", "10.0.0.3"],
        ] {
            let netns = Namespace::anonymous().create().unwrap();
            Bridge::new("br0").create(&netns).unwrap().keep();
            for mac in [None, Some("02:00:00:00:00:02")] {
                let guard = PortGuard::new("br0");
                let guard = mac.map_or(guard.clone(), |mac| guard.mac(mac));
                let guard = addresses.iter().fold(guard, |guard, one| guard.address(*one));
                let firewall = Firewall::new().create(&netns).unwrap();
                let _guarded = guard.create(&firewall).unwrap();
                loads_again(&netns);
            }
        }
    });
}
